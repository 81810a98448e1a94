"""GitHub's own parsers, descriptions and examples, which npm brought to tests/node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent / "node"


def package(name: str) -> Path:
    """The folder of an npm package of tests/node.

    The test is skipped where it is not there, and fails where it must be (`CIML_TEST_REQUIRE_NODE`).
    """
    found = ROOT / "node_modules" / name
    if found.is_dir() and shutil.which("node"):
        return found
    reason = f"{name} is not installed: .ci/node brings it where there is npm"
    if os.environ.get("CIML_TEST_REQUIRE_NODE"):
        pytest.fail(reason)
    pytest.skip(reason)
