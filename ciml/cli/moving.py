"""A bar for bytes on their way: rate, bytes, remaining time on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Moving:
    """How far transfers have come. It fits the port Meter, and threads may share it.

    Args:
        doing: what is done, such as `pushing`.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.objects = 0
        """How many have been moved."""
        self.size = 0
        """Bytes that have been moved."""
        self._expected = 0

    def __enter__(self) -> Moving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def expect(self, objects: int, size: int) -> None:
        """So many more objects, and so many more bytes, are to be moved."""
        with self._lock:
            self._expected += size
            self._draw()

    def advance(self, objects: int, size: int) -> None:
        """So many have been moved."""
        with self._lock:
            self.objects += objects
            self.size += size
            self._draw()

    def _draw(self) -> None:
        if not self._terminal:
            return
        if self._progress is None:
            self._progress = _bar()
            self._task = self._progress.add_task(self._doing, total=self._expected)
            self._progress.start()
        assert self._task is not None, "the bar has its task"
        self._progress.update(self._task, total=max(self._expected, self.size), completed=self.size)


def _bar() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Terminal(stderr=True),
        transient=True,
    )
