"""The GitHub of the tests takes and gives no more than GitHub does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.githubserver import GitHubServer
from tests.githubstate import ROUTES, Route, Token
from tests.harness.permissions import ALL

REPO = "/repos/acme/churn"


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    made = GitHubServer()
    made.token("t", permissions={"pull-requests": "write", "checks": "write", "deployments": "read"})
    made.pull_request(7, head="a" * 40, branch="b")
    with made:
        yield made
        made.violations.clear()


def ask(server: GitHubServer, method: str, path: str, body: object = None, token: str = "t") -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("POST", f"{REPO}/issues/7/comments", {}, "'body' is a required property"),
        ("POST", f"{REPO}/issues/7/comments", {"body": 1}, "not of type 'string'"),
        ("POST", f"{REPO}/issues/7/comments", {"body": "x", "boddy": "x"}, "unknown member body.boddy"),
        ("GET", f"{REPO}/issues/7/comments?page=1&perpage=2", None, "unknown parameter 'perpage'"),
        ("GET", f"{REPO}/issues/7/comments?since=yesterday", None, "date-time"),
        ("POST", f"{REPO}/check-runs", {"name": "x", "head_sha": "a", "conclusion": "fine"}, "not one of"),
        (
            "POST",
            f"{REPO}/check-runs",
            {"name": "x", "head_sha": "a", "output": {"title": "t", "summary": "s" * 65_536}},
            "too long",
        ),
        (
            "POST",
            f"{REPO}/check-runs",
            {
                "name": "x",
                "head_sha": "a",
                "output": {
                    "title": "t",
                    "summary": "s",
                    "annotations": [
                        {"path": "p", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
                    ]
                    * 51,
                },
            },
            "too long",
        ),
        ("GET", "/repos/acme/other", None, "no such thing"),
    ],
)
def test_what_the_description_forbids_is_refused_and_written_down(
    server: GitHubServer, method: str, path: str, body: object, problem: str
) -> None:
    """422, and the test that asked would fail at its end."""
    status, _ = ask(server, method, path, body)

    assert status == 422
    assert any(problem in violation for violation in server.violations)


def test_a_violation_fails_the_test_that_made_it() -> None:
    """However it goes on."""
    with pytest.raises(AssertionError, match="required property"), GitHubServer() as server:
        server.token("t", permissions={"pull-requests": "write"})
        ask(server, "POST", f"{REPO}/issues/7/comments", {})


def test_a_completed_check_run_has_a_conclusion(server: GitHubServer) -> None:
    """The description has lost this rule; GitHub has not."""
    status, told = ask(server, "POST", f"{REPO}/check-runs", {"name": "x", "head_sha": "a", "status": "completed"})

    assert status == 422
    assert "conclusion" in str(told)


def test_a_token_does_what_its_permissions_say(server: GitHubServer) -> None:
    """Write includes read; anything else is refused in GitHub's words, as is a token that it does not know."""
    assert ask(server, "GET", f"{REPO}/issues/7/comments")[0] == 200
    assert ask(server, "GET", f"{REPO}/deployments")[0] == 200
    assert ask(server, "POST", f"{REPO}/deployments", {"ref": "x"}) == (
        403,
        {"message": "Resource not accessible by integration"},
    )
    assert ask(server, "GET", f"{REPO}/issues/7/comments", token="other")[0] == 401
    assert ask(server, "GET", "/user")[0] == 403


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.permissions], ids=lambda route: f"{route.method} {route.template}"
)
def test_each_operation_takes_a_permission_of_its_own(server: GitHubServer, route: Route) -> None:
    """A token with every right but that one is refused, and one with that alone is not; reading is not writing."""
    level = "read" if route.method == "GET" else "write"
    others = {name: "write" for name in ALL if name not in route.permissions}
    assert server.lacking(Token("x", others, "github-actions"), route) == f"{route.permissions[0]}={level}"
    for name in route.permissions:
        assert server.lacking(Token("x", {name: level}, "github-actions"), route) is None
        read = server.lacking(Token("x", {name: "read"}, "github-actions"), route)
        assert (read is None) == (level == "read")


def test_a_body_beyond_the_limit_is_refused(server: GitHubServer) -> None:
    """65,536 UTF-16 units of a comment are taken, one more is not."""
    assert ask(server, "POST", f"{REPO}/issues/7/comments", {"body": "😀" * 32_768})[0] == 201
    assert ask(server, "POST", f"{REPO}/issues/7/comments", {"body": "😀" * 32_768 + "x"})[0] == 422


def test_what_is_dispatched_is_kept(server: GitHubServer) -> None:
    """By a token that may write contents, as an API destination's does."""
    server.token("arrival", permissions={"contents": "write"})
    body = {"event_type": "data", "client_payload": {"key": "raw/1.csv"}}
    assert ask(server, "POST", f"{REPO}/dispatches", body, token="arrival") == (204, None)

    assert server.dispatched == [{"event": "repository_dispatch", **body}]


def test_pages_lead_to_each_other(server: GitHubServer) -> None:
    """As GitHub's `Link` header does."""
    for number in range(250):
        server.comment(7, str(number))
    status, part = ask(server, "GET", f"{REPO}/issues/7/comments?per_page=100&page=3")

    assert (status, len(part), part[0]["body"]) == (200, 50, "200")
