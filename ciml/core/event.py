"""What a CI service says has happened, and what that allows: one table, as one pure function.

An event is made from environment and payload by the service's adapter; what it may do is decided
here, from the event alone. A name that anybody can set gives no right by itself: what writes to
registry and ledger asks the remote besides (`ciml.core.trust`), and needs its credentials.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Literal

from ciml.core.errors import TrustError
from ciml.core.ids import CommitSha
from ciml.core.value import Value

MAIN = "main"
"""The space of records that everybody reads and only the default branch's runs are admitted to."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Kind(StrEnum):
    """What happened."""

    PUSH = "push"
    """To a branch; `schedule`, `repository_dispatch` and `workflow_dispatch` have kinds of their own."""
    PULL_REQUEST = "pull-request"
    MERGE_GROUP = "merge-group"
    TAG = "tag"
    """A tag was pushed, or a release of one was published."""
    SCHEDULE = "schedule"
    DISPATCH = "dispatch"
    """`repository_dispatch`: new data, usually."""
    MANUAL = "manual"
    """`workflow_dispatch`."""
    REPORT = "report"
    """`workflow_run`: another workflow ended, whose artifact may be reported as data."""
    PRIVILEGED = "privileged"
    """Runs with the base's credentials on behalf of anybody: `pull_request_target`, `issue_comment`."""
    LOCAL = "local"
    """No CI service."""


class Run(Value, frozen=True, kw_only=True):
    """The service's own run."""

    id: str = ""
    attempt: int = 1
    url: str = ""
    workflow: str = ""
    number: int = 0
    """Counts up with each run of the workflow: of two reports the higher (number, attempt) stands."""


class Event(Value, frozen=True, kw_only=True):
    """What has happened, as one value. Names in it are text of strangers."""

    kind: Kind
    name: str
    """As the service calls it: `pull_request`, `repository_dispatch`, …"""
    repository: str = ""
    """`owner/name`."""
    default_branch: str = ""
    branch: str | None = None
    """That the event is about: pushed to, scheduled on, or a pull request's head branch."""
    tag: str | None = None
    head: CommitSha | None = None
    """The commit that is worked on (of a pull request: the merge commit, where the service made one)."""
    head_sha: CommitSha | None = None
    """The commit that statuses and comments are about (of a pull request: its head's); else as `head`."""
    before: str | None = None
    """A push's `before`; zeros where there was nothing."""
    base: CommitSha | None = None
    """Of a pull request or a merge group."""
    base_branch: str | None = None
    number: int | None = None
    """Of the pull request."""
    fork: bool = False
    """The head belongs to another repository."""
    deleted: bool = False
    inputs: dict[str, str] = {}
    """Of a `workflow_dispatch`: parameters of this run."""
    actor: str = ""
    run: Run = Run()

    @property
    def on_default(self) -> bool:
        """Whether it is about the default branch."""
        return self.branch is not None and self.branch == self.default_branch and not self.fork


class Rights(Value, frozen=True, kw_only=True):
    """What an event allows. No field has a default: nothing is allowed by omission."""

    runs: bool
    """Stages."""
    space: str | None
    """Where records are written; None: nowhere."""
    reads: tuple[str, ...]
    """Spaces whose records are believed besides."""
    admits: bool
    """Records of the run are admitted to `main` once its last job has recomputed their keys."""
    registers: bool
    promotes: bool
    deploys: Literal["promotion", "release"] | None
    syncs: bool
    """`data sync` comes first, and its commit is what runs."""
    reports: bool
    """Comments, check runs and statuses may be tried; a fork's token can write none."""
    head_policy: bool
    """Gate, promotion and triggers are the head's own; else those of the base."""
    refusal: TrustError | None
    """Why nothing at all is done."""


_NOTHING = Rights(
    runs=False,
    space=None,
    reads=(),
    admits=False,
    registers=False,
    promotes=False,
    deploys=None,
    syncs=False,
    reports=False,
    head_policy=False,
    refusal=None,
)


def space_of(kind: str, name: str) -> str:
    """The space `KIND/NAME`; a name that would not do in a path or a URL is there by its SHA-256.

    Names are compared without regard to case, as GitHub compares those of its concurrency groups.
    """
    plain = name.casefold()
    if not _PLAIN.fullmatch(plain):
        plain = hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{kind}/{plain}"
