"""A stage's log: whole on disk, line by line to whoever watches, its end in memory."""

from __future__ import annotations

import os
from collections.abc import Callable

from ciml.core.redaction import Redactor

LINE = 1 << 16
"""Bytes after which a line is split for those who watch, so that one endless line needs no memory."""

TAIL = 1 << 14
"""Bytes of the log's end that are kept."""


class StageLog:
    """Takes what a stage prints; secrets are masked before a byte goes anywhere.

    The file is made with the first byte, so a silent stage costs nothing.
    """

    def __init__(self, path: str, redactor: Redactor, on_line: Callable[[str], None] | None) -> None:
        self._path = path
        self._redactor = redactor
        self._on_line = on_line
        self._fd: int | None = None
        self._unmasked = b""
        self._line = b""
        self._tail = b""
        self.lost: str | None = None
        """Why the file ends early, when it could not be written."""

    @property
    def path(self) -> str:
        """Where the file is; empty when nothing was printed."""
        return self._path if self._fd is not None or self.lost else ""

    @property
    def tail(self) -> str:
        """The end of the log, whole lines where it has any."""
        tail = self._tail
        if len(tail) == TAIL and b"\n" in tail:
            tail = tail[tail.index(b"\n") + 1 :]
        return tail.decode("utf-8", "replace")

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._redactor:
            self._emit(data)
            return
        self._unmasked += data
        cut = self._unmasked.rfind(b"\n") + 1
        if not cut and len(self._unmasked) > LINE:
            cut = self._redactor.safe_cut(self._unmasked)
        if cut:
            ready, self._unmasked = self._unmasked[:cut], self._unmasked[cut:]
            self._emit(self._redactor.mask(ready))

    def flush(self) -> None:
        """Let go of what was held back: the stage has ended, or another attempt begins."""
        held, self._unmasked = self._unmasked, b""
        if held:
            self._emit(self._redactor.mask(held))
        line, self._line = self._line, b""
        if line:
            self._show(line)

    def close(self) -> None:
        """Take no more."""
        self.flush()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = -1

    def _emit(self, data: bytes) -> None:
        self._write(data)
        self._tail = (self._tail + data)[-TAIL:]
        if self._on_line is None:
            return
        *whole, self._line = (self._line + data).split(b"\n")
        for line in whole:
            self._show(line)
        if len(self._line) >= LINE:
            line, self._line = self._line, b""
            self._show(line)

    def _show(self, line: bytes) -> None:
        if self._on_line is not None:
            for start in range(0, len(line) or 1, LINE):
                self._on_line(line[start : start + LINE].decode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        if self.lost:
            return
        try:
            if self._fd is None:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.lost = f"the log could not be written: {error.strerror}"
