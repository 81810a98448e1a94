"""Long work beside a loop that must not wait for it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

Outcome = Callable[[], T]
"""Returns what the work returned, or raises what it raised."""


class Background:
    """Runs work in threads and hands its outcome back in the loop's own thread.

    `fd` becomes readable when something is to be handed back.
    """

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._finished: deque[Callable[[], None]] = deque()
        self._threads: list[Thread] = []

    def run(self, work: Callable[[], T], then: Callable[[Outcome[T]], None]) -> None:
        """Do `work` in a thread; `then` gets its outcome from `deliver`."""

        def body() -> None:
            outcome = _outcome(work)
            self._finished.append(lambda: then(outcome))
            os.eventfd_write(self.fd, 1)

        thread = Thread(target=body, daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def deliver(self) -> None:
        """Hand back what has finished."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass
        while self._finished:
            self._finished.popleft()()

    def drain(self, timeout_s: float) -> None:
        """Wait for what still runs, in all no longer than that; its outcomes are thrown away."""
        for thread in self._threads:
            thread.join(timeout_s / len(self._threads))
        self._finished.clear()

    def close(self) -> None:
        """Take no more work. A thread that still runs ends with the process."""
        self._finished.clear()
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self.fd)


def _outcome(work: Callable[[], T]) -> Outcome[T]:
    try:
        value = work()
    except BaseException as error:  # handed to the loop, which raises it
        raised = error

        def again() -> T:
            raise raised

        return again
    return lambda: value
