"""What GitHub's `concurrency` makes of dispatches on one branch, as its documentation says.

In a group at most one run goes on and at most one waits: a newer one takes the place of the one that waits,
which is cancelled. With `cancel-in-progress: false` what goes on ends first.

Source: GitHub Docs, "Control the concurrency of workflows and jobs".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.harness.language import JSON, Language


class Run(NamedTuple):
    """A run that was not cancelled."""

    asked: float
    """When it was asked for, in s."""
    began: float


class Concurrency:
    """A group as a workflow declares it, for `repository_dispatch` on the default branch."""

    def __init__(self, declared: JSON, language: Language) -> None:
        first, second = (language.resolve(declared, {"github": _dispatch(run)}, status={}) for run in ("1", "2"))
        assert first == second, "two dispatches on one branch are not in one group"
        assert first["cancel-in-progress"] in (False, "false")

    def runs(self, arrivals: Iterable[float], *, seconds: float) -> list[Run]:
        """The runs that come of dispatches at these times, each taking so long."""
        begun: list[Run] = []
        waiting: float | None = None
        free = 0.0
        for time in sorted(arrivals):
            if waiting is not None and free <= time:
                begun.append(Run(waiting, free))
                waiting, free = None, free + seconds
            if free <= time:
                begun.append(Run(time, time))
                free = time + seconds
            else:
                waiting = time
        if waiting is not None:
            begun.append(Run(waiting, free))
        return begun


def _dispatch(run: str) -> JSON:
    """The `github` context of a run that a `repository_dispatch` began: each later one may see a newer commit."""
    return {
        "event_name": "repository_dispatch",
        "ref": "refs/heads/main",
        "sha": run * 40,
        "run_id": run,
        "event": {"action": "ciml-data", "branch": "main"},
    }
