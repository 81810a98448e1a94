"""`ciml ci` against code that lies: a job says of itself what it likes, and of nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import ROOT, environment
from tests.cli.jobs import Jobs
from tests.repobuilder import RepoBuilder

CIML_YAML = """\
version: 1
stages:
  train: {run: cp src.txt model.txt, inputs: [src.txt], outputs: [model.txt]}
  score:
    run: |
      printf '{"auc": %s}' "$(cat model.txt)" > m.json
    inputs: [model.txt]
    metrics: [m.json]
models:
  m: {path: model.txt, gate: [auc >= 0.5]}
triggers:
  pull-request: {require: accepted}
"""
APART = {"ciml-plan": "plan", "ciml-stage-train--0": "train", "ciml-stage-score--0": "score"}


class Forge:
    """A repository whose topic has a model that is not good enough."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = RepoBuilder(folder / "origin")
        self.origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.origin.commit({"ciml.yaml": CIML_YAML, "src.txt": "0.7\n"}, "first")
        self.origin.branch("topic")
        self.origin.commit({"src.txt": "0.4\n"}, "worse")
        self._runs = 0

    def pull_request(self) -> Jobs:
        """The jobs of a new run for topic."""
        self._runs += 1
        return Jobs(self.origin, self.folder / f"run-{self._runs}", run=str(self._runs)).pull_request("topic", 7)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def made(jobs: Jobs) -> None:
    """Plan and stages, as they are meant to go."""
    assert jobs.job("plan", "plan").code == 0
    assert jobs.job("train", "stage", "train").code == 0
    assert jobs.job("score", "stage", "score", takes=("train",)).code == 0


def better(text: str) -> str:
    """A result that tells of a better model, under the same key."""
    told = json.loads(text)
    told["result"]["record"]["metrics"]["m.json"] = _raised(told["result"]["record"]["metrics"]["m.json"])
    return json.dumps(told)


def _raised(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _raised(item) for name, item in value.items()}
    return 0.99 if value == 0.4 else value


def test_a_stage_says_nothing_of_another_one(forge: Forge) -> None:
    """Whatever training hands on of the evaluation, whose key anybody can compute: what counts is the evaluation's."""
    jobs = forge.pull_request()
    made(jobs)
    honest = (jobs.folder / "score/out/results/score.json").read_text()
    (jobs.folder / "train/out/results/score.json").write_text(better(honest))
    for swapped in (APART, dict(reversed(APART.items()))):
        answer = jobs.job(f"settle-{next(iter(swapped))}", "settle", artifacts=swapped)
        assert (answer.code, jobs.outputs["verdict"]) == (10, "rejected"), answer
        assert "ciml-stage-train--0 tells of another job's stage" in jobs.summary.replace("\\", "")


def test_a_stage_that_handed_nothing_on_is_spoken_for_by_nobody(forge: Forge) -> None:
    """The evaluation's job died; training, which would do it the favour, is not heard."""
    jobs = forge.pull_request()
    made(jobs)
    honest = jobs.folder / "score/out/results/score.json"
    (jobs.folder / "train/out/results/score.json").write_text(better(honest.read_text()))
    honest.unlink()
    answer = jobs.job("settle", "settle", artifacts=APART)
    assert answer.code == 11, answer
    assert "handed no result on" in answer.out


def test_numbers_are_those_of_the_bytes(forge: Forge) -> None:
    """A record tells of better numbers than the metrics file that came with it: what is judged is the file."""
    jobs = forge.pull_request()
    made(jobs)
    scored = jobs.folder / "score/out/results/score.json"
    scored.write_text(better(scored.read_text()))
    answer = jobs.job("settle", "settle", artifacts=APART)
    assert (answer.code, jobs.outputs["verdict"]) == (10, "rejected"), answer
    assert "0.99" not in (jobs.folder / "settle/out/report.json").read_text()


def test_a_stage_without_metrics_has_none(forge: Forge) -> None:
    """Training measures nothing by ciml.yaml: numbers in its own record, under its own key, are not its to have."""
    jobs = forge.pull_request()
    made(jobs)
    measured = json.loads((jobs.folder / "score/out/results/score.json").read_text())["result"]["record"]["metrics"]
    trained = jobs.folder / "train/out/results/train.json"
    told = json.loads(trained.read_text())
    told["result"]["record"]["metrics"] = _raised(measured)
    trained.write_text(json.dumps(told))
    answer = jobs.job("settle", "settle", artifacts=APART)
    assert (answer.code, jobs.outputs["verdict"]) == (10, "rejected"), answer
    kept = (path for path in (jobs.folder / "settle/work/.git/ciml/store").rglob("*") if path.is_file())
    assert not any(b"0.99" in path.read_bytes() for path in kept)


def test_nothing_of_the_work_tree_is_imported_or_run(forge: Forge, tmp_path: Path) -> None:
    """Modules named as ciml's own, PYTHONPATH from a step before, filter and diff drivers, hooks that are committed."""
    ran = tmp_path / "ran"
    for name in (
        "msgspec",
        "sitecustomize",
        "usercustomize",
        "yaml",
        "json",
        "click",
        "ciml/__init__",
        "ciml/__main__",
    ):
        path = forge.origin.path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
    (forge.origin.path / ".gitattributes").write_text("* filter=poison diff=poison merge=poison\n")
    (forge.origin.path / ".gitconfig").write_text(f"[core]\nfsmonitor = touch {ran}\n")
    forge.origin.git("add", "-A")
    forge.origin.git("commit", "-q", "-m", "poison")
    jobs = forge.pull_request()
    work = RepoBuilder(jobs.folder / "work")
    work.git("remote", "add", "origin", str(forge.origin.path))
    work.git("fetch", "-q", "--depth=1", "origin", f"+{jobs.commit}:refs/remotes/job")
    work.git("checkout", "-q", "--detach", jobs.commit)
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ciml.cli.action import main; sys.exit(main())"
    for command, code in (("plan", 0), ("settle", 11)):
        variables = {"CIML_INPUTS": json.dumps({"command": command}), "PYTHONPATH": str(work.path)}
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            cwd=work.path,
            env={**environment(**jobs.event), **variables, "GITHUB_WORKSPACE": str(work.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done
    assert not ran.exists()
