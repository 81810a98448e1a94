"""The commits of all branches and tags: for what they have in common, whichever is checked out."""

from __future__ import annotations

from ciml.adapters.git.repository import Repository
from ciml.core.ids import CommitSha
from ciml.core.lineage import Commit


def all_commits(repository: Repository, *, limit: int) -> list[Commit]:
    """The youngest commits that HEAD, a branch or a tag reaches, here or at a remote; ledgers are left out."""
    refs = ("--exclude=ciml/ledger/*", "--branches", "--exclude=*/ciml/ledger/*", "--remotes", "--tags")
    head = [commit] if (commit := repository.head()) else []
    listed = repository.git.run("rev-list", f"--max-count={limit}", *refs, *head, "--")
    return [repository.commit(CommitSha(line.decode())) for line in listed.split()]
