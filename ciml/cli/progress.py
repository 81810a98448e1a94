"""How a run is told to the user: decisions, output, results."""

from __future__ import annotations

from ciml.cli.console import Console, Live
from ciml.core.ids import StageName
from ciml.core.neutralise import neutralise
from ciml.core.plan import Action, Decision
from ciml.core.results import Cancelled, Failed, Ran, Restored, Skipped, StageResult


class Progress:
    """An observer that writes a line per event that matters.

    Args:
        console: where lines go.
        live: the bar of a terminal, or lines.
        about: put before a stage's name, when it is not the candidate's own.
    """

    def __init__(self, console: Console, live: Live, *, about: str = "") -> None:
        self._console = console
        self._live = live
        self._about = about
        self._told_of_environment = False
        self._alone: dict[StageName, bool] = {}
        """Running stages -> whether no other stage ran beside it, so that its output stands together."""

    def decided(self, name: StageName, decision: Decision) -> None:
        """A stage's turn has come."""
        if decision.action is Action.RUN:
            self._alone[name] = not self._alone
            if not self._alone[name]:
                self._alone = dict.fromkeys(self._alone, False)
            self._live.started(name)
            self._say(name, f"running: {decision.reason}")

    def makes_environment(self, name: StageName) -> None:
        """A stage waits for its environment, which is not there yet; told of the first that does."""
        if not self._told_of_environment:
            self._told_of_environment = True
            self._say(name, "making its environment, which is kept for the next time")

    def output(self, name: StageName, line: str) -> None:
        """A line that a stage has printed."""
        self._quote(line, f"{self._about}{name} | ")

    def ended(self, name: StageName, result: StageResult) -> None:
        """A stage has ended."""
        self._live.ended(name)
        alone = self._alone.pop(name, False)
        match result:
            case Ran():
                self._say(name, f"ran in {result.record.seconds:.1f} s")
                if result.note:
                    self._console.warn(f"{name}: {result.note}")
            case Restored():
                self._say(name, "restored")
            case Skipped(record=None):
                self._say(name, f"skipped: {result.reason}")
            case Failed():
                self._fail(name, result, shown=alone)
            case Cancelled():
                self._say(name, f"not run: {result.reason}")
            case Skipped():
                if self._console.verbose:
                    self._say(name, result.reason)

    def _say(self, name: StageName, text: str) -> None:
        self._live.write(f"{self._about}{name}: {text}")

    def _quote(self, text: str, prefix: str) -> None:
        """Write what a stage has printed, such that neither a runner nor a terminal takes it for more than text."""
        for line in neutralise(text, prefix=prefix):
            self._live.write(f"{line}\x1b[0m" if "\x1b" in line else line)

    def _fail(self, name: StageName, result: Failed, *, shown: bool) -> None:
        """Say why, with the end of the log where other stages' output came in between."""
        self._say(name, f"failed: {result.reason}")
        if result.tail and not shown:
            self._live.write(f"--- the end of {name}'s log ---")
            self._quote(result.tail, "| ")
            self._live.write("---")
        if result.log:
            self._live.write(f"the whole log: {result.log}")
