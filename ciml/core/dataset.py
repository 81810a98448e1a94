"""Data behind manifests: how it stands on disk and at its source, and how two versions of it differ."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ciml.core.ids import Digest, RepoPath
from ciml.core.value import Value

if TYPE_CHECKING:
    from ciml.core.manifest import Manifest


class DataState(StrEnum):
    """How the data at a manifest's path stands."""

    UP_TO_DATE = "up-to-date"
    EDITED = "edited"
    """It lies there, and is not what the manifest says."""
    OTHER = "other-version"
    """It lies there, is not what the manifest says, and all its bytes are in the store: replacing it loses nothing."""
    MISDESCRIBED = "misdescribed"
    """It lies there with the digest that the manifest names, and another size or number of files."""
    NOT_HERE = "not-here"
    """Nothing lies there, and all its bytes are in the store."""
    MISSING = "missing"
    """Nothing lies there, and not all of its bytes are in the local store."""


class Tally(Value, frozen=True, kw_only=True):
    """How much two versions of data do not have in common."""

    added: int = 0
    """Files."""
    removed: int = 0
    changed: int = 0
    bytes_added: int = 0
    """Of files that were added, and of changed ones as they are now."""
    bytes_removed: int = 0
    """Of files that were removed, and of changed ones as they were."""

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed)


class FileChange(Value, frozen=True, kw_only=True):
    """One file that two versions of data do not have in common."""

    path: RepoPath
    """In the repository."""
    before: int | None
    """Bytes; None where it is new."""
    after: int | None
    """Bytes; None where it is gone."""


class DataStatus(Value, frozen=True, kw_only=True):
    """How the data of one manifest stands."""

    path: RepoPath
    manifest: RepoPath
    state: DataState
    digest: Digest
    """As the manifest says."""
    size: int
    files: int
    edited: Tally | None = None
    """What differs on disk; None where nothing does or the manifest's own listing cannot be had."""
    source: str | None = None
    at_source: Tally | None = None
    """What differs at its source; None where that was not asked."""
    shared: bool | None = None
    """Whether the store that others use has its bytes; None where that was not asked."""


class DataMove(Value, frozen=True, kw_only=True):
    """What a commit did to the data of one manifest, as the manifests say."""

    path: RepoPath
    files: int
    """As the commit has it; 0 where the manifest is gone."""
    size: int
    """Bytes, as the commit has it."""
    files_before: int | None
    """None where there was no manifest."""
    size_before: int | None


def move_of(path: RepoPath, before: Manifest | None, after: Manifest | None) -> DataMove:
    """What became of the data at a path, by its manifest before and after; None where there was none."""
    return DataMove(
        path=path,
        files=after.files if after else 0,
        size=after.size if after else 0,
        files_before=before.files if before else None,
        size_before=before.size if before else None,
    )


class TableDifference(Value, frozen=True, kw_only=True):
    """How the table that data is differs between two versions of it."""

    rows_before: int | None
    """None where there was no table."""
    rows_after: int | None
    columns_added: tuple[str, ...] = ()
    columns_lost: tuple[str, ...] = ()


class DataDifference(Value, frozen=True, kw_only=True):
    """How the data at one path differs between two states of a repository."""

    path: RepoPath
    before: Digest | None
    """None where there was no manifest."""
    after: Digest | None
    files: Tally
    changes: tuple[FileChange, ...] = ()
    """The first of them, sorted by path."""
    table: TableDifference | None = None
    """None where that was not asked, or neither version is a table."""
