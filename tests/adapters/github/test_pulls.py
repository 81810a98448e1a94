from __future__ import annotations

from collections.abc import Callable

import pytest

from ciml.adapters.github.forge import GitHub
from ciml.core.errors import ServiceError
from tests.adapters.github.conftest import ALL
from tests.githubserver import GitHubServer

Make = Callable[..., GitHub]


def create(github: GitHub, title: str = "New data", body: str = "3 files") -> str:
    return github.create_pull_request(branch="ciml/data", base="main", title=title, body=body)


def test_a_pull_request_is_opened_once_and_then_brought_up_to_date(server: GitHubServer, github: Make) -> None:
    """One for the branch, whatever changes in it."""
    first = create(github())
    assert create(github(), body="4 files") == first
    assert create(github(), body="4 files") == first

    made = server.pulls[8]
    assert first == made["html_url"]
    assert (made["title"], made["body"], made["head"]["ref"], made["base"]["ref"]) == (
        "New data",
        "4 files",
        "ciml/data",
        "main",
    )
    assert sorted(server.pulls) == [7, 8]
    assert len(server.requests("PATCH")) == 1


@pytest.mark.parametrize("fault", ["502", "lost", "500"])
def test_a_lost_answer_opens_no_second_one(server: GitHubServer, github: Make, fault: str) -> None:
    """It is found by its branch."""
    server.fault(fault, method="POST")
    create(github())

    assert sorted(server.pulls) == [7, 8]


def test_a_closed_one_is_left_closed(server: GitHubServer, github: Make) -> None:
    """Somebody said no to it; what arrives later is asked anew."""
    create(github())
    server.pulls[8]["state"] = "closed"
    create(github())

    assert server.pulls[8]["state"] == "closed"
    assert 9 in server.pulls


def test_the_setting_that_forbids_it_is_named(server: GitHubServer, github: Make) -> None:
    """Jobs may open pull requests only where the repository allows it, whatever permission the token has."""
    server.token("less", permissions={**ALL, "may-open": "no"})

    with pytest.raises(ServiceError) as raised:
        create(github("less"))
    assert "Settings" in str(raised.value.hint)
