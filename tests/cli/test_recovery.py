"""A registered recipe's model comes back from the registry when the store has lost it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ciml.cli.invocation import Invocation
from ciml.cli.main import main
from ciml.cli.registry import Registries
from ciml.cli.wiring import open_place, project_at
from ciml.core.ids import ModelName
from tests.cli.ledgers import state
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


def test_files_are_fetched_where_no_ledger_was_read(
    repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose version it is is said to `fetch`, and not guessed from what was read before."""
    monkeypatch.setenv("TEST_LOG", str(tmp_path / "log"))
    monkeypatch.chdir(repo.path)
    repo.commit({"ciml.yaml": CONFIGURATION, "a.txt": "a", ".gitignore": "model.txt\nm.json\n"})
    assert (main(["run"]), main(["register"])) == (0, 0)
    shutil.rmtree(repo.path / ".git/ciml/store")
    registration = state(repo).versions[1]

    invocation = Invocation(directory=str(repo.path), environ=dict(repo.env))
    with open_place(invocation) as place:
        registries = Registries(place, project_at(place, invocation, {}).pipeline, invocation.environ)
        registries.fetch(ModelName("m"), registration)
        assert place.store.read(registration.artifact.digest) == b"1\n"
