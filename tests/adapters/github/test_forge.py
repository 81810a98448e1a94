from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciml.adapters.github.forge import GitHub
from ciml.app.ports import Forge
from ciml.core.ids import CommitSha
from tests.adapters.github.conftest import ALL, Waits
from tests.githubserver import GitHubServer
from tests.mlflowserver import free_port
from tests.reports import HEAD, event, report

Make = Callable[..., GitHub]


def test_it_is_a_forge(github: Make) -> None:
    """The use-cases need no more of it than this."""
    forge: Forge = github()

    assert forge.publish(report()) == ()


def test_a_pull_request_is_told_of_in_three_places(server: GitHubServer, github: Make) -> None:
    """A comment, a check run and a commit status, all about the head commit and leading to the run."""
    assert github().publish(report()) == ()

    status, check = server.statuses(HEAD)[0], server.check_runs(HEAD)[0]
    assert (status["context"], status["state"]) == ("ciml", "success")
    assert status["description"] == "churn accepted: auc 0.9134 (+0.0121)"
    assert status["target_url"] == check["details_url"] == report().event.run.url
    assert (check["name"], check["status"], check["conclusion"]) == ("ciml report", "completed", "success")
    assert len(server.comments(7)) == 1


def test_a_push_has_no_comment(server: GitHubServer, github: Make) -> None:
    """What is not about a pull request is told on its commit."""
    assert github().publish(report(event=event(number=None))) == ()

    assert len(server.statuses(HEAD)) == len(server.check_runs(HEAD)) == 1
    assert {entry.path.rpartition("/")[2] for entry in server.log} == {HEAD, "check-runs"}


def test_who_wants_no_comment_gets_none(server: GitHubServer, github: Make) -> None:
    """The rest is told."""
    assert github(comment=False).publish(report()) == ()

    assert not server.comments(7)
    assert server.check_runs(HEAD)


@pytest.mark.parametrize("permission", ["pull-requests", "checks", "statuses"])
def test_c033_a_permission_that_lacks_is_named_exactly_and_costs_that_alone(
    server: GitHubServer, github: Make, permission: str
) -> None:
    """Token lacks `pull-requests: write`, `checks: write` or `statuses: write`: a notice names it; the rest is told."""
    server.token("less", permissions={**ALL, permission: "read"})
    (notice,) = github("less").publish(report())

    assert f"`{permission}: write`" in notice
    told = (len(server.comments(7)), len(server.check_runs(HEAD)), len(server.statuses(HEAD)))
    assert sum(told) == 2


def test_a_fork_s_token_writes_nothing_and_one_notice_says_so(server: GitHubServer, github: Make) -> None:
    """Fork pull request, read-only token: every attempt is skipped with a notice, and nothing is raised."""
    server.token("fork", permissions=dict.fromkeys(ALL, "read"))
    (notice,) = github("fork").publish(report(event=event(fork=True)))

    assert notice == (
        "GitHub was not told (check run, comment): the token lacks `checks: write`, `pull-requests: write`. "
        "Add it to the job's `permissions`, which a pull request from a fork cannot have."
    )
    assert {entry.method for entry in server.log} == {"POST", "GET"}


def test_what_a_fork_says_sets_no_status(server: GitHubServer, github: Make) -> None:
    """A workflow with rights publishes what a fork's code wrote down: a rule may require `ciml`, so it is not set."""
    assert github().publish(report(event=event(fork=True))) == ()

    assert not server.statuses(HEAD)
    assert "Untrusted evaluation" in server.comments(7)[0]["body"]
    assert "Untrusted evaluation" in server.check_runs(HEAD)[0]["output"]["summary"]


def test_a_person_s_token_cannot_write_check_runs_and_the_notice_says_why(server: GitHubServer, github: Make) -> None:
    """GitHub lets Apps alone write check runs; the rest is told."""
    server.token("ghp", permissions=ALL, login="ann", app=None)
    (notice,) = github("ghp").publish(report())

    assert "check run" in notice
    assert "GitHub App" in notice
    assert server.comments(7)[0]["user"]["login"] == "ann"


def test_a_token_that_has_expired_is_told_once(server: GitHubServer, github: Make) -> None:
    """A job that ran longer than its token: one request, one notice."""
    server.token("old", permissions=ALL).expired = True
    (notice,) = github("old").publish(report())

    assert "does not accept the token" in notice
    assert len(server.log) == 1


def test_c029_a_limit_of_an_hour_is_not_waited_for(server: GitHubServer, github: Make, waits: Waits) -> None:
    """403 secondary limit with retry-after 3600: no more than 120 s are waited; a warning, nothing raised."""
    server.fault("limit", seconds=3600)
    (notice,) = github().publish(report())

    assert "3600 s" in notice
    assert waits == []
    assert len(server.log) == 1


@pytest.mark.parametrize("kind", ["limit", "limit-429", "spent"])
def test_a_short_limit_is_waited_for(server: GitHubServer, github: Make, waits: Waits, kind: str) -> None:
    """`retry-after`, or the moment when the hour's requests begin anew, is kept to the second; all is told."""
    server.fault(kind, seconds=30, method="POST", path="/comments$")
    assert github().publish(report()) == ()

    assert waits == [31.0 if kind == "spent" else 30.0]
    assert len(server.comments(7)) == 1


def test_many_short_limits_are_not_waited_for_one_after_the_other(
    server: GitHubServer, github: Make, waits: Waits
) -> None:
    """The cap of 120 s is for all waiting together."""
    server.fault("limit", seconds=50, times=10)
    (notice,) = github().publish(report())

    assert sum(waits) == 100
    assert "rate limit" in notice


def test_a_limit_of_no_time_is_not_tried_for_ever(server: GitHubServer, github: Make) -> None:
    """`retry-after: 0` in every answer: a handful of requests, then a notice."""
    server.fault("limit", seconds=0, times=1000)
    (notice,) = github().publish(report())

    assert "rate limit" in notice
    assert len(server.log) <= 8


@pytest.mark.parametrize("kind", ["500", "502", "drop", "lost", "html", "hang"])
def test_an_outage_is_bounded_told_and_raises_nothing(server: GitHubServer, github: Make, kind: str) -> None:
    """500s, lost answers, a login page, silence: a few tries, then one notice that names the address."""
    server.fault(kind, times=100)
    (notice,) = github(answer_s=1).publish(report())

    assert f"{server.url}/repos/acme/churn" in notice
    assert len(server.log) <= 3


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes connections and speaks no TLS."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_an_address_that_answers_nothing_is_told_without_its_password(
    server: GitHubServer, github: Make, silent: str
) -> None:
    """Refused connection, no such name, TLS that is none: bounded, and the message names no credentials."""
    for url, reason in (
        (f"http://user:CANARY@127.0.0.1:{free_port()}", "no connection"),
        ("http://user:CANARY@nowhere.invalid", "no connection"),
        (f"https://user:CANARY@{silent}", "in time"),
        (server.url.replace("http://", "https://user:CANARY@"), "TLS"),
    ):
        (notice,) = github(url=url, answer_s=1).publish(report())

        assert reason in notice
        assert "CANARY" not in notice


def test_an_enterprise_server_has_its_api_below_a_path() -> None:
    """GITHUB_API_URL is honoured, path and port: no request goes anywhere else."""
    with GitHubServer(prefix="/api/v3") as server:
        server.token("ghs_job", permissions=ALL)
        server.pull_request(7, head=HEAD, branch="smaller-trees")
        for run in (12, 13):
            assert GitHub("acme/churn", "ghs_job", url=f"{server.url}/").publish(report(event=event(run=run))) == ()

        assert len(server.comments(7)) == 1


def test_no_address_of_strangers_reaches_the_check(server: GitHubServer, github: Make) -> None:
    """A report that a fork's job wrote names any address for its run: what is not of this GitHub is left out."""
    forged = event(fork=True)
    run = msgspec.structs.replace(forged.run, url="https://evil.example/acme/churn/actions/runs/1")
    assert github().publish(report(event=msgspec.structs.replace(forged, run=run))) == ()

    told = str(server.check_runs(HEAD)) + str(server.statuses(HEAD)) + str(server.comments(7))
    assert "evil.example" not in told


def test_a_branch_that_was_deleted_is_told_of_nowhere(server: GitHubServer, github: Make) -> None:
    """Its commit is zeros."""
    zeros = CommitSha("0" * 40)
    assert github().publish(report(event=event(number=None, head=zeros, head_sha=None, deleted=True))) == ()

    assert not server.log


def test_without_a_token_nothing_is_asked(server: GitHubServer, github: Make) -> None:
    """And it is said which one would do."""
    (notice,) = github("").publish(report())

    assert "CIML_TOKEN" in notice
    assert not server.log


_NAMES = st.sampled_from(
    ["id", "body", "user", "login", "app", "slug", "creator", "created_at", "url", "message", "output"]
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(_NAMES, part, max_size=6)),
    max_leaves=10,
)


def test_whatever_answers_in_github_s_place_raises_nothing(server: GitHubServer) -> None:
    """Any JSON with any status to every request: notices at most, within a few requests."""

    @settings(max_examples=60)
    @given(st.lists(_JSON, min_size=1, max_size=3), st.sampled_from([200, 201, 204, 301, 307, 400, 403, 404, 422, 503]))
    def check(answers: list[object], status: int) -> None:
        server.log.clear()
        server.say([(status, answer) for answer in answers] * 10)
        forge = GitHub("acme/churn", "ghs_job", url=server.url, sleep=lambda seconds: None)
        assert all(isinstance(notice, str) for notice in forge.publish(report()))
        assert len(server.log) <= 12

    check()
    server.say([])
