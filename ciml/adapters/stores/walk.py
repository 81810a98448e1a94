"""What lies below a folder, found in the order of its listing.

The walk goes from folder to folder by descriptor, so that no link that is swapped in meanwhile leads
elsewhere, and in the listing's own order, so that a million files need no more memory than one folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from ciml.adapters import files
from ciml.adapters.files import Signature
from ciml.core import listing
from ciml.core.errors import StageError
from ciml.core.listing import Entry

VISITED = 0
"""The kind of a folder that holds something: it is no entry of a listing."""

_SETTLED_NS = 20_000_000
"""A file changed so shortly before it is looked at might change again without a trace: clocks tick in ms."""


class Taken(NamedTuple):
    """Something at or below a path, as it was when its bytes were read."""

    path: bytes
    """Below the top, which is b"" itself; a folder that holds something ends in a slash."""
    signature: Signature | None
    """None where it was written so lately that it may change again without a trace."""
    entry: Entry | None
    """None for a folder that holds something."""


class Found:
    """Something in a directory, in the order of its listing."""

    __slots__ = ("before", "folder", "kind", "name", "signature")

    def __init__(self, folder: bytes, name: bytes, kind: int, signature: Signature | None = None) -> None:
        self.folder = folder
        """Below the top, with a final slash; b"" is the top itself."""
        self.name = name
        self.kind = kind
        """`listing.FILE`, `LINK`, `FOLDER` (an empty one), or `VISITED`."""
        self.signature = signature
        """Of a folder."""
        self.before: Taken | None = None
        """What is remembered of it."""

    @property
    def path(self) -> bytes:
        """Below the top."""
        return self.folder + self.name


def walk(top: int, name: str) -> Iterator[Found]:
    """Everything below `top`: sorted by path as bytes, where the name of a folder that holds something ends in `/`.

    Args:
        top: a descriptor of the folder.
        name: what it is called in errors.

    Raises:
        StageError: a folder cannot be read, or something else took its place meanwhile.
    """
    names, signature = _listed(top, b"", name)
    yield Found(b"", b"", VISITED, signature)
    pending = [(b"", names)]
    while pending:
        folder, names = pending[-1]
        if not names:
            pending.pop()
            continue
        child, kind = names.pop()
        path = folder + child
        if kind not in (VISITED, listing.FOLDER):
            yield Found(folder, child, kind)
            continue
        inner, signature = _listed(top, path.rstrip(b"/") + b"/", name)
        if kind == listing.FOLDER and inner:
            raise changed(shown(name, path))
        if inner:
            yield Found(folder, child, VISITED, signature)
            pending.append((path, inner))
        else:
            yield Found(folder, child.rstrip(b"/"), listing.FOLDER, signature)


def _listed(top: int, folder: bytes, name: str) -> tuple[list[tuple[bytes, int]], Signature | None]:
    """Name and kind of what a folder holds, last first, and its signature."""
    found = []
    try:
        fd = open_folder(top, folder, name)
        try:
            signature = settled(os.fstat(fd), time.time_ns())
            with os.scandir(fd) as entries:
                for entry in entries:
                    child = os.fsencode(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        found.append((child + b"/", VISITED))
                    else:
                        found.append((child, listing.LINK if entry.is_symlink() else listing.FILE))
        finally:
            os.close(fd)
    except PermissionError as error:
        raise files.unreadable(shown(name, folder), error) from error
    found.sort(reverse=True)
    _place_empty(top, folder, name, found)
    return found, signature


def _place_empty(top: int, folder: bytes, name: str, found: list[tuple[bytes, int]]) -> None:
    """Give empty folders the place that a listing gives them: before `a.b` comes `a` if it is empty, after it `a/`."""
    moved = False
    for number in range(len(found) - 1):
        child, kind = found[number]
        doubtful = kind == VISITED and found[number + 1][0].startswith(child[:-1])
        if doubtful and _is_empty(open_folder(top, folder + child, name)):
            found[number] = (child[:-1], listing.FOLDER)
            moved = True
    if moved:
        found.sort(reverse=True)


def _is_empty(fd: int) -> bool:
    """Whether a folder holds nothing; its descriptor is closed."""
    try:
        with os.scandir(fd) as entries:
            return next(entries, None) is None
    finally:
        os.close(fd)


def open_folder(top: int, path: bytes, name: str) -> int:
    """A descriptor of a folder below `top`, whose path ends in a slash and in no part of which is a link."""
    folder = os.dup(top)
    for part in path.split(b"/")[:-1]:
        try:
            inner = os.open(part, files.FOLDER, dir_fd=folder)
        except PermissionError as error:
            raise files.unreadable(shown(name, path), error) from error
        except OSError as error:
            raise changed(shown(name, path)) from error
        finally:
            os.close(folder)
        folder = inner
    return folder


def settled(status: os.stat_result, now: int, size: int | None = None) -> Signature | None:
    """The signature of a file that was read at `now` (ns since 1970) or later; None where it might deceive.

    Args:
        status: as it was before the file was read.
        now: a time before that.
        size: how many bytes were read, where they were.
    """
    moved = max(status.st_mtime_ns, status.st_ctime_ns) > now - _SETTLED_NS
    return None if moved or (size is not None and size != status.st_size) else files.signature(status)


def changed(shown: str) -> StageError:
    """The error for a folder or a file that was moved away or replaced."""
    return StageError(f"{shown} changed while it was read", hint="Something still writes to it.")


def shown(name: str, path: bytes) -> str:
    """What a path below a folder is called in errors."""
    return f"{name}/{os.fsdecode(path)}".rstrip("/")
