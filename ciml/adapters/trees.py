"""Trees of files: removed whatever their modes, and told apart by what `stat` says."""

from __future__ import annotations

import hashlib
import os
import stat

from ciml.core.ids import Digest

Signature = tuple[int, int, int, int, int]
"""(mode, inode, size, mtime, ctime), times in ns. Whoever writes to a file moves its ctime."""

Signatures = dict[str, Signature]
"""Path below the top ("" is the top itself) -> signature; files and links, no directories."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def signatures(top: str) -> Signatures:
    """The signature of the file at `top`, or of every file below it; empty where nothing is."""
    try:
        status = os.lstat(top)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if not stat.S_ISDIR(status.st_mode):
        return {"": _signature(status)}
    found: Signatures = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(top, folder)))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        for entry in entries:
            path = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(path + "/")
            else:
                found[path] = _signature(entry.stat(follow_symlinks=False))
    return found


def _signature(status: os.stat_result) -> Signature:
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def exceeds(top: str, *, size: int, files: int) -> bool:
    """Whether the file or tree at `top` has more bytes or files than that; stops counting when it has."""
    pending = [top]
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            size -= status.st_size
            files -= 1
            if size < 0 or files < 0:
                return True
            if stat.S_ISDIR(status.st_mode):
                pending += [entry.path for entry in os.scandir(path)]
        except OSError:
            continue
    return False


def file_digest(path: str) -> Digest:
    """The SHA-256 of a file's bytes."""
    with open(path, "rb", buffering=0) as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def remove_tree(top: str) -> None:
    """Remove a file or a directory with all in it, read-only folders too; nothing there is fine.

    No link is followed, also when one takes a folder's place meanwhile. What another process
    adds at the same time stays.
    """
    parent, name = os.path.split(top)
    try:
        folder = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove(name, folder)
    finally:
        os.close(folder)


def _remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass
    try:
        fd = _open(name, parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        with os.scandir(fd) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if names and os.fstat(fd).st_mode & 0o300 != 0o300:
            os.fchmod(fd, 0o700)
        for child, is_folder in names:
            if is_folder:
                _remove(child, fd)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        pass  # something was added meanwhile: a later start removes it


def _open(name: str, parent: int) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        # No other user's: this is below our own state. `chmod` would follow a link, and finds none here.
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)
