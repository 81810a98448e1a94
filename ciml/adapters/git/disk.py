"""Files on disk as Git would record them. They are hashed here: Git itself would run filters."""

from __future__ import annotations

import os
import stat

from ciml.adapters.git import lfs
from ciml.adapters.git.command import Git
from ciml.adapters.git.objects import Objects
from ciml.core.errors import RaceError, RepositoryError
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import EXECUTABLE, FILE, LINK, SUBMODULE, TreeEntry


class Disk:
    """The files of one work tree.

    Args:
        root: of the work tree, absolute.
        objects: of the repository.
        git: has the environment in which a submodule is asked.
    """

    def __init__(self, root: str, objects: Objects, git: Git) -> None:
        self.root = root
        self._objects = objects
        self._git = git

    def at(self, path: RepoPath) -> str:
        """The absolute path."""
        return f"{self.root}/{path}"

    def entry(self, path: RepoPath, mode: int | None) -> TreeEntry | None:
        """The entry of a file as it is now; None where there is no file.

        Args:
            path: of the file.
            mode: what Git would record; None to tell by the file itself.
        """
        full = self.at(path)
        try:
            found = os.lstat(full)
            if stat.S_ISLNK(found.st_mode):
                text = os.fsencode(os.readlink(full))
                return TreeEntry(path=path, mode=LINK, oid=self._objects.id_of("blob", text))
            if stat.S_ISDIR(found.st_mode) and mode == SUBMODULE:
                return self._checked_out(path, full)
            if not stat.S_ISREG(found.st_mode):
                return None
            oid = None
            with open(full, "rb") as file:
                oid = self._objects.id_of_file(file, os.fstat(file.fileno()).st_size)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise RepositoryError(f"{path} cannot be read: {error.strerror}") from error
        if oid is None:
            raise RaceError(f"{path} is being written while ciml reads it")
        if mode is None or mode not in (FILE, EXECUTABLE, LINK):
            mode = EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE
        return TreeEntry(path=path, mode=mode, oid=oid)

    def _checked_out(self, path: RepoPath, full: str) -> TreeEntry:
        commit = Git(full, self._git.env).run("rev-parse", "--verify", "HEAD").decode().strip()
        return TreeEntry(path=path, mode=SUBMODULE, oid=GitOid(commit))

    def regular(self, path: RepoPath) -> bytes | None:
        """The bytes of a file that is no link; None where there is none."""
        try:
            handle = os.open(self.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with open(handle, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None

    def has_lfs_content(self, path: RepoPath, entry: TreeEntry) -> bool:
        """Whether an entry is an LFS pointer, and the file its content."""
        wanted = lfs.pointer(self._objects.blob(entry.oid))
        return wanted is not None and lfs.is_content(self.at(path), wanted)
