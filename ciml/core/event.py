"""What a CI service says has happened, and what that allows: one table, as one pure function.

An event is made from environment and payload by the service's adapter; what it may do is decided
here, from the event alone. A name that anybody can set gives no right by itself: what writes to
registry and ledger asks the remote besides (`ciml.core.trust`), and needs its credentials.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, assert_never

from msgspec.structs import replace

from ciml.core.errors import TrustError
from ciml.core.ids import CommitSha, is_digest
from ciml.core.value import Value

MAIN = "main"
"""The space of records that everybody reads and only the default branch's runs are admitted to."""

MOST_ATTEMPTS = 50
"""Times that GitHub runs one run again."""

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
    OTHER = "other"
    """An event that nothing follows from: a release's notes were edited, an issue was opened."""


_ABOUT_A_REF = frozenset({Kind.PUSH, Kind.SCHEDULE, Kind.DISPATCH, Kind.MANUAL, Kind.LOCAL})
"""Kinds whose `branch` is the one that the head is on; of the others it is a stranger's, or a queue's."""


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
    reported: Run | None = None
    """Of a `workflow_run`: the run that has ended, whose artifact may be reported."""
    compare: CommitSha | None = None
    """What the head is to be compared with, where the caller said so, or zeros; it has no part in trust."""

    @property
    def on_default(self) -> bool:
        """Whether it is about the default branch."""
        about = self.kind in _ABOUT_A_REF and not self.fork and self.tag is None
        return about and bool(self.branch) and self.branch == self.default_branch


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
    """Versions, and promotes them."""
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
    deploys=None,
    syncs=False,
    reports=False,
    head_policy=False,
    refusal=None,
)
_RUNS = replace(_NOTHING, runs=True, reads=(MAIN,))
# A tag proves nothing of its commit: whoever deploys checks that a protected branch has it.
_RELEASE = replace(_NOTHING, reads=(MAIN,), deploys="release", reports=True, head_policy=True)


def space_of(kind: str, name: str) -> str:
    """The space `KIND/NAME`; a name that would not do in a path or a URL is there by its SHA-256.

    Names are compared without regard to case, as GitHub compares those of its concurrency groups.
    """
    plain = name.casefold()
    # What looks like a digest is hashed too: it must not be the space of the name that it is the digest of.
    if not _PLAIN.fullmatch(plain) or is_digest(plain):
        plain = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}/{plain}"


def rights(
    event: Event,
    *,
    reuse: Literal["none", "pull-request"] = "none",
    merged: Iterable[int] = (),
    checked_out: CommitSha | None = None,
) -> Rights:
    """What an event allows: the whole table.

    Args:
        event: what has happened.
        reuse: the trusted `trust: {reuse: …}`.
        merged: numbers of the pull requests that a push merged, none of them a fork's.
        checked_out: the commit of HEAD. Events that run with the base's credentials on behalf of
            anybody are refused unless it is the commit that the service itself checks out for them.
    """
    if event.deleted:
        return _NOTHING
    match event.kind:
        case Kind.PUSH | Kind.SCHEDULE | Kind.DISPATCH | Kind.MANUAL:
            return _of_ref(event, _spaces(merged) if reuse == "pull-request" else ())
        case Kind.PULL_REQUEST:
            return _of_pull_request(event)
        case Kind.MERGE_GROUP:
            queue = str(event.number) if event.number is not None else event.branch or ""
            return replace(_RUNS, space=space_of("group", queue), reports=True)
        case Kind.TAG:
            return _RELEASE
        case Kind.REPORT:
            return replace(_NOTHING, reports=True)
        case Kind.PRIVILEGED:
            trusted = checked_out is not None and checked_out == event.head
            return replace(_NOTHING, reports=True) if trusted else replace(_NOTHING, refusal=_untrusted(event))
        case Kind.LOCAL:
            space = space_of("user", event.actor or "unknown")
            return replace(_RUNS, space=space, registers=event.on_default, head_policy=True)
        case Kind.OTHER:
            return _NOTHING
        case _:
            assert_never(event.kind)


def _of_ref(event: Event, reused: tuple[str, ...]) -> Rights:
    """Of a push, and of what runs on a ref as if it had been pushed: trust comes from the ref alone."""
    if event.tag is not None:
        return _RELEASE if event.kind is Kind.MANUAL else _NOTHING
    syncs = event.kind in (Kind.SCHEDULE, Kind.DISPATCH)
    if not event.on_default:
        space = space_of("branch", event.branch) if event.branch else None
        return replace(_RUNS, space=space, syncs=syncs, reports=True)
    return replace(
        _RUNS,
        space=_run_space(event, event.run.attempt),
        reads=(MAIN, *_earlier_attempts(event), *(reused if event.kind is Kind.PUSH else ())),
        admits=True,
        registers=True,
        deploys="promotion",
        syncs=syncs,
        reports=True,
        head_policy=True,
    )


def _run_space(event: Event, attempt: int) -> str:
    return space_of("run", f"{event.run.id}-{attempt}" if event.run.id else event.head or "")


def _earlier_attempts(event: Event) -> list[str]:
    """The spaces of the run's earlier attempts, whose jobs that ended well are not run again."""
    attempts = range(event.run.attempt - 1, max(0, event.run.attempt - 1 - MOST_ATTEMPTS), -1)
    return [_run_space(event, attempt) for attempt in attempts] if event.run.id else []


def _spaces(merged: Iterable[int]) -> tuple[str, ...]:
    return tuple(space_of(kind, str(number)) for number in dict.fromkeys(merged) for kind in ("group", "pr"))


def _of_pull_request(event: Event) -> Rights:
    """Of a fork's nothing is kept: whoever wrote it could write records of results that never were."""
    if event.fork:
        return _RUNS
    if event.number is not None:
        return replace(_RUNS, space=space_of("pr", str(event.number)), reports=True)
    return replace(_RUNS, space=space_of("branch", event.branch) if event.branch else None, reports=True)


def _untrusted(event: Event) -> TrustError:
    return TrustError(
        f"refusing: untrusted code in a privileged event ({event.name})",
        hint="Compute on `pull_request`, which has no secrets, and report from `workflow_run`.",
    )


def stage_refusal(event: Event) -> TrustError | None:
    """Why no stage may run for an event, where somebody asks for one by name; None where it may."""
    if rights(event, checked_out=event.head).runs:
        return None
    return TrustError(
        f"no stage is run for the event {event.name}",
        hint="Stages run for pushes, pull requests, merge groups, schedules and dispatches.",
    )


def notices(event: Event) -> tuple[str, ...]:
    """What a report on an event must say, one sentence each."""
    if event.deleted:
        return (f"Nothing to do: {event.tag or event.branch or 'the branch'} was deleted.",)
    if event.kind is Kind.OTHER:
        return (f"Nothing to do for the event {event.name}.",)
    if event.kind is Kind.PRIVILEGED:
        return (f"No stage is run for {event.name}: it has the base's credentials, on behalf of anybody.",)
    if event.kind is Kind.PULL_REQUEST and event.fork:
        base = event.base_branch or "the base"
        return (f"An untrusted evaluation: a fork's code has measured itself. {base} measures again, once merged.",)
    if event.branch and event.kind in _ABOUT_A_REF and not event.default_branch and event.tag is None:
        return ("Nothing is registered: which branch is the default one is not known, since `origin` names none.",)
    return ()
