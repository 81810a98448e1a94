from __future__ import annotations

import pytest

from ciml.core.paths import folders, marked, normal, output_fault
from ciml.core.units import seconds, share, size


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.txt",
        ".hidden/x",
        "data/my file.csv",
        "é/ü",
        "a..b",
        "x@0.1",
        "console",
        "a/aux1",
        ".github/x",
        "git/x",
        "a+b,c=d",
    ],
)
def test_paths_a_stage_may_write(path: str) -> None:
    """Ordinary paths are allowed, with spaces, accents and dots too."""
    assert output_fault(path) is None


def test_normal() -> None:
    """What means the same path is the same text."""
    assert [normal(text) for text in ("./a", "a//b/", "a/./b", ".", "a")] == ["a", "a/b", "a/b", "", "a"]


def test_folders_and_marks() -> None:
    """The folders above a path, the nearest first; a mark stands before the suffix."""
    assert folders("a/b/c") == ["a/b", "a"]
    assert folders("a") == []
    assert [marked(text, "m") for text in ("build/model", "a/b.csv", "a.d/b", ".hidden", "a/.x")] == [
        "build/model@m",
        "a/b@m.csv",
        "a.d/b@m",
        ".hidden@m",
        "a/.x@m",
    ]


def test_units() -> None:
    """Durations, sizes and shares in seconds, bytes and parts of one."""
    assert [seconds(text) for text in ("500ms", "10s", "1.5m", "2h", "1d")] == [0.5, 10, 90, 7200, 86400]
    assert [size(text) for text in ("1B", "2kB", "1.5KiB", "4GiB", "1TB")] == [1, 2000, 1536, 4 << 30, 10**12]
    assert share("10%") == 0.1
