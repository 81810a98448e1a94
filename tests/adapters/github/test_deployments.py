from __future__ import annotations

from collections.abc import Callable

import pytest

from ciml.adapters.github.forge import GitHub
from ciml.core.errors import ServiceError
from tests.adapters.github.conftest import ALL
from tests.githubserver import GitHubServer

Make = Callable[..., GitHub]


def opened(github: GitHub, key: str = "a1", environment: str = "production") -> int:
    return github.open_deployment(ref="v1.2.0", environment=environment, description="churn 4", key=key)


def test_a_deployment_is_opened_once_for_its_key(server: GitHubServer, github: Make) -> None:
    """The same key is the same deployment, from whatever run; another key or environment is another one."""
    first = opened(github())

    assert opened(github()) == first
    assert len({first, opened(github(), key="b2"), opened(github(), environment="staging")}) == 3
    assert len(server.deployments()) == 3
    made = server.deployments()[0]
    assert (made["ref"], made["environment"], made["description"]) == ("v1.2.0", "production", "churn 4")


def test_nothing_else_is_asked_before_it_is_opened(server: GitHubServer, github: Make) -> None:
    """GitHub would merge the default branch and wait for checks unless told otherwise."""
    opened(github())

    (posted,) = server.requests("POST")
    assert posted.body["auto_merge"] is False
    assert posted.body["required_contexts"] == []


@pytest.mark.parametrize("fault", ["502", "lost", "500"])
def test_a_lost_answer_opens_no_second_one(server: GitHubServer, github: Make, fault: str) -> None:
    """It is found by its key."""
    server.fault(fault, method="POST")
    opened(github())

    assert len(server.deployments()) == 1


@pytest.mark.parametrize("state", ["in_progress", "success", "failure", "inactive"])
def test_its_state_is_told(server: GitHubServer, github: Make, state: str) -> None:
    """With a description, cut to what GitHub takes, and the run's address."""
    forge = github()
    place = opened(forge)
    forge.deployment_status(place, state, description="x" * 200, url="https://github.com/acme/churn/actions/runs/9")  # type: ignore[arg-type]

    (told,) = server.deployment_statuses(place)
    assert told["state"] == state
    assert len(told["description"]) == 140
    assert told["target_url"].endswith("/runs/9")


def test_the_permission_that_lacks_is_named(server: GitHubServer, github: Make) -> None:
    """As in the workflow's `permissions`."""
    server.token("less", permissions={**ALL, "deployments": "read"})

    with pytest.raises(ServiceError, match="`deployments: write`") as raised:
        opened(github("less"))
    assert "`deployments: write`" in str(raised.value.hint)
