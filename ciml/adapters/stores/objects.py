"""The objects of a local store: files named by the SHA-256 of their bytes, read-only, verified when read.

Where a directory of many small files was taken in, small objects lie in packs (`ciml.adapters.stores.pack`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from ciml.adapters import files
from ciml.adapters.stores.session import Session
from ciml.core.errors import IntegrityError, StageError
from ciml.core.ids import Digest

if TYPE_CHECKING:
    from ciml.adapters.stores.packs import Packs

_MODE = 0o444


class Objects:
    """The folder `objects` of a store.

    Args:
        root: of the store.
        session: where unfinished files go, and what keeps a collection off.
    """

    def __init__(self, root: str, session: Session) -> None:
        self._root = root
        self._session = session
        self._verified: dict[Digest, files.Signature] = {}
        self._can_clone: bool | None = None

    @cached_property
    def packs(self) -> Packs:
        """The objects that have no file of their own."""
        from ciml.adapters.stores.packs import Packs

        return Packs(self._root, self._session)

    def path(self, digest: Digest) -> str:
        """Where an object lies that has a file of its own."""
        return f"{self._root}/objects/{digest[:2]}/{digest[2:]}"

    def size(self, digest: Digest) -> int | None:
        """Bytes of an object, not verified; None where there is none."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            pass
        if (packed := self.packs.find(digest)) is not None:
            return packed.size
        if not self._back_from_trash(digest):
            return None
        return os.stat(self.path(digest)).st_size

    # Writing.

    def put(self, data: bytes) -> Digest:
        """The digest under which `data` now lies here."""
        digest = Digest(hashlib.sha256(data).hexdigest())
        if not self.keeps(digest, len(data)):
            self.add(digest, data)
        return digest

    def add(self, digest: Digest, data: bytes | memoryview) -> None:
        """Let there be a file for an object that is not here."""
        unfinished = self._session.new()
        files.write_new(unfinished, data, _MODE)
        self.publish(unfinished, digest)

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        """Digest, status and number of bytes of the file at `path`, now an object.

        Raises:
            StageError: it is no regular file, or cannot be read, or is a hole larger than the disk.
        """
        fd, status = files.open_regular(path, shown, folder=folder)
        try:
            data = files.read_small(fd, status.st_size)
            if data is not None:
                return self.put(data), status, len(data)
            digest, size = self.put_large(fd, status, shown)
            return digest, status, size
        finally:
            os.close(fd)

    def put_large(self, fd: int, status: os.stat_result, shown: str) -> tuple[Digest, int]:
        """Digest and number of bytes of an open file, now an object; they are not held in memory. Raises as that."""
        self._check_room(status, shown)
        unfinished = self._session.new()
        target = os.open(unfinished, os.O_RDWR | (files.CREATE & ~os.O_WRONLY), 0o600)
        try:
            digest, size = files.copy(fd, target, status.st_size)
            os.fchmod(target, _MODE)
            if self.keeps(digest, size):
                os.unlink(unfinished)
            else:
                self.publish(unfinished, digest)
        except BaseException:
            files.discard(unfinished)
            raise
        finally:
            os.close(target)
        return digest, size

    def forked(self) -> None:
        """From here on this is a second process beside the one that has the lease."""
        self._session.forked()

    def _check_room(self, status: os.stat_result, shown: str) -> None:
        if status.st_size > files.LARGE and status.st_blocks * 512 < status.st_size:
            room = os.statvfs(os.path.dirname(self._session.new()))
            if status.st_size > room.f_bavail * room.f_frsize:
                raise StageError(
                    f"{shown} is a sparse file of {status.st_size} bytes, more than the store's disk has left",
                    hint=f"Only {status.st_blocks * 512} bytes of it were written. Truncate it.",
                )

    def keeps(self, digest: Digest, size: int) -> bool:
        """Whether the object is here already, and now stays."""
        path = self.path(digest)
        try:
            os.stat(path)
        except FileNotFoundError:
            return self.packs.keeps(digest, size)
        self._session.rely_on(digest)
        found = self.size(digest)
        if found is not None and found != size:
            self.quarantine(digest)
            found = None
        return found is not None

    def publish(self, unfinished: str, digest: Digest) -> None:
        """Let a file that has these bytes, and the session's name, be an object."""
        path = self.path(digest)
        try:
            os.rename(unfinished, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(unfinished, path)

    # Reading.

    def read(self, digest: Digest) -> bytes:
        """The bytes, verified."""
        found = self._found(digest)
        data = found if isinstance(found, bytes) else _whole(found)
        if hashlib.sha256(data).hexdigest() != digest:
            raise self.corrupt(digest)
        return data

    def open(self, digest: Digest) -> int:
        """A descriptor of an object, not verified; of a packed one it is a copy in memory.

        Raises:
            IntegrityError: it is not here.
        """
        found = self._found(digest)
        return found if isinstance(found, int) else _in_memory(found)

    def _found(self, digest: Digest) -> int | bytes:
        """A descriptor of an object's own file, or the bytes of a packed object."""
        path = self.path(digest)
        for attempt in (1, 2):
            try:
                return files.open_regular(path, digest)[0]
            except FileNotFoundError as error:
                if (packed := self.packs.read(digest)) is not None:
                    return packed
                if attempt == 2 or not self._back_from_trash(digest):
                    raise gone(digest) from error
            except StageError as error:
                raise self.corrupt(digest) from error
        raise AssertionError("the second attempt returns or raises")

    def copy_to(self, digest: Digest, target: int) -> int:
        """Number of bytes that are now in `target`, a new file; verified while they were copied."""
        found = self._found(digest)
        if isinstance(found, bytes):
            return self._write_to(target, found, digest)
        try:
            expected = os.fstat(found).st_size
            data = files.read_small(found, expected)
            if data is not None:
                return self._write_to(target, data, digest)
            copied, size = files.copy(found, target, expected)
        finally:
            os.close(found)
        if copied != digest:
            raise self.corrupt(digest)
        return size

    def _write_to(self, target: int, data: bytes, digest: Digest) -> int:
        if hashlib.sha256(data).hexdigest() != digest:
            raise self.corrupt(digest)
        files.write_all(target, data)
        return len(data)

    def link_to(self, digest: Digest, act: Callable[[str], None]) -> None:
        """Give the path of an object to `act`, which makes a hard link to it; verified before.

        An object that did not change since this process verified it is not hashed again.
        """
        fd = self.open(digest)
        try:
            before = files.signature(os.fstat(fd))
            if self._verified.get(digest) != before and files.digest(fd, before[2])[0] != digest:
                raise self.corrupt(digest)
            act(self.path(digest))
            # The link itself moves the change time; size and modification time it leaves alone.
            after = files.signature(os.fstat(fd))
            if (after[0], after[2], after[3]) == (before[0], before[2], before[3]):
                self._verified[digest] = after
        finally:
            os.close(fd)

    def can_clone(self) -> bool:
        """Whether a file can share an object's bytes and still be its reader's own: then nothing is linked."""
        if self._can_clone is None:
            self._can_clone = files.can_clone(os.path.dirname(self._session.new()))
        return self._can_clone

    def verify(self, digest: Digest) -> bool:
        """Whether an object's bytes are what its name says."""
        try:
            fd = files.open_regular(self.path(digest), digest)[0]
        except StageError:
            return False
        try:
            return files.digest(fd, os.fstat(fd).st_size)[0] == digest
        finally:
            os.close(fd)

    def corrupt(self, digest: Digest) -> IntegrityError:
        """The error for an object whose bytes are wrong, which is now out of the way."""
        self.quarantine(digest)
        return IntegrityError(
            f"the store's object {digest} is damaged and was put into quarantine",
            hint="Run the same command again: what made it runs again. Look at the disk if this happens twice.",
        )

    def quarantine(self, digest: Digest) -> None:
        """Take an object out of the store, and keep it for whoever wants to look."""
        try:
            aside = f"{self._root}/quarantine/{os.path.basename(self._session.new())}-{digest}"
            try:
                os.rename(self.path(digest), aside)
            except FileNotFoundError:
                self.packs.quarantine(digest)
        except OSError:
            pass  # a store that can only be read, or a full disk; nobody believes the object either way

    def _back_from_trash(self, digest: Digest) -> bool:
        """Whether an object that a collection was about to delete is here again."""
        try:
            os.link(f"{self._root}/trash/{digest}", self.path(digest))
        except FileExistsError:
            return True
        except FileNotFoundError:
            return os.path.exists(self.path(digest))
        return True


def _whole(fd: int) -> bytes:
    """All bytes of a file, which is closed."""
    try:
        data = files.read_small(fd, os.fstat(fd).st_size)
        if data is None:
            with open(fd, "rb", buffering=0, closefd=False) as file:
                data = file.read()
        return data
    finally:
        os.close(fd)


def _in_memory(data: bytes) -> int:
    """A descriptor of a file that has these bytes, and no name."""
    fd = os.memfd_create("ciml-object", os.MFD_CLOEXEC)
    files.write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def gone(digest: Digest) -> IntegrityError:
    """The error for an object that is not in the store."""
    return IntegrityError(
        f"the object {digest} is not in the store",
        hint="Run what made it again (`ciml run`), or get data back with `ciml data pull`.",
    )
