"""Fixtures that every layer's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.repobuilder import RepoBuilder

# How fast a machine is must not decide whether a test passes.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def clean_git_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable and no configuration of whoever runs the tests reaches Git."""
    for name in [name for name in os.environ if name.startswith("GIT_") and not name.startswith("GIT_SSL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@pytest.fixture
def repo(tmp_path: Path) -> RepoBuilder:
    """An empty repository on the branch `main`, in a folder of its own below `tmp_path`."""
    return RepoBuilder(tmp_path / "repo")
