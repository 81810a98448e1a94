"""Which workflows an event starts: the filters of `on:`.

Source: docs.github.com, "Workflow syntax for GitHub Actions", `on` and "Filter pattern cheat sheet".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

JSON = dict[str, Any]

_DEFAULT_TYPES = {
    "pull_request": ("opened", "synchronize", "reopened"),
    "pull_request_target": ("opened", "synchronize", "reopened"),
    "merge_group": ("checks_requested",),
}
"""Activity types where `types` says nothing; of other events all."""


def starts(events: JSON, name: str, *, action: str, ref: str, base: str, paths: Iterable[str], names: str = "") -> bool:
    """Whether an event starts a workflow.

    Args:
        events: of its `on:`.
        name: of the event.
        action: the activity.
        ref: that it is about: `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/merge`.
        base: branch of a pull request, or head branch of the run that a `workflow_run` is about.
        paths: of the files that have changed.
        names: of the workflow that a `workflow_run` is about.
    """
    if name not in events:
        return False
    told = events[name] or {}
    if name in ("workflow_dispatch", "schedule"):
        return True
    types = told.get("types") or _DEFAULT_TYPES.get(name)
    if types and action not in types:
        return False
    if name == "workflow_run":
        return names in told.get("workflows", ()) and _chosen(told, "branches", base)
    if name == "push":
        return _pushed(told, ref, paths)
    if name.startswith("pull_request"):
        return _chosen(told, "branches", base) and _touched(told, paths)
    return True


def _pushed(told: JSON, ref: str, paths: Iterable[str]) -> bool:
    """A push of a branch where only tags are named starts nothing, and the other way round."""
    kind, other = ("tags", "branches") if ref.startswith("refs/tags/") else ("branches", "tags")
    short = ref.split("/", 2)[2]
    if _has(told, kind):
        return _chosen(told, kind, short) and (kind == "tags" or _touched(told, paths))
    return not _has(told, other) and (kind == "tags" or _touched(told, paths))


def _has(told: JSON, kind: str) -> bool:
    return kind in told or f"{kind}-ignore" in told


def _chosen(told: JSON, kind: str, name: str) -> bool:
    if kind in told:
        return fits(told[kind], name)
    return not fits(told.get(f"{kind}-ignore", ()), name)


def _touched(told: JSON, paths: Iterable[str]) -> bool:
    changed = list(paths)
    if "paths" in told:
        return any(fits(told["paths"], path) for path in changed)
    ignored = told.get("paths-ignore")
    return not ignored or any(not fits(ignored, path) for path in changed)


def fits(patterns: Iterable[str], name: str) -> bool:
    """Whether the last pattern that fits takes the name in: one that begins with `!` takes it out again."""
    taken = False
    for pattern in patterns:
        if _expression(pattern.removeprefix("!")).fullmatch(name):
            taken = not pattern.startswith("!")
    return taken


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """`*` is anything but a slash, `**` anything, `?` and `+` are about the sign before them, `[]` is a range."""
    parts = re.findall(r"\*\*/?|\*|\?|\+|\[[^\]]*\]|\\.|.", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    return re.compile("".join(known.get(part) or (part if part[0] in "[\\" else re.escape(part)) for part in parts))
