"""How two versions of data differ: counted, and the first files named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ciml.core import listing
from ciml.core.dataset import DataDifference, FileChange, Tally
from ciml.core.ids import RepoPath
from ciml.core.listing import Change, Entry, Fetch
from ciml.core.manifest import Manifest
from ciml.core.results import Output

Bring = Callable[[Manifest], Output]

MAX_CHANGES = 1000
"""Files that a difference names; it counts all."""


def changes(before: Output | None, after: Output | None, fetch: Fetch) -> Iterable[Change]:
    """Where two versions of data differ, sorted by path; leaves of listings that both share are not fetched."""
    if before and after and before.directory and after.directory:
        return listing.differences(before.digest, after.digest, fetch)
    if before and after and before.digest == after.digest:
        return ()
    old, new = ([] if output is None else _entries(output, fetch) for output in (before, after))
    return listing.merged(iter(old), iter(new))


def _entries(output: Output, fetch: Fetch) -> Iterable[Entry]:
    if output.directory:
        return listing.entries(output.digest, fetch)
    return [Entry(path=b"", mode=listing.FILE, digest=output.digest, size=output.size)]


def tallied(found: Iterable[Change], path: RepoPath, *, keep: int = MAX_CHANGES) -> tuple[Tally, list[FileChange]]:
    """How many files and bytes they are, and the first of them."""
    added = removed = changed = more = less = 0
    kept: list[FileChange] = []
    for change in found:
        before, after = _file(change.before), _file(change.after)
        added += before is None and after is not None
        removed += after is None and before is not None
        changed += before is not None and after is not None
        more += after.size if after else 0
        less += before.size if before else 0
        if (before or after) and len(kept) < keep:
            kept.append(_change(path, change.path, before, after))
    return Tally(added=added, removed=removed, changed=changed, bytes_added=more, bytes_removed=less), kept


def _file(entry: Entry | None) -> Entry | None:
    """The entry, where it is no empty folder."""
    return None if entry is None or entry.mode == listing.FOLDER else entry


def difference(
    path: RepoPath, before: Manifest | None, after: Manifest | None, fetch: Fetch, bring: Bring | None = None
) -> DataDifference:
    """How the data at one path differs between two manifests.

    Args:
        path: of the data.
        before: None where there was none.
        after: None where there is none any more.
        fetch: an object of a listing.
        bring: what a pointer of DVC's stands for, whose own list has no sizes; None: such cannot be compared.

    Raises:
        ServiceError: a listing cannot be reached.
        RepositoryError: what a pointer stands for is nowhere to be had.
    """
    same = before and after and before.digest == after.digest
    old, new = (None if same else _meant(manifest, bring) for manifest in (before, after))
    files, first = tallied(changes(old, new, fetch), path)
    return DataDifference(
        path=path,
        before=before.digest if before else None,
        after=after.digest if after else None,
        files=files,
        changes=tuple(first),
    )


def _meant(manifest: Manifest | None, bring: Bring | None) -> Output | None:
    if manifest is None:
        return None
    return bring(manifest) if manifest.md5 and bring else manifest.output


def _change(path: RepoPath, below: bytes, before: Entry | None, after: Entry | None) -> FileChange:
    return FileChange(
        path=RepoPath(f"{path}/{os.fsdecode(below)}".rstrip("/")),
        before=before.size if before else None,
        after=after.size if after else None,
    )
