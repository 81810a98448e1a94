"""Plain Git: the event as the command line tells it, and a laptop's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from ciml.adapters.ci.fields import branch_of, tag_of, word
from ciml.core.changes import Base
from ciml.core.errors import CimlError, UsageError
from ciml.core.event import Event, Kind
from ciml.core.findings import suggestion
from ciml.core.ids import CommitSha, is_commit_id, is_no_commit

EVENTS = {
    "push": Kind.PUSH,
    "pull-request": Kind.PULL_REQUEST,
    "fork": Kind.PULL_REQUEST,
    "merge-group": Kind.MERGE_GROUP,
    "tag": Kind.TAG,
    "schedule": Kind.SCHEDULE,
    "dispatch": Kind.DISPATCH,
    "manual": Kind.MANUAL,
}
"""What `--event` takes -> the kind of event; `fork` is a pull request of another repository."""


# What no branch's name holds: the signs of revisions.
_NO_NAME = re.compile(r"[\^~:]|@\{|^$")


class Clone(Protocol):
    """What telling an event needs of the repository."""

    def resolve(self, rev: str) -> CommitSha:
        """The commit that a revision names."""
        ...

    def head(self) -> CommitSha | None:
        """The commit of HEAD; None before the first."""
        ...

    def branch(self) -> str | None:
        """The branch that HEAD is on; None when it is detached."""
        ...

    def base(self, before: str) -> Base:
        """The commit of that full id, fetched where the clone has it not; or why it cannot be had."""
        ...

    def reaches(self, tip: CommitSha, commit: CommitSha) -> bool:
        """Whether `tip` is `commit` or comes after it."""
        ...

    def remote_url(self) -> str | None:
        """The address of the remote; None where there is none."""
        ...

    def remote_default(self) -> tuple[str, CommitSha | None]:
        """The remote's default branch and where it is now, asked of the remote itself."""
        ...

    def default_branch(self) -> str | None:
        """The remote's default branch, as far as this clone knows it."""
        ...


def event_from(environ: Mapping[str, str], clone: Clone, name: str, *, base: str | None, head: str | None) -> Event:
    """The event that a caller tells of.

    Args:
        environ: says who calls.
        clone: what the revisions are names in.
        name: of `EVENTS`.
        base: a revision, or a push's `before`; zeros where there was nothing.
        head: a branch, a tag or another revision, HEAD when None; zeros where a branch was deleted.

    Raises:
        UsageError: there is no such event, or a tag is not named.
        RepositoryError: a revision names no commit.
    """
    kind = EVENTS.get(name)
    if kind is None:
        raise UsageError(
            f"there is no event {name!r}", hint=suggestion(name, EVENTS) or f"They are {', '.join(EVENTS)}."
        )
    if kind is Kind.TAG:
        return _tag(environ, clone, head)
    deleted = head is not None and is_no_commit(head)
    branch = clone.branch() if head is None or head == "HEAD" else _branch(clone, head)
    commit = None if deleted else clone.resolve(_full(branch, head))
    compared = kind in (Kind.PULL_REQUEST, Kind.MERGE_GROUP)
    return Event(
        kind=kind,
        name=name,
        branch=branch,
        head=commit,
        head_sha=commit,
        before=_before(clone, base) if not compared else None,
        base=_commit(clone, base) if compared else None,
        base_branch=_branch(clone, base) if compared and base else None,
        fork=name == "fork",
        deleted=deleted,
        actor=_actor(environ),
    )


def _full(branch: str | None, head: str | None) -> str:
    """The revision to resolve: a branch's own name wins over a tag of that name."""
    if head is None or branch is None or not _names(head, branch):
        return "HEAD" if head is None else head
    return f"refs/heads/{branch}"


def _names(text: str, branch: str) -> bool:
    return text in (branch, f"refs/heads/{branch}")


def _tag(environ: Mapping[str, str], clone: Clone, head: str | None) -> Event:
    tag = tag_of(head) or head
    if not tag or is_commit_id(tag):
        raise UsageError("--event tag needs the tag's name", hint="ciml ci --event tag --head v1.2.0")
    commit = clone.resolve(f"refs/tags/{tag}")
    return Event(kind=Kind.TAG, name="tag", tag=tag, head=commit, head_sha=commit, actor=_actor(environ))


def local(environ: Mapping[str, str], clone: Clone) -> Event:
    """Of a call that no CI service made."""
    head = clone.head()
    return Event(
        kind=Kind.LOCAL,
        name="local",
        branch=clone.branch(),
        default_branch=clone.default_branch() or "",
        head=head,
        head_sha=head,
        actor=_actor(environ),
    )


def _branch(clone: Clone, text: str) -> str | None:
    """The branch that a revision names; None where it names something else, such as a commit."""
    if named := branch_of(text):
        return named
    if is_commit_id(text) or _NO_NAME.search(text):
        return None
    for ref in (f"refs/heads/{text}", f"refs/remotes/origin/{text}"):
        try:
            clone.resolve(ref)
        except CimlError:
            continue
        return text
    return None


def _before(clone: Clone, base: str | None) -> str | None:
    """What a push started from: as it was told where it is an id or zeros, which may be in no clone."""
    return base if base is None or is_commit_id(base) else clone.resolve(base)


def _commit(clone: Clone, base: str | None) -> CommitSha | None:
    if base is None or is_no_commit(base):
        return None
    return CommitSha(base) if is_commit_id(base) else clone.resolve(base)


def _actor(environ: Mapping[str, str]) -> str:
    return word(environ.get("USER") or environ.get("LOGNAME"))
