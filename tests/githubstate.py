"""What may be asked of the GitHub of the tests, by whom, and which part of it answers."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

from tests.githubbase import JSON, REPO, Answer, Token
from tests.githubwork import GitHubWork

__all__ = ["GitHubState", "Route", "Token"]


class Route(NamedTuple):
    """One operation: the permission that it takes (one of several), and the method of the state that does it."""

    method: str
    template: str
    permissions: tuple[str, ...]
    action: str


_COMMENTS = ("pull-requests", "issues")

ROUTES = (
    Route("GET", "/user", (), "get_user"),
    Route("GET", REPO, (), "get_repository"),
    Route("GET", f"{REPO}/issues/{{issue_number}}/comments", _COMMENTS, "list_comments"),
    Route("POST", f"{REPO}/issues/{{issue_number}}/comments", _COMMENTS, "create_comment"),
    Route("GET", f"{REPO}/issues/comments/{{comment_id}}", _COMMENTS, "get_comment"),
    Route("PATCH", f"{REPO}/issues/comments/{{comment_id}}", _COMMENTS, "edit_comment"),
    Route("DELETE", f"{REPO}/issues/comments/{{comment_id}}", _COMMENTS, "delete_comment"),
    Route("GET", f"{REPO}/pulls", ("pull-requests",), "list_pulls"),
    Route("POST", f"{REPO}/pulls", ("pull-requests",), "create_pull"),
    Route("GET", f"{REPO}/pulls/{{pull_number}}", ("pull-requests",), "get_pull"),
    Route("PATCH", f"{REPO}/pulls/{{pull_number}}", ("pull-requests",), "edit_pull"),
    Route("POST", f"{REPO}/check-runs", ("checks",), "create_check"),
    Route("GET", f"{REPO}/check-runs/{{check_run_id}}", ("checks",), "get_check"),
    Route("PATCH", f"{REPO}/check-runs/{{check_run_id}}", ("checks",), "edit_check"),
    Route("GET", f"{REPO}/commits/{{ref}}/check-runs", ("checks",), "list_checks"),
    Route("POST", f"{REPO}/statuses/{{sha}}", ("statuses",), "create_status"),
    Route("GET", f"{REPO}/commits/{{commit_sha}}/pulls", ("pull-requests",), "pulls_of"),
    Route("GET", f"{REPO}/deployments", ("deployments",), "list_deployments"),
    Route("POST", f"{REPO}/deployments", ("deployments",), "create_deployment"),
    Route("GET", f"{REPO}/deployments/{{deployment_id}}/statuses", ("deployments",), "list_deployment_statuses"),
    Route("POST", f"{REPO}/deployments/{{deployment_id}}/statuses", ("deployments",), "create_deployment_status"),
    Route("GET", f"{REPO}/actions/workflows/{{workflow_id}}/runs", ("actions",), "list_runs"),
    Route("POST", f"{REPO}/actions/workflows/{{workflow_id}}/dispatches", ("actions",), "dispatch_workflow"),
    Route("POST", f"{REPO}/dispatches", ("contents",), "dispatch"),
    Route("GET", f"{REPO}/actions/runs", ("actions",), "list_all_runs"),
    Route("GET", f"{REPO}/actions/runs/{{run_id}}", ("actions",), "get_run"),
    Route("GET", f"{REPO}/actions/runs/{{run_id}}/approvals", ("actions",), "list_reviews"),
    Route("GET", f"{REPO}/actions/runs/{{run_id}}/artifacts", ("actions",), "list_artifacts"),
)


class GitHubState(GitHubWork):
    """Finds what a request is about, and whether its token may do it."""

    def route(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """The operation of a request with what its address names."""
        for route in ROUTES:
            found = _pattern(route.template).fullmatch(path) if route.method == method else None
            if found is None:
                continue
            arguments = {name: unquote(text) for name, text in found.groupdict().items()}
            if f"{arguments.get('owner', '')}/{arguments.get('repo', '')}" in (self.repository, "/"):
                return route, arguments
        return None, {}

    def lacking(self, token: Token, route: Route) -> str | None:
        """The permission that the token lacks, as `pull-requests=write`; None where it may."""
        level = "read" if route.method == "GET" else "write"
        enough = ("read", "write") if level == "read" else ("write",)
        if not route.permissions or any(token.permissions.get(name) in enough for name in route.permissions):
            return None
        return f"{route.permissions[0]}={level}"

    def act(self, route: Route, arguments: dict[str, str], query: dict[str, str], body: JSON, token: Token) -> Answer:
        """Carry a request out: status, headers, data."""
        answer: Answer = getattr(self, route.action)(arguments, query, body, token)
        return answer


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))
