"""Fixtures of the command line's tests."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.cli.main import main
from tests.cli.calls import Calls
from tests.repobuilder import RepoBuilder

CIML_YAML = """\
version: 1
params: {min-auc: 0.5}
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
    gate: ["auc >= ${{ params.min-auc }}", auc > champion.auc]
"""
"""A model that is a number, and as good as that number says."""

FILES = {"ciml.yaml": CIML_YAML, "src.txt": "0.7\n", ".gitignore": "/model.txt\n/m.json\n"}


@pytest.fixture
def ciml(repo: RepoBuilder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls in a new repository."""
    return Calls(repo, capsys, monkeypatch)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the repositories `ran` and `registered`: made once, since MLflow takes seconds to begin."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("MLFLOW_", "GITHUB_", "CIML_", "GIT_"))]:
            patch.delenv(name)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        repo = RepoBuilder(folder / "work" / "repo")
        repo.commit(FILES, "a first model")
        for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com"), ("gc.auto", "0")):
            repo.git("config", name, value)
        MlflowRegistry.embedded(str(repo.path / ".git/ciml/registry"))
        assert main(["-C", str(repo.path), "-q", "run"]) == 0
        shutil.copytree(repo.path, folder / "ran", symlinks=True)
        assert main(["-C", str(repo.path), "-q", "register"]) == 0
        shutil.copytree(repo.path, folder / "registered", symlinks=True)
        shutil.rmtree(repo.path)
        yield folder


def _copy(source: Path, target: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calls:
    shutil.copytree(source, target, symlinks=True)
    repo = RepoBuilder(target, create=False)
    repo._commits = 10
    return Calls(repo, capsys, monkeypatch)


@pytest.fixture
def ran(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls in a repository whose first commit was run and judged."""
    return _copy(prepared / "ran", tmp_path / "repo", capsys, monkeypatch)


@pytest.fixture
def registered(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Calls:
    """Calls in a repository whose first commit is version 1 and champion."""
    return _copy(prepared / "registered", tmp_path / "repo", capsys, monkeypatch)


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The titles of the alerts that a service has got."""
    titles: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            titles.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
            del format, args

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("CIML_ALERT_URLS", f"json://127.0.0.1:{server.server_port}")
        yield titles
        server.shutdown()
        thread.join()
