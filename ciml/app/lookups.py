"""The entries of one tree: looked up in batches, and asked for once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ciml.app.ports import Tree
from ciml.core.ids import RepoPath
from ciml.core.tree import TreeEntry


class Lookups:
    """What is known of a tree so far."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.entries: dict[RepoPath, TreeEntry] = {}
        """Those that were found."""
        self.asked: set[RepoPath] = set()
        """The paths that were looked up, found or not."""
        self._files: dict[RepoPath, Sequence[TreeEntry]] = {}

    def look_up(self, paths: Iterable[RepoPath]) -> None:
        """Ask the tree for those of the paths that it was not asked for."""
        new = [path for path in dict.fromkeys(paths) if path not in self.asked]
        if new:
            self.asked.update(new)
            self.entries.update(self.tree.entries(new))

    def look_again(self, missing: Iterable[RepoPath]) -> None:
        """Ask for paths that were not there: files have been admitted since."""
        paths = list(missing)
        self.asked.difference_update(paths)
        self._files.clear()
        self.look_up(paths)

    def below(self, directory: RepoPath) -> Sequence[TreeEntry]:
        """All files below a directory; "" is the root."""
        if directory not in self._files:
            self._files[directory] = self.tree.files(directory)
        return self._files[directory]
