"""HEAD with the work tree laid over it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from ciml.adapters.git import lfs
from ciml.adapters.git.command import Git, without_filters
from ciml.adapters.git.disk import Disk
from ciml.adapters.git.objects import Objects
from ciml.adapters.git.overlay import FOLDER, Overlay, children
from ciml.adapters.git.trees import CommitTree, encoded, inside
from ciml.adapters.git.untracked import ignored, untracked
from ciml.core.errors import RaceError, RepositoryError, TrustError
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import DIRECTORY, EXECUTABLE, FILE, LINK, SUBMODULE, TreeEntry

LARGE = 8 << 20
"""Bytes from which on a file is better not held in memory."""


class WorkTree:
    """The tracked files as they are on disk.

    Args:
        head: the tree of HEAD.
        objects: of the repository.
        git: runs in the root of the work tree.
        root: that root, absolute.
    """

    def __init__(self, head: CommitTree, objects: Objects, git: Git, root: str) -> None:
        self.commit = head.commit
        self.converted: set[RepoPath] = set()
        """Files that were fetched and whose bytes on disk are not Git's: line ends or a filter."""
        self._head = head
        self._objects = objects
        self._git, self._trust_mode = without_filters(git)
        self._disk = Disk(root, objects, self._git)
        overlay = Overlay(head, objects, self._git, self._disk, trust_mode=self._trust_mode)
        self._over = overlay.read()
        """What differs from HEAD; None where it is deleted."""
        self._absent = overlay.absent
        self.dirty = frozenset(self._over)
        self._children = children(self._over)
        self._trees: dict[str, GitOid | None] = {}

    # The tree.

    def entries(self, paths: Iterable[RepoPath]) -> dict[RepoPath, TreeEntry]:
        """The entries of those paths that exist; a directory has the object id that Git would give it."""
        found: dict[RepoPath, TreeEntry] = {}
        untouched = []
        for path in paths:
            if entry := self._over.get(path):
                found[path] = entry
            elif path in self._children:
                if tree := self._tree(path):
                    found[path] = TreeEntry(path=path, mode=DIRECTORY, oid=tree)
            elif path not in self._over:
                untouched.append(path)
        found.update(self._head.entries(untouched))
        return found

    def _tree(self, folder: RepoPath) -> GitOid | None:
        """The object id of a folder in which something differs; None where nothing is left of it."""
        if folder not in self._trees:
            listing = dict(self._head.listing(folder))
            for name, entry in self._children[folder].items():
                new = (
                    entry
                    if entry is not FOLDER
                    else self._folder_entry(RepoPath(f"{folder}/{name}" if folder else name))
                )
                if new is None:
                    listing.pop(encoded(name), None)
                else:
                    listing[encoded(name)] = (new.mode, new.oid)
            empty = not listing and folder != ""
            self._trees[folder] = None if empty else self._objects.id_of_listing(listing)
        return self._trees[folder]

    def _folder_entry(self, folder: RepoPath) -> TreeEntry | None:
        tree = self._tree(folder)
        return TreeEntry(path=folder, mode=DIRECTORY, oid=tree) if tree else None

    def files(self, directory: RepoPath, *, modules: bool = True) -> Sequence[TreeEntry]:
        """All files below a directory ("" is the root), sorted by path; with `modules` those of submodules too."""
        moved = self._over.get(directory)
        if moved and moved.mode == SUBMODULE:
            return self._head.files_of_submodule(moved)
        files = self._head.files(directory, modules=modules)
        if directory not in self._children:
            return files if directory not in self._over else []
        prefix = f"{directory}/" if directory else ""
        over = {path: entry for path, entry in self._over.items() if path.startswith(prefix)}
        moved_modules = tuple(f"{path}/" for path, entry in self._head.entries(over).items() if entry.mode == SUBMODULE)
        found = {file.path: file for file in files if file.path not in over and not file.path.startswith(moved_modules)}
        for entry in filter(None, over.values()):
            laid = self._head.files_of_submodule(entry) if modules and entry.mode == SUBMODULE else [entry]
            found.update((file.path, file) for file in laid)
        return [found[path] for path in sorted(found)]

    def untracked(self, *under: RepoPath) -> list[RepoPath]:
        """The files at or below these paths that Git neither tracks nor ignores, sorted."""
        return untracked(self._git, self._disk.root, under)

    def ignores(self, path: RepoPath) -> bool:
        """Whether something lies at or below `path` that Git was told to ignore."""
        return ignored(self._git, path)

    def admit(self, paths: Iterable[RepoPath]) -> None:
        """Let files on disk count as if they were tracked, from now on. Links and regular files only."""
        mode = None if self._trust_mode else FILE
        new = {path: self._disk.entry(path, mode) for path in paths if self._over.get(path) is None}
        if any(new.values()):
            self._over.update((path, entry) for path, entry in new.items() if entry)
            self.dirty = frozenset(self._over)
            self._children = children(self._over)
            self._trees.clear()

    # Bytes.

    def read(self, path: RepoPath) -> bytes | None:
        """The bytes of a file on disk, tracked or not, links inside the repository followed; None where there is none.

        Of a file that a sparse checkout leaves out, those that Git has.

        Raises:
            TrustError: a link leaves the repository.
        """
        if path in self._absent:
            return self._head.read(path)
        full = os.path.realpath(self._disk.at(path))
        top = os.path.realpath(self._disk.root)
        if not full.startswith(f"{top}/") or f"{full}/".startswith(f"{top}/.git/"):
            raise TrustError(f"{path} leads out of the repository, to {full}")
        try:
            with open(full, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def fetch(self, entry: TreeEntry) -> bytes:
        """The bytes whose object id the entry holds; of an LFS pointer, what it points to.

        They come from disk where those are the ones, else from Git: then the path is in `converted`.

        Raises:
            RepositoryError: a submodule as a whole, or content that is not here.
            TrustError: a link that leaves the repository.
            RaceError: the file changed since it was hashed.
        """
        if entry.mode in (LINK, SUBMODULE):
            return self._fetch_link(entry)
        self._must_be_here(entry.path)
        data = self._disk.regular(entry.path)
        pointed = lfs.pointer(data) if data is not None else None
        if data is not None and pointed is None and self._objects.id_of("blob", data) == entry.oid:
            return data
        if entry.path in self._over and not self._objects.sizes([entry.oid]):
            raise RaceError(f"{entry.path} changed while ciml was reading it")
        return self._from_git(entry, data)

    def _fetch_link(self, entry: TreeEntry) -> bytes:
        if entry.path not in self._over or entry.mode == SUBMODULE:
            return self._head.fetch(entry)
        full = self._disk.at(entry.path)
        text = os.fsencode(os.readlink(full)) if os.path.islink(full) else self._disk.regular(entry.path) or b""
        inside(entry.path, text)
        return text

    def _from_git(self, entry: TreeEntry, data: bytes | None) -> bytes:
        blob = self._head.object_of(entry)
        if wanted := lfs.pointer(blob):
            full = self._disk.at(entry.path)
            with open(full if lfs.is_content(full, wanted) else self._head.lfs_file(entry.path, wanted), "rb") as file:
                return file.read()
        if data is not None:
            self.converted.add(entry.path)
        return blob

    def locate(self, entry: TreeEntry) -> str | None:
        """The absolute path of a large file that holds the bytes `fetch` would give.

        None where there is none, or where the file is small enough to be fetched.
        """
        full = self._disk.at(entry.path)
        try:
            found = os.lstat(full)
        except OSError:
            return None
        if entry.mode not in (FILE, EXECUTABLE) or found.st_size < LARGE or not stat.S_ISREG(found.st_mode):
            return None
        here = self._disk.entry(entry.path, entry.mode)
        if here and here.oid == entry.oid:
            return full
        small = self._objects.sizes([entry.oid]).get(entry.oid, LARGE) < lfs.LONGEST
        return full if small and self._disk.has_lfs_content(entry.path, entry) else None

    def _must_be_here(self, path: RepoPath) -> None:
        if path in self._absent:
            raise RepositoryError(
                f"{path} is tracked, but this sparse checkout leaves it out",
                hint=f"git sparse-checkout add {path.rpartition('/')[0] or path}",
            )
