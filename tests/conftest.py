"""Fixtures that every layer's tests may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.repobuilder import RepoBuilder
from tests.s3server import Service, moto

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


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One S3 for all tests; each makes a bucket of its own."""
    with moto(tmp_path_factory.mktemp("moto")) as service:
        yield service


@pytest.fixture
def repo(tmp_path: Path) -> RepoBuilder:
    """An empty repository on the branch `main`, in a folder of its own below `tmp_path`."""
    return RepoBuilder(tmp_path / "repo")
