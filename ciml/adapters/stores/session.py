"""One process at work in a local store: its lease, and its place for unfinished files.

A lease is a file that its process holds a lock on, so that it ends with the process, however that
ends. It says two things to the garbage collection:

- its first line: how many collections had begun when it started. What a collection has marked as
  unreachable since then may be something this process has just written.
- the other lines: digests of objects and keys of records that were there already and that this
  process relies on.

Unfinished files carry the lease's name. Those of a dead lease are removed by the next process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from itertools import count

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
_LONGEST_S = 24 * 3600.0
"""Age from which a lease counts as dead where the file system has no locks; jobs end after 6 hours."""

FOLDERS = ("objects", "actions", "tmp", "quarantine", "leases", "trash", "marks")


def generation(root: str) -> int:
    """How many garbage collections have begun."""
    try:
        with open(f"{root}/generation", "rb") as file:
            return int(file.read() or b"0")
    except (FileNotFoundError, ValueError):
        return 0


class Session:
    """The lease of one process, taken when it first writes."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._name = ""
        self._fd = -1
        self._count = count(1)
        self._pid = ""
        self._beginning = threading.Lock()

    def new(self) -> str:
        """A path for an unfinished file or directory, on the store's file system."""
        if self._fd < 0:
            self._begin()
        # A worker forked from this process shares the lease, and must not share the name.
        return f"{self._root}/tmp/{self._name}.{self._pid}{next(self._count)}"

    def rely_on(self, name: str) -> None:
        """Keep an object or a record that was there already; look whether it still is AFTER this call."""
        if self._fd < 0:
            self._begin()
        os.write(self._fd, name.encode() + b"\n")

    def forked(self) -> None:
        """Be a worker of the process that holds the lease."""
        self._pid = f"{os.getpid()}."

    def close(self) -> None:
        """End the lease."""
        if self._fd >= 0:
            try:
                os.unlink(f"{self._root}/leases/{self._name}")
            except FileNotFoundError:
                pass
            os.close(self._fd)
            self._fd = -1

    def _begin(self) -> None:
        with self._beginning:
            if self._fd < 0:
                self._take()

    def _take(self) -> None:
        for folder in FOLDERS:
            os.makedirs(f"{self._root}/{folder}", exist_ok=True)
        while self._fd < 0:
            self._name = os.urandom(8).hex()
            path = f"{self._root}/leases/{self._name}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if _lock(fd) and os.fstat(fd).st_nlink:  # else somebody took it for a dead one meanwhile
                self._fd = fd
            else:
                os.close(fd)
        # Empty until here, which holds every deletion back.
        os.write(self._fd, b"%d\n" % generation(self._root))
        self._sweep()

    def _sweep(self) -> None:
        """Remove what dead processes have left unfinished."""
        from ciml.adapters.stores import unfinished
        from ciml.adapters.trees import remove_tree

        unfinished.sweep(self._root)
        names = os.listdir(f"{self._root}/tmp")
        if names:
            alive = {name for name, _ in leases(self._root)}
            for name in names:
                if name.partition(".")[0] not in alive:
                    remove_tree(f"{self._root}/tmp/{name}")


def leases(root: str) -> Iterator[tuple[str, bytes]]:
    """Name and text of every lease of a living process; those of dead ones are removed."""
    for name in os.listdir(f"{root}/leases"):
        path = f"{root}/leases/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        with open(fd, "rb") as file:
            if _dead(fd):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    pass
            else:
                yield name, file.read()


def _dead(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return time.time() - os.fstat(fd).st_mtime > _LONGEST_S
    return True


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True
