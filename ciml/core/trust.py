"""Who may write to the registry, decided from facts and never from a name that anybody can set."""

from __future__ import annotations

from collections.abc import Sequence

from ciml.core.errors import CimlError, RepositoryError, TrustError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.value import Value


class Standing(Value, frozen=True, kw_only=True):
    """Where somebody stands who wants to register."""

    head: CommitSha | None
    """None before the first commit."""
    dirty: Sequence[RepoPath]
    """Tracked files and inputs that differ from HEAD."""
    shared: bool
    """The registry is one that others rely on, and not the embedded one."""
    default_branch: str = "main"
    default_head: CommitSha | None = None
    """Where the remote itself says that its default branch is; None where it does not say."""
    allowed: bool = True
    """By the event: that of a pull request allows nothing of the kind, wherever its head stands."""
    contained: bool = False
    """The remote's default branch has the commit, at its head or before; told only for the run of a push to it."""


def refusal(standing: Standing) -> CimlError | None:
    """Why nothing may be registered from there, or None where it may.

    A dirty tree never: no commit would say what the model was made from. With a shared registry
    only what the default branch has: that the remote holds the commit proves that somebody with
    the right to push it did, which no environment variable proves. The run of a push may end after
    the next push; everybody else registers the head.
    """
    if standing.head is None:
        return RepositoryError("nothing can be registered before the first commit", hint="Commit, then run this again.")
    if standing.dirty:
        paths = ", ".join(sorted(standing.dirty)[:3]) + (", …" if len(standing.dirty) > 3 else "")
        return RepositoryError(
            f"the work tree differs from the commit: {paths}",
            hint="A version names the commit that it was made from: commit the changes, or stash them.",
        )
    if not standing.allowed:
        return TrustError(
            "this event may not register",
            hint=f"What is merged into {standing.default_branch or 'the default branch'} is registered.",
        )
    if standing.shared and standing.head != standing.default_head and not standing.contained:
        where = standing.default_head[:12] if standing.default_head else "not known"
        return TrustError(
            f"{standing.head[:12]} is not the pushed head of {standing.default_branch}, which is {where}",
            hint=f"A shared registry takes what is pushed to {standing.default_branch}: push, or merge.",
        )
    return None
