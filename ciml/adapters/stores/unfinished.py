"""Large objects that are not all here yet: what has arrived of one outlives the process that fetched it.

Below `partial/` of a store: a file of the object's name, and beside it `NAME.parts`, a line with the place of each part
that is in it. Neither is synced: what a power cut tears is found when the whole is hashed.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from ciml.adapters import files
from ciml.core.ids import Digest

_GIVEN_UP_S = 7 * 24 * 3600.0
_FOLDER = "partial"


class Unfinished:
    """The file that a large object's parts are written to.

    Args:
        path: of the file.
        fd: which holds the lock on it; -1 where it serves this process alone, and nothing is remembered of it.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = path
        self._fd = fd
        self._memory = f"{path}.parts"

    def known(self) -> set[int]:
        """Where the parts begin that have arrived."""
        if self._fd < 0:
            return set()
        try:
            with open(self._memory, encoding="ascii", errors="replace") as file:
                lines = file.read().split("\n")[:-1]  # behind the last line end is what a kill has cut off
        except FileNotFoundError:
            return set()
        return {int(line) for line in lines if line.isdigit()}

    def add(self, start: int) -> None:
        """Remember a part; where there is no room for that, it is fetched again."""
        if self._fd >= 0:
            with suppress(OSError), open(self._memory, "a", encoding="ascii") as file:
                file.write(f"{start}\n")

    def forget(self) -> None:
        """Nothing has arrived."""
        files.discard(self._memory)

    def end(self) -> None:
        """The object is here, or given up: nothing is left."""
        self.forget()
        files.discard(self.path)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def begun(root: str, digest: Digest, size: int, *, other: str) -> Unfinished:
    """The file for an object of `size` bytes, with what an earlier process has fetched of it.

    Args:
        root: of the store.
        digest: of the object.
        size: in bytes.
        other: the path of a file that does not exist yet, for where another process fetches the same object, or the
            file system has no locks.
    """
    os.makedirs(f"{root}/{_FOLDER}", exist_ok=True)
    path = f"{root}/{_FOLDER}/{digest}"
    fd = _alone(path, os.O_CREAT)
    found = Unfinished(other) if fd < 0 else Unfinished(path, fd)
    if fd < 0:
        fd = os.open(other, files.CREATE, 0o600)
    try:
        if os.fstat(fd).st_size != size:
            found.forget()
            os.truncate(fd, size)
    finally:
        if found.path == other:
            os.close(fd)
    return found


def sweep(root: str) -> None:
    """Remove what nobody has gone on with for a week."""
    try:
        names = os.listdir(f"{root}/{_FOLDER}")
    except FileNotFoundError:
        return
    for name in names:
        path = f"{root}/{_FOLDER}/{name}"
        with suppress(OSError):  # somebody else was quicker
            if time.time() - os.stat(path).st_mtime > _GIVEN_UP_S and (fd := _alone(path)) >= 0:
                Unfinished(path, fd).end()


def _alone(path: str, create: int = 0) -> int:
    """A descriptor of the file, which nobody else has locked; -1 where somebody has, or there are no locks."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | create, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = os.stat(path)
        if os.path.samestat(os.fstat(fd), here):  # else it has become an object meanwhile
            return fd
    except OSError:
        pass
    os.close(fd)
    return -1
