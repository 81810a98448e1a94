from __future__ import annotations

import pytest

from ciml.core.advisories import SOUND, advisories


@pytest.mark.parametrize(
    ("version", "count"),
    [
        ("2.2.9", 6),
        ("2.3.0", 5),
        ("2.3.1", 4),
        ("2.22.3", 4),
        ("2.22.4", 3),
        ("3.0.0", 3),
        ("3.10", 2),
        ("3.10.1.dev0", 2),
        (SOUND, 0),
        ("3.17.2\n", 0),
        ("10.0", 0),
        ("unknown", 0),
        ("", 0),
    ],
)
def test_c146_what_is_known_of_a_version(version: str, count: int) -> None:
    """Each hole until the version that closed it, backports included."""
    assert len(advisories(version)) == count
