"""What all parts of the GitHub of the tests share: identities, times, addresses, pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.githubspec import HOST, example

JSON = dict[str, Any]
Answer = tuple[int, JSON, Any]

REPO = "/repos/{owner}/{repo}"


@dataclass
class Token:
    """Who may do what."""

    login: str
    permissions: dict[str, str]
    app: str | None
    """Slug of the App that it belongs to; None for a person's."""
    expired: bool = False

    @property
    def refusal(self) -> str:
        """What GitHub says where a permission lacks."""
        return f"Resource not accessible by {'integration' if self.app else 'personal access token'}"


class GitHubBase:
    """Identity, time and form of everything."""

    def __init__(self, repository: str, url: str, *, default_branch: str) -> None:
        self.repository = repository
        self.url = url
        self.default_branch = default_branch
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.tokens: dict[str, Token] = {}
        self._last_id = 1000

    def token(
        self,
        value: str,
        *,
        permissions: dict[str, str],
        login: str = "github-actions[bot]",
        app: str | None = "github-actions",
    ) -> Token:
        """A token and what it may: `{"pull-requests": "write"}`. For a person's token `app` is None."""
        made = Token(login=login, permissions=permissions, app=app)
        self.tokens[value] = made
        return made

    def example(self, template: str, method: str, status: int) -> Any:
        """GitHub's example of an answer, about this repository and at this address."""
        text = json.dumps(example(template, method, status)).replace(HOST, self.url)
        return json.loads(text.replace("octocat/Hello-World", self.repository))

    def next_id(self) -> int:
        """A number that nothing else has."""
        self._last_id += 1
        return self._last_id

    def tick(self) -> str:
        """The time, which goes on by a second whenever something happens."""
        self.now += timedelta(seconds=1)
        return f"{self.now:%Y-%m-%dT%H:%M:%SZ}"

    def user(self, login: str) -> JSON:
        """An account as others show it."""
        made: JSON = self.example(f"{REPO}/issues/{{issue_number}}/comments", "post", 201)["user"]
        return {**made, "login": login, "type": "Bot" if login.endswith("[bot]") else "User", "id": self.next_id()}

    def app(self, slug: str) -> JSON:
        """An App as a check run shows it."""
        made: JSON = self.example(f"{REPO}/check-runs", "post", 201)["app"]
        return {**made, "slug": slug, "name": slug}

    def address(self, path: str) -> str:
        """The address of something of the repository."""
        return f"{self.url}/repos/{self.repository}/{path}"

    def page(self, path: str, items: list[JSON], query: dict[str, str]) -> tuple[JSON, list[JSON]]:
        """One page of a list, with the header that names the others."""
        size, number = min(int(query.get("per_page", "30")), 100), int(query.get("page", "1"))
        last = max(-(-len(items) // size), 1)
        links = []
        for relation, there in (("prev", number - 1), ("next", number + 1), ("last", last), ("first", 1)):
            wanted = there != number if relation in ("first", "last") else 1 <= there <= last
            if wanted:
                rest = "&".join(f"{name}={text}" for name, text in {**query, "page": str(there)}.items())
                links.append(f'<{self.address(path)}?{rest}>; rel="{relation}"')
        headers = {"Link": ", ".join(links)} if last > 1 else {}
        return headers, items[(number - 1) * size : number * size]


def missing() -> Answer:
    """What GitHub says of something that is not there."""
    return 404, {}, {"message": "Not Found"}


def refused(message: str) -> Answer:
    """What GitHub says of something that it understands and does not do."""
    return 422, {}, {"message": "Validation Failed", "errors": [{"message": message}]}
