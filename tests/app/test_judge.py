"""A verdict is on what was made, and on all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ciml.cli.main import main
from tests.repobuilder import RepoBuilder

CONFIGURATION = """
version: 1
stages:
  train: {run: 'cat "$TEST_VALUE" > model.txt', inputs: [a.txt], outputs: [model.txt], pass-env: [TEST_VALUE]}
  score: {run: '[ ! -e "$TEST_VALUE.fails" ]; echo "{\\"auc\\": $(cat model.txt)}" > m.json', inputs: [model.txt],
          metrics: [m.json], pass-env: [TEST_VALUE]}
models:
  m: {path: model.txt, gate: [auc > 0.5]}
"""


@pytest.fixture
def value(repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose content training puts into its model."""
    repo.commit({"ciml.yaml": CONFIGURATION, "a.txt": "a", ".gitignore": "model.txt\nm.json\n"})
    monkeypatch.chdir(repo.path)
    path = tmp_path / "value"
    path.write_text("0.9")
    monkeypatch.setenv("TEST_VALUE", str(path))
    return path


def judged(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code of a call and the verdict in its document."""
    capsys.readouterr()
    code = main(["--json", *words])
    return code, json.loads(capsys.readouterr().out)["models"][0]["verdict"]


def test_a_run_of_some_stages_judges_nothing(value: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model whose scorer took no part in the run is not judged, and nothing of it stays in the ledger."""
    assert judged(capsys, "run", "train") == (0, "not-judged")

    assert judged(capsys, "run") == (0, "accepted")


def test_a_scorer_that_failed_once_rejects_nothing(value: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a stage that the gate reads failed, the same commit can still be accepted and registered."""
    fails = value.with_suffix(".fails")
    fails.write_text("")
    assert judged(capsys, "run") == (11, "not-judged")
    fails.unlink()

    assert judged(capsys, "run") == (0, "accepted")

    assert main(["register"]) == 0


def test_other_bytes_do_not_pass_on_a_recorded_verdict(
    value: Path, repo: RepoBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a stage that is not deterministic made a worse model since, that one is judged, and not registered."""
    assert judged(capsys, "run") == (0, "accepted")
    shutil.rmtree(repo.path / ".git/ciml/store")
    (repo.path / "model.txt").unlink()
    value.write_text("0.1")

    assert judged(capsys, "run") == (10, "rejected")

    assert main(["register"]) == 10
