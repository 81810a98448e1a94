"""What Git says of a path: its entry in a tree, and how two trees differ."""

from __future__ import annotations

from ciml.core.ids import GitOid, RepoPath
from ciml.core.value import Value

DIRECTORY = 0o040000
FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
SUBMODULE = 0o160000


class TreeEntry(Value, frozen=True, kw_only=True):
    """What a commit, or the work tree, holds at a path."""

    path: RepoPath
    mode: int
    """Git's: 0o100644, 0o100755, 0o120000 (link), 0o040000 (directory), 0o160000 (submodule)."""
    oid: GitOid


class PathChange(Value, frozen=True, kw_only=True):
    """A path at which two trees differ. A rename is a deletion and an addition."""

    path: RepoPath
    before: TreeEntry | None
    """None where the path is new."""
    after: TreeEntry | None
    """None where the path is gone."""


def link_target(path: RepoPath, text: str) -> RepoPath | None:
    """The path that a symbolic link names, from its own path and its text; None where it leaves the repository."""
    if text.startswith("/") or not text or "\0" in text:
        return None
    parts = path.split("/")[:-1]
    for part in text.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if any(part.casefold() == ".git" for part in parts):
        return None
    return RepoPath("/".join(parts))
