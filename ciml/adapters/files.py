"""The lowest tools for files: hashed while they are copied, and put in place all or nothing.

What is read may be written by somebody hostile, so nothing here follows a link, waits for a named
pipe or trusts a size. What is written appears under its name complete or not at all, with the same
permissions whatever the umask is.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable

from ciml.core.errors import ServiceError, StageError
from ciml.core.ids import Digest

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

SMALL = 1 << 17
"""Bytes up to which a file is read at once; one read of size + 1 is three times faster than a 1 MiB read."""

_PIECE = 1 << 20
LARGE = 1 << 24
"""Bytes from which one thread hashes while another one writes."""

_FICLONE = 0x40049409
"""ioctl of Linux: share the extents of another file (Btrfs, XFS, bcachefs, overlays of them)."""

_HINTS = {
    errno.ENOSPC: "The disk is full: free some space, for instance with `ciml store gc`.",
    errno.EDQUOT: "The quota is used up: free some space, for instance with `ciml store gc`.",
    errno.EROFS: "The file system is read-only.",
    errno.EACCES: "Look at the owner and the permissions of the folder.",
    errno.EPERM: "Look at the owner and the permissions of the folder.",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n`.",
    errno.ENFILE: "Too many files are open on this machine.",
    errno.EIO: "The disk reports an error; look at the kernel's log.",
}

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

Signature = tuple[int, int, int, int]
"""Modification time (ns), change time (ns), size (bytes), inode: any write to a file moves it."""


def signature(status: os.stat_result) -> Signature:
    """What tells whether a file is still the one that was looked at."""
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def outside(error: OSError, doing: str) -> ServiceError:
    """The error to raise where the operating system refused `doing`, such as "store build/model"."""
    number = error.errno or 0
    hint = _HINTS.get(number, "Run the same command again; what was done so far is kept.")
    return ServiceError(f"cannot {doing}: {error.strerror or error}", hint=hint)


def open_regular(path: str | bytes, shown: str, *, folder: int | None = None) -> tuple[int, os.stat_result]:
    """A descriptor of the regular file at `path`, and its status; no link is followed.

    Raises:
        StageError: it is something else, or cannot be read.
        OSError: it is not there, or the system is out of descriptors.
    """
    try:
        fd = os.open(path, READ, dir_fd=folder)
    except PermissionError as error:
        raise unreadable(shown, error) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            kind = kind_of(os.stat(path, dir_fd=folder, follow_symlinks=False))
            raise StageError(f"{shown} is {kind}, not a file") from error
        raise
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise StageError(f"{shown} is {kind_of(status)}, not a file")
    return fd, status


def kind_of(status: os.stat_result) -> str:
    """What a file that is not regular is, in words."""
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    if stat.S_ISDIR(status.st_mode):
        return "a directory"
    return _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")


def unreadable(shown: str, error: OSError) -> StageError:
    """The error for a file or a folder that may not be read."""
    return StageError(f"{shown} cannot be read: {error.strerror}", hint="Give its owner the right to read it.")


def read_small(fd: int, size: int) -> bytes | None:
    """All bytes of a file that has `size` bytes, or None where it is not that small after all."""
    if size > SMALL:
        return None
    data = os.pread(fd, size + 1, 0)
    return data if len(data) <= size else None


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it, however much a single call takes."""
    written = os.write(fd, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def clone(source: int, target: int) -> bool:
    """Whether `target` now shares all bytes of `source`, without a copy."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def can_clone(folder: str) -> bool:
    """Whether files in a folder can share their bytes."""
    names = [f"{folder}/{os.urandom(8).hex()}" for _ in range(2)]
    try:
        write_new(names[0], b"x" * 4096, 0o600)
        source, target = os.open(names[0], READ), os.open(names[1], CREATE, 0o600)
        try:
            return clone(source, target)
        finally:
            os.close(source)
            os.close(target)
    finally:
        for name in names:
            discard(name)


def copy(source: int, target: int, size: int) -> tuple[Digest, int]:
    """SHA-256 and number of the bytes that are now in `target`, in one pass over `source`.

    Args:
        source: open for reading, at its beginning.
        target: open for reading and writing, empty.
        size: of `source`, as far as is known; only the way is chosen by it.
    """
    if size > SMALL and clone(source, target):
        return digest(target, size)
    if size >= LARGE:
        return _two_threads(source, target)
    return _each(source, lambda piece: write_all(target, piece))


def digest(fd: int, size: int) -> tuple[Digest, int]:
    """SHA-256 and number of the bytes of an open file, from its beginning."""
    if (data := read_small(fd, size)) is not None:
        return Digest(hashlib.sha256(data).hexdigest()), len(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return _each(fd, lambda _: None)


def _each(source: int, act: Callable[[memoryview], None]) -> tuple[Digest, int]:
    hashed = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(_PIECE))
    while count := os.readv(source, [buffer]):
        hashed.update(buffer[:count])
        act(buffer[:count])
        size += count
    return Digest(hashed.hexdigest()), size


def _two_threads(source: int, target: int) -> tuple[Digest, int]:
    """As `_each`, but this thread writes while another one hashes: both let the interpreter go."""
    from queue import Queue
    from threading import Thread

    hashed = hashlib.sha256()
    free: Queue[memoryview] = Queue()
    full: Queue[tuple[memoryview, int]] = Queue()
    for _ in range(4):
        free.put(memoryview(bytearray(_PIECE)))

    def hash_pieces() -> None:
        while True:
            buffer, count = full.get()
            if not count:
                return
            hashed.update(buffer[:count])
            free.put(buffer)

    size = 0
    thread = Thread(target=hash_pieces, daemon=True)
    thread.start()
    try:
        while True:
            buffer = free.get()
            count = os.readv(source, [buffer])
            if not count:
                break
            full.put((buffer, count))
            write_all(target, buffer[:count])
            size += count
    finally:
        full.put((memoryview(b""), 0))
        thread.join()
    return Digest(hashed.hexdigest()), size


def replace(new: str, target: str, *, aside: str, target_folder: int | None = None) -> bool:
    """Let `new` stand at `target`; True when what was there is now at `aside`, for the caller to remove.

    A file takes a file's place in one step. Where a directory is replaced or takes a place, what was
    there steps aside first: after a crash in between, the same call again ends in the same state.
    """
    try:
        os.rename(new, target, dst_dir_fd=target_folder)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            raise
        os.rename(target, aside, src_dir_fd=target_folder)
        os.rename(new, target, dst_dir_fd=target_folder)
        return True
    return False


def write_new(path: str, data: bytes | memoryview, mode: int) -> None:
    """Write a file that must not exist; when that fails nothing is left of it."""
    fd = os.open(path, CREATE, 0o600)
    try:
        write_all(fd, data)
        os.fchmod(fd, mode)
    except BaseException:
        discard(path)
        raise
    finally:
        os.close(fd)


def write_whole(path: str, data: bytes) -> None:
    """Let a file have these bytes, all or nothing, whatever it had before; its folder is made.

    Raises:
        OSError: the system refuses that; nothing is left behind.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = f"{path}.{os.urandom(4).hex()}"
    fd = os.open(unfinished, CREATE, 0o666)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.replace(unfinished, path)
    except BaseException:
        discard(unfinished)
        raise


def discard(path: str) -> None:
    """Remove an unfinished file, if it is there."""
    try:
        os.unlink(path)
    except OSError:
        pass  # its name tells the next process that it may go


def open_below(root: str, path: str, *, make: bool = False) -> int:
    """A descriptor of the folder `path` below `root`; no part of `path` is a link.

    Args:
        root: a folder; links on the way to it are the caller's own.
        path: relative; "" is the root itself.
        make: make the folders that are not there.

    Raises:
        OSError: ELOOP or ENOTDIR where a part of the path is no real folder.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.split("/") if path else ():
        try:
            if make:
                make_folder(part, folder)
            inner = os.open(part, FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def make_folder(name: str | bytes, parent: int | None = None) -> None:
    """Make a folder that everybody may read, unless it is there."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return
    # A umask can leave a folder that its owner may not even open for reading.
    made = os.open(name, FOLDER | os.O_PATH, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{made}", 0o755)
    finally:
        os.close(made)


def sync(folder: str) -> None:
    """Make all that was written to the file system of `folder` durable, with one call for all of it."""
    import ctypes

    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(fd)
