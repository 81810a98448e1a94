"""Signals that end a run: the first one stops it cleanly, later ones wait for that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ciml.core.errors import InterruptedRunError


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP raise InterruptedRunError, once.

    What runs is then stopped in bounded time; a second signal must not cut that short.
    """
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            raise InterruptedRunError(
                f"interrupted by {signal.Signals(number).name}; what had ended is kept",
                terminated=number != signal.SIGINT,
            )

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
