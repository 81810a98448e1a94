"""The hidden first line by which a report finds its own comment again, and knows which is older."""

from __future__ import annotations

import re
from urllib.parse import quote

from ciml.core.ids import CommitSha, is_commit_id
from ciml.core.report import Report
from ciml.core.value import Value

_FORM = re.compile(
    r"<!-- ciml:report v1 key=(?P<key>[A-Za-z0-9._~/%-]+) run=(?P<number>[0-9]{1,18})\.(?P<attempt>[0-9]{1,9})"
    r"(?: head=(?P<head>[0-9a-f]{40,64}))? -->"
)


class Marker(Value, frozen=True, kw_only=True):
    """Which comment it is, and which run wrote it last."""

    key: str
    """The pipeline's folder and the pull request's number: `./7`, `services/churn/7`."""
    number: int
    attempt: int
    head: CommitSha | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Of two runs the higher one stands."""
        return self.number, self.attempt

    def __str__(self) -> str:
        head = f" head={self.head}" if self.head else ""
        return f"<!-- ciml:report v1 key={self.key} run={self.number}.{self.attempt}{head} -->"


def marker(report: Report) -> Marker:
    """The marker of a report: nothing in it can end the HTML comment around it."""
    event, run = report.event, report.event.run
    head = event.head_sha or event.head
    folder = quote(report.folder.encode("utf-8", "surrogateescape"), safe="/") or "."
    return Marker(
        key=f"{folder}/{max(event.number or 0, 0)}",
        number=min(max(run.number, 0), 10**18 - 1),
        attempt=min(max(run.attempt, 0), 10**9 - 1),
        head=head if head and is_commit_id(head) else None,
    )


def marker_of(body: str) -> Marker | None:
    """The marker that a comment begins with, or None."""
    found = _FORM.match(body)
    if found is None:
        return None
    head = found["head"]
    return Marker(
        key=found["key"],
        number=int(found["number"]),
        attempt=int(found["attempt"]),
        head=CommitSha(head) if head else None,
    )
