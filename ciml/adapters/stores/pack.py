"""A pack: many small objects in one file, since making a file takes longer than hashing what is in it.

    the bytes of the objects, end to end
    a row for each, sorted: SHA-256 (32 bytes), offset (8), size (8)
    "ciml/pack/1\\0" and the number of rows (8)

Its name is the SHA-256 of all that follows the objects' bytes, so that a pack whose rows are torn or
edited is noticed when it is opened. The objects prove themselves, as they do everywhere. Numbers are
big-endian. An object in a pack has at most `files.SMALL` bytes.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from ciml.adapters import files
from ciml.core.errors import StageError
from ciml.core.ids import Digest

_ROW = struct.Struct(">32sQQ")
_FOOTER = struct.Struct(">12sQ")
_MAGIC = b"ciml/pack/1\0"

_LARGEST = 1 << 30
"""Bytes of objects from which a pack is full: so much is copied at most to take one out."""

_MOST = 1 << 17
"""Objects with which a pack is full: its writer holds their digests, about 25 MB."""

_PIECE = 1 << 20
"""Bytes that are written at a time."""


class Pack:
    """A pack whose rows are in memory; its file is opened for each object that is read.

    Args:
        path: where it lies.
        rows: what is said of its objects, sorted.
    """

    def __init__(self, path: str, rows: bytes) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self._rows = rows
        # The first 8 bytes of each digest as numbers, which are found without a call of Python's for each step.
        self._starts = array("Q", memoryview(rows).cast("Q")[:: _ROW.size // 8].tobytes())
        if sys.byteorder == "little":
            self._starts.byteswap()

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, name: bytes) -> int | None:
        """The number of the row of an object, by its digest's 32 bytes; None where there is none."""
        start = int.from_bytes(name[:8], "big")
        number = bisect_left(self._starts, start)
        while number < len(self._starts) and self._starts[number] == start:
            if self._rows.startswith(name, number * _ROW.size):
                return number
            number += 1
        return None

    def row(self, number: int) -> tuple[bytes, int, int]:
        """Digest (32 bytes), offset and size of an object."""
        found: tuple[bytes, int, int] = _ROW.unpack_from(self._rows, number * _ROW.size)
        return found

    def rows(self) -> Iterator[tuple[bytes, int, int]]:
        """All of them, sorted by digest."""
        return _ROW.iter_unpack(self._rows)

    def read(self, number: int) -> bytes:
        """The bytes of an object, not verified. FileNotFoundError or StageError where the pack has gone."""
        _, offset, size = self.row(number)
        fd, _ = files.open_regular(self.path, self.name)
        try:
            return os.pread(fd, min(size, files.SMALL), offset)
        finally:
            os.close(fd)

    def objects(self) -> Iterator[tuple[bytes, bytes]]:
        """Digest (32 bytes) and bytes of each object, not verified, in the order of the bytes."""
        fd, _ = files.open_regular(self.path, self.name)
        try:
            for name, offset, size in sorted(self.rows(), key=lambda row: row[1]):
                yield name, os.pread(fd, min(size, files.SMALL), offset)
        finally:
            os.close(fd)


def opened(path: str) -> Pack | None:
    """The pack at a path; None where what lies there is none, or is torn. FileNotFoundError where nothing does."""
    try:
        fd, status = files.open_regular(path, os.path.basename(path))
    except StageError:
        return None
    try:
        end = max(status.st_size - _FOOTER.size, 0)
        footer = os.pread(fd, _FOOTER.size, end)
        if len(footer) < _FOOTER.size:
            return None
        magic, count = _FOOTER.unpack(footer)
        if magic != _MAGIC or count * _ROW.size > end:
            return None
        rows = os.pread(fd, count * _ROW.size, end - count * _ROW.size)
    finally:
        os.close(fd)
    return Pack(path, rows) if hashlib.sha256(rows + footer).hexdigest() == os.path.basename(path) else None


def is_full(size: int, objects: int) -> bool:
    """Whether a pack of so many bytes and objects takes no more."""
    return size >= _LARGEST or objects >= _MOST


def sound(name: bytes, data: bytes) -> bool:
    """Whether these bytes have that digest (32 bytes)."""
    return hashlib.sha256(data).digest() == name


class PackWriter:
    """A pack that is being written. Its file is made with the first bytes that are.

    Files can be read right into the memory from which the pack is written: fresh memory for each of them
    takes as long as reading them.

    Args:
        unfinished: the path of a file that does not exist yet, on the store's file system.
    """

    def __init__(self, unfinished: str) -> None:
        self._path = unfinished
        self._fd = -1
        self._sizes: dict[bytes, int] = {}
        self._memory = memoryview(bytearray(_PIECE + files.SMALL + 1))
        self._waiting = 0
        """Bytes in memory that are to be written."""
        self._size = 0

    def __contains__(self, name: bytes) -> bool:
        return name in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def is_full(self) -> bool:
        """Whether the next object belongs in another pack."""
        return is_full(self._size, len(self._sizes))

    def space(self) -> memoryview:
        """Memory for an object's bytes, and one more; it is the object's with `keep`, and else the next one's."""
        return self._memory[self._waiting :]

    def keep(self, name: bytes, size: int) -> None:
        """Let the first bytes of `space` be an object, by its digest's 32 bytes; once is enough."""
        self._sizes[name] = size
        self._size += size
        self._waiting += size
        if self._waiting >= _PIECE:
            self._write()

    def add(self, name: bytes, data: bytes) -> None:
        """Let these bytes be an object."""
        self._memory[self._waiting : self._waiting + len(data)] = data
        self.keep(name, len(data))

    def publish(self, folder: str) -> Digest:
        """The name under which the pack is now in the folder, which is made."""
        end = self._rows() + _FOOTER.pack(_MAGIC, len(self._sizes))
        name = Digest(hashlib.sha256(end).hexdigest())
        try:
            self._write()
            files.write_all(self._fd, end)
            os.fchmod(self._fd, 0o444)
            os.makedirs(folder, exist_ok=True)
            os.rename(self._path, f"{folder}/{name}")
        except BaseException:
            self.drop()
            raise
        os.close(self._fd)
        return name

    def drop(self) -> None:
        """Leave nothing behind."""
        if self._fd >= 0:
            os.close(self._fd)
            files.discard(self._path)

    def _write(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, files.CREATE, 0o600)
        files.write_all(self._fd, self._memory[: self._waiting])
        self._waiting = 0

    def _rows(self) -> bytes:
        rows = []
        offset = 0
        for name, size in self._sizes.items():
            rows.append(_ROW.pack(name, offset, size))
            offset += size
        return b"".join(sorted(rows))
