"""What differs between two states of a repository: code, data and parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ciml.core.ids import CommitSha, RepoPath
from ciml.core.manifest import stands_for
from ciml.core.paths import folders
from ciml.core.value import Value

CONFIGURATION = RepoPath("ciml.yaml")


class Base(Value, frozen=True, kw_only=True):
    """What to compare with: exactly one of the two is set."""

    commit: CommitSha | None = None
    reason: str | None = None
    """Why there is nothing to compare with, so that everything counts as changed."""


class ChangeSet(Value, frozen=True, kw_only=True):
    """What moved since the base."""

    code: tuple[RepoPath, ...] = ()
    """Tracked files, apart from manifests and params files; sorted."""
    data: tuple[RepoPath, ...] = ()
    """What the changed manifests stand for; sorted."""
    params: tuple[str, ...] = ()
    """Dotted names; sorted."""
    environment: tuple[RepoPath, ...] = ()
    """Those of `code` that the stages' environment is made from."""
    reason: str | None = None
    """Why the base is not known, so that everything counts as changed; None where it is known."""


def change_set(
    paths: Iterable[RepoPath],
    *,
    params: Iterable[str] = (),
    params_files: Collection[RepoPath] = (),
    read: Collection[RepoPath] | None = None,
    environment: RepoPath | None = None,
    reason: str | None = None,
) -> ChangeSet:
    """The change set for the paths that differ.

    A params file is its parameters: one whose comments alone changed is no change, unless a stage
    reads the file itself.

    Args:
        paths: all that differ between the base and the head.
        params: the parameters whose values differ.
        params_files: where they stand.
        read: the files and folders that stages read; what lies in none of them concerns no stage
            and is left out, except `ciml.yaml`. None: everything counts.
        environment: the requirements file.
        reason: why the base is not known, if it is not.
    """
    code: set[RepoPath] = set()
    data: set[RepoPath] = set()
    for path in paths:
        if (stood_for := stands_for(path)) is not None:
            data.add(stood_for)
        elif path in (CONFIGURATION, environment) or _counts(path, params_files, read):
            code.add(path)
    return ChangeSet(
        code=tuple(sorted(code)),
        data=tuple(sorted(data)),
        params=tuple(sorted(set(params))),
        environment=tuple(path for path in (environment,) if path is not None and path in code),
        reason=reason,
    )


def _counts(path: RepoPath, params_files: Collection[RepoPath], read: Collection[RepoPath] | None) -> bool:
    if read is None:
        return path not in params_files
    return path in read or RepoPath("") in read or any(folder in read for folder in folders(path))
