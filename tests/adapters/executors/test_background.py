"""Long work beside a loop."""

from __future__ import annotations

import select
import threading

from ciml.adapters.executors.background import Background, Outcome


def test_outcome_comes_back_in_the_loops_thread() -> None:
    """A value and an error both come back, in the thread that calls `deliver`."""
    background = Background()
    seen: list[object] = []

    def take(outcome: Outcome[int]) -> None:
        try:
            seen.append((outcome(), threading.current_thread() is threading.main_thread()))
        except ZeroDivisionError as error:
            seen.append(type(error))

    background.run(lambda: 6 * 7, take)
    background.run(lambda: 1 // 0, take)
    while len(seen) < 2:
        assert select.select([background.fd], [], [], 10)[0]
        background.deliver()
    background.close()

    assert set(seen) == {(42, True), ZeroDivisionError}


def test_drained_work_is_thrown_away() -> None:
    """After `drain` nothing of what ran comes back."""
    background = Background()
    seen: list[object] = []
    background.run(lambda: 1, lambda outcome: seen.append(outcome()))
    background.drain(10)
    background.deliver()
    background.close()

    assert seen == []
