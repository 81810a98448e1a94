"""A second work tree for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ciml.adapters.git.command import Git
from ciml.core.ids import CommitSha


@contextmanager
def checkout(git: Git, commit: CommitSha, folder: str) -> Iterator[str]:
    """`folder` with the files of a commit, as a work tree of the same repository that goes away at the end.

    Raises:
        RepositoryError: the commit is not here, or cannot be checked out.
    """
    git.run("worktree", "add", "--quiet", "--force", "--detach", folder, commit)
    try:
        yield folder
    finally:
        git.ask("worktree", "remove", "--force", folder)
