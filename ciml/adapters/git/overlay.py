"""What differs from a commit, folder by folder."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import DIRECTORY, TreeEntry

FOLDER = TreeEntry(path=RepoPath(""), mode=DIRECTORY, oid=GitOid(""))
"""Stands for a folder in which something differs."""


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
