"""`ciml deploy`, by hand: real Git, the embedded registry, real commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ciml.adapters.documents import load
from ciml.cli.main import main
from ciml.core.approval import NOT_APPROVED
from ciml.core.entries import Deployment, FailedDeployment
from ciml.core.pipeline import Release
from tests.cli.calls import Answer, Calls, environment
from tests.cli.ledgers import entries, mlflow, state
from tests.cli.test_json import fields, promised
from tests.repobuilder import EXECUTABLE, RepoBuilder

CIML_YAML = """\
version: 1
stages:
  train: {run: "grep -v '^#' src.txt > model.txt", inputs: [src.txt], outputs: [model.txt]}
  score:
    run: |
      printf '{"auc": %s}' "$(cat model.txt)" > m.json
    inputs: [model.txt]
    metrics: [m.json]
models:
  m:
    path: model.txt
    gate: [auc > champion.auc]
    deploy:
      staging: {after: promotion, run: ./deploy.sh staging}
      production: {after: release, run: ./deploy.sh production, smoke: ./smoke.sh production, timeout: 20s}
"""

DEPLOY = """\
#!/bin/bash
set -eu
echo "$1 $CIML_VERSION $CIML_DEPLOYMENT_ID" >> "$TARGET/log"
if [ -e "$TARGET/broken" ]; then echo "no room"; exit 9; fi
cp "$CIML_MODEL_PATH" "$TARGET/$1"
if [ -e "$TARGET/hang" ]; then touch "$TARGET/hanging"; sleep 300; fi
"""
SMOKE = """\
#!/bin/bash
if [ -e "$TARGET/bad" ] && cmp -s "$TARGET/$1" "$TARGET/bad"; then echo "it answers nonsense"; exit 3; fi
"""
FILES = {
    "ciml.yaml": CIML_YAML,
    "src.txt": "0.7\n",
    ".gitignore": "/model.txt\n/m.json\n",
    "deploy.sh": DEPLOY,
    "smoke.sh": SMOKE,
}
MODES = {"deploy.sh": EXECUTABLE, "smoke.sh": EXECUTABLE}

PICKLING = """\
version: 1
stages:
  train: {run: python3 train.py, inputs: [train.py], outputs: [model.pkl]}
models:
  p: {path: model.pkl, promote: auto, deploy: {staging: {after: promotion, run: ./deploy.sh staging}}}
"""
BAD = """\
import os, pickle
class Bad:
    def __reduce__(self):
        return os.system, ("touch FILE",)
open("model.pkl", "wb").write(pickle.dumps(Bad()))
"""
HIDDEN = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "CIML_ALERT_URLS",
    "CIML_SIGNING_KEY",
    "CIML_TOKEN",
    "GIT_CONFIG_VALUE_0",
    "GITHUB_ENV",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_TOKEN",
    "INPUT_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)


def cleared(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "GITHUB_", "CIML_", "GIT_"))]:
        patch.delenv(name)
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def identify(repo: RepoBuilder) -> None:
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com"), ("gc.auto", "0")):
        repo.git("config", name, value)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """v1: version 1. v1.0.1: words on top of it. v2: version 2, the champion. v3: rejected. v4: never run."""
    folder = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch:
        cleared(patch)
        repo = RepoBuilder(folder / "repo")
        identify(repo)

        def call(*words: str, code: int = 0) -> None:
            assert main(["-C", str(repo.path), "-q", *words]) == code

        repo.commit(FILES, "a first model", modes=MODES)
        repo.tag("v1", message="one")
        call("run")
        call("register")
        repo.commit({"README.md": "words"}, "words")
        repo.tag("v1.0.1")
        repo.commit({"src.txt": "0.8\n"}, "better")
        repo.tag("v2")
        call("run")
        call("register")
        repo.commit({"src.txt": "0.3\n"}, "worse")
        repo.tag("v3")
        call("run", code=10)
        repo.commit({"src.txt": "0.9\n"}, "untried")
        repo.tag("v4")
        yield repo.path


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `deploy.sh` deploys to."""
    folder = tmp_path / "target"
    folder.mkdir()
    monkeypatch.setenv("TARGET", str(folder))
    return folder


@pytest.fixture
def ciml(
    prepared: Path,
    target: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Calls:
    """Calls in a repository with tags and versions, at its last commit."""
    del target
    cleared(monkeypatch)
    shutil.copytree(prepared, tmp_path / "repo", symlinks=True)
    repo = RepoBuilder(tmp_path / "repo", create=False)
    repo._commits = 20
    return Calls(repo, capsys, monkeypatch)


def told(answer: Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.json["deployments"]
    return found


def log(target: Path) -> list[list[str]]:
    """Environment, version and id of every deployment that was begun."""
    file = target / "log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def wait_for(happens: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def running(target: Path) -> bool:
    """Whether some other process has the target in its environment."""
    wanted = f"TARGET={target}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                return True
        except OSError:
            continue
    return False


def failed(ciml: Calls, *words: str) -> list[dict[str, Any]]:
    answer = ciml("--json", "deploy", *words)
    assert answer.code == 13, answer
    return told(answer)


def test_a_tag_deploys_the_version_of_its_commit(ciml: Calls, target: Path) -> None:
    """Neither the champion nor what is newest: what the tag's commit asks for, found by its recipe."""
    [done] = told(ciml("--json", "deploy", "--ref", "v1"))

    assert (done["state"], done["version"], done["environment"], done["ref"]) == ("deployed", 1, "production", "v1")
    assert done["commit"] == ciml.repo.git("rev-parse", "v1^{commit}")
    assert (target / "production").read_text() == "0.7\n"
    assert log(target) == [["production", "1", done["id"]]]
    [entry] = entries(ciml.repo, Deployment)
    assert (entry.version, entry.ref, entry.commit) == (1, "v1", done["commit"])
    assert entry.actor == "Ada <ada@example.com>" and entry.artifact == done["digest"] and entry.receipt


def test_c050_annotated_and_lightweight_tags(ciml: Calls) -> None:
    """Both are peeled to the commit; the tag object's digest is kept."""
    ciml.ok("deploy", "--ref", "v1")
    ciml.ok("deploy", "--ref", "refs/tags/v2")
    annotated, lightweight = entries(ciml.repo, Deployment)

    assert annotated.tag == ciml.repo.git("rev-parse", "v1")
    assert annotated.commit == ciml.repo.git("rev-parse", "v1^{commit}")
    assert lightweight.tag == ciml.repo.git("rev-parse", "v2")


def test_words_on_top_name_the_same_version(ciml: Calls, target: Path) -> None:
    """A tag on a docs-only commit deploys the version below it."""
    [done] = told(ciml("--json", "deploy", "--ref", "v1.0.1"))
    assert (done["version"], done["state"]) == (1, "deployed")
    assert (target / "production").read_text() == "0.7\n"


def test_c152_the_same_again(ciml: Calls, target: Path) -> None:
    """Same release tag twice, two tags of the same version: the second is exit 0 and already deployed."""
    [first] = told(ciml("--json", "deploy", "--ref", "v1"))
    for tag in ("v1", "v1.0.1"):
        [again] = told(ciml("--json", "deploy", "--ref", tag))
        assert (again["state"], again["digest"]) == ("already", first["digest"])
    assert f"already deployed, {first['digest']}" in ciml.ok("deploy", "--ref", "v1").out
    assert len(log(target)) == 1 and len(entries(ciml.repo, Deployment)) == 1


def test_force_deploys_what_serves_already(ciml: Calls, target: Path) -> None:
    """Where somebody changed the target behind the ledger's back; the ledger has nothing new to say."""
    ciml.ok("deploy", "--ref", "v1")
    (target / "production").write_text("by hand")
    [again] = told(ciml("--json", "deploy", "--ref", "v1", "--force"))

    assert again["state"] == "deployed" and (target / "production").read_text() == "0.7\n"
    assert len(entries(ciml.repo, Deployment)) == 1


def test_c051_a_tag_that_was_moved(ciml: Calls, target: Path) -> None:
    """Tag moved after a deployment: exit 6, with what it named then; `status` shows it."""
    ciml.ok("deploy", "--ref", "v1")
    before = ciml.repo.git("rev-parse", "v1^{commit}")
    ciml.repo.tag("v1", "v2")

    refused = ciml("deploy", "--ref", "v1")
    assert refused.code == 6
    assert f"tag v1 now points elsewhere; recorded {before}" in refused.err
    assert len(log(target)) == 1
    assert any("deployed by the tag v1" in line for line in ciml.json("status")["models"][0]["drift"])


def test_a_tag_that_is_meant_to_move(ciml: Calls) -> None:
    """GTO's `m#production` is moved from version to version; one with a counter is not."""
    for tag in ("m#production", "m#production#1"):
        ciml.repo.tag(tag, "v1")
        assert told(ciml("--json", "deploy", "--ref", tag, "--force"))[0]["version"] == 1
        ciml.repo.tag(tag, "v2")
    assert told(ciml("--json", "deploy", "--ref", "m#production"))[0]["version"] == 2
    assert ciml("deploy", "--ref", "m#production#1").code == 6


def test_c052_tags_of_other_things(ciml: Calls) -> None:
    """Tag of a tag: peeled. Tag of a blob or a tree, or none at all: exit 4."""
    ciml.repo.tag("v1.1", "v1", message="a tag of a tag")
    ciml.repo.git("tag", "v1.2", "HEAD:src.txt")
    ciml.repo.git("tag", "v1.3", "HEAD^{tree}")

    assert told(ciml("--json", "deploy", "--ref", "v1.1"))[0]["version"] == 1
    assert [ciml("deploy", "--ref", tag).code for tag in ("v1.2", "v1.3", "v9")] == [4, 4, 4]
    assert "names a blob, not a commit" in ciml("deploy", "--ref", "v1.2").err


def test_what_was_rejected_or_never_run(ciml: Calls, target: Path) -> None:
    """Rejected: exit 10 with the nearest ancestor that can be deployed. Never run: exit 4."""
    rejected, never = ciml("deploy", "--ref", "v3"), ciml("deploy", "--ref", "v4")

    assert (rejected.code, never.code) == (10, 4)
    nearest = f"{ciml.repo.git('rev-parse', 'v2')} (version 2)"
    assert "was rejected" in rejected.err and nearest in rejected.err
    assert "was never run" in never.err and nearest in never.err
    assert log(target) == []


def test_a_failed_smoke_test_puts_back_what_served(ciml: Calls, target: Path) -> None:
    """Exit 13; the version before is deployed again and tested; the ledger says both, and what serves did not move."""
    ciml.ok("deploy", "--ref", "v1")
    (target / "bad").write_text("0.8\n")
    [done] = failed(ciml, "--ref", "v2")

    assert done["state"] == "rolled-back" and "exit code 3" in done["reason"]
    assert (target / "production").read_text() == "0.7\n"
    assert [line[:2] for line in log(target)] == [["production", "1"], ["production", "2"], ["production", "1"]]
    assert log(target)[2][2] == log(target)[0][2]  # the same deployment has the same id
    [entry] = entries(ciml.repo, FailedDeployment)
    assert (entry.version, entry.ref, entry.restored) == (2, "v2", True)
    [model] = ciml.json("status")["models"]
    assert (model["environments"]["production"]["version"], model["environments"]["production"]["settled"]) == (1, True)
    assert told(ciml("--json", "deploy", "--ref", "v1"))[0]["state"] == "already"


def test_a_first_deployment_that_fails_its_smoke_test(ciml: Calls, target: Path) -> None:
    """There is nothing to put back: nobody knows what serves, and the next deployment is not taken for done."""
    (target / "bad").write_text("0.7\n")
    [done] = failed(ciml, "--ref", "v1")

    assert done["state"] == "failed" and "nothing that served there before" in done["detail"]
    assert any("nobody knows what serves" in line for line in ciml.json("status")["models"][0]["drift"])
    (target / "bad").unlink()
    assert told(ciml("--json", "deploy", "--ref", "v1"))[0]["state"] == "deployed"
    assert ciml.json("status")["models"][0]["drift"] == []


def test_c151_a_command_that_fails(ciml: Calls, target: Path) -> None:
    """Exit 13; nothing says that it serves; what served before is recorded still; the same again has the same id."""
    ciml.ok("deploy", "--ref", "v1")
    (target / "broken").touch()
    answer = ciml("deploy", "--ref", "v2")

    assert answer.code == 13
    assert "production | no room" in answer.out and "ended with exit code 9" in answer.err
    assert state(ciml.repo).deployments["production"].version == 1
    assert "production" in state(ciml.repo).unsettled
    (target / "broken").unlink()
    assert told(ciml("--json", "deploy", "--ref", "v2"))[0]["state"] == "deployed"
    assert log(target)[1] == log(target)[2]
    assert "production" not in state(ciml.repo).unsettled


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_c151_killed_half_way(ciml: Calls, target: Path, number: signal.Signals) -> None:
    """Killed: no receipt and no entry, no process is left; the same command again has the same id and is done."""
    ciml.ok("deploy", "--ref", "v1")
    head = state(ciml.repo).head
    (target / "hang").touch()
    env = environment(TARGET=str(target))
    with subprocess.Popen(
        [sys.executable, "-m", "ciml", "deploy", "--ref", "v2"],
        cwd=ciml.path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        wait_for((target / "hanging").exists, "the deployment does not begin")
        process.send_signal(number)
        process.communicate()
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    wait_for(lambda: not running(target), "something of the deployment is left")
    assert state(ciml.repo).head == head

    (target / "hang").unlink()
    assert told(ciml("--json", "deploy", "--ref", "v2"))[0]["state"] == "deployed"
    assert log(target)[1] == log(target)[2]


def test_a_deployment_that_takes_too_long(ciml: Calls, target: Path) -> None:
    """Its `timeout` ends it and all that it started; exit 13."""
    ciml.repo.commit({"ciml.yaml": CIML_YAML.replace("20s", "300ms")})
    (target / "hang").touch()
    ciml.repo.tag("v5", ciml.repo.head())
    ciml.repo.commit({"src.txt": "0.8\n"})
    ciml.repo.tag("v6")

    [done] = failed(ciml, "--ref", "v6")
    assert "timed out after 0.3 s" in done["reason"]
    assert not running(target)


def test_promotion_moves_what_follows_the_champion(ciml: Calls, target: Path) -> None:
    """Without a tag the champion goes to `after: promotion`, and nowhere else; a rollback is followed too."""
    [done] = told(ciml("--json", "deploy"))
    assert (done["environment"], done["version"], done["ref"]) == ("staging", 2, "")
    assert told(ciml("--json", "deploy"))[0]["state"] == "already"

    ciml.ok("rollback", "m")
    [drift] = ciml.json("status")["models"][0]["drift"]
    assert drift == "staging follows the champion, version 1, and serves version 2"
    assert told(ciml("--json", "deploy", "--environment", "staging"))[0]["version"] == 1
    assert (target / "staging").read_text() == "0.7\n" and not (target / "production").exists()


def test_a_named_environment(ciml: Calls, target: Path) -> None:
    """A person may bring a tag to any environment by name, and so does GTO's form."""
    [done] = told(ciml("--json", "deploy", "--ref", "v1", "--environment", "staging"))
    assert (done["environment"], done["version"]) == ("staging", 1)
    ciml.repo.tag("m#staging#2", "v2")
    assert told(ciml("--json", "deploy", "--ref", "m#staging#2"))[0]["version"] == 2
    assert not (target / "production").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--environment", "production"), 2, "production is deployed by a release tag"),
        (("--environment", "prodction"), 3, "did you mean 'production'?"),
        (("--ref", "v1", "--environment", "test"), 3, "m has no environment 'test'"),
        (("--ref", "n@v1"), 2, "names the model 'n'"),
        (("--ref", "latest"), 2, "'latest' is not a release tag"),
        (("--ref", "m#production!#4"), 2, "takes a version back"),
        (("--ref", "v1", "--override"), 2, "an override needs a reason"),
        (("--ref", "m#production#1", "--environment", "staging"), 2, "is for the environment production"),
    ],
)
def test_what_cannot_be_asked(ciml: Calls, target: Path, words: tuple[str, ...], code: int, says: str) -> None:
    """Exit 2 or 3, saying what would be right; nothing is deployed."""
    for name in ("n@v1", "latest", "m#production!#4", "m#production#1"):
        ciml.repo.tag(name, "v1")
    answer = ciml("deploy", *words)

    assert (answer.code, log(target)) == (code, [])
    assert says in answer.err


def test_c013_what_has_to_be_approved(ciml: Calls, target: Path) -> None:
    """By hand nobody can have approved it: exit 6, unless a person takes it upon himself, which the ledger keeps."""
    with_approval = CIML_YAML.replace("run: ./deploy.sh staging", "run: ./deploy.sh staging, approval: required")
    ciml.repo.commit({"ciml.yaml": with_approval})
    refused = ciml("deploy")
    assert (refused.code, log(target)) == (6, [])
    assert "staging: nobody has approved it" in refused.err

    ciml.ok("deploy", "--override", "--reason", "the reviewer is ill")
    [entry] = entries(ciml.repo, Deployment)
    assert (entry.environment, entry.reason) == ("staging", "the reviewer is ill")
    assert entry.overridden == NOT_APPROVED


def test_the_command_gets_the_target_and_no_more(ciml: Calls, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the target reach it; those of the forge, the registry and ciml do not; secrets are masked."""
    ciml.repo.commit({"ciml.yaml": CIML_YAML.replace("./deploy.sh staging", "env > $TARGET/env; echo $CLOUD_TOKEN")})
    ciml.ok("-q", "run")
    for name in HIDDEN:
        monkeypatch.setenv(name, "json://127.0.0.1:1/hidden-value" if name == "CIML_ALERT_URLS" else "hidden-value")
    monkeypatch.delenv("CIML_SIGNING_KEY")
    monkeypatch.setenv("CLOUD_TOKEN", "let-me-in-123")
    answer = ciml.ok("deploy")
    seen = dict(line.split("=", 1) for line in (target / "env").read_text().splitlines() if "=" in line)

    assert seen["CLOUD_TOKEN"] == "let-me-in-123"
    assert "staging | ***" in answer.out and "let-me-in" not in answer.out + answer.err
    assert not set(HIDDEN) & set(seen) and "hidden-value" not in (target / "env").read_text()
    assert (seen["CIML_MODEL"], seen["CIML_VERSION"], seen["CIML_ENVIRONMENT"]) == ("m", "2", "staging")
    assert seen["CIML_MODEL_URI"] == "models:/m/2" and seen["CIML_PREVIOUS_VERSION"] == ""
    assert seen["CIML_DIGEST"] == state(ciml.repo).versions[2].artifact.digest
    assert seen["CIML_COMMIT"] == ciml.repo.git("rev-parse", "v2")


def test_what_it_prints_is_no_command(ciml: Calls) -> None:
    """No line of a deployment's output is one that a CI runner would obey."""
    ciml.repo.commit({"deploy.sh": "#!/bin/sh\nprintf '::set-env name=A::b\\n##[add-path]/tmp\\n'\n"}, modes=MODES)
    out = ciml.ok("deploy").out.splitlines()

    assert "staging | ::set-env name=A::b" in out
    assert not any(line.startswith("::") or "##[" in line for line in out)


def test_the_files_are_a_copy_that_cannot_be_written(ciml: Calls, target: Path) -> None:
    """The verified files are read-only: what a deployment does to them never reaches the store."""
    script = 'stat -c %a "$CIML_MODEL_PATH" > $TARGET/mode; basename "$CIML_MODEL_PATH" >> $TARGET/mode'
    ciml.repo.commit({"ciml.yaml": CIML_YAML.replace("./deploy.sh staging", script)})
    ciml.ok("deploy")
    assert (target / "mode").read_text().split() == ["444", "model.txt"]


def test_commands_are_those_of_the_tag(ciml: Calls, target: Path) -> None:
    """A tag is deployed by its own commit's script, whatever is checked out, and leaves no work tree behind."""
    ciml.repo.write({"deploy.sh": "#!/bin/sh\nexit 1\n"})
    answer = ciml.ok("deploy", "--ref", "v1")

    assert "commands run in a checkout of it" in answer.out
    assert (target / "production").exists()
    assert len(ciml.repo.git("worktree", "list").splitlines()) == 1
    ciml.repo.git("checkout", "-q", "--force", "v2")
    assert "checkout of it" not in ciml.ok("deploy", "--ref", "v2").out


def test_c138_a_version_that_is_not_the_recorded_one(ciml: Calls, target: Path) -> None:
    """Version deleted in the registry: exit 7 and nothing is deployed, also where its bytes are here."""
    mlflow(ciml.path).delete_model_version("m", "1")
    answer = ciml("deploy", "--ref", "v1")

    assert (answer.code, log(target)) == (7, [])
    assert "registry version 1 is gone" in answer.err


def test_c136_an_alias_decides_nothing(ciml: Calls, target: Path) -> None:
    """Somebody sets `champion` by hand: `status` shows it, the ledger's champion is deployed, the alias is mended."""
    mlflow(ciml.path).set_registered_model_alias("m", "champion", "1")
    assert any("alias champion" in line for line in ciml.json("status")["models"][0]["drift"])
    ciml.ok("deploy")

    assert (target / "staging").read_text() == "0.8\n"
    assert ciml.json("status")["models"][0]["drift"] == []


def test_c145_a_pickle_is_looked_at_and_never_loaded(ciml: Calls, target: Path) -> None:
    """A scanner's verdict is printed before the deployment; what the pickle would do does not happen."""
    made = target / "executed"
    ciml.repo.commit({"train.py": BAD.replace("FILE", str(made)), "ciml.yaml": PICKLING, ".gitignore": "/model.pkl\n"})
    ciml.ok("-q", "run")
    ciml.ok("-q", "register", "--override", "--reason", "a test")
    answer = ciml.ok("deploy")

    assert "model.pkl is a pickle" in answer.err and "DANGEROUS: it names posix.system" in answer.err
    assert (target / "staging").exists() and not made.exists()


def test_the_page_on_json(ciml: Calls) -> None:
    """docs/json.md has every field of `deploy` and of `status`."""
    deployed, status = ciml.json("deploy", "--ref", "v1"), ciml.json("status")
    metrics = "models[].champion.metrics.auc"
    seen = {field.replace(".production", ".NAME") for field in fields(status)}

    assert set(fields(deployed)) == promised("deploy") | {"deployments"}
    assert seen == promised("status") - {"gone[]"} | {"gone", "models", "models[].environments.NAME", metrics}


def test_what_ciml_yaml_says_of_releases(ciml: Calls) -> None:
    """`triggers.release.tags` makes other names release tags; `wait` is read; without a unit it is exit 3."""
    more = "triggers: {release: {tags: ['spring-*'], wait: 2h}}\n"
    ciml.repo.commit({"ciml.yaml": CIML_YAML + more, "src.txt": "0.8\n"})
    ciml.repo.tag("spring-1")
    assert told(ciml("--json", "deploy", "--ref", "spring-1"))[0]["version"] == 2
    pipeline = load(f"{CIML_YAML}{more}".encode(), file="ciml.yaml", read=lambda path: None, overrides={}, profile=None)
    assert pipeline.release == Release(tags=("spring-*",), wait_s=7200)

    ciml.repo.commit({"ciml.yaml": CIML_YAML + more.replace("2h", "2")})
    assert ciml("deploy").code == 3
