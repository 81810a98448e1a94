"""What lies at a path, taken into a store: files as they are, a directory as its listing."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from ciml.adapters import files
from ciml.adapters.batched import batched
from ciml.adapters.stores.pair import BATCH, Pair
from ciml.adapters.stores.walk import VISITED, Found, Taken, changed, open_folder, settled, shown, walk
from ciml.core import listing
from ciml.core.errors import StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry
from ciml.core.results import Output


class Listings(Protocol):
    """Where listings go."""

    def put(self, data: bytes) -> Digest:
        """The digest of `data`, now kept."""
        ...

    def forked(self) -> None:
        """From here on this is a second process beside the first one."""
        ...


class Sink(Listings, Protocol):
    """Where bytes go; it may also just hash them."""

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        """Digest, status and size of a regular file, now kept."""
        ...

    def keeps(self, digest: Digest, size: int) -> bool:
        """Whether those bytes are kept already, and stay."""
        ...

    def finish(self) -> None:
        """Keep for good what the second process has put."""
        ...


class Watch(Protocol):
    """Remembers what was read, so that it need not be read again."""

    def known(self) -> Iterator[Taken]:
        """What is remembered, sorted by path."""
        ...

    def add(self, taken: Taken) -> None:
        """Remember this; it comes sorted by path."""
        ...


def ingest(path: str, name: RepoPath, sink: Sink, watch: Watch | None = None) -> Output:
    """The file or directory at `path`, in the sink.

    Args:
        path: absolute.
        name: what it is called in errors and in the answer.
        sink: where the bytes go.
        watch: what is remembered of `path` is not read again where its signature is the same.

    Raises:
        TrustError: it is a link, or holds one that leaves it.
        StageError: it is missing, cannot be read, or is or holds a named pipe, a socket or a device.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        raise StageError(f"{name} does not exist") from error
    if stat.S_ISLNK(status.st_mode):
        raise TrustError(f"{name} is a symbolic link", hint="Copy the file to the declared path.")
    if not stat.S_ISDIR(status.st_mode):
        return _file(path, name, sink, watch)
    return _directory(path, name, sink, watch)


def store_listing(entries: Iterator[Entry], name: RepoPath, sink: Listings) -> Output:
    """A directory by its entries: its listing, in the sink."""
    root = b""
    digest = listing.EMPTY
    for root in listing.objects(entries):
        digest = sink.put(root)
    size, count = listing.totals(root)
    return Output(path=name, digest=digest, size=size, files=count, directory=True)


def _file(path: str, name: RepoPath, sink: Sink, watch: Watch | None) -> Output:
    now = time.time_ns()
    digest, status, size = sink.put_file(path, name)
    mode = listing.EXECUTABLE if status.st_mode & 0o100 else listing.FILE
    if watch is not None:
        entry = Entry(path=b"", mode=mode, digest=digest, size=size)
        watch.add(Taken(b"", settled(status, now, size), entry))
    return Output(path=name, digest=digest, size=size, executable=mode == listing.EXECUTABLE)


def _directory(path: str, name: RepoPath, sink: Sink, watch: Watch | None) -> Output:
    try:
        top = os.open(path, files.FOLDER)
    except PermissionError as error:
        raise files.unreadable(name, error) from error
    reader = _Reader(top, name, sink)
    pair = Pair[Found, Taken](reader.taken, sink.forked, sink.finish)
    found = walk(top, name) if watch is None else _remembered(walk(top, name), watch.known())
    try:
        return store_listing(_entries(pair.run(batched(found, BATCH)), watch), name, sink)
    finally:
        pair.close()
        reader.close()
        os.close(top)


def _entries(all_taken: Iterator[Taken], watch: Watch | None) -> Iterator[Entry]:
    for taken in all_taken:
        if watch is not None:
            watch.add(taken)
        if taken.entry is not None:
            yield taken.entry


def _remembered(all_found: Iterator[Found], known: Iterator[Taken]) -> Iterator[Found]:
    """The same, with what is remembered of each; both are sorted by path."""
    before = next(known, None)
    for found in all_found:
        path = found.path
        while before is not None and before.path < path:
            before = next(known, None)
        if before is not None and before.path == path:
            found.before = before
        yield found


class _Reader:
    """Reads what the walk found into the sink."""

    def __init__(self, top: int, name: str, sink: Sink) -> None:
        self._top = top
        self._name = name
        self._sink = sink
        self._folder = b""
        self._fd = os.dup(top)

    def close(self) -> None:
        """Close the folder that was read last."""
        os.close(self._fd)

    def taken(self, batch: Sequence[Found]) -> list[Taken]:
        """What was found, its bytes now in the sink."""
        now = time.time_ns()
        return [self._taken(item, now) for item in batch]

    def _taken(self, item: Found, now: int) -> Taken:
        path = item.path
        if item.kind == VISITED:
            return Taken(path, item.signature, None)
        if item.kind == listing.FOLDER:
            return Taken(path, item.signature, Entry(path=path, mode=listing.FOLDER, digest=listing.EMPTY, size=0))
        if item.folder != self._folder:
            fd = open_folder(self._top, item.folder, self._name)
            os.close(self._fd)
            self._fd, self._folder = fd, item.folder
        try:
            if item.before is not None and self._stands(item, item.before):
                return item.before
            if item.kind == listing.LINK:
                return self._link(item, path, now)
            digest, status, size = self._sink.put_file(item.name, shown(self._name, path), self._fd)
        except FileNotFoundError as error:
            raise changed(shown(self._name, path)) from error
        mode = listing.EXECUTABLE if status.st_mode & 0o100 else listing.FILE
        return Taken(path, settled(status, now, size), Entry(path=path, mode=mode, digest=digest, size=size))

    def _stands(self, item: Found, before: Taken) -> bool:
        """Whether a file or link is what it was, and its bytes need not be read again."""
        if before.entry is None or before.signature is None:
            return False
        status = os.stat(item.name, dir_fd=self._fd, follow_symlinks=False)
        same = files.signature(status) == before.signature
        return same and self._sink.keeps(before.entry.digest, before.entry.size)

    def _link(self, item: Found, path: bytes, now: int) -> Taken:
        try:
            status = os.stat(item.name, dir_fd=self._fd, follow_symlinks=False)
            target = os.readlink(item.name, dir_fd=self._fd)
        except OSError as error:
            raise changed(shown(self._name, path)) from error
        if not stays_inside(path, target):
            raise TrustError(
                f"{shown(self._name, path)} is a symbolic link that leaves {self._name}: {os.fsdecode(target)!r}",
                hint="Copy what it points to, or link to a file inside the same directory by a relative path.",
            )
        entry = Entry(path=path, mode=listing.LINK, digest=self._sink.put(target), size=len(target))
        return Taken(path, settled(status, now, len(target)), entry)


def stays_inside(path: bytes, target: bytes) -> bool:
    """Whether the link at `path`, below some top, cannot lead out of that top.

    `..` may only begin the target, and not climb above the top: behind a name it could start from
    wherever a second link leads. Since every link obeys this, no chain of them leaves either.
    """
    parts = target.split(b"/")
    up = 0
    while up < len(parts) and parts[up] == b"..":
        up += 1
    return bool(target) and not target.startswith(b"/") and up <= path.count(b"/") and b".." not in parts[up:]


class Hasher:
    """A sink that keeps nothing."""

    def put(self, data: bytes) -> Digest:
        """The digest of `data`."""
        import hashlib

        return Digest(hashlib.sha256(data).hexdigest())

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        """Digest, status and size of a regular file."""
        fd, status = files.open_regular(path, shown, folder=folder)
        try:
            digest, size = files.digest(fd, status.st_size)
        finally:
            os.close(fd)
        return digest, status, size

    def keeps(self, digest: Digest, size: int) -> bool:
        """Always: there is nothing to keep."""
        return True

    def forked(self) -> None:
        """Nothing to tell apart."""

    def finish(self) -> None:
        """Nothing to keep."""


class Lister(Hasher):
    """A sink that keeps listings and not the bytes that they list.

    Args:
        sink: where the listings go.
    """

    def __init__(self, sink: Listings) -> None:
        self._sink = sink

    def put(self, data: bytes) -> Digest:
        """The digest of `data`, now kept."""
        return self._sink.put(data)

    def forked(self) -> None:
        """As the sink behind it."""
        self._sink.forked()
