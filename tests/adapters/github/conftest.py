from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ciml.adapters.github.api import Limits
from ciml.adapters.github.forge import GitHub
from tests.githubserver import GitHubServer
from tests.reports import HEAD

ALL = {
    "contents": "write",
    "pull-requests": "write",
    "checks": "write",
    "statuses": "write",
    "deployments": "write",
    "actions": "read",
}


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """A repository with one pull request, and a job's token that may write everything."""
    with GitHubServer() as made:
        made.token("ghs_job", permissions=ALL)
        made.pull_request(7, head=HEAD, branch="smaller-trees")
        yield made


class Waits(list[float]):
    """The seconds that were waited, without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def github(server: GitHubServer, waits: Waits) -> Callable[..., GitHub]:
    """Makes an adapter for a token, that waits without waiting."""

    def clock() -> float:
        return server.now.timestamp()

    def make(token: str = "ghs_job", *, answer_s: int = 15, **changes: object) -> GitHub:
        return GitHub(
            server.repository,
            token,
            url=str(changes.pop("url", server.url)),
            limits=Limits(answer_s=answer_s),
            sleep=waits,
            clock=clock,
            **changes,  # type: ignore[arg-type]
        )

    return make
