"""How commits differ, and which commit came before."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from ciml.adapters.git.command import Git
from ciml.adapters.git.overlay import RAW
from ciml.adapters.git.trees import CommitTree, decoded
from ciml.core.changes import Base
from ciml.core.errors import ServiceError
from ciml.core.ids import CommitSha, GitOid, RepoPath
from ciml.core.tree import PathChange, TreeEntry

if TYPE_CHECKING:
    from ciml.adapters.git.worktree import WorkTree

FETCH_TIMEOUT_S = 60.0
DEEPEST = 3200
"""Commits that a shallow clone is deepened by in all, before a merge base is given up."""
_FIRST_STEP = 50

# A rename must reach the stage that read the old path: it stays a deletion and an addition.
_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
_ZEROS = re.compile(r"0+")
_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Clone(Protocol):
    """What finding a base needs of a repository."""

    git: Git
    shallow: bool

    def holds(self, commit: CommitSha) -> bool:
        """Whether a commit is in this clone."""
        ...


def diff(git: Git, base: CommitSha, head: CommitSha) -> list[PathChange]:
    """Where two commits differ, sorted by path."""
    return sorted(
        (
            PathChange(
                path=path,
                before=_entry(path, old_mode, old_oid),
                after=_entry(path, new_mode, new_oid),
            )
            for old_mode, new_mode, old_oid, new_oid, _, name in RAW.findall(git.run(*_DIFF, base, head))
            for path in (decoded(name),)
        ),
        key=lambda change: change.path,
    )


def _entry(path: RepoPath, mode: bytes, oid: bytes) -> TreeEntry | None:
    return TreeEntry(path=path, mode=int(mode, 8), oid=GitOid(oid.decode())) if int(mode, 8) else None


def changed(git: Git, base: CommitSha, head: CommitSha) -> frozenset[RepoPath]:
    """The paths at which two commits differ."""
    return _names(
        git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", base, head)
    )


def changed_by(git: Git, commit: CommitSha) -> frozenset[RepoPath]:
    """The paths at which a commit differs from any of its parents; all of them for a first commit.

    Against every parent: a merge may bring a change that is in none of them.
    """
    flags = ("-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", "-m", "--root", "--no-commit-id")
    return _names(git.run("diff-tree", *flags, commit))


def _names(listed: bytes) -> frozenset[RepoPath]:
    # One decoding for all: 63,000 small ones take three times as long.
    return frozenset(map(RepoPath, filter(None, decoded(listed).split("\0"))))


def with_work_tree(to_head: Iterable[RepoPath], base: CommitTree, now: WorkTree) -> list[PathChange]:
    """Where a commit and the work tree differ, sorted by path.

    Args:
        to_head: where the commit and HEAD differ.
        base: the commit's tree.
        now: the work tree.
    """
    paths = sorted({*to_head, *now.dirty})
    before, after = base.entries(paths), now.entries(paths)
    return [
        PathChange(path=path, before=_file(before.get(path)), after=_file(after.get(path)))
        for path in paths
        if _file(before.get(path)) != _file(after.get(path))
    ]


def _file(entry: TreeEntry | None) -> TreeEntry | None:
    """The entry, unless it is a folder: that has taken the place of a file."""
    return None if entry is None or entry.mode == 0o040000 else entry


def base(clone: Clone, before: str) -> Base:
    """The commit an event started from, fetched where the clone has it not."""
    if not before or _ZEROS.fullmatch(before):
        return Base(reason="no previous commit")
    if not _FULL.fullmatch(before):
        return Base(reason=f"{before!r} is not a commit id")
    commit = CommitSha(before)
    if clone.holds(commit):
        return Base(commit=commit)
    # A full clone must not become a shallow one.
    failed = _fetch(clone, ["--depth=1"] if clone.shallow else [], [commit])
    if clone.holds(commit):
        return Base(commit=commit)
    return Base(reason=f"the previous commit {commit[:10]} is neither in this clone nor to be fetched ({failed})")


def merge_base(clone: Clone, one: CommitSha, other: CommitSha) -> Base:
    """The best common ancestor of two commits."""
    step = _FIRST_STEP
    while True:
        answer = clone.git.ask("merge-base", one, other)
        if not answer.code:
            return Base(commit=CommitSha(answer.out.split()[0].decode()))
        if answer.code != 1:
            raise clone.git.error(("merge-base",), answer)
        if not clone.shallow:
            return Base(reason=f"{one[:10]} and {other[:10]} have no common ancestor")
        if step > DEEPEST:
            return Base(reason=f"no common ancestor of {one[:10]} and {other[:10]} within {DEEPEST} commits")
        if failed := _fetch(clone, [f"--deepen={step}"], [one, other]):
            return Base(reason=f"no common ancestor of {one[:10]} and {other[:10]} in this shallow clone ({failed})")
        step *= 2


def reaches(clone: Clone, tip: CommitSha, commit: CommitSha) -> bool:
    """Whether `tip` is `commit` or comes after it, as far as a clone deepened within bounds can tell."""
    if tip == commit:
        return True
    if any(base(clone, either).commit is None for either in (tip, commit)):
        return False
    return merge_base(clone, commit, tip).commit == commit


def _fetch(clone: Clone, flags: list[str], commits: list[CommitSha]) -> str | None:
    """Why commits could not be fetched from origin; None when they were. Moves no ref."""
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--upload-pack=git-upload-pack")
    try:
        answer = clone.git.ask("fetch", *quiet, "--refmap=", *flags, "origin", *commits, timeout_s=FETCH_TIMEOUT_S)
    except ServiceError as error:
        return error.message
    if not answer.code:
        return None
    return clone.git.error(("fetch",), answer).message


def is_ancestor(git: Git, commit: CommitSha, of: CommitSha) -> bool:
    """Whether `of` is `commit` or comes after it."""
    answer = git.ask("merge-base", "--is-ancestor", commit, of)
    if answer.code not in (0, 1):
        raise git.error(("merge-base",), answer)
    return answer.code == 0


def log(git: Git, head: CommitSha, limit: int, paths: tuple[RepoPath, ...]) -> list[CommitSha]:
    """The last commits up to `head`, the youngest first."""
    listed = git.run("rev-list", f"--max-count={limit}", head, "--", *map(os.fspath, paths))
    return [CommitSha(line.decode()) for line in listed.split()]
