"""What a user sees: lines, columns, live progress on a terminal, one JSON document with `--json`.

`rich` is imported only where something moves on a terminal: start-up time is a feature.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import click
import msgspec

from ciml.cli.here import typeable
from ciml.cli.invocation import Invocation
from ciml.core.amounts import some_of
from ciml.core.errors import CimlError
from ciml.core.ids import StageName
from ciml.core.neutralise import harmless_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_COLOURS = {
    "run": "yellow",
    "ran": "green",
    "restore": "cyan",
    "restored": "cyan",
    "failed": "red",
    "rejected": "red",
    "accepted": "green",
    "fail": "red",
    "pass": "green",
    "maybe": "magenta",
}

DOCUMENT = "ciml.document"
"""What a call's context has been told once its document is printed."""

KEPT = 1 << 20
"""Characters of what was printed that are kept, to be printed again by a call that has nothing to do."""


class Console:
    """Where a command writes.

    With `--json` everything but the document goes to stderr, so that stdout is one JSON value.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._json = invocation.json
        self._directory = invocation.directory
        self._verbosity = invocation.verbosity
        self._said: dict[bool, list[str]] = {False: [], True: []}
        """What went to stdout and to stderr so far, colours included, as long as it is little."""
        self._size = 0

    @property
    def out(self) -> str | None:
        """What went to stdout so far; None where there was too much to keep, as of a stage that prints without end."""
        return "".join(self._said[False]) if self._size <= KEPT else None

    @property
    def error(self) -> str | None:
        """What went to stderr so far; None as above."""
        return "".join(self._said[True]) if self._size <= KEPT else None

    @property
    def verbose(self) -> bool:
        """Whether `-v` was given."""
        return self._verbosity > 0

    def line(self, text: str = "") -> None:
        """A line of the answer."""
        if self._verbosity >= 0:
            self._write(text, err=self._json)

    def gap(self) -> None:
        """An empty line, where the answer has begun."""
        if self._said[self._json] or self._size > KEPT:
            self.line()

    def detail(self, text: str) -> None:
        """A line for those who asked with `-v`."""
        if self._verbosity > 0:
            self._write(text, err=True)

    def warn(self, text: str) -> None:
        """A warning: never lost, whatever `-q` says."""
        self._write(f"{click.style('warning:', fg='yellow')} {typeable(text, self._directory)}", err=True)

    def failure(self, error: CimlError) -> None:
        """An error that does not end the call: told as one that does."""
        self._write(f"error: {typeable(error.message, self._directory)}", err=True)
        if error.hint:
            self._write(f"hint: {typeable(error.hint, self._directory)}", err=True)

    def document(self, document: object) -> None:
        """The one JSON document, when `--json` asks for it."""
        if self._json:
            click.get_current_context().meta[DOCUMENT] = True
            self._echo(json_text(document), err=False)

    def _write(self, text: str, *, err: bool) -> None:
        self._echo(harmless_text(text), err=err)

    def _echo(self, text: str, *, err: bool) -> None:
        click.echo(text, err=err)
        self._size += len(text) + 1
        if self._size <= KEPT:
            self._said[err].append(f"{text}\n")
        else:
            self._said = {False: [], True: []}

    def columns(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows with aligned columns; a known word is coloured on a terminal."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            used = len("\0".join(row).rstrip("\0 ").split("\0"))
            cells = [cell.ljust(width) for cell, width in zip(row[: used - 1], widths, strict=False)]
            self.line("  ".join(map(_styled, (*cells, row[used - 1]))))


def _styled(cell: str) -> str:
    word = cell.strip()
    return click.style(cell, fg=_COLOURS[word]) if word in _COLOURS else cell


def json_text(document: object) -> str:
    """A document as `--json` prints it."""
    try:
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    except UnicodeEncodeError:
        # A path that is not UTF-8: its bytes become escaped surrogates, which Python reads back.
        import json

        return json.dumps(msgspec.to_builtins(document), indent=2)


class Live:
    """How a run goes: a bar on a terminal, a line per event elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._running: dict[StageName, None] = {}

    def __enter__(self) -> Live:
        if self._terminal and self._total:
            from rich.console import Console as Terminal
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Terminal(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task("starting", total=self._total)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def started(self, name: StageName) -> None:
        """A stage runs now."""
        self._running[name] = None
        self._describe()

    def ended(self, name: StageName) -> None:
        """A stage has ended."""
        self._running.pop(name, None)
        if self._progress and self._task is not None:
            self._progress.advance(self._task)
        self._describe()

    def write(self, text: str) -> None:
        """A line above the bar."""
        if self._progress:
            self._progress.console.print(harmless_text(text), markup=False, highlight=False, soft_wrap=True)
        else:
            self._console.line(text)

    def _describe(self) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, description=some_of(list(self._running), 3))
