"""References to ciml that can be moved."""

from __future__ import annotations

import pytest

from ciml.core.workflow.pins import movable

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "line",
    [
        "      - uses: acme/ciml@v1",
        "      - uses: acme/ciml@v1 # newest",
        "        uses: 'acme/ciml@v1'",
        '      - "uses": "acme/ciml@v1"',
        "      - {uses: acme/ciml@v1, with: {command: ci}}",
        "uses:   acme/ciml@v1",
        "  a: {steps: [{uses: acme/ciml@v1}]}",
    ],
)
def test_however_it_is_written(line: str) -> None:
    """Block or flow, quoted or not, with a comment or without."""
    assert movable(f"jobs:\n{line}\n", None) == ["acme/ciml@v1"]


@pytest.mark.parametrize(
    ("used", "action", "found"),
    [
        (f"acme/ciml@{COMMIT}", None, False),
        (f"acme/ciml@{COMMIT[:39]}", None, True),
        ("acme/ciml/.github/workflows/pipeline.yml@main", None, True),
        ("Acme/CIML@main", None, True),
        ("acme/models@v1", None, False),
        ("acme/models@v1", f"Acme/Models@{COMMIT}", True),
        ("acme/ciml-extra@v1", None, False),
        ("$/", None, False),
        ("./ciml", None, False),
    ],
)
def test_what_is_ciml_and_what_is_a_commit(used: str, action: str | None, found: bool) -> None:
    """Any repository named ciml, and the one that ciml.yaml names; 40 hex digits are a commit, all else can move."""
    assert movable(f"- uses: {used}\n", action) == ([used] if found else [])


def test_comments_are_no_use() -> None:
    """A line that is commented out uses nothing."""
    assert movable("#      - uses: acme/ciml@v1\n", None) == []
