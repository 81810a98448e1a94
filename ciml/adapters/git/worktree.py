"""HEAD with the work tree laid over it.

Git's own comparison would run the filters that a repository's configuration names. So Git is asked
only which files its index cannot vouch for, and these are hashed here.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence

from ciml.adapters.git import lfs
from ciml.adapters.git.command import Git, without_filters
from ciml.adapters.git.objects import Objects
from ciml.adapters.git.overlay import FOLDER, children
from ciml.adapters.git.trees import CommitTree, decoded, encoded, inside
from ciml.adapters.git.untracked import ignored, untracked
from ciml.core.errors import RaceError, RepositoryError, TrustError
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import DIRECTORY, EXECUTABLE, FILE, LINK, SUBMODULE, TreeEntry

RAW = re.compile(rb":(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*\0([^\0]+)\0")
"""One line of `--raw -z`: modes and ids before and after, status, path."""

LARGE = 8 << 20
"""Bytes from which on a file is better not held in memory."""

# It starts with a fixed byte, which the scan of a long list jumps to.
_HIDDEN = re.compile(rb"\0([a-zS]) ([^\0]+)")


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
        self._root = root
        self._absent: set[RepoPath] = set()
        """Left out by a sparse checkout."""
        self._over: dict[RepoPath, TreeEntry | None] = self._overlay()
        """What differs from HEAD; None where it is deleted."""
        self.dirty = frozenset(self._over)
        self._children = children(self._over)
        self._trees: dict[str, GitOid | None] = {}

    # What differs from HEAD.

    def _overlay(self) -> dict[RepoPath, TreeEntry | None]:
        tree = self._head.entries([RepoPath("")])[RepoPath("")].oid
        flags = self._git.start("ls-files", "-v", "-z")
        try:
            raw = self._git.run(
                "diff-index",
                "-z",
                "--raw",
                "--no-abbrev",
                "--no-renames",
                "--no-ext-diff",
                "--ignore-submodules=dirty",
                tree,
            )
        except BaseException:
            flags.kill()
            raise
        finally:
            listed, _ = flags.communicate()
        over: dict[RepoPath, TreeEntry | None] = {}
        doubtful: dict[RepoPath, TreeEntry] = {}
        for path, before, after in [*self._from_raw(raw), *self._hidden(listed)]:
            if after == before:
                continue
            over[path] = after
            if before and after and before.mode == after.mode:
                doubtful[path] = before
        for path in self._same_to_git(doubtful):
            del over[path]
        return over

    def _from_raw(self, raw: bytes) -> Iterator[tuple[RepoPath, TreeEntry | None, TreeEntry | None]]:
        """(path, in HEAD, on disk) of what Git's index cannot vouch for."""
        for old_mode, new_mode, old_oid, new_oid, status, name in RAW.findall(raw):
            path = decoded(name)
            before = (
                TreeEntry(path=path, mode=int(old_mode, 8), oid=GitOid(old_oid.decode()))
                if old_mode != b"000000"
                else None
            )
            if status == b"D":
                yield path, before, None
            elif new_oid.strip(b"0"):
                yield path, before, TreeEntry(path=path, mode=int(new_mode, 8), oid=GitOid(new_oid.decode()))
            else:
                yield path, before, self._on_disk(path, int(new_mode, 8))

    def _hidden(self, listed: bytes) -> list[tuple[RepoPath, TreeEntry | None, TreeEntry | None]]:
        """The same of files that Git was told not to look at (`assume-unchanged`, `skip-worktree`)."""
        flags = {decoded(name): flag for flag, name in _HIDDEN.findall(b"\0" + listed)}
        found: list[tuple[RepoPath, TreeEntry | None, TreeEntry | None]] = []
        for path, before in self._head.entries(flags).items():
            after = self._on_disk(path, None if self._trust_mode else before.mode)
            if after is None and flags[path].upper() == b"S":
                self._absent.add(path)
            elif before.mode != SUBMODULE:
                found.append((path, before, after))
        return found

    def _on_disk(self, path: RepoPath, mode: int | None) -> TreeEntry | None:
        """The entry of a file as it is now; None where there is no file.

        Args:
            path: of the file.
            mode: what Git would record; None to tell by the file itself.
        """
        full = self._full(path)
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

    def _same_to_git(self, doubtful: dict[RepoPath, TreeEntry]) -> list[RepoPath]:
        """Those whose bytes differ from HEAD's only by line ends, or by being LFS content and not its pointer."""
        files = {path: entry for path, entry in doubtful.items() if entry.mode in (FILE, EXECUTABLE)}
        if not files:
            return []
        as_git = self._as_git([path for path in files if "\n" not in path and not path.startswith('"')])
        small = {oid for oid, size in self._objects.sizes(e.oid for e in files.values()).items() if size < lfs.LONGEST}
        return [
            path
            for path, entry in files.items()
            if as_git.get(path) == entry.oid or (entry.oid in small and self._is_lfs(path, entry))
        ]

    def _as_git(self, paths: Sequence[RepoPath]) -> dict[RepoPath, str]:
        """The object id that Git would give each file, line ends and encodings turned; none where one cannot be."""
        answer = self._git.ask("hash-object", "--stdin-paths", data=b"".join(encoded(path) + b"\n" for path in paths))
        return {} if answer.code else dict(zip(paths, answer.out.decode().split(), strict=True))

    def _is_lfs(self, path: RepoPath, entry: TreeEntry) -> bool:
        wanted = lfs.pointer(self._objects.blob(entry.oid))
        return wanted is not None and lfs.is_content(self._full(path), wanted)

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
        return untracked(self._git, self._root, under)

    def ignores(self, path: RepoPath) -> bool:
        """Whether something lies at or below `path` that Git was told to ignore."""
        return ignored(self._git, path)

    def admit(self, paths: Iterable[RepoPath]) -> None:
        """Let files on disk count as if they were tracked, from now on. Links and regular files only."""
        mode = None if self._trust_mode else FILE
        new = {path: self._on_disk(path, mode) for path in paths if self._over.get(path) is None}
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
        full = os.path.realpath(self._full(path))
        top = os.path.realpath(self._root)
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
        data = self._regular(entry.path)
        pointed = lfs.pointer(data) if data is not None else None
        if data is not None and pointed is None and self._objects.id_of("blob", data) == entry.oid:
            return data
        if entry.path in self._over and not self._objects.sizes([entry.oid]):
            raise RaceError(f"{entry.path} changed while ciml was reading it")
        return self._from_git(entry, data)

    def _fetch_link(self, entry: TreeEntry) -> bytes:
        if entry.path not in self._over or entry.mode == SUBMODULE:
            return self._head.fetch(entry)
        full = self._full(entry.path)
        text = os.fsencode(os.readlink(full)) if os.path.islink(full) else self._regular(entry.path) or b""
        inside(entry.path, text)
        return text

    def _from_git(self, entry: TreeEntry, data: bytes | None) -> bytes:
        blob = self._head.object_of(entry)
        if wanted := lfs.pointer(blob):
            full = self._full(entry.path)
            with open(full if lfs.is_content(full, wanted) else self._head.lfs_file(entry.path, wanted), "rb") as file:
                return file.read()
        if data is not None:
            self.converted.add(entry.path)
        return blob

    def locate(self, entry: TreeEntry) -> str | None:
        """The absolute path of a large file that holds the bytes `fetch` would give.

        None where there is none, or where the file is small enough to be fetched.
        """
        full = self._full(entry.path)
        try:
            found = os.lstat(full)
        except OSError:
            return None
        if entry.mode not in (FILE, EXECUTABLE) or found.st_size < LARGE or not stat.S_ISREG(found.st_mode):
            return None
        here = self._on_disk(entry.path, entry.mode)
        if here and here.oid == entry.oid:
            return full
        small = self._objects.sizes([entry.oid]).get(entry.oid, LARGE) < lfs.LONGEST
        return full if small and self._is_lfs(entry.path, entry) else None

    def _must_be_here(self, path: RepoPath) -> None:
        if path in self._absent:
            raise RepositoryError(
                f"{path} is tracked, but this sparse checkout leaves it out",
                hint=f"git sparse-checkout add {path.rpartition('/')[0] or path}",
            )

    def _regular(self, path: RepoPath) -> bytes | None:
        """The bytes of a file that is no link; None where there is none."""
        try:
            handle = os.open(self._full(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with open(handle, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None

    def _full(self, path: RepoPath) -> str:
        return f"{self._root}/{path}"
