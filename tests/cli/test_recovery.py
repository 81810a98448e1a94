"""A registered recipe's model comes back from the registry when the store has lost it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ciml.cli.main import main
from tests.repobuilder import RepoBuilder

CONFIGURATION = """
version: 1
stages:
  train: {run: "echo run >> $TEST_LOG; echo 1 > model.txt", inputs: [a.txt], outputs: [model.txt],
          pass-env: [TEST_LOG]}
  score: {run: "echo '{\\"auc\\": 0.9}' > m.json", inputs: [model.txt], metrics: [m.json]}
models:
  m: {path: model.txt, gate: [auc > 0.5]}
"""


def test_a_registered_model_is_restored_and_not_trained_again(
    repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the store is gone, `ciml run` brings the registered files back by digest and trains nothing."""
    log = tmp_path / "log"
    monkeypatch.setenv("TEST_LOG", str(log))
    monkeypatch.chdir(repo.path)
    repo.commit({"ciml.yaml": CONFIGURATION, "a.txt": "a", ".gitignore": "model.txt\nm.json\n"})
    assert main(["run"]) == 0
    assert main(["register"]) == 0
    shutil.rmtree(repo.path / ".git/ciml/store")
    (repo.path / "model.txt").unlink()

    assert main(["run"]) == 0

    assert log.read_text() == "run\n"
    assert (repo.path / "model.txt").read_text() == "1\n"
