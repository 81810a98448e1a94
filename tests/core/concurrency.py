"""What GitHub's `concurrency` makes of dispatches on one branch, as its documentation says.

In a group at most one run goes on and at most one waits: a newer one takes the place of the one that waits,
which is cancelled. With `cancel-in-progress: false` what goes on ends first.

Source: GitHub Docs, "Control the concurrency of workflows and jobs".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Run(NamedTuple):
    """A run that was not cancelled."""

    asked: float
    """When it was asked for, in s."""
    began: float


class Concurrency:
    """A group as a workflow declares it, for `repository_dispatch` on the default branch."""

    def __init__(self, declared: dict[str, Any]) -> None:
        # Neither a pull request's number nor a pushed commit tells two dispatches apart: the branch is the group.
        assert declared["group"].startswith("ciml-${{ ") and declared["group"].endswith("|| github.ref }}")
        assert "github.sha" not in declared["group"].replace(
            "(github.event_name == 'push' || github.event_name == 'merge_group') && github.sha", ""
        )
        assert declared["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"

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
