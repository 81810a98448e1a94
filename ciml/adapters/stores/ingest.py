"""What lies at a path, taken into a store: files as they are, a directory as its listing.

The walk goes from folder to folder by descriptor, so that no link that is swapped in meanwhile leads
elsewhere, and in the listing's own order, so that a million files need no more memory than one folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

from ciml.adapters import files
from ciml.adapters.stores.pair import Pair, batched
from ciml.core import listing
from ciml.core.errors import StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry
from ciml.core.results import Output


class Sink(Protocol):
    """Where bytes go; it may also just hash them."""

    def put(self, data: bytes) -> Digest:
        """The digest of `data`, now kept."""
        ...

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        """Digest, status and size of a regular file, now kept."""
        ...

    def forked(self) -> None:
        """From here on this is a second process beside the first one."""
        ...


class Found:
    """Something in a directory, in the order of its listing."""

    __slots__ = ("folder", "kind", "name")

    def __init__(self, folder: bytes, name: bytes, kind: int) -> None:
        self.folder = folder
        """Below the top, with a final slash; b"" is the top itself."""
        self.name = name
        self.kind = kind
        """`listing.FILE`, `LINK` or `FOLDER` (an empty one)."""

    @property
    def path(self) -> bytes:
        """Below the top."""
        return self.folder + self.name


def ingest(path: str, name: RepoPath, sink: Sink) -> Output:
    """The file or directory at `path`, in the sink.

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
        digest, status, size = sink.put_file(path, name)
        return Output(path=name, digest=digest, size=size, executable=bool(status.st_mode & 0o100))
    return _directory(path, name, sink)


def store_listing(entries: Iterator[Entry], name: RepoPath, sink: Sink) -> Output:
    """A directory by its entries: its listing, in the sink."""
    root = b""
    digest = listing.EMPTY
    for root in listing.objects(entries):
        digest = sink.put(root)
    size, count = listing.totals(root)
    return Output(path=name, digest=digest, size=size, files=count, directory=True)


def _directory(path: str, name: RepoPath, sink: Sink) -> Output:
    try:
        top = os.open(path, files.FOLDER)
    except PermissionError as error:
        raise files.unreadable(name, error) from error
    reader = _Reader(top, name, sink)
    pair = Pair[Found, Entry](reader.entries, sink.forked)
    try:
        return store_listing(pair.run(batched(_walk(top, name))), name, sink)
    finally:
        pair.close()
        reader.close()
        os.close(top)


def _walk(top: int, name: str) -> Iterator[Found]:
    """Everything below `top`: sorted by path as bytes, where a folder's name ends in its slash."""
    pending = [(b"", _names(os.dup(top), name))]
    while pending:
        folder, names = pending[-1]
        if not names:
            pending.pop()
            continue
        child, kind = names.pop()
        if kind != listing.FOLDER:
            yield Found(folder, child, kind)
            continue
        inner = _names(_open_folder(top, folder + child, name), _shown(name, folder + child))
        if inner:
            pending.append((folder + child, inner))
        else:
            yield Found(folder, child[:-1], kind)


def _names(fd: int, shown: str) -> list[tuple[bytes, int]]:
    """Name and kind of what a folder holds, last first; the descriptor is closed."""
    found = []
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    found.append((name + b"/", listing.FOLDER))
                else:
                    found.append((name, listing.LINK if entry.is_symlink() else listing.FILE))
    except PermissionError as error:
        raise files.unreadable(shown, error) from error
    finally:
        os.close(fd)
    found.sort(reverse=True)
    return found


def _open_folder(top: int, path: bytes, name: str) -> int:
    """A descriptor of a folder below `top`, where no part of its path is a link."""
    folder = os.dup(top)
    for part in path.split(b"/")[:-1]:
        try:
            inner = os.open(part, files.FOLDER, dir_fd=folder)
        except PermissionError as error:
            raise files.unreadable(_shown(name, path), error) from error
        except OSError as error:
            raise _changed(_shown(name, path)) from error
        finally:
            os.close(folder)
        folder = inner
    return folder


def _changed(shown: str) -> StageError:
    return StageError(f"{shown} changed while it was read", hint="Something that the stage started still writes to it.")


def _shown(name: str, path: bytes) -> str:
    return f"{name}/{os.fsdecode(path)}".rstrip("/")


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

    def entries(self, batch: Sequence[Found]) -> list[Entry]:
        """The listing's entries for what was found, whose bytes are now in the sink."""
        return [self._entry(item) for item in batch]

    def _entry(self, item: Found) -> Entry:
        if item.kind == listing.FOLDER:
            return Entry(path=item.path, mode=listing.FOLDER, digest=listing.EMPTY, size=0)
        if item.folder != self._folder:
            fd = _open_folder(self._top, item.folder, self._name)
            os.close(self._fd)
            self._fd, self._folder = fd, item.folder
        if item.kind == listing.LINK:
            return self._link(item)
        try:
            digest, status, size = self._sink.put_file(item.name, _shown(self._name, item.path), self._fd)
        except FileNotFoundError as error:
            raise _changed(_shown(self._name, item.path)) from error
        mode = listing.EXECUTABLE if status.st_mode & 0o100 else listing.FILE
        return Entry(path=item.path, mode=mode, digest=digest, size=size)

    def _link(self, item: Found) -> Entry:
        try:
            target = os.readlink(item.name, dir_fd=self._fd)
        except OSError as error:
            raise _changed(_shown(self._name, item.path)) from error
        if not stays_inside(item.path, target):
            raise TrustError(
                f"{_shown(self._name, item.path)} is a symbolic link that leaves {self._name}: {os.fsdecode(target)!r}",
                hint="Copy what it points to, or link to a file inside the same directory by a relative path.",
            )
        return Entry(path=item.path, mode=listing.LINK, digest=self._sink.put(target), size=len(target))


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

    def forked(self) -> None:
        """Nothing to tell apart."""
