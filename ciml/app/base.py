"""What an event's head is compared with, and whose policy counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ciml.core.changes import Base
from ciml.core.errors import ServiceError, TrustError
from ciml.core.event import Event, Kind
from ciml.core.ids import CommitSha

if TYPE_CHECKING:
    from ciml.core.lineage import Commit


class History(Protocol):
    """What finding a base asks of Git."""

    def head(self) -> CommitSha | None:
        """The commit of HEAD; None before the first."""
        ...

    def commit(self, sha: CommitSha) -> Commit:
        """What is known of a commit; RepositoryError where it is not here."""
        ...

    def base(self, before: str) -> Base:
        """The commit of that full id, fetched where the clone has it not; or why it cannot be had."""
        ...

    def merge_base(self, one: CommitSha, other: CommitSha) -> Base:
        """The best common ancestor; a shallow clone is deepened for it, within bounds."""
        ...

    def reaches(self, tip: CommitSha, commit: CommitSha) -> bool:
        """Whether `tip` is `commit` or comes after it."""
        ...

    def remote_head(self, branch: str) -> CommitSha | None:
        """Where a branch of the remote is now; ServiceError where it cannot be asked."""
        ...


class Successes(Protocol):
    """What the service that runs workflows remembers."""

    def last_success(self, workflow: str, branch: str) -> CommitSha | None:
        """The commit of the last run of a workflow on a branch that succeeded; None where there is none."""
        ...


def base_of(event: Event, history: History, forge: Successes | None) -> Base:
    """The commit that the head is compared with; never one that would hide a change.

    Of a pull request it is what the head would be merged into, of a push the commit of the last run
    that succeeded: what came between was never run to its end.
    """
    if event.compare is not None:
        return history.base(event.compare)
    head = history.head() or event.head
    if event.deleted or head is None:
        return Base(reason="there is no head")
    match event.kind:
        case Kind.PULL_REQUEST:
            return _merged_into(event, history, head, forked_off=True)
        case Kind.MERGE_GROUP:
            return history.base(event.base or "") if event.base else Base(reason="the merge group names no base")
        case Kind.PUSH | Kind.SCHEDULE | Kind.DISPATCH | Kind.MANUAL | Kind.LOCAL:
            return _last_success(event, history, forge, head) or _before(event, history)
        case _:
            return Base(reason=f"nothing is compared for the event {event.name}")


def policy_of(event: Event, history: History) -> Base:
    """The commit whose policy counts where the head's own does not: the newest that the head would be merged into.

    It is not the common ancestor: an old one may have a gate that was made stricter since.
    """
    head = history.head() or event.head
    if head is None:
        return Base(reason="there is no head")
    if event.kind is Kind.PULL_REQUEST:
        return _merged_into(event, history, head, forked_off=False)
    if event.kind is Kind.MERGE_GROUP and event.base:
        return history.base(event.base)
    return _tip(event.default_branch, history)


def _merged_into(event: Event, history: History, head: CommitSha, *, forked_off: bool) -> Base:
    """A merge commit's first parent. Of another head the base's tip, or where the two parted."""
    parents = history.commit(head).parents
    if len(parents) > 1 and head != event.head_sha and event.head_sha in parents[1:]:
        return history.base(parents[0])
    tip = history.base(event.base) if event.base else _tip(event.base_branch or event.default_branch, history)
    if tip.commit is None or not forked_off:
        return tip
    return history.merge_base(tip.commit, head)


def _tip(branch: str, history: History) -> Base:
    if not branch:
        return Base(reason="neither the event nor `origin` names the branch to compare with")
    try:
        tip = history.remote_head(branch)
    except ServiceError as error:
        return Base(reason=error.message)
    return history.base(tip) if tip else Base(reason=f"the remote has no branch {branch}")


def _last_success(event: Event, history: History, forge: Successes | None, head: CommitSha) -> Base | None:
    """Where it can be told, and where the head comes after it; None elsewhere."""
    if forge is None or not event.run.workflow or not event.branch:
        return None
    try:
        commit = forge.last_success(event.run.workflow, event.branch)
        if commit is not None and commit != head and history.reaches(head, commit):
            return Base(commit=commit)
    except (ServiceError, TrustError):
        # An outage, or a token without `actions: read`, costs precision and nothing else.
        return None
    return None


def _before(event: Event, history: History) -> Base:
    if event.before is None:
        return Base(reason="no earlier run of this branch is known")
    return history.base(event.before)
