"""The repository's commits, each with the versions, metrics, verdicts and deployments that belong to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from ciml.app.data import Parse
from ciml.app.ports import Commits, Journal, Tree
from ciml.core import history
from ciml.core.dataset import DataMove, move_of
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.history import LogRow
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.lineage import Commit
from ciml.core.manifest import Manifest, manifest_paths, stands_for


class Changes(Protocol):
    """What each commit holds and changed."""

    def changed_by(self, commit: CommitSha) -> Collection[RepoPath]:
        """The paths at which a commit differs from any of its parents."""
        ...

    def commit_tree(self, commit: CommitSha) -> Tree:
        """The tracked files of a commit."""
        ...


def log(
    states: Sequence[LedgerState],
    *,
    commits: Commits,
    journal: Journal,
    limit: int,
    revision: str = "HEAD",
) -> tuple[LogRow, ...]:
    """What happened at the last commits, from new to old.

    Args:
        states: the ledgers of all models.
        commits: where Git's history is read.
        journal: the runs of this clone.
        limit: how many commits.
        revision: the commit to start from.

    Raises:
        RepositoryError: there is no such revision.
    """
    return history.log(commits.log(commits.resolve(revision), limit), states, journal.runs())


def with_data(rows: Iterable[LogRow], changes: Changes, parse: Parse) -> tuple[LogRow, ...]:
    """The same with what each commit did to data, as its manifests say.

    Args:
        rows: of a log.
        changes: what each commit holds.
        parse: reads a data manifest.
    """
    return tuple(msgspec.structs.replace(row, data=tuple(_moves(row.commit, changes, parse))) for row in rows)


def _moves(commit: Commit, commits: Changes, parse: Parse) -> Sequence[DataMove]:
    """What a commit did to data, beside its first parent; nothing where a shallow clone cannot tell."""
    try:
        paths = sorted({path for file in commits.changed_by(commit.sha) if (path := stands_for(file)) is not None})
        now = manifests_at(commits.commit_tree(commit.sha), paths, parse)
        parent = commits.commit_tree(commit.parents[0]) if commit.parents and paths else None
        before = manifests_at(parent, paths, parse) if parent else {}
    except RepositoryError:
        return []
    return [move_of(path, before.get(path), now.get(path)) for path in paths if before.get(path) != now.get(path)]


def manifests_at(tree: Tree, paths: Sequence[RepoPath], parse: Parse) -> dict[RepoPath, Manifest]:
    """The manifests that stand for some paths in a commit, as far as they can be read."""
    found: dict[RepoPath, Manifest] = {}
    entries = tree.entries(file for path in paths for file in manifest_paths(path))
    for file in entries:
        try:
            manifest = parse(tree.read(file) or b"", file)
        except ConfigurationError:
            continue
        found.setdefault(manifest.path, manifest)
    return found
