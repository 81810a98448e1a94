"""Threads that work off jobs, which may bring further ones: what waits for the network waits together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_ABANDONED_S = 2.0
"""How long a request that is under way is waited for when the user has stopped ciml."""

Job = Callable[[], "Iterable[Job] | None"]
"""Does something; what it gives back is done next, before other jobs are begun."""


class Crew:
    """A number of threads for one piece of work at a time.

    Args:
        hands: how many.
    """

    def __init__(self, hands: int) -> None:
        self._hands = hands

    def run(self, jobs: Iterable[Job]) -> None:
        """Do all jobs; they are taken from the iterable as hands become free, one at a time.

        Raises:
            Exception: the first that a job raised. Jobs that had begun have ended by then; no others begin.
        """
        work = _Work(iter(jobs))
        threads = [threading.Thread(target=work.go, daemon=True, name="ciml-transfer") for _ in range(self._hands)]
        for thread in threads:
            thread.start()
        try:
            work.wait()
        except BaseException:
            work.stop()
            _join(threads, _ABANDONED_S)
            raise
        _join(threads, None)
        if work.error is not None:
            raise work.error


def _join(threads: list[threading.Thread], timeout_s: float | None) -> None:
    end = None if timeout_s is None else time.monotonic() + timeout_s
    for thread in threads:
        thread.join(None if end is None else max(end - time.monotonic(), 0))


class _Work:
    """What is to be done, and by how many it is being done."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._sources: list[Iterator[Job]] = [jobs]
        self._busy = 0
        self._stopped = False
        self._changed = threading.Condition()
        self.error: BaseException | None = None

    def wait(self) -> None:
        """Return when all is done, or nothing more will be."""
        with self._changed:
            while not self._over():
                self._changed.wait(1.0)  # short enough for a signal to be seen in between

    def stop(self) -> None:
        """Begin no more jobs."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def go(self) -> None:
        """Work until there is nothing left to do."""
        while (job := self._next()) is not None:
            more: Iterable[Job] | None = None
            try:
                more = job()
            except BaseException as error:
                self._fail(error)
            self._done(more)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._over():
                try:
                    job = self._take()
                except BaseException as error:
                    self._fail(error)
                    return None
                if job is not None:
                    self._busy += 1
                    return job
                if not self._over():
                    self._changed.wait()
            self._changed.notify_all()
            return None

    def _take(self) -> Job | None:
        end: Any = object()
        while self._sources:
            job = next(self._sources[-1], end)
            if job is not end:
                found: Job = job
                return found
            self._sources.pop()
        return None

    def _done(self, more: Iterable[Job] | None) -> None:
        with self._changed:
            if more is not None:
                self._sources.append(iter(more))
            self._busy -= 1
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self.error = self.error or error
            self._stopped = True
            self._changed.notify_all()

    def _over(self) -> bool:
        return self._stopped or (not self._sources and not self._busy)
