"""Compare two commits or versions: read both sides, let the core say what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ciml.app.data import Parse, manifests
from ciml.app.datadiff import Bring, difference
from ciml.app.ports import Journal, Tree, VersionTraces
from ciml.app.project import Documents
from ciml.core import history
from ciml.core.comparison import Comparison, Side, comparison, metrics_of
from ciml.core.dataset import DataDifference, TableDifference, Tally
from ciml.core.errors import CimlError, ConfigurationError, RepositoryError, ServiceError
from ciml.core.history import History, VersionLine
from ciml.core.ids import CommitSha, ModelName, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.lineage import Commit
from ciml.core.listing import Fetch
from ciml.core.manifest import Manifest
from ciml.core.pipeline import ParamValue
from ciml.core.subject import version_of
from ciml.core.tree import PathChange
from ciml.core.value import Value


class Repository(Protocol):
    """What a comparison asks of Git."""

    def resolve(self, rev: str) -> CommitSha:
        """The commit that a revision names."""
        ...

    def commit(self, sha: CommitSha) -> Commit:
        """What a lineage says of a commit."""
        ...

    def commit_tree(self, commit: CommitSha) -> Tree:
        """The tracked files of a commit."""
        ...

    def diff(self, base: CommitSha, head: CommitSha | None) -> Sequence[PathChange]:
        """Where two commits differ, with modes and ids; sorted by path."""
        ...


class Records(Value, frozen=True, kw_only=True):
    """Where metrics and versions are told."""

    states: tuple[LedgerState, ...]
    aliases: dict[ModelName, str]
    journal: Journal
    registered: VersionTraces


Differ = Callable[[RepoPath, Manifest | None, Manifest | None], DataDifference]
"""How the data at a path differs between two manifests."""

TablesOf = Callable[[Manifest | None, Manifest | None], TableDifference | None]
"""How the tables of two versions of data differ; None where neither is one."""


def diff(
    before: str,
    after: str,
    *,
    repository: Repository,
    documents: Documents,
    parse: Parse,
    fetch: Fetch,
    bring: Bring,
    records: Records,
    tables: TablesOf | None = None,
) -> Comparison:
    """What differs between two commits or versions.

    Args:
        before: a revision, a version (`churn/3`) or an alias (`churn@champion`).
        after: the other.
        repository: Git.
        documents: reads ciml.yaml and params files.
        parse: reads a data manifest.
        fetch: an object of a listing.
        bring: what a pointer of DVC's stands for.
        records: ledgers, runs, and what the registry keeps.
        tables: says rows and columns; None: nobody asks.

    Raises:
        UsageError: there is no such version.
        RepositoryError: there is no such commit here.
    """
    known = history.history(records.states, aliases=records.aliases)
    sides = _Sides(repository, documents, records, known)
    one, other = sides.side(before), sides.side(after)
    trees = [repository.commit_tree(side.commit) for side in (one, other)]
    files = frozenset(file for tree in trees for file in _params_files(tree, documents))
    return comparison(
        one,
        other,
        paths=repository.diff(one.commit, other.commit),
        data=_data(trees, parse, _differing(fetch, bring), tables),
        params_files=files,
    )


class _Sides:
    def __init__(self, repository: Repository, documents: Documents, records: Records, known: History) -> None:
        self._repository = repository
        self._documents = documents
        self._records = records
        self._known = known

    def side(self, text: str) -> Side:
        found = version_of(text, self._known)
        return self._of_version(text, found.line) if found else self._of_commit(text)

    def _of_commit(self, text: str) -> Side:
        sha = self._repository.resolve(text)
        commit = self._repository.commit(sha)
        [row] = history.log([commit], self._records.states, self._records.journal.runs())
        return Side(name=text, commit=sha, subject=commit.subject, params=self._params(sha), metrics=metrics_of(row))

    def _of_version(self, text: str, line: VersionLine) -> Side:
        """A version: as it was trained, with values that were given at run time."""
        if not line.commits:
            raise RepositoryError(f"nobody knows the commit of {text}")
        sha = line.commits[0]
        params = self._params(sha)
        if params is not None:
            params = {**params, **self._given(line)}
        return Side(
            name=text,
            commit=sha,
            subject=self._repository.commit(sha).subject,
            model=line.model,
            version=line.version,
            params=params,
            metrics={line.model: line.metrics},
        )

    def _given(self, line: VersionLine) -> Mapping[str, ParamValue]:
        """The values that its stages had, as far as the registry tells; those of a matrix are each instance's own."""
        try:
            trace = self._records.registered.trace(line.model, line.version)
        except CimlError:
            return {}
        stages = trace.stages if trace else ()
        return {
            name: value for stage in stages for name, value in stage.params.items() if not name.startswith("matrix.")
        }

    def _params(self, commit: CommitSha) -> dict[str, ParamValue] | None:
        try:
            return self._documents.pipeline(self._repository.commit_tree(commit)).params
        except ConfigurationError:
            return None


def _params_files(tree: Tree, documents: Documents) -> Sequence[RepoPath]:
    try:
        return documents.pipeline(tree).params_files
    except ConfigurationError:
        return ()


def _data(trees: Sequence[Tree], parse: Parse, differ: Differ, tables: TablesOf | None) -> list[DataDifference]:
    """How data differs; where a listing cannot be had, that it does."""
    old, new = ({item.path: item for item in manifests(tree, parse)} for tree in trees)
    found = []
    for path in sorted({*old, *new}):
        one, other = old.get(path), new.get(path)
        if (one.digest if one else None) != (other.digest if other else None):
            differs = _difference(path, one, other, differ)
            found.append(msgspec.structs.replace(differs, table=tables(one, other)) if tables else differs)
    return found


def _differing(fetch: Fetch, bring: Bring) -> Differ:
    return lambda path, before, after: difference(path, before, after, fetch, bring)


def _difference(path: RepoPath, before: Manifest | None, after: Manifest | None, differ: Differ) -> DataDifference:
    try:
        return differ(path, before, after)
    except (RepositoryError, ServiceError):
        return DataDifference(
            path=path,
            before=before.digest if before else None,
            after=after.digest if after else None,
            files=Tally(),
        )
