"""One comment on a pull request, found again by its hidden marker and edited in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ciml.adapters.github.api import Api, MissingError
from ciml.core.ids import CommitSha
from ciml.core.sticky import Marker, marker_of
from ciml.core.value import Value

if TYPE_CHECKING:
    from github.Issue import Issue

PERMISSION = "pull-requests: write"

PAGES = 5
"""Of 100 comments, that are looked through: with more there are, from both ends."""

_AT_ONCE = timedelta(minutes=5)
"""Two jobs that comment within this time of each other see each other's comment."""

_EXTRAS = 2
"""Comments of ours beside the one that stays, that one report removes."""

JOBS = "github-actions[bot]"
"""Who a job's own token is."""


class _User(Value, frozen=True, kw_only=True):
    login: str = ""


class Comment(Value, frozen=True, kw_only=True):
    """What is read of a comment."""

    id: int
    created_at: datetime
    body: str | None = None
    user: _User | None = None

    @property
    def author(self) -> str:
        """Empty where the account is gone."""
        return self.user.login if self.user else ""


class StickyComment:
    """Writes a report's comment on one pull request.

    A comment is ours when its author is the token's own identity and it begins with our marker for
    this pipeline and number: text with our marker by anybody else is left alone.

    Args:
        api: the repository.
        number: of the pull request.
        login: the token's identity as far as it is known; the first answer to a comment tells it for sure.
        head_of: the pull request's head commit now.
    """

    def __init__(self, api: Api, number: int, *, login: str | None, head_of: Callable[[int], CommitSha | None]) -> None:
        self._api = api
        self._number = number
        self._login = login or JOBS
        self._head_of = head_of
        self._seen: list[Comment] = []

    def write(self, body: str, marker: Marker) -> None:
        """Let the pull request have this comment, once, unless a newer run has written it.

        Raises:
            ServiceError: GitHub refuses or fails.
        """
        there = self._find(marker)
        if there is None:
            self._create(body, marker)
            return
        for extra in self._ours(self._seen, marker)[1 : 1 + _EXTRAS]:
            self._delete(extra)
        try:
            self._edit(there, body, marker)
        except MissingError:
            self._create(body, marker)  # somebody has deleted it meanwhile

    def _find(self, marker: Marker) -> Comment | None:
        """The oldest of our comments on the pages that are looked at."""
        for page in self._pages():
            self._seen += page
            found = self._ours(page, marker)
            if found:
                return found[0]
        return None

    def _ours(self, comments: Sequence[Comment], marker: Marker) -> list[Comment]:
        """Our comments for this pipeline and pull request, lowest id first."""
        found = []
        for comment in comments:
            told = marker_of(comment.body or "")
            if told is not None and told.key == marker.key and comment.author == self._login:
                found.append(comment)
        return sorted(found, key=lambda comment: comment.id)

    def _pages(self) -> Iterator[list[Comment]]:
        """The first pages and, where there are more than we look at, the last ones.

        The comment is written when a pull request is opened, so it is on the first page; where ciml came
        later, it is among the last ones at first.
        """
        first, last = self._page(1)
        yield first
        head = range(2, min(last, PAGES if last <= PAGES else 3) + 1)
        tail = range(last, max(last - (PAGES - 3), 3), -1) if last > PAGES else range(0)
        for number in (*head, *tail):
            yield self._page(number)[0]

    def _page(self, number: int) -> tuple[list[Comment], int]:
        """A page of comments and the number of the last page."""
        return self._list({"per_page": 100, "page": number} if number > 1 else {"per_page": 100})

    def _list(self, query: dict[str, int | str]) -> tuple[list[Comment], int]:
        requester = self._api.client.requester
        address = f"{self._issue.url}/comments"
        return self._api.call(
            f"read the comments of #{self._number}",
            PERMISSION,
            lambda: _read(*requester.requestJsonAndCheck("GET", address, parameters=dict(query))),
        )

    @property
    def _issue(self) -> Issue:
        return self._api.repo.get_issue(self._number)

    def _create(self, body: str, marker: Marker) -> None:
        what = f"comment on #{self._number}"
        created = self._api.create(what, PERMISSION, lambda: self._post(body), landed=lambda: self._landed(marker))
        guessed, self._login = self._login, created.author or self._login
        earlier = self._seen if guessed != self._login else []
        around = (created.created_at - _AT_ONCE).astimezone(UTC)
        near, _ = self._list({"per_page": 100, "since": f"{around:%Y-%m-%dT%H:%M:%SZ}"})
        first = self._ours([*earlier, *near, created], marker)[0]
        if first.id != created.id:
            self._delete(created)
            self._edit(first, body, marker)

    def _post(self, body: str) -> Comment:
        made = self._issue.create_comment(body)
        return msgspec.convert(made.raw_data, Comment)

    def _landed(self, marker: Marker) -> Comment | None:
        """The comment, where it was written although the answer was lost: it is at the end."""
        page, last = self._page(1)
        if last > 1:
            page, _ = self._page(last)
        written = [comment for comment in self._ours(page, marker) if marker_of(comment.body or "") == marker]
        return written[-1] if written else None

    def _edit(self, comment: Comment, body: str, marker: Marker) -> None:
        if comment.body == body or self._is_newer(comment, marker):
            return
        target = self._issue.get_comment(comment.id)
        self._api.call(f"edit the comment on #{self._number}", PERMISSION, lambda: target.edit(body))

    def _is_newer(self, comment: Comment, ours: Marker) -> bool:
        """Whether a newer run than ours wrote it.

        Numbers begin anew where a workflow was renamed: then the run that knows the head as it is now stands.
        """
        told = marker_of(comment.body or "")
        if told is None or told.order <= ours.order:
            return False
        if ours.head is None or told.head == ours.head:
            return True
        return self._head_of(self._number) != ours.head

    def _delete(self, comment: Comment) -> None:
        target = self._issue.get_comment(comment.id)
        try:
            self._api.call(f"delete a doubled comment on #{self._number}", PERMISSION, target.delete)
        except MissingError:
            return  # another job was faster


def _read(headers: Mapping[str, object], data: object) -> tuple[list[Comment], int]:
    """A page's comments and the number of the last page."""
    return msgspec.convert(data, list[Comment]), _last_page(str(headers.get("link", "")))


def _last_page(link: str) -> int:
    """The number of the last page, as a `Link` header tells it; 1 where there is none."""
    from urllib.parse import parse_qs, urlsplit

    for part in link.split(","):
        address, _, relation = part.partition(";")
        if 'rel="last"' in relation:
            pages = parse_qs(urlsplit(address.strip(" <>")).query).get("page", ["1"])
            return int(pages[0]) if pages[0].isdigit() else 1
    return 1
