"""Known holes of MLflow servers: a registry's word is no evidence for ciml, and still nobody should run these."""

from __future__ import annotations

import re

SOUND = "3.11"
"""The first version without any of them."""

_FIXED = (
    ("CVE-2023-1177", (2, 3, 0), "reads files outside its folder"),
    ("CVE-2023-2780", (2, 3, 1), "reads files outside its folder"),
    ("CVE-2025-11201", (3, 0, 0), "lets a version's source leave its folder"),
    ("CVE-2026-2614", (3, 10, 0), "lets a tag turn the check of sources off"),
    ("CVE-2026-2651", (3, 11, 0), "lets one user overwrite another's files"),
    ("CVE-2026-4137", (3, 11, 0), "writes models to folders that everybody can write to"),
)
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def advisories(version: str) -> tuple[str, ...]:
    """`CVE-… (what it does)` for each hole of a server of this version; none where that cannot be read."""
    found = _VERSION.match(version.strip())
    if found is None:
        return ()
    number = tuple(int(part or 0) for part in found.groups())
    backported = (2, 22, 4) <= number < (3, 0, 0)
    return tuple(
        f"{name} ({what})"
        for name, fixed, what in _FIXED
        if number < fixed and not (backported and name == "CVE-2025-11201")
    )
