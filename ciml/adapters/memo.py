"""What a data file or directory held when it was last read, so that what did not move is not read again.

A memo is sorted by path and read and written a block at a time, so that a million files need no more
memory than a thousand. A block has the signatures of its files side by side: to compare them with
those of now is one comparison of bytes.

What was written within a clock tick before it was read has no signature (`stores.walk.settled`), as in
Git's index: it is read again, and once it has settled it is remembered.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import BinaryIO

import msgspec

from ciml import __version__
from ciml.adapters import files
from ciml.adapters.files import Signature
from ciml.adapters.stores.pair import Pair
from ciml.adapters.stores.walk import Taken, settled
from ciml.core import listing
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry
from ciml.core.results import Output
from ciml.core.value import Value

_BLOCK = 1024
"""Files; about 100 kB."""

_MODES = (0, listing.FILE, listing.EXECUTABLE, listing.LINK, listing.FOLDER)
_INODE = (1 << 63) - 1
"""The bits of an inode's number that are kept."""

_HEAD = 256
"""Bytes."""

_NONE: Signature = (-1, -1, -1, -1)
"""In the place of a signature that is not to be trusted: no file has it."""


class _Head(Value, frozen=True, kw_only=True, array_like=True):
    ciml: str
    digest: Digest
    size: int
    files: int
    directory: bool
    executable: bool
    count: int
    """Of what is remembered: a file that was cut off holds less."""


class _Block(Value, frozen=True, kw_only=True, array_like=True):
    paths: list[bytes]
    """Behind the top: b"", b"/a", b"/folder/"."""
    signatures: bytes
    modes: bytes
    """Positions in `_MODES`; 0 is a folder that holds something."""
    digests: bytes


class Memo:
    """What is remembered of one path. It fits the port `Watch` of the stores.

    Args:
        file: where it is kept.
        top: the path that it is about, absolute.
    """

    def __init__(self, file: str, top: str) -> None:
        self._file = file
        self._top = os.fsencode(top)
        self._unfinished = f"{file}.{os.getpid()}"
        self._added: list[Taken] = []
        self._count = 0
        """Of those that were added and written."""
        self._writer: BinaryIO | None = None

    # Reading.

    def unmoved(self, name: RepoPath) -> Output | None:
        """What lay there when it was last read, where no signature has changed since; None where one has."""
        head = self._head()
        if head is None:
            return None
        pair = Pair[bytes, int](self._unmoved)
        try:
            found = takewhile(bool, pair.run([frame] for frame in self._frames()))
            if sum(found) != head.count:
                return None
        finally:
            pair.close()
        return Output(
            path=name,
            digest=head.digest,
            size=head.size,
            files=head.files,
            directory=head.directory,
            executable=head.executable,
        )

    def _unmoved(self, frames: Sequence[bytes]) -> list[int]:
        """How many are remembered in each of these blocks; 0 where one of them has moved."""
        blocks = map(_decoded, frames)
        return [
            len(block.paths) if block and _now(self._top, block.paths) == block.signatures else 0 for block in blocks
        ]

    def known(self) -> Iterator[Taken]:
        """Everything that is remembered, sorted by path."""
        for frame in self._frames():
            if (block := _decoded(frame)) is not None:
                yield from _taken(block)

    def watched(self, limit: int) -> dict[str, Signature] | None:
        """Absolute path -> signature of all that was read; None where that is unknown or more than `limit`."""
        found: dict[str, Signature] = {}
        top = os.fsdecode(self._top)
        for taken in self.known():
            if taken.signature is None or len(found) >= limit:
                return None
            found[f"{top}/{os.fsdecode(taken.path)}".rstrip("/")] = taken.signature
        return found or None

    def _head(self) -> _Head | None:
        try:
            with open(self._file, "rb") as file:
                head = msgspec.msgpack.decode(file.read(_HEAD).rstrip(b"\0"), type=_Head)
        except (OSError, msgspec.DecodeError):
            return None
        return head if head.ciml == __version__ else None

    def _frames(self) -> Iterator[bytes]:
        """The blocks, as they are written."""
        if self._head() is None:
            return
        try:
            with open(self._file, "rb") as file:
                file.seek(_HEAD)
                while length := file.read(4):
                    yield file.read(int.from_bytes(length, "big"))
        except OSError:
            return  # what cannot be read is not remembered

    # Writing.

    def add(self, taken: Taken) -> None:
        """Remember this, once `keep` is called."""
        self._added.append(taken)
        if len(self._added) == _BLOCK:
            self._write()

    def keep(self, output: Output) -> None:
        """Let what was added be all that is remembered, and `output` what it comes to."""
        head = _Head(
            ciml=__version__,
            digest=output.digest,
            size=output.size,
            files=output.files,
            directory=output.directory,
            executable=output.executable,
            count=self._count + len(self._added),
        )
        try:
            self._write()
            assert self._writer is not None, "something was written"
            self._writer.seek(0)
            self._writer.write(msgspec.msgpack.encode(head).ljust(_HEAD, b"\0"))
            self._writer.flush()
            os.replace(self._unfinished, self._file)
        except OSError:
            pass  # A memory that cannot be kept costs time and nothing else.
        self.drop()

    def remember(self, output: Output, entries: Iterator[Entry]) -> None:
        """Remember what was just put there, without reading it.

        Args:
            output: what it comes to.
            entries: of a directory, sorted by path.
        """
        now = time.time_ns()
        try:
            top = settled(os.lstat(self._top), now)
            if not output.directory:
                mode = listing.EXECUTABLE if output.executable else listing.FILE
                self.add(Taken(b"", top, Entry(path=b"", mode=mode, digest=output.digest, size=output.size)))
            else:
                self.add(Taken(b"", top, None))
                for taken in self._placed(entries, now):
                    self.add(taken)
        except OSError:
            return  # moved away already: the next look reads it
        self.keep(output)

    def _placed(self, entries: Iterator[Entry], now: int) -> Iterator[Taken]:
        """The entries with their signatures, and the folders that they lie in."""
        around: list[bytes] = []
        for entry in entries:
            while around and not entry.path.startswith(around[-1]):
                around.pop()
            start = len(around[-1]) if around else 0
            while (end := entry.path.find(b"/", start)) >= 0:
                start = end + 1
                around.append(entry.path[:start])
                yield Taken(around[-1], self._signature(around[-1], now), None)
            yield Taken(entry.path, self._signature(entry.path, now), entry)

    def _signature(self, path: bytes, now: int) -> Signature | None:
        return settled(os.lstat(self._top + b"/" + path), now)

    def drop(self) -> None:
        """Forget what was added and not kept."""
        self._added = []
        self._count = 0
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            files.discard(self._unfinished)

    def _write(self) -> None:
        if self._writer is None:
            os.makedirs(os.path.dirname(self._file), exist_ok=True)
            self._writer = open(self._unfinished, "wb")  # noqa: SIM115 (`keep` and `drop` close it)
            self._writer.seek(_HEAD)
        data = msgspec.msgpack.encode(_block(self._added))
        self._writer.write(len(data).to_bytes(4, "big") + data)
        self._count += len(self._added)
        self._added = []


class Memos:
    """The memos of one work tree.

    Args:
        folder: where they are kept.
        root: of the work tree.
    """

    def __init__(self, folder: str, root: str) -> None:
        self._folder = folder
        self._root = root

    def of(self, path: RepoPath) -> Memo:
        """The memo of a path in the work tree."""
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
        return Memo(f"{self._folder}/{name}", f"{self._root}/{path}")


def _decoded(frame: bytes) -> _Block | None:
    try:
        return msgspec.msgpack.decode(frame, type=_Block)
    except msgspec.DecodeError:
        return None  # what cannot be read is not remembered


def _block(added: list[Taken]) -> _Block:
    signatures = array("q")
    modes = bytearray()
    digests = bytearray()
    for taken in added:
        mtime, ctime, size, inode = taken.signature or _NONE
        signatures.extend((mtime, ctime, size, inode & _INODE if inode > 0 else inode))
        entry = taken.entry
        modes.append(_MODES.index(entry.mode) if entry else 0)
        digests += bytes.fromhex(entry.digest) if entry else bytes(32)
    paths = [b"/" + taken.path if taken.path else b"" for taken in added]
    return _Block(paths=paths, signatures=signatures.tobytes(), modes=bytes(modes), digests=bytes(digests))


def _taken(block: _Block) -> Iterator[Taken]:
    numbers = array("q", block.signatures)
    for number, path in enumerate(block.paths):
        mtime, ctime, size, inode = numbers[4 * number : 4 * number + 4]
        signature = (mtime, ctime, size, inode)
        below = path[1:]
        entry = None
        if mode := _MODES[block.modes[number]]:
            digest = Digest(block.digests[32 * number : 32 * number + 32].hex())
            entry = Entry(path=below, mode=mode, digest=digest, size=0 if mode == listing.FOLDER else size)
        yield Taken(below, None if signature == _NONE else signature, entry)


def _now(top: bytes, paths: list[bytes]) -> bytes | None:
    """The signatures of these paths now, as a block holds them; None where one of them is gone."""
    numbers: list[int] = []
    extend = numbers.extend
    try:
        for path in paths:
            found = os.lstat(top + path)
            extend((found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino & _INODE))
        return array("q", numbers).tobytes()
    except OSError:
        return None
