"""What Git says of a path."""

from __future__ import annotations

import pytest

from ciml.core.ids import RepoPath
from ciml.core.tree import link_target


@pytest.mark.parametrize(
    ("path", "text", "target"),
    [
        ("link", "a/b", "a/b"),
        ("in/link", "../a/./b//c", "a/b/c"),
        ("in/deep/link", "..", "in"),
        ("in/link", "..", ""),
        ("link", "..", None),
        ("in/link", "../../etc", None),
        ("link", "/etc/passwd", None),
        ("in/link", "../.GIT/config", None),
        ("link", "", None),
    ],
)
def test_a_link_names_a_path_inside_the_repository_or_none(path: str, text: str, target: str | None) -> None:
    """Absolute links, links that climb above the root and links into Git's folder leave the repository."""
    assert link_target(RepoPath(path), text) == target
