"""Names of manifests."""

from __future__ import annotations

import pytest

from ciml.core.ids import RepoPath
from ciml.core.manifest import manifest_paths, stands_for


def test_where_a_manifest_may_lie() -> None:
    """Beside the path: ciml's own first, then a DVC pointer; a trailing slash does not count."""
    assert manifest_paths(RepoPath("data/raw/")) == ("data/raw.manifest.yaml", "data/raw.dvc")


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("data/raw.manifest.yaml", "data/raw"),
        ("data/raw.csv.dvc", "data/raw.csv"),
        ("raw.manifest.yaml", "raw"),
        ("data/raw.yaml", None),
        ("data/.dvc", None),
        (".manifest.yaml", None),
        ("dvc", None),
    ],
)
def test_what_a_manifest_stands_for(file: str, path: str | None) -> None:
    """The path without the suffix; a file that is nothing but the suffix is no manifest."""
    assert stands_for(RepoPath(file)) == path


def test_each_manifest_stands_for_its_path() -> None:
    """The two functions are each other's inverse."""
    assert [stands_for(file) for file in manifest_paths(RepoPath("a/b"))] == ["a/b", "a/b"]
