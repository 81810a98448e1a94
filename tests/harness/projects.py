"""Fixtures of the tests that execute generated workflows: a registry, the installed Action, a team."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.hub import Hub
from tests.harness.installed import Installed, checkout
from tests.harness.language import Language
from tests.harness.team import Team, pager
from tests.mlflowserver import mlflow_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that all teams share."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The Action's checkout, and what it would install."""
    folder = tmp_path_factory.mktemp("action")
    return Installed(folder / "installed", checkout(folder / "checkout"))


@pytest.fixture
def team(
    tmp_path_factory: pytest.TempPathFactory,
    language: Language,
    server: str,
    installed: Installed,
    request: pytest.FixtureRequest,
) -> Iterator[Team]:
    """A team whose repository is empty."""
    with ExitStack() as open_:
        told = open_.enter_context(pager())
        hub = Hub(tmp_path_factory.mktemp("hub"), language=language, action=installed.action)
        open_.enter_context(hub).before_step = installed
        yield Team(hub, server, re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-"), told)
