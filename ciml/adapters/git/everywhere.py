"""The commits of all branches and tags: for what they have in common, whichever is checked out."""

from __future__ import annotations

from ciml.adapters.git.repository import Repository
from ciml.core.ids import CommitSha
from ciml.core.lineage import Commit

_REFS = ("--exclude=ciml/ledger/*", "--branches", "--exclude=*/ciml/ledger/*", "--remotes", "--tags")


def all_commits(repository: Repository, *, limit: int) -> list[Commit]:
    """The youngest commits that HEAD, a branch or a tag reaches, here or at a remote; ledgers are left out."""
    head = [commit] if (commit := repository.head()) else []
    listed = repository.git.run("rev-list", f"--max-count={limit}", *_REFS, *head, "--")
    return [repository.commit(CommitSha(line.decode())) for line in listed.split()]


def all_heads(repository: Repository) -> list[CommitSha]:
    """The commits that HEAD, a branch or a tag names, here or at a remote; ledgers are left out."""
    head = [commit] if (commit := repository.head()) else []
    listed = repository.git.run("rev-list", "--no-walk=unsorted", *_REFS, *head, "--")
    return [CommitSha(line.decode()) for line in listed.split()]
