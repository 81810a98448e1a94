"""`ciml data` with S3: sources that manifests pin, and a store that others use too."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.calls import Calls
from tests.s3server import Bucket, Service

YAML = """\
version: 1
stages:
  train: {run: "cat data/raw/*.csv > model.txt", inputs: [data/raw], outputs: [model.txt]}
"""


@pytest.fixture
def bucket(service: Service) -> Bucket:
    bucket = Bucket(service)
    bucket.put("raw/a.csv", "id,x\n1,2\n")
    bucket.put("raw/sub/b.csv", "id,x\n3,4\n", checksum=False)
    bucket.put("raw/sub/", "")
    bucket.put("other", "x")
    return bucket


@pytest.fixture
def ciml(ciml: Calls, service: Service, monkeypatch: pytest.MonkeyPatch) -> Calls:
    for name, value in service.environ.items():
        monkeypatch.setenv(name, value)
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/model.txt\n"})
    return ciml


@pytest.fixture
def sourced(ciml: Calls, bucket: Bucket) -> Calls:
    """A project whose data comes from S3, committed; nothing of it was fetched."""
    ciml.ok("data", "add", f"s3://{bucket.name}/raw/", "--to", "data/raw")
    commit(ciml)
    return ciml


def commit(ciml: Calls) -> None:
    ciml.repo.git("add", "-A")
    ciml.repo.git("commit", "-q", "-m", "data")


def manifest(ciml: Calls, path: str = "data/raw") -> dict[str, str]:
    lines = (ciml.path / f"{path}.manifest.yaml").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def stored(ciml: Calls, text: str) -> bool:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (ciml.path / ".git/ciml/store/objects" / digest[:2] / digest[2:]).exists()


def forget(ciml: Calls) -> None:
    """As a new clone: no store, no memory, no data."""
    for folder in (".git/ciml", "data/raw"):
        shutil.rmtree(ciml.path / folder, ignore_errors=True)


# Sources.


def test_a_prefix_is_pinned_and_not_fetched(sourced: Calls, bucket: Bucket) -> None:
    """Files, bytes and an index in the manifest; S3's own SHA-256 is taken, and what has none is read once."""
    found = manifest(sourced)
    assert (found["files"], found["size"], found["directory"]) == ("2", "18", "true")
    assert found["source"] == f"s3://{bucket.name}/raw/"
    assert not stored(sourced, "id,x\n1,2\n")
    assert not (sourced.path / "data/raw").exists()
    assert sourced.json("plan")["stages"][0]["action"] == "run"


def test_the_manifest_is_that_of_the_same_files_on_disk(sourced: Calls) -> None:
    """Whether data came from S3 or lay here: the same bytes have the same digest, and so the same keys."""
    sourced.ok("data", "pull")
    shutil.copytree(sourced.path / "data/raw", sourced.path / "data/copy")
    sourced.ok("data", "add", "data/copy")
    assert manifest(sourced, "data/copy")["sha256"] == manifest(sourced)["sha256"]


def test_a_run_gets_pinned_versions(sourced: Calls, bucket: Bucket) -> None:
    """What is at the source by now does not matter: the stage reads what the manifest pins."""
    bucket.put("raw/a.csv", "id,x\n9,9\n")
    bucket.delete("raw/sub/b.csv")
    assert sourced.results() == {"train": "ran"}
    assert (sourced.path / "model.txt").read_text() == "id,x\n1,2\n"


def test_status_and_update_take_what_changed(sourced: Calls, bucket: Bucket) -> None:
    """`status --remote` lists; `update` asks for what is new and keeps the pins of the rest."""
    before = manifest(sourced)
    assert sourced.json("data", "update")["data"][0]["changed"] is False
    bucket.put("raw/c.csv", "id,x\n5,6\n", checksum=False)
    bucket.put("raw/a.csv", "id,x\n1,2,3\n")
    bucket.delete("raw/sub/b.csv")

    [found] = sourced.json("data", "status", "--remote")["data"]
    assert found["at_source"] == {"added": 1, "removed": 1, "changed": 1, "bytes_added": 20, "bytes_removed": 18}
    assert "`ciml data update data/raw` takes what is at the source" in sourced.ok("data", "status", "--remote").out
    assert sourced.json("data", "status")["data"][0]["at_source"] is None

    sourced.ok("data", "update")
    assert (manifest(sourced)["files"], manifest(sourced)["size"]) == ("2", "20")
    assert manifest(sourced)["index"] != before["index"]
    [change] = sourced.json("data", "diff", "HEAD")["data"]
    assert [item["path"] for item in change["changes"]] == ["data/raw/a.csv", "data/raw/c.csv", "data/raw/sub/b.csv"]
    assert sourced.json("data", "status", "--remote")["data"][0]["at_source"]["changed"] == 0
    sourced.ok("run")


def test_an_edit_of_what_comes_from_s3(sourced: Calls) -> None:
    """`update` goes by the source, so nothing tells the user that it takes what lies on disk."""
    sourced.ok("data", "pull")
    (sourced.path / "data/raw/a.csv").write_text("mine")
    assert sourced.json("data", "update")["data"][0]["changed"] is False
    told = sourced.ok("data", "status").out
    assert "hint: `ciml data pull --force data/raw` puts it back: what comes from S3 is changed there." in told
    assert "update" not in told
    refused = sourced("data", "pull")
    assert (refused.code, "hint: --force replaces it; what comes from S3 is changed there." in refused.err) == (4, True)
    refused = sourced("run")
    assert (refused.code, "update" in refused.err) == (4, False)
    assert "what comes from S3 is changed there" in refused.err
    sourced.ok("data", "pull", "--force")
    assert (sourced.path / "data/raw/a.csv").read_text() == "id,x\n1,2\n"


def test_one_object(ciml: Calls, bucket: Bucket) -> None:
    """The version and the ETag are in the manifest itself."""
    ciml.ok("data", "add", f"s3://{bucket.name}/raw/a.csv")
    found = manifest(ciml, "a.csv")
    assert found["sha256"] == hashlib.sha256(b"id,x\n1,2\n").hexdigest()
    assert found["etag"].strip('"') == hashlib.md5(b"id,x\n1,2\n", usedforsecurity=False).hexdigest()
    assert found["object-version"]
    bucket.put("raw/a.csv", "new")
    ciml.ok("data", "pull", "a.csv")
    assert (ciml.path / "a.csv").read_text() == "id,x\n1,2\n"
    assert ciml.json("data", "status", "--remote", "a.csv")["data"][0]["at_source"]["changed"] == 1
    ciml.ok("data", "update", "a.csv")
    assert ciml.json("data", "status", "a.csv")["data"][0]["state"] == "other-version"


def test_a_bucket_without_versions(ciml: Calls, service: Service) -> None:
    """The ETag is the pin: what was replaced is gone, which is exit 7 and leaves nothing at the data's path."""
    bucket = Bucket(service, versions=False)
    bucket.put("raw/a.csv", "1")
    bucket.put("raw/b.csv", "2")
    ciml.ok("data", "add", f"s3://{bucket.name}/raw/", "--to", "data/raw")
    bucket.put("raw/b.csv", "3")
    answer = ciml("data", "pull")
    assert answer.code == 7
    assert f"s3://{bucket.name}/raw/b.csv is gone, or is not what the manifest names" in answer.err
    assert "`ciml data update` takes what is there now" in answer.err
    assert not (ciml.path / "data/raw").exists()
    ciml.ok("data", "update")
    ciml.ok("data", "pull")
    assert (ciml.path / "data/raw/b.csv").read_text() == "3"


def test_a_new_clone_lists_anew(sourced: Calls, bucket: Bucket) -> None:
    """Where nobody has pushed the listing, what is at the source tells, as long as it is still the same."""
    forget(sourced)
    sourced.ok("run")
    forget(sourced)
    bucket.put("raw/c.csv", "new")
    answer = sourced("run")
    assert answer.code == 5
    assert "the listing" in answer.err


def test_an_update_where_the_listing_of_before_is_nowhere(sourced: Calls, bucket: Bucket) -> None:
    """Everything is asked for anew, with a warning: nobody is stuck with a manifest that none can read."""
    forget(sourced)
    bucket.put("raw/c.csv", "new")
    answer = sourced.ok("data", "update")
    assert "data/raw: the listing of before cannot be had here: everything is asked for anew" in answer.err
    assert manifest(sourced, "data/raw")["files"] == "3"
    sourced.ok("data", "pull")
    assert (sourced.path / "data/raw/c.csv").read_text() == "new"


def test_status_of_data_that_was_never_fetched(sourced: Calls) -> None:
    """Where only its listing is here, it is not said to be in the store."""
    assert sourced.json("data", "status")["data"][0]["state"] == "missing"
    sourced.ok("data", "pull")
    shutil.rmtree(sourced.path / "data/raw")
    assert sourced.json("data", "status")["data"][0]["state"] == "not-here"


def test_a_source_that_is_gone(ciml: Calls, bucket: Bucket) -> None:
    """Exit 3 names the data that comes from there, and its manifest."""
    ciml.ok("data", "add", f"s3://{bucket.name}/raw/a.csv")
    bucket.client.delete_object(Bucket=bucket.name, Key="raw/a.csv")
    for words in (("data", "update"), ("data", "sync")):
        answer = ciml(*words)
        assert answer.code == 3
        assert f"there is no object s3://{bucket.name}/raw/a.csv any more, where a.csv comes from" in answer.err
        assert "git rm a.csv.manifest.yaml" in answer.err


def test_a_large_object_comes_in_parts(ciml: Calls, bucket: Bucket) -> None:
    """Bytes above the size of a part arrive whole, whatever checksums S3 has of it."""
    data = os.urandom(20 << 20)
    bucket.client.put_object(Bucket=bucket.name, Key="big", Body=data)
    ciml.ok("data", "add", f"s3://{bucket.name}/big", "--to", "data/big")
    ciml.ok("data", "pull")
    assert (ciml.path / "data/big").read_bytes() == data


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("s3://no-such-bucket-here/x/", 3, "there is no such bucket"),
        ("s3://BUCKET/nothing/", 3, "there is nothing at s3://"),
        ("s3://BUCKET/nothing", 3, "there is no object s3://"),
        ("S3://b/x/", 3, "does not start with s3://"),
        ("s3://b/../x", 3, "names 'b', which no bucket can be called"),
        ("s3://bucket/../x/", 3, "holds `.` or `..`"),
        ("s3://bucket//x/", 3, "has an empty part"),
        ("s3://bucket/k?versionId=1", 3, "has a query"),
        ("s3://bucket/a%2e%2e/", 3, "is percent-encoded"),
        ("s3://key:secret@bucket/x/", 3, "has a user"),
        ("s3://192.168.1.1/x/", 3, "no bucket can be called"),
        ("gs://bucket/x/", 3, "does not start with s3://"),
    ],
)
def test_c102_addresses_that_are_none(ciml: Calls, bucket: Bucket, address: str, code: int, words: str) -> None:
    """S3 URIs are parsed strictly: exit 3 says what is wrong, and no secret is repeated."""
    answer = ciml("data", "add", address.replace("BUCKET", bucket.name), "--to", "data/x")
    assert (answer.code, words in answer.err) == (code, True), answer
    assert "secret" not in answer.err
    assert "versionId" not in answer.err
    assert not (ciml.path / "data").exists()


def test_keys_that_are_no_paths(ciml: Calls, bucket: Bucket) -> None:
    """An object beside a folder of its name, and keys that climb: exit 3 names the key."""
    bucket.put("odd/a", "1")
    bucket.put("odd/a.b", "1")
    bucket.put("odd/a/b", "1")
    answer = ciml("data", "add", f"s3://{bucket.name}/odd/", "--to", "data/odd")
    assert (answer.code, "/odd/a is an object, and others lie below" in answer.err) == (3, True), answer
    bucket.put("worse/../../x", "1")
    answer = ciml("data", "add", f"s3://{bucket.name}/worse/", "--to", "data/odd")
    assert (answer.code, "holds `.` or `..`" in answer.err) == (3, True), answer


def test_a_manifest_that_was_edited(sourced: Calls) -> None:
    """A digest that nothing has, an index that is none: what, where, what to do; nothing is placed."""
    file = sourced.path / "data/raw.manifest.yaml"
    whole = file.read_text()
    file.write_text(whole.replace(manifest(sourced)["sha256"], "e" * 64))
    answer = sourced("data", "pull")
    assert (answer.code, "the listing eeeeeeeeeeee" in answer.err) == (5, True), answer
    for edit, words in {
        "source: s3://bucket/../x/": "holds `.` or `..`",
        "source: https://x/?X-Amz-Signature=canary": "does not start with s3://",
        "index: 12": "a SHA-256 in 64 hex digits",
        "directory: maybe": "directory",
    }.items():
        key = edit.partition(":")[0]
        lines = [edit if line.startswith(f"{key}:") else line for line in whole.splitlines()]
        file.write_text("\n".join(lines))
        answer = sourced("data", "pull")
        assert (answer.code, words in answer.err) == (3, True), answer
        assert "data/raw.manifest.yaml" in answer.err
        assert "canary" not in answer.err
    assert not (sourced.path / "data/raw").exists()


# A store that others use too.


@pytest.fixture
def shared(ciml: Calls, bucket: Bucket) -> Calls:
    """A project whose store is in S3, with data that was pushed."""
    ciml.repo.commit({"ciml.yaml": f"{YAML}store: s3://{bucket.name}/store\n"})
    for name, text in {"a.csv": "id,x\n1,2\n", "sub/b.csv": "id,x\n3,4\n", "c.csv": "id,x\n"}.items():
        path = ciml.path / "data/raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ciml.ok("data", "add", "data/raw")
    commit(ciml)
    return ciml


def test_push_and_pull(shared: Calls) -> None:
    """What one clone has pushed, another gets: verified, all at once; a second time nothing moves."""
    assert shared.json("data", "status", "--remote")["data"][0]["shared"] is False
    pushed = shared.json("data", "push")
    assert pushed["objects"] == 4, "three files and their listing"
    assert shared.json("data", "push")["objects"] == 0
    assert shared.json("data", "status", "--remote")["data"][0]["shared"] is True

    forget(shared)
    assert shared.json("data", "pull")["data"][0]["placed"] is True
    assert (shared.path / "data/raw/sub/b.csv").read_text() == "id,x\n3,4\n"
    assert shared.json("data", "status")["data"][0]["state"] == "up-to-date"
    assert shared.json("data", "pull")["data"][0]["placed"] is False


def test_push_of_all_that_is_here(shared: Calls) -> None:
    """What is not here is told and stands in nobody's way; what is shared already need not be here."""
    shared.ok("data", "push")
    forget(shared)
    shared.repo.commit({"lost.csv.manifest.yaml": f"version: 1\nsha256: {'d' * 64}\nsize: 1\nfiles: 1\n"})
    (shared.path / "new.csv").write_text("id\n1\n")
    shared.ok("data", "add", "new.csv")
    assert "lost.csv: not here" in shared.ok("data", "push").out
    found = {item["path"]: item["pushed"] for item in shared.json("data", "push")["data"]}
    assert found == {"data/raw": True, "lost.csv": False, "new.csv": True}
    assert shared.json("data", "status", "--remote", "new.csv")["data"][0]["shared"] is True
    shared.ok("data", "push", "data/raw")
    refused = shared("data", "push", "lost.csv")
    assert (refused.code, "the data lost.csv is not here" in refused.err) == (4, True)


def test_a_listing_alone_is_not_shared_data(shared: Calls, bucket: Bucket) -> None:
    """Where others can have the listing and not the bytes, status does not say that they are pushed."""
    shared.ok("data", "push")
    for text in ("id,x\n1,2\n", "id,x\n3,4\n"):
        digest = hashlib.sha256(text.encode()).hexdigest()
        bucket.forget(f"store/objects/{digest[:2]}/{digest[2:]}")
    forget(shared)
    assert shared.json("data", "status", "--remote")["data"][0]["shared"] is False


def test_a_run_in_a_new_clone(shared: Calls) -> None:
    """A stage gets data from the shared store without a pull; where nobody pushed, exit 4 says so."""
    forget(shared)
    answer = shared("run")
    assert answer.code == 4
    assert "the data data/raw is not here" in answer.err
    assert "`ciml data push` where it is" in answer.err


def test_a_run_in_a_new_clone_after_a_push(shared: Calls) -> None:
    """A stage gets data from the shared store without a pull."""
    shared.ok("data", "push")
    forget(shared)
    assert shared.results() == {"train": "ran"}
    assert not (shared.path / "data/raw").exists()


def test_push_of_data_that_was_never_fetched(sourced: Calls, bucket: Bucket) -> None:
    """Its listing and its index go to the shared store, so a new clone gets the versions that are pinned."""
    sourced.repo.commit({"ciml.yaml": f"{YAML}store: s3://{bucket.name}/store\n"})
    told = sourced.ok("data", "push").out
    assert told.startswith("listings: 2 new objects, ")
    assert f"data/raw: not here, and its bytes stay in s3://{bucket.name}/raw/" in told
    assert sourced.json("data", "push", "data/raw")["data"][0]["pushed"] is False
    forget(sourced)
    bucket.put("raw/a.csv", "id,x\n9,9\n")
    bucket.put("raw/new.csv", "id,x\n9,9\n")
    assert sourced.results() == {"train": "ran"}
    assert (sourced.path / "model.txt").read_text() == "id,x\n1,2\n"


def test_bytes_that_are_damaged_or_gone(shared: Calls, bucket: Bucket) -> None:
    """c126 for data: other bytes under a name, or none, are exit 7, and nothing appears at the data's path."""
    shared.ok("data", "push")
    digest = hashlib.sha256(b"id,x\n3,4\n").hexdigest()
    key = f"store/objects/{digest[:2]}/{digest[2:]}"
    forget(shared)
    bucket.put(key, "id,x\n3,5\n")
    answer = shared("data", "pull")
    assert (answer.code, digest in answer.err) == (7, True), answer
    assert not (shared.path / "data/raw").exists()
    bucket.forget(key)
    answer = shared("data", "pull")
    assert (answer.code, digest in answer.err) == (7, True), answer
    assert not (shared.path / "data/raw").exists()
    assert os.listdir(shared.path / "data") == ["raw.manifest.yaml"]


def test_pull_does_not_replace_an_edit(shared: Calls) -> None:
    """Exit 4; --force replaces it, from the store of the clone itself."""
    (shared.path / "data/raw/a.csv").write_text("mine")
    answer = shared("data", "pull")
    assert (answer.code, "would be replaced" in answer.err) == (4, True)
    shared.ok("data", "pull", "--force")
    assert (shared.path / "data/raw/a.csv").read_text() == "id,x\n1,2\n"


# Parts.


def part_keys(ciml: Calls) -> dict[str, str]:
    return {stage["name"]: stage["key"] for stage in ciml.json("plan")["stages"]}


def test_a_part_is_its_own_input(shared: Calls) -> None:
    """A stage that reads a folder or a file of the data runs again when that changes, and not when the rest does."""
    store = (shared.path / "ciml.yaml").read_text().splitlines()[-1]
    stages = (
        '  sub: {run: "ls -R data/raw > sub.txt", inputs: [data/raw/sub], outputs: [sub.txt]}\n'
        '  one: {run: "cat data/raw/a.csv > one.txt", inputs: [data/raw/a.csv], outputs: [one.txt]}\n'
        '  all: {run: "ls -R data/raw > all.txt", inputs: [data/raw], outputs: [all.txt]}\n'
    )
    shared.repo.commit({"ciml.yaml": f"version: 1\nstages:\n{stages}{store}\n", ".gitignore": "/*.txt\n/data/raw\n"})
    assert shared.results() == {"sub": "ran", "one": "ran", "all": "ran"}
    assert (shared.path / "sub.txt").read_text() == "data/raw:\nsub\n\ndata/raw/sub:\nb.csv\n"
    before = part_keys(shared)

    (shared.path / "data/raw/a.csv").write_text("id,x\n7,7\n")
    shared.ok("data", "update")
    after = part_keys(shared)
    assert {name for name in before if before[name] != after[name]} == {"one", "all"}
    assert shared.results() == {"sub": "skipped", "one": "ran", "all": "ran"}
    assert (shared.path / "one.txt").read_text() == "id,x\n7,7\n"

    shared.ok("data", "push")
    forget(shared)
    assert part_keys(shared) == after, "the listing is enough, and nothing else was fetched"
    assert not stored(shared, "id,x\n7,7\n")
    assert shared.json("run", "--force", "one")["stages"][0]["result"] == "ran"
    assert stored(shared, "id,x\n7,7\n")
    assert not stored(shared, "id,x\n3,4\n"), "only the part that is read was fetched"


def test_a_part_that_is_not_there(shared: Calls) -> None:
    """Exit 3 names the stage and the manifest; a listing that cannot be reached is exit 5, not "changed"."""
    text = (shared.path / "ciml.yaml").read_text()
    shared.repo.commit({"ciml.yaml": text.replace("[data/raw]", "[data/raw/none]")})
    answer = shared("plan")
    assert answer.code == 3
    assert "stage train: the input 'data/raw/none' is not in data/raw" in answer.err
    shared.repo.commit({"ciml.yaml": text.replace("[data/raw]", "[data/raw/sub]")})
    forget(shared)
    answer = shared("plan")
    assert (answer.code, "the listing" in answer.err) == (5, True), answer


def test_the_data_of_a_new_manifest_is_no_input_of_its_own(ciml: Calls, tmp_path: Path) -> None:
    """A manifest that nobody has committed yet stands for its parts as well."""
    ciml.repo.commit({"ciml.yaml": YAML.replace("[data/raw]", "[data/raw/sub]")})
    (ciml.path / "data/raw/sub").mkdir(parents=True)
    (ciml.path / "data/raw/sub/x.csv").write_text("1")
    ciml.ok("data", "add", "data/raw")
    assert ciml.json("plan")["dirty"] is True
    assert ciml.json("plan")["stages"][0]["action"] == "run"
