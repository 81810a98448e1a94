"""A scikit-learn project that nobody made for ciml becomes one by a ciml.yaml, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repobuilder import RepoBuilder

PROJECT = Path(__file__).parent / "projects" / "ordinary"

CIML_YAML = """\
version: 1
params-files: [params.yaml]
defaults: {inputs: [requirements.txt]}
stages:
  prepare:
    run: python src/prepare.py data/tickets.csv
    inputs: [src/prepare.py, data/tickets.csv]
    params: [prepare]
    outputs: [data/prepared]
  featurize:
    run: python src/featurize.py data/prepared data/features
    inputs: [src/featurize.py, data/prepared]
    params: [featurize]
    outputs: [data/features]
  train:
    run: python src/train.py data/features model.pkl
    inputs: [src/train.py, data/features]
    params: [train]
    outputs: [model.pkl]
  evaluate:
    run: python src/evaluate.py model.pkl data/features
    inputs: [src/evaluate.py, model.pkl, data/features]
    metrics: [eval/metrics.json]
    plots: [eval/plots]
models:
  tickets:
    path: model.pkl
    gate: [roc_auc.test >= 0.7, roc_auc.test > champion.roc_auc.test]
"""


@pytest.fixture
def project(repo: RepoBuilder) -> Path:
    """The project as it was, committed, and then a commit that adds ciml.yaml."""
    before = {
        path.relative_to(PROJECT).as_posix(): path.read_text()
        for path in PROJECT.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    repo.commit(before)
    repo.commit({"ciml.yaml": CIML_YAML})
    return repo.path


def ciml(project: Path, *words: str) -> dict[str, object]:
    """The JSON that a command prints; the test fails with its messages when it fails."""
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "ciml", "--json", *words],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def actions(document: dict[str, object]) -> dict[str, str]:
    """What was planned for each stage."""
    stages = document["stages"]
    assert isinstance(stages, list)
    return {stage["name"]: stage["action"] for stage in stages}


def results(document: dict[str, object]) -> dict[str, str]:
    """What became of each stage."""
    stages = document["stages"]
    assert isinstance(stages, list)
    return {stage["name"]: stage["result"] for stage in stages}


def judged(document: dict[str, object]) -> list[dict[str, object]]:
    """The models and their verdicts."""
    models = document["models"]
    assert isinstance(models, list)
    return models


def json_leaves(path: Path) -> dict[str, float]:
    """The numbers of a metrics file of two levels, by dotted name."""
    return {
        f"{outer}.{inner}": value
        for outer, group in json.loads(path.read_text()).items()
        for inner, value in group.items()
    }


def test_nothing_of_the_project_knows_ciml() -> None:
    """No file of the project mentions ciml, and it has no ciml.yaml of its own."""
    texts = [path.read_text() for path in PROJECT.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert not [text for text in texts if "ciml" in text.lower()]


def test_its_first_plan(project: Path) -> None:
    """With ciml.yaml alone there is a plan: the first stage runs, the others follow."""
    planned = actions(ciml(project, "plan"))
    assert list(planned) == ["prepare", "featurize", "train", "evaluate"]
    assert planned["prepare"] == "run"


def test_its_first_run_and_the_second(project: Path) -> None:
    """It trains and is judged; then nothing is to do, and a changed parameter runs only what reads it."""
    first = ciml(project, "run")
    assert results(first) == dict.fromkeys(["prepare", "featurize", "train", "evaluate"], "ran")
    [model] = judged(first)
    assert model["verdict"] == "accepted"
    assert model["metrics"] == json_leaves(project / "eval/metrics.json")

    assert set(actions(ciml(project, "plan")).values()) == {"skip"}

    params = project / "params.yaml"
    params.write_text(params.read_text().replace("n_est: 30", "n_est: 31"))
    assert actions(ciml(project, "plan")) == {
        "prepare": "skip",
        "featurize": "skip",
        "train": "run",
        "evaluate": "maybe",
    }
