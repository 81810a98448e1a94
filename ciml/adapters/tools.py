"""What this machine has of the programs and packages that ciml works with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec

_ON_GITHUB = re.compile(r"(?:https|ssh)://(?:[^@/]+@)?github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


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


def installed_from() -> str | None:
    """The commit of the GitHub repository that ciml was installed from, as an Action is named; None elsewhere.

    Source: PEP 610, `direct_url.json`.
    """
    try:
        told = metadata.distribution("ciml").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    return action_of(told or "{}")


def action_of(direct_url: str) -> str | None:
    """The Action that a `direct_url.json` speaks of: `owner/repository@` and a commit."""
    try:
        told = json.loads(direct_url)
        url, commit = str(told["url"]), str(told["vcs_info"]["commit_id"])
    except (ValueError, KeyError, TypeError):
        return None
    found = _ON_GITHUB.fullmatch(url)
    return f"{found[1]}@{commit}" if found and _COMMIT.fullmatch(commit) else None
