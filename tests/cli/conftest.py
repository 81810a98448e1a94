"""Fixtures of the command line's tests."""

from __future__ import annotations

import pytest

from tests.cli.calls import Calls
from tests.repobuilder import RepoBuilder


@pytest.fixture
def ciml(repo: RepoBuilder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls in a new repository."""
    return Calls(repo, capsys, monkeypatch)
