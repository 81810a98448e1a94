"""Locks between processes, for efficiency and for telling the living from the dead.

Nothing relies on them for its result: what two workers make under one key is decided by the
store. A lock ends with its process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


class Lock:
    """A lock that is held; `release` also removes its file."""

    def __init__(self, path: str, fd: int) -> None:
        self._path = path
        self._fd = fd

    def release(self) -> None:
        """Let the next one have it. The file goes first, while nobody else can hold it."""
        if self._fd >= 0:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            os.close(self._fd)
            self._fd = -1


def try_lock(path: str, *, wait: bool = False) -> Lock | None:
    """The lock at `path`, or None while another holder has it.

    On a file system without locks everybody gets it.

    Args:
        path: a file that exists for this lock alone; its folder exists.
        wait: wait for the other holder instead.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return Lock(path, fd)
            os.close(fd)
            raise
        if _is_at(path, fd):
            return Lock(path, fd)
        os.close(fd)  # its last holder has removed the file since we opened it


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
