"""The data of one work tree: what manifests stand for, as it lies on disk."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from ciml.adapters import files
from ciml.adapters.files import Signature
from ciml.adapters.git import lfs
from ciml.adapters.git.command import Git
from ciml.adapters.git.untracked import ignoring_rule
from ciml.adapters.memo import Memo, Memos
from ciml.adapters.stores.local import LocalStore
from ciml.core.errors import ConfigurationError, RepositoryError, StageError
from ciml.core.ids import Digest, RepoPath
from ciml.core.paths import folders
from ciml.core.results import Output

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\*?["})


class _Reads(Protocol):
    """Reads what lies at a path."""

    def __call__(self, path: str, *, name: RepoPath, watch: Memo) -> Output: ...


class DataTree:
    """Reads and writes what lies at the paths of manifests.

    Args:
        root: of the work tree.
        store: where bytes come from and go to.
        memos: what is remembered of each path, so that it need not be read again.
        git: runs in the root.
    """

    def __init__(self, root: str, store: LocalStore, memos: Memos, git: Git) -> None:
        self._root = root
        self._store = store
        self._memos = memos
        self._git = git

    # Data.

    def here(self, path: RepoPath) -> bool:
        """Whether anything lies at a path."""
        return os.path.lexists(self._full(path))

    def look(self, path: RepoPath) -> Output:
        """What lies at a path: its digest, its size. Only what moved since the last time is read.

        Raises:
            TrustError: it is a link, or holds one that leaves it.
            ConfigurationError: it is missing, cannot be read, or is or holds a named pipe, a socket or a device.
        """
        memo = self._memos.of(path)
        found = memo.unmoved(path)
        if found is None:
            found = self._remembered(memo, path, self._store.look_at)
        return found

    def is_edited(self, path: RepoPath, digest: Digest) -> bool:
        """Whether something lies at a path that has not this digest."""
        return self.here(path) and self.look(path).digest != digest

    def take_in(self, path: RepoPath) -> Output:
        """What lies at a path, whose bytes are in the store from now on. Raises as `look`."""
        memo = self._memos.of(path)
        found = memo.unmoved(path)
        if found is not None and self._store.has(found):
            return found
        self._refuse_lfs(path)
        return self._remembered(memo, path, self._store.put_path)

    def _remembered(self, memo: Memo, path: RepoPath, act: _Reads) -> Output:
        try:
            found = act(self._full(path), name=path, watch=memo)
        except StageError as error:
            # The lower tools speak of what a stage made; this is what the user named.
            raise ConfigurationError(error.message, hint=error.hint) from error
        else:
            memo.keep(found)
        finally:
            memo.drop()
        return found

    def _refuse_lfs(self, path: RepoPath) -> None:
        """Refuse a file that only says where Git LFS has the data."""
        try:
            fd, status = files.open_regular(self._full(path), path)
        except (OSError, StageError):
            return  # a folder; or whoever reads it says why not
        try:
            text = files.read_small(fd, status.st_size) or b""
        finally:
            os.close(fd)
        if lfs.pointer(text) is not None:
            raise RepositoryError(f"{path} is a pointer of Git LFS, and not the data", hint=f"git lfs pull -I {path}")

    def place(self, output: Output) -> None:
        """Put an output of the store at its path, verified, all or nothing; what is there is replaced.

        Raises:
            IntegrityError: the store has not all of its bytes, or some are damaged.
            TrustError: the path leads through a link.
        """
        self._store.materialise(output, self._full(output.path), within=self._root)
        memo = self._memos.of(output.path)
        try:
            memo.remember(output, self._store.entries(output))
        finally:
            memo.drop()

    def watched(self, path: RepoPath, limit: int) -> dict[str, Signature] | None:
        """Absolute path -> signature of all that lies at a path; None where that is unknown or more than `limit`."""
        return self._memos.of(path).watched(limit)

    # What Git knows of it.

    def tracked(self, path: RepoPath) -> bool:
        """Whether Git tracks anything at or below a path."""
        return bool(self._git.run("ls-files", "-z", "--", path))

    def ignored_by(self, file: RepoPath) -> str | None:
        """The rule by which Git ignores a file, as `.gitignore:3: data/`; None where it does not."""
        return ignoring_rule(self._git, file)

    def ignore(self, path: RepoPath) -> RepoPath | None:
        """The `.gitignore` that now has a line for a path: the nearest there is; None where one had a rule for it."""
        if self.ignored_by(path) is not None:
            return None
        above = ["", *reversed(folders(path))]
        beside = [f"{folder}/.gitignore".lstrip("/") for folder in reversed(above)]
        file = next((name for name in beside if self._is_file(name)), ".gitignore")
        inside = path[len(os.path.dirname(file)) :].lstrip("/")
        self._append(file, f"/{_escaped(inside)}\n")
        return RepoPath(file)

    # Files of the user's that Git does track.

    def write(self, file: RepoPath, data: bytes) -> bool:
        """Whether a small file was written, all or nothing; False where it has these bytes. Its folder is made."""
        folder, name = os.path.split(file)
        below = files.open_below(self._root, folder, make=True)
        try:
            if _has_bytes(name, below, data):
                return False
            unfinished = f"/proc/self/fd/{below}/.ciml-{os.urandom(6).hex()}"
            files.write_new(unfinished, data, 0o644)
            os.replace(unfinished, name, dst_dir_fd=below)
        except OSError as error:
            raise files.outside(error, f"write {file}") from error
        finally:
            os.close(below)
        return True

    def _append(self, file: str, line: str) -> None:
        full = self._full(RepoPath(file))
        if os.path.lexists(full) and not self._is_file(file):
            raise RepositoryError(f"{file} is no regular file, so nothing is added to it")
        with open(full, "a+b") as opened:
            opened.seek(0, os.SEEK_END)
            if opened.tell():
                opened.seek(-1, os.SEEK_END)
                if opened.read(1) != b"\n":
                    opened.write(b"\n")
            opened.write(os.fsencode(line))

    def _is_file(self, file: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self._full(RepoPath(file))).st_mode)
        except OSError:
            return False

    def _full(self, path: RepoPath) -> str:
        return f"{self._root}/{path}"


def _has_bytes(name: str, folder: int, data: bytes) -> bool:
    """Whether a regular file in an open folder has just these bytes."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    with open(fd, "rb") as file:
        return stat.S_ISREG(os.fstat(fd).st_mode) and file.read(len(data) + 1) == data


def _escaped(path: str) -> str:
    """A path as a pattern of `.gitignore` that means just that path."""
    text = path.translate(_SPECIAL)
    return f"{text[:-1]}\\ " if text.endswith(" ") else text
