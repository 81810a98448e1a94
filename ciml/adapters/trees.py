"""Trees of files: removed whatever their modes, and told apart by what `stat` says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from ciml.adapters import files
from ciml.adapters.files import Signature

Signatures = dict[str, Signature]
"""Path below the top ("" is the top itself) -> signature; files and links, no directories."""

Take = Callable[[str, int], bool]
"""Whether the empty folder of that name, below the folder with that descriptor, was moved elsewhere."""

_FEW = 32
"""Entries. A folder that held more stays large on disk, and slow to list."""


def signatures(top: str) -> Signatures:
    """The signature of the file at `top`, or of every file below it; empty where nothing is."""
    try:
        status = os.lstat(top)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if not stat.S_ISDIR(status.st_mode):
        return {"": files.signature(status)}
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
                found[path] = files.signature(entry.stat(follow_symlinks=False))
    return found


def exceeds(top: str, *, size: int, count: int) -> bool:
    """Whether the file or tree at `top` has more bytes or files than that; stops counting when it has."""
    pending = [top]
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            size -= status.st_size
            count -= 1
            if size < 0 or count < 0:
                return True
            if stat.S_ISDIR(status.st_mode):
                pending += [entry.path for entry in os.scandir(path)]
        except OSError:
            continue
    return False


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


def empty(top: str, take: Take) -> bool:
    """Whether the directory at `top`, emptied now, is as good as a new one: it never held much.

    Args:
        top: what may also be missing, or no directory.
        take: is offered each folder below it that is as good as a new one, too.
    """
    try:
        fd = os.open(top, files.FOLDER)
    except OSError:
        return False
    try:
        return _as_new(fd, take)
    finally:
        os.close(fd)


def _as_new(fd: int, take: Take) -> bool:
    few = _remove_all(fd, take) <= _FEW
    os.fchmod(fd, 0o755)
    return few


def _remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        _remove_folder(name, parent, None)


def _remove_folder(name: str, parent: int, take: Take | None) -> None:
    try:
        fd = _open(name, parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if take is None:
            _remove_all(fd, take)
        elif _as_new(fd, take) and take(name, parent):
            return
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        pass  # something was added meanwhile: a later start removes it


def _remove_all(fd: int, take: Take | None) -> int:
    """How many things the folder held; now it holds none."""
    with os.scandir(fd) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    if names and os.fstat(fd).st_mode & 0o300 != 0o300:
        os.fchmod(fd, 0o700)
    for child, is_folder in names:
        if is_folder:
            _remove_folder(child, fd, take)
        else:
            os.unlink(child, dir_fd=fd)
    return len(names)


def _open(name: str, parent: int) -> int:
    try:
        return os.open(name, files.FOLDER, dir_fd=parent)
    except PermissionError:
        # No other user's: this is below our own state. `chmod` would follow a link, and finds none here.
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, files.FOLDER, dir_fd=parent)
