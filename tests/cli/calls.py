"""Calls of the command line, in this process and in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ciml.cli.main import main
from tests.repobuilder import RepoBuilder

ROOT = Path(__file__).parents[2]


class Answer(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Calls:
    """Calls ciml in a repository, in this process."""

    def __init__(self, repo: RepoBuilder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.repo = repo
        self.path = repo.path
        self._capsys = capsys
        monkeypatch.chdir(repo.path)
        for name in [name for name in os.environ if name.startswith(("MLFLOW_", "GITHUB_", "CIML_"))]:
            monkeypatch.delenv(name)

    def __call__(self, *words: str) -> Answer:
        self._capsys.readouterr()
        code = main(list(words))
        return Answer(code, *self._capsys.readouterr())

    def ok(self, *words: str) -> Answer:
        """The answer of a call that must succeed."""
        answer = self(*words)
        assert answer.code == 0, answer
        return answer

    def json(self, *words: str) -> Any:
        """The document of a call that must succeed."""
        return self.ok("--json", *words).json

    def actions(self, *words: str) -> dict[str, str]:
        """Stage -> what is planned for it."""
        return {stage["name"]: stage["action"] for stage in self.json("plan", *words)["stages"]}

    def results(self, *words: str) -> dict[str, str]:
        """Stage -> what became of it."""
        return {stage["name"]: stage["result"] for stage in self.json("run", *words)["stages"]}


def environment(**extra: str) -> dict[str, str]:
    """The variables of a call in a process of its own."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL")
        if name in os.environ
    }
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def process(path: Path, *words: str, env: Mapping[str, str] | None = None, **how: Any) -> Answer:
    """A call in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ciml", *words],
        cwd=path,
        env=dict(env) if env is not None else environment(),
        capture_output=True,
        check=False,
        **how,
    )
    return Answer(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))
