"""`ciml data sync`: what arrived in S3 becomes a manifest, a commit, a pull request."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ciml.adapters.manifests import dump, parse
from ciml.adapters.tables import Tables
from ciml.app.sync import Means, arrived
from ciml.cli.invocation import Invocation
from ciml.cli.supplying import Supplying
from ciml.cli.wiring import open_place
from ciml.core.s3 import s3_address
from tests.cli.calls import ROOT, Calls
from tests.cli.test_json import fields, promised
from tests.githubserver import GitHubServer
from tests.repobuilder import RepoBuilder
from tests.s3server import Bucket, Service

YAML = """\
version: 1
stages:
  train: {run: "cat data/raw/*.csv > model.txt", inputs: [data/raw], outputs: [model.txt]}
"""


def rows(seed: int, *, older: float = 0.0, columns: str = "age,country") -> str:
    drawn = random.Random(seed)
    return "\n".join([columns, *(f"{round(drawn.gauss(40 + older, 9))},A" for _ in range(300)), ""])


@pytest.fixture
def bucket(service: Service) -> Bucket:
    bucket = Bucket(service)
    bucket.put("raw/a.csv", rows(1))
    bucket.put("raw/b.csv", rows(2))
    return bucket


@pytest.fixture
def sourced(ciml: Calls, service: Service, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A clone whose data comes from S3, pushed to a bare remote; nothing of the data was fetched."""
    for name, value in service.environ.items():
        monkeypatch.setenv(name, value)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        ciml.repo.git("config", name, value)
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/model.txt\n"})
    ciml.ok("data", "add", f"s3://{bucket.name}/raw/", "--to", "data/raw")
    ciml.repo.git("add", "-A")
    ciml.repo.git("commit", "-q", "-m", "data")
    ciml.repo.bare_origin()
    return ciml


def origin(ciml: Calls) -> RepoBuilder:
    return RepoBuilder(ciml.path.parent / "origin.git", create=False)


def subjects(repo: RepoBuilder, branch: str = "main") -> list[str]:
    return repo.git("log", "--format=%s", branch).splitlines()


# In the work tree.


def test_nothing_arrived(sourced: Calls) -> None:
    """Nothing is written, in any way of it."""
    for words in ((), ("--commit",), ("--pull-request",)):
        told = sourced.ok("data", "sync", *words).out
        assert "Nothing arrived." in told
        assert "hint" not in told
    assert sourced.repo.git("status", "--porcelain") == ""
    assert len(subjects(origin(sourced))) == 2


def test_no_data_comes_from_s3(ciml: Calls) -> None:
    """Nothing can arrive then, and the command that changes that is named."""
    told = ciml.ok("data", "sync").out
    assert "hint: no manifest has a source in S3; `ciml data add s3://BUCKET/PREFIX/` writes one that has." in told


def test_in_the_work_tree(sourced: Calls, bucket: Bucket) -> None:
    """The manifest is written, and what to commit is said; what breaks comes first."""
    bucket.put("raw/c.csv", rows(3, older=30))
    bucket.put("raw/d.csv", rows(4, columns="age,land"))
    answer = sourced.ok("data", "sync")
    assert f"data/raw from s3://{bucket.name}/raw/: 2 added" in answer.out
    told = [line.strip() for line in answer.out.splitlines()]
    assert told.index("breaks: d.csv lacks the column 'country'") < told.index("rows: 600 -> 1,200 (+600)")
    assert "columns added: land" in told
    assert any(line.startswith("distribution shift (PSI): age ") for line in told)
    assert "To commit it: git add data/raw.manifest.yaml" in answer.out
    assert sourced.repo.git("status", "--porcelain") == " M data/raw.manifest.yaml" or (
        sourced.repo.git("status", "--porcelain").strip() == "M data/raw.manifest.yaml"
    )


def test_without_tables_nothing_is_fetched(sourced: Calls, bucket: Bucket) -> None:
    """Files and bytes come from listings alone."""
    bucket.put("raw/c.csv", rows(3))
    document = sourced.json("data", "sync", "--no-tables")
    [item] = document["arrivals"]
    assert item["changed"]["added"] == 1
    assert item["table"] is None
    assert document["bytes"] == 0


def test_what_is_no_table(sourced: Calls, bucket: Bucket) -> None:
    """A file that cannot be read is told, and stops nothing."""
    bucket.put("raw/c.csv", "a,b\n1,2,3\n")
    [item] = sourced.json("data", "sync")["arrivals"]
    assert item["table"] is None
    assert item["note"].startswith("data/raw/c.csv cannot be read")


def test_the_same_bytes_again(sourced: Calls, bucket: Bucket) -> None:
    """An object that is written again with the same bytes is no news where the bucket keeps versions."""
    bucket.put("raw/a.csv", rows(1))
    assert "Nothing arrived." in sourced.ok("data", "sync", "--commit").out


def test_what_is_too_much_to_fetch(sourced: Calls, bucket: Bucket) -> None:
    """Data beyond a size is told by its listing alone, and how to have it read is said."""
    bucket.put("raw/c.csv", rows(3))
    invocation = Invocation(directory=str(sourced.path), environ=dict(os.environ))
    with open_place(invocation) as place:
        at = Supplying(place, invocation)
        means = Means(
            source=lambda manifest: at.source(s3_address(manifest.source or "")),
            store=at.store,
            listings=at.store,
            bring=at.supply.bring,
            share=at.sharing.share_listings,
            fetch=at.supply.listing,
            parse=parse,
            dump=dump,
            tables=Tables(str(sourced.path / "tables")),
            largest=1000,
        )
        [found] = arrived(at.tree, means)
    assert found.arrival.table is None
    assert "are much to fetch (--tables does it)" in found.arrival.note


def test_a_bucket_that_is_gone(sourced: Calls, bucket: Bucket) -> None:
    """What, where, what to do; nothing is written."""
    for item in bucket.client.list_object_versions(Bucket=bucket.name)["Versions"]:
        bucket.client.delete_object(Bucket=bucket.name, Key=item["Key"], VersionId=item["VersionId"])
    answer = sourced("data", "sync", "--commit")
    assert answer.code == 3
    assert f"there is nothing at s3://{bucket.name}/raw/" in answer.err
    bucket.client.delete_bucket(Bucket=bucket.name)
    answer = sourced("data", "sync", "--commit")
    assert answer.code == 3
    assert "there is no such bucket" in answer.err
    assert len(subjects(origin(sourced))) == 2


@pytest.mark.parametrize("way", [(), ("--commit",)])
def test_one_source_that_is_gone_stops_no_other(sourced: Calls, bucket: Bucket, way: tuple[str, ...]) -> None:
    """Nor does a manifest that cannot be read: what arrived elsewhere is taken, both are told, and it is exit 3."""
    bucket.put("gone/a.csv", rows(3))
    sourced.ok("data", "add", f"s3://{bucket.name}/gone/", "--to", "data/gone")
    sourced.repo.stage("data/gone.manifest.yaml", ".gitignore")
    sourced.repo.commit({"data/broken.manifest.yaml": "version: 1\nsha: 1\n"})
    sourced.repo.git("push", "-q", "origin", "main")
    bucket.forget("gone/a.csv")
    bucket.put("raw/c.csv", rows(4))

    answer = sourced("--json", "data", "sync", *way)
    assert answer.code == 3, answer
    assert [item["path"] for item in answer.json["arrivals"]] == ["data/raw"]
    faults = [item["manifest"] for item in answer.json["faults"]]
    assert faults == ["data/broken.manifest.yaml", "data/gone.manifest.yaml"]
    assert f"error: there is nothing at s3://{bucket.name}/gone/ any more, where data/gone comes from" in answer.err
    assert "error: data/broken.manifest.yaml:2" in answer.err
    if way:
        assert origin(sourced).git("show", "--format=", "--name-only", "main") == "data/raw.manifest.yaml"
    else:
        assert sourced.repo.git("diff", "--name-only") == "data/raw.manifest.yaml"


def test_status_of_sources_of_which_one_is_gone(sourced: Calls, bucket: Bucket, service: Service) -> None:
    """What lies here is told of all, and how the source stands of those that can be asked; exit 3."""
    other = Bucket(service)
    other.put("a.csv", rows(3))
    sourced.ok("data", "add", f"s3://{other.name}/", "--to", "other")
    other.forget("a.csv")
    other.client.delete_bucket(Bucket=other.name)
    bucket.put("raw/c.csv", rows(4))
    answer = sourced("--json", "data", "status", "--remote")
    assert answer.code == 3
    found = {item["path"]: (item["state"], item["at_source"]) for item in answer.json["data"]}
    assert found["data/raw"][1]["added"] == 1
    assert found["other"] == ("missing", None)
    [fault] = answer.json["faults"]
    assert fault["manifest"] == "other.manifest.yaml"
    assert "there is no such bucket" in fault["message"]


# As a commit.


def test_a_commit(sourced: Calls, bucket: Bucket) -> None:
    """It is on the remote's branch, changes the manifest alone, tells what it holds, and the clone follows."""
    bucket.put("raw/c.csv", rows(3))
    document = sourced.json("data", "sync", "--commit")
    assert promised("data sync") - set(fields(document)) == set()
    remote = origin(sourced)
    assert document["commit"] == remote.git("rev-parse", "main") == sourced.repo.head()
    assert document["followed"] is True
    assert remote.git("show", "--format=", "--name-only", "main") == "data/raw.manifest.yaml"
    assert remote.git("log", "-1", "--format=%s", "main").startswith("data: data/raw: 1 added (+")
    assert "rows: 600 -> 900 (+300)" in remote.git("log", "-1", "--format=%b", "main")
    assert sourced.repo.git("status", "--porcelain") == ""
    assert "Nothing arrived." in sourced.ok("data", "sync", "--commit").out
    assert sourced.json("data", "status", "--remote")["data"][0]["at_source"]["added"] == 0


def test_a_commit_beside_other_work(sourced: Calls, bucket: Bucket) -> None:
    """On another branch and with changes in the work tree nothing here moves; the commit is on the remote's branch."""
    sourced.repo.branch("work")
    (sourced.path / "ciml.yaml").write_text(YAML + "# mine\n")
    bucket.put("raw/c.csv", rows(3))
    answer = sourced.ok("data", "sync", "--commit", "--branch", "main")
    assert "hint: git pull brings it here." in answer.out
    assert sourced.repo.git("status", "--porcelain").strip() == "M ciml.yaml"
    assert len(subjects(origin(sourced))) == 3


def test_a_shallow_detached_clone(sourced: Calls, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CI checks out: one commit deep, no branch; the job's variables name it."""
    job = origin(sourced).clone("job", depth=1)
    job.git("checkout", "-q", "--detach")
    bucket.put("raw/c.csv", rows(3))
    monkeypatch.setenv("GITHUB_REF_TYPE", "branch")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    document = sourced.json("-C", str(job.path), "data", "sync", "--commit", "--no-tables")
    assert document["commit"] == origin(sourced).git("rev-parse", "main")
    assert job.git("rev-parse", "HEAD") == document["base"]
    [item] = document["arrivals"]
    assert (item["files_before"], item["files"], item["changed"]) == (2, 3, None)
    assert item["note"].startswith("the listing of before is in no store that this clone can reach")


def test_without_a_remote(sourced: Calls, bucket: Bucket) -> None:
    """The commit is on the branch that is checked out, and the files with it."""
    sourced.repo.git("remote", "remove", "origin")
    bucket.put("raw/c.csv", rows(3))
    document = sourced.json("data", "sync", "--commit")
    assert document["commit"] == sourced.repo.head()
    assert sourced.repo.git("status", "--porcelain") == ""


def test_no_pull_request_without_a_remote(sourced: Calls, bucket: Bucket) -> None:
    """Exit 3: it is said that there is no remote, and not that anything was pushed."""
    sourced.repo.git("remote", "remove", "origin")
    bucket.put("raw/c.csv", rows(3))
    answer = sourced("data", "sync", "--pull-request")
    assert answer.code == 3
    assert "there is no remote origin" in answer.err and "pushed" not in answer.err


def test_two_at_once_make_one_commit(sourced: Calls, bucket: Bucket, service: Service) -> None:
    """Eight syncs in eight clones, all at once: one commit, and every one of them ends well."""
    clones = [origin(sourced).clone(f"clone-{number}") for number in range(8)]
    bucket.put("raw/c.csv", rows(3))
    env = {**service.environ, "PATH": os.environ["PATH"], "HOME": str(sourced.path.parent), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "ciml", "--json", "data", "sync", "--commit", "--no-tables"]
    running = [subprocess.Popen(words, cwd=clone.path, env=env, stdout=-1, stderr=-1) for clone in clones]
    answers = [(process.communicate(), process.returncode) for process in running]
    assert [code for _, code in answers] == [0] * 8, answers
    # Those that had made the very same commit within the same second may all say so.
    made = {json.loads(out)["commit"] for (out, _), _ in answers} - {None}
    assert made == {origin(sourced).git("rev-parse", "main")}
    assert len(subjects(origin(sourced))) == 3


def test_somebody_else_was_first(sourced: Calls, bucket: Bucket, tmp_path: Path) -> None:
    """A push that loses looks at everything anew: the commit stands on top of the other one."""
    bucket.put("raw/c.csv", rows(3))
    other = origin(sourced).clone("other")
    # The remote takes another commit just before the first push of ours.
    hook = origin(sourced).path / "hooks/pre-receive"
    script = f"""#!/bin/sh
[ -e {tmp_path}/done ] && exit 0
touch {tmp_path}/done
unset GIT_DIR GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
cd {other.path} && git -c user.name=B -c user.email=b@c commit -q --allow-empty -m theirs && git push -q origin main
"""
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(script)
    hook.chmod(0o755)
    sourced.ok("data", "sync", "--commit", "--no-tables")
    assert [subject.partition(":")[0] for subject in subjects(origin(sourced))] == ["data", "theirs", "data", "change"]


def test_an_object_that_is_replaced_all_the_time(sourced: Calls, bucket: Bucket) -> None:
    """Either one state of it is taken, whole, or the sync says that it lost a race; nothing mixed is committed."""
    bucket.put("raw/c.csv", rows(3))
    stop = threading.Event()

    def replace() -> None:
        number = 10
        while not stop.is_set():
            bucket.put("raw/c.csv", rows(number))
            number += 1

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        answer = sourced("data", "sync", "--commit")
    finally:
        stop.set()
        thread.join()
    assert answer.code in (0, 8), answer
    if answer.code == 0:
        sourced.ok("data", "pull")
        assert (sourced.path / "data/raw/c.csv").read_text().count("\n") == 301


# Where pushes are refused.


def protect(ciml: Calls, branch: str) -> None:
    """Let the remote refuse pushes to a branch, as GitHub words it."""
    hook = origin(ciml).path / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    words = "GH006: Protected branch update failed for refs/heads/main."
    hook.write_text(f'#!/bin/sh\n[ "$1" = refs/heads/{branch} ] && echo "{words}" >&2 && exit 1\nexit 0\n')
    hook.chmod(0o755)


def test_a_protected_branch_without_a_token(sourced: Calls, bucket: Bucket) -> None:
    """Exit 6 says what was refused and what to do; nothing is committed anywhere."""
    protect(sourced, "main")
    bucket.put("raw/c.csv", rows(3))
    answer = sourced("data", "sync", "--commit", "--no-tables")
    assert answer.code == 6
    assert "GH006: Protected branch" in answer.err
    assert "--pull-request proposes the commit instead" in answer.err
    assert origin(sourced).git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert "refs/ciml/proposed" not in sourced.repo.git("for-each-ref")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    with GitHubServer() as server:
        server.token("ghs_job", permissions={"contents": "write", "pull-requests": "write"})
        monkeypatch.setenv("CIML_TOKEN", "ghs_job")
        monkeypatch.setenv("GITHUB_REPOSITORY", server.repository)
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        yield server


def pulls(server: GitHubServer) -> list[Any]:
    return [pull for pull in server.pulls.values() if pull["state"] == "open"]


def test_a_protected_branch_becomes_a_pull_request(sourced: Calls, bucket: Bucket, server: GitHubServer) -> None:
    """`--commit` where the branch takes no push: one pull request with the summary, brought up to date by the next."""
    protect(sourced, "main")
    bucket.put("raw/c.csv", rows(3, older=25))
    first = sourced.json("data", "sync", "--commit")
    assert first["page"]
    remote = origin(sourced)
    assert remote.git("rev-parse", "ciml/data/main") == first["commit"]
    assert remote.git("rev-parse", "ciml/data/main~1") == remote.git("rev-parse", "main")
    [pull] = pulls(server)
    assert pull["title"].startswith("data: data/raw: 1 added")
    assert "| `data/raw` | 3 (+1 −0 ~0) |" in pull["body"]
    assert "600 -> 900 (+300)" in pull["body"]
    assert "| `age` | " in pull["body"]

    again = sourced.json("data", "sync", "--pull-request")
    assert again["commit"] == first["commit"], "the same proposal is not pushed again"
    bucket.put("raw/d.csv", rows(4, columns="age,land"))
    later = sourced.json("data", "sync", "--pull-request")
    assert later["commit"] != first["commit"]
    [pull] = pulls(server)
    assert pull["body"].startswith("### Schema breaks")
    assert remote.git("rev-list", "--count", "main..ciml/data/main") == "1"


def test_names_in_a_pull_request_do_nothing(sourced: Calls, bucket: Bucket, server: GitHubServer) -> None:
    """A key that is a mention, a link or a table is shown as text."""
    bucket.put("raw/@acme |[x](http:y) <img>.csv", rows(3, columns="age,country"))
    bucket.put("raw/z.csv", rows(3, columns="age,@acme"))
    sourced.ok("data", "sync", "--pull-request")
    [pull] = pulls(server)
    assert "| | " not in pull["body"].split("<details>")[0]
    assert "@acme" not in pull["body"].replace("`@acme`", "").replace("@\u200bacme", "")
    assert "<img>" not in re.sub(r"`[^`]*`|\\<img>", "", pull["body"])


def test_two_ways_at_once_are_a_mistake(sourced: Calls) -> None:
    """--commit and --pull-request exclude each other."""
    assert sourced("data", "sync", "--commit", "--pull-request").code == 2


def test_a_branch_that_is_not_there(sourced: Calls) -> None:
    """Exit 4 names it."""
    answer = sourced("data", "sync", "--commit", "--branch", "gone")
    assert answer.code == 4
    assert "there is no branch gone" in answer.err


ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "6"))


@pytest.mark.soak
def test_killed_at_any_time(sourced: Calls, bucket: Bucket, service: Service) -> None:
    """A sync that is killed leaves nothing half-done: the next one makes the one commit, or finds it made."""
    env = {**service.environ, "PATH": os.environ["PATH"], "HOME": str(sourced.path.parent), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "ciml", "data", "sync", "--commit"]
    drawn = random.Random(5)
    for number in range(ROUNDS):
        bucket.put(f"raw/k{number}.csv", rows(number))
        process = subprocess.Popen(words, cwd=sourced.path, env=env, stdout=-1, stderr=-1, start_new_session=True)
        try:
            process.communicate(timeout=drawn.uniform(0.2, 1.6))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        (sourced.path / ".git/index.lock").unlink(missing_ok=True)
        sourced.ok("data", "sync", "--commit")
        remote = origin(sourced)
        assert len(subjects(remote)) == 3 + number
        assert remote.git("show", "--format=", "--name-only", "main") == "data/raw.manifest.yaml"
        assert "Nothing arrived." in sourced.ok("data", "sync", "--commit").out
        assert "refs/ciml/data" not in sourced.repo.git("for-each-ref")
        sourced.repo.git("fetch", "-q", "origin")
        sourced.repo.git("reset", "-q", "--hard", "origin/main")
