"""What differs, folder by folder."""

from __future__ import annotations

from ciml.adapters.git.overlay import FOLDER, children
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import TreeEntry


def entry(path: str) -> TreeEntry:
    return TreeEntry(path=RepoPath(path), mode=0o100644, oid=GitOid("a" * 40))


def test_every_folder_on_the_way_is_named() -> None:
    """Each folder holds what differs right in it: files, deletions, and folders that hold something."""
    over = {RepoPath("a/b/c"): entry("a/b/c"), RepoPath("d"): None}
    assert children(over) == {"a/b": {"c": entry("a/b/c")}, "a": {"b": FOLDER}, "": {"a": FOLDER, "d": None}}


def test_a_file_that_became_a_folder_and_back() -> None:
    """What is there wins over what was deleted, in whatever order they come."""
    for over in (
        {RepoPath("x"): None, RepoPath("x/y"): entry("x/y")},
        {RepoPath("x/y"): entry("x/y"), RepoPath("x"): None},
    ):
        assert children(over)[RepoPath("")] == {"x": FOLDER}
    for over in (
        {RepoPath("x"): entry("x"), RepoPath("x/y"): None},
        {RepoPath("x/y"): None, RepoPath("x"): entry("x")},
    ):
        assert children(over)[RepoPath("")] == {"x": entry("x")}
