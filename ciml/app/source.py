"""Data that comes from S3: what differs there from a manifest, and the manifest of what is there now.

Nothing is listed twice and nothing is fetched: S3 is asked for the SHA-256 of what is new, and only where it
has none are the bytes read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from ciml.app.datadiff import MAX_CHANGES, changes, tallied
from ciml.core import listing
from ciml.core.dataset import FileChange, Tally
from ciml.core.errors import ConfigurationError, IntegrityError, ServiceError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Change, Entry, Fetch
from ciml.core.manifest import Manifest, manifest_paths
from ciml.core.results import Output
from ciml.core.source import SourceObject, data_entry, files, index_entry, indexed, paired, same_object
from ciml.core.value import Value


class Source(Protocol):
    """A bucket's prefix, or one object."""

    @property
    def address(self) -> str:
        """`s3://bucket/prefix/`, or `s3://bucket/key`."""
        ...

    @property
    def is_prefix(self) -> bool:
        """Whether it is many objects."""
        ...

    def objects(self) -> Iterator[SourceObject]:
        """What is there, sorted by path, by listing alone: without versions and digests."""
        ...

    def identified(self, items: Iterable[SourceObject]) -> Iterator[SourceObject]:
        """The same, in order, with versions and digests; what is gone meanwhile is left out.

        An object that is replaced while it is read is read again: what comes back is one state of it.

        Raises:
            RaceError: it is replaced again and again.
        """
        ...

    def fetch(self, items: Iterable[SourceObject]) -> None:
        """Let the clone's own store have the bytes of these objects, each as it is pinned, verified.

        Raises:
            IntegrityError: one is not there any more as it is pinned, or its bytes are others.
        """
        ...


class Listings(Protocol):
    """Where listings are kept."""

    def put_listing(self, entries: Iterable[Entry], *, name: RepoPath) -> Output:
        """A directory by its entries, sorted by path; their bytes need not be here."""
        ...

    def read(self, digest: Digest) -> bytes:
        """An object of a listing, verified."""
        ...


class SourceDiff(Value, frozen=True, kw_only=True):
    """What differs at a source from what a manifest says."""

    files: Tally
    changes: tuple[FileChange, ...] = ()
    """The first of them, sorted by path."""


class SourceUpdate(Value, frozen=True, kw_only=True):
    """A manifest of what is at a source now, and how that differs from before."""

    manifest: Manifest
    diff: SourceDiff


def source_changes(manifest: Manifest, source: Source, fetch: Fetch) -> SourceDiff:
    """What differs at a source from what a manifest says, by listing alone.

    Args:
        manifest: names the source, and the index of what was there.
        source: what is there now.
        fetch: an object of a listing.

    Raises:
        ServiceError: the source or the index cannot be reached.
    """
    pairs = paired(_before(manifest, fetch), _now(source))
    found = (_change(before, now) for before, now in pairs if not (before and now and same_object(before, now)))
    tally, first = tallied(found, manifest.path)
    return SourceDiff(files=tally, changes=tuple(first))


def is_listed(manifest: Manifest, fetch: Fetch) -> bool:
    """Whether what tells of a manifest's files can be had, as far as its roots tell."""
    try:
        for digest in filter(None, (manifest.digest if manifest.directory else None, manifest.index)):
            fetch(digest)
    except (IntegrityError, ServiceError):
        return False
    return True


def update_from_source(
    path: RepoPath, manifest: Manifest | None, source: Source, store: Listings, fetch: Fetch, *, anew: bool = False
) -> SourceUpdate:
    """The manifest of what is at a source now. It is not written.

    Only what changed since the manifest is asked for its digest; the listings share what did not.

    Args:
        path: what the manifest stands for.
        manifest: as it is; None for a new one.
        source: what is there now.
        store: keeps the new listings.
        fetch: an object of a listing of before.
        anew: ask for everything, since the listing of before cannot be had; it counts as one of nothing.

    Raises:
        ConfigurationError: there is nothing at the source, or its keys cannot be paths.
        RaceError: an object is replaced again and again while it is read.
        ServiceError: the source or the index cannot be reached.
    """
    before = None if manifest is None or anew else manifest.output
    kept = None if manifest is None or anew or manifest.source != source.address else manifest
    items = (_carried(old, new) for old, new in paired(_before(kept, fetch), _now(source)) if new is not None)
    identified = source.identified(items)
    new = _of_prefix(path, identified, source, store) if source.is_prefix else _of_object(path, identified, source)
    if new is None:
        raise _nothing_at(source, manifest)
    tally, first = tallied(changes(before, new.output, fetch), path, keep=MAX_CHANGES)
    return SourceUpdate(manifest=new, diff=SourceDiff(files=tally, changes=tuple(first)))


def _nothing_at(source: Source, manifest: Manifest | None) -> ConfigurationError:
    what = "nothing at" if source.is_prefix else "no object"
    if manifest is not None:
        return ConfigurationError(
            f"there is {what} {source.address} any more, where {manifest.path} comes from",
            hint=f"Look at the bucket, and at who may list it; where the data is given up: git rm {manifest.file}",
        )
    if source.is_prefix:
        hint = "Look at the address, and at who may list the bucket."
    else:
        hint = "The address of a prefix, which is many, ends in a slash."
    return ConfigurationError(f"there is {what} {source.address}", hint=hint)


def _of_prefix(path: RepoPath, items: Iterator[SourceObject], source: Source, store: Listings) -> Manifest | None:
    """The manifest of what lies below a prefix; None where nothing does."""
    index = store.put_listing(map(index_entry, items), name=path)
    if not index.files:
        return None
    # Read back, so that however many objects there are, few are held at a time.
    entries = (data_entry(indexed(entry)) for entry in listing.entries(index.digest, store.read))
    output = store.put_listing(entries, name=path)
    return Manifest(
        file=manifest_paths(path)[0],
        path=path,
        digest=output.digest,
        size=output.size,
        files=output.files,
        directory=True,
        source=source.address,
        index=index.digest,
    )


def _of_object(path: RepoPath, items: Iterator[SourceObject], source: Source) -> Manifest | None:
    """The manifest of one object; None where there is none."""
    item = next(items, None)
    if item is None or item.digest is None:
        return None
    return Manifest(
        file=manifest_paths(path)[0],
        path=path,
        digest=item.digest,
        size=item.size,
        files=1,
        directory=False,
        source=source.address,
        object_version=item.version,
        etag=item.etag,
    )


def pinned(manifest: Manifest, fetch: Fetch) -> Iterator[SourceObject]:
    """The objects that a manifest pins, sorted by path; none where it has no source.

    Raises:
        ServiceError: the index cannot be reached.
    """
    if manifest.source and manifest.index:
        yield from map(indexed, listing.entries(manifest.index, fetch))
    elif manifest.source and not manifest.directory:
        yield SourceObject(
            path=b"",
            size=manifest.size,
            etag=manifest.etag or "",
            version=manifest.object_version,
            digest=manifest.digest,
        )


def _before(manifest: Manifest | None, fetch: Fetch) -> Iterator[SourceObject]:
    return iter(()) if manifest is None else pinned(manifest, fetch)


def _now(source: Source) -> Iterator[SourceObject]:
    return files(source.objects(), source.address) if source.is_prefix else source.objects()


def _carried(before: SourceObject | None, now: SourceObject) -> SourceObject:
    """What is there now, with what is known of it where it is what it was."""
    return before if before is not None and same_object(before, now) else now


def _change(before: SourceObject | None, now: SourceObject | None) -> Change:
    path = (before or now or _NOTHING).path
    return Change(path=path, before=_entry(before), after=_entry(now))


_NOTHING = SourceObject(path=b"", size=0, etag="")


def _entry(item: SourceObject | None) -> Entry | None:
    """An entry to count with: its digest is of no interest."""
    if item is None:
        return None
    return Entry(path=item.path, mode=listing.FILE, digest=item.digest or listing.EMPTY, size=item.size)
