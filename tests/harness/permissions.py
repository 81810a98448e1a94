"""What a job's token may do.

Source: docs.github.com, "Workflow syntax", `permissions`, and "Automatic token authentication".
"""

from __future__ import annotations

from typing import Any

ALL = frozenset(
    [
        "actions",
        "attestations",
        "checks",
        "contents",
        "deployments",
        "discussions",
        "id-token",
        "issues",
        "packages",
        "pages",
        "pull-requests",
        "security-events",
        "statuses",
    ]
)

_LEVELS = {"none": 0, "read": 1, "write": 2}
DEFAULT = {"contents": "read", "packages": "read"}
"""Where neither workflow nor job says anything, in a repository with GitHub's present defaults."""


def granted(of_workflow: Any, of_job: Any, ceiling: dict[str, str] | None, *, fork: bool) -> dict[str, str]:
    """Permission -> level.

    Args:
        of_workflow: `permissions` at the top; None where there is none.
        of_job: those of the job, in the place of the workflow's.
        ceiling: of the job that calls the workflow; None where nobody does.
        fork: a pull request of a fork can write nothing.
    """
    told = of_job if of_job is not None else of_workflow
    found = _asked(told) if told is not None else dict(ceiling if ceiling is not None else DEFAULT)
    if fork:
        found = {name: "read" for name, level in found.items() if name != "id-token" and level != "none"}
    if ceiling is not None:
        found = {name: min(level, ceiling.get(name, "none"), key=_LEVELS.__getitem__) for name, level in found.items()}
    return {"metadata": "read", **{name: level for name, level in found.items() if level != "none"}}


def excess(of_workflow: Any, of_job: Any, ceiling: dict[str, str]) -> list[str]:
    """What a called workflow asks for and its caller has not: GitHub does not start such a run."""
    told = of_job if of_job is not None else of_workflow
    asked = _asked(told) if told is not None else {}
    return [f"{name}: {level}" for name, level in asked.items() if _LEVELS[level] > _LEVELS[ceiling.get(name, "none")]]


def _asked(told: Any) -> dict[str, str]:
    if isinstance(told, str):
        level = told.removesuffix("-all")
        return {name: level for name in ALL if name != "id-token" or level == "write"}
    return dict(told or {})
