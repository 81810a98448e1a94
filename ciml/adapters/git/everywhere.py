"""The commits of all branches, tags and stashes, and the other work trees, whichever is checked out."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ciml.adapters.git.repository import Repository
from ciml.adapters.git.trees import decoded
from ciml.core.errors import ServiceError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.lineage import Commit
from ciml.core.url import without_secrets

LEDGERS = "ciml/ledger/"
"""Where the branches lie that are ledgers, one for each model."""

_REFS = ("--exclude=ciml/ledger/*", "--branches", "--exclude=*/ciml/ledger/*", "--remotes", "--tags")


def all_commits(repository: Repository, *, limit: int, at: Sequence[RepoPath] = ()) -> list[Commit]:
    """The youngest commits that HEAD, a branch or a tag reaches, here or at a remote; ledgers are left out.

    Args:
        repository: of this clone.
        limit: no more than that.
        at: only those that changed something at these paths.
    """
    head = [commit] if (commit := repository.head()) else []
    listed = repository.git.run("rev-list", f"--max-count={limit}", *_REFS, *head, "--", *at)
    return [repository.commit(CommitSha(line.decode())) for line in listed.split()]


def all_heads(repository: Repository) -> list[CommitSha]:
    """The commits that HEAD, a branch or a tag names, here or at a remote; ledgers are left out."""
    head = [commit] if (commit := repository.head()) else []
    listed = repository.git.run("rev-list", "--no-walk=unsorted", *_REFS, *head, "--")
    return [CommitSha(line.decode()) for line in listed.split()]


def stashes(repository: Repository) -> list[CommitSha]:
    """The commits that `git stash` made and nobody dropped: of work trees, of the index, of untracked files."""
    answer = repository.git.ask("rev-list", "--walk-reflogs", "--parents", "refs/stash", "--")
    if answer.code:
        return []  # nothing is stashed
    lines = (line.split() for line in answer.out.decode().splitlines())
    return [CommitSha(commit) for stash, _, *others in lines for commit in (stash, *others)]


def other_work_trees(repository: Repository) -> list[tuple[str, CommitSha | None]]:
    """The other work trees of the same repository: where they lie, and what is checked out there."""
    found: list[tuple[str, CommitSha | None]] = []
    for told in os.fsdecode(repository.git.run("worktree", "list", "--porcelain")).split("\n\n"):
        facts = dict(line.partition(" ")[::2] for line in told.split("\n") if line)
        here = repository.root is not None and os.path.realpath(facts.get("worktree", "")) == repository.root
        if facts and not here and "bare" not in facts:
            head = facts.get("HEAD", "").strip("0")
            found.append((facts["worktree"], CommitSha(facts["HEAD"]) if head else None))
    return found


def remote_heads(repository: Repository) -> list[tuple[str, CommitSha]]:
    """The branches of `origin` and where they are now, asked of the remote itself; ledgers are left out.

    Raises:
        ServiceError: it cannot be reached.
    """
    return [(name, commit) for name, commit in _heads(repository) if not name.startswith(LEDGERS)]


def remote_ledgers(repository: Repository) -> list[str]:
    """The models that have a ledger on `origin`, asked of the remote itself. Raises as `remote_heads`."""
    return [name.removeprefix(LEDGERS) for name, _ in _heads(repository) if name.startswith(LEDGERS)]


def ledgers(repository: Repository, remote: str | None) -> list[str]:
    """The models whose ledgers this clone knows of, sorted: its own branches, or a remote's as last fetched."""
    folder = f"refs/remotes/{remote}/{LEDGERS}" if remote else f"refs/heads/{LEDGERS}"
    listed = repository.git.run("for-each-ref", "--format=%(refname)", folder)
    return [line.removeprefix(folder) for line in os.fsdecode(listed).splitlines()]


def _heads(repository: Repository) -> list[tuple[str, CommitSha]]:
    answer = repository.git.ask("ls-remote", "--heads", "--end-of-options", "origin", timeout_s=120.0)
    if answer.code:
        raise ServiceError(
            f"{repository.remote_url() or 'origin'} does not say which branches it has: "
            f"{without_secrets(answer.error.strip())}"
        )
    lines = (line.partition("\t") for line in decoded(answer.out).splitlines())
    return [(name.removeprefix("refs/heads/"), CommitSha(commit)) for commit, _, name in lines]
