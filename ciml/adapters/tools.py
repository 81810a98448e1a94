"""What this machine has of the programs and packages that ciml works with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec


def program(name: str, *arguments: str, environ: Mapping[str, str]) -> str | None:
    """The first line that a program prints of its version; None where it is not there."""
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        return None
    try:
        done = subprocess.run([found, *arguments], capture_output=True, timeout=20, check=False, env=dict(environ))
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout or done.stderr).strip().partition("\n")[0] or None


def package(module: str, distribution: str) -> str | None:
    """The version of a package, found without importing it; None where it is not installed."""
    if find_spec(module) is None:
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "?"
