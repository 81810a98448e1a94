"""What differs from a commit in a work tree, and folder by folder.

Git's own comparison would run the filters that a repository's configuration names. So Git is asked
only which files its index cannot vouch for, and these are hashed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ciml.adapters.git import lfs
from ciml.adapters.git.command import Git
from ciml.adapters.git.disk import Disk
from ciml.adapters.git.objects import Objects
from ciml.adapters.git.trees import CommitTree, decoded, encoded
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import DIRECTORY, EXECUTABLE, FILE, SUBMODULE, TreeEntry

RAW = re.compile(rb":(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*\0([^\0]+)\0")
"""One line of `--raw -z`: modes and ids before and after, status, path."""

# It starts with a fixed byte, which the scan of a long list jumps to.
_HIDDEN = re.compile(rb"\0([a-zS]) ([^\0]+)")

FOLDER = TreeEntry(path=RepoPath(""), mode=DIRECTORY, oid=GitOid(""))
"""Stands for a folder in which something differs."""


class Overlay:
    """Compares a work tree with HEAD.

    Args:
        head: the tree of HEAD.
        objects: of the repository.
        git: runs in the root of the work tree, without filters.
        disk: the work tree's files.
        trust_mode: the executable bit of files means something.
    """

    def __init__(self, head: CommitTree, objects: Objects, git: Git, disk: Disk, *, trust_mode: bool) -> None:
        self._head = head
        self._objects = objects
        self._git = git
        self._disk = disk
        self._trust_mode = trust_mode
        self.absent: set[RepoPath] = set()
        """Left out by a sparse checkout."""

    def read(self) -> dict[RepoPath, TreeEntry | None]:
        """Path -> what is there now, None where it was deleted."""
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
                yield path, before, self._disk.entry(path, int(new_mode, 8))

    def _hidden(self, listed: bytes) -> list[tuple[RepoPath, TreeEntry | None, TreeEntry | None]]:
        """The same of files that Git was told not to look at (`assume-unchanged`, `skip-worktree`)."""
        flags = {decoded(name): flag for flag, name in _HIDDEN.findall(b"\0" + listed)}
        found: list[tuple[RepoPath, TreeEntry | None, TreeEntry | None]] = []
        for path, before in self._head.entries(flags).items():
            after = self._disk.entry(path, None if self._trust_mode else before.mode)
            if after is None and flags[path].upper() == b"S":
                self.absent.add(path)
            elif before.mode != SUBMODULE:
                found.append((path, before, after))
        return found

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
            if as_git.get(path) == entry.oid or (entry.oid in small and self._disk.has_lfs_content(path, entry))
        ]

    def _as_git(self, paths: Sequence[RepoPath]) -> dict[RepoPath, str]:
        """The object id that Git would give each file, line ends and encodings turned; none where one cannot be."""
        answer = self._git.ask("hash-object", "--stdin-paths", data=b"".join(encoded(path) + b"\n" for path in paths))
        return {} if answer.code else dict(zip(paths, answer.out.decode().split(), strict=True))


def children(over: Mapping[RepoPath, TreeEntry | None]) -> dict[RepoPath, dict[str, TreeEntry | None]]:
    """Folder -> what differs right in it. A file wins over a folder, a folder over a deleted file.

    Args:
        over: path -> what is there now, None where it was deleted.
    """
    found: dict[RepoPath, dict[str, TreeEntry | None]] = {}
    for path, entry in over.items():
        folder, _, name = path.rpartition("/")
        here = found.setdefault(RepoPath(folder), {})
        if entry is not None or name not in here:
            here[name] = entry
        while folder:
            above, _, name = folder.rpartition("/")
            there = found.setdefault(RepoPath(above), {})
            if there.get(name) is None:
                there[name] = FOLDER
            folder = above
    return found
