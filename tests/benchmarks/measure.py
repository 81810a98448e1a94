"""Commands run and timed: wall clock and peak memory, pairs in turn."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """A command line, where it runs, and what must be done before each run and outside the clock."""

    label: str
    argv: tuple[str, ...]
    directory: Path
    env: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], bool] = lambda: True
    """Whether the run did what the case says it does."""


class Sample(NamedTuple):
    """One run."""

    seconds: float
    peak_mb: float
    """Of the command and of what it started, whichever was largest."""
    problem: str | None


class Measurement(NamedTuple):
    """All runs of one command."""

    label: str
    samples: tuple[Sample, ...]

    @property
    def problem(self) -> str | None:
        """Why the numbers mean nothing, or None."""
        return next((sample.problem for sample in self.samples if sample.problem), None)

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def peak_mb(self) -> float:
        """The largest of all runs."""
        return max(sample.peak_mb for sample in self.samples)


Measure = Callable[[list[Command]], list[Measurement]]
"""Runs all of the commands, in turn."""


def in_turn(commands: Sequence[Command], *, runs: int, slow_runs: int, slow_s: float = 5.0) -> list[Measurement]:
    """Each command measured `runs` times, A B C A B C …, so that a slow minute of the machine hits all alike.

    One more round comes first and is thrown away: it fills caches. A command that took longer than `slow_s` in it
    is measured `slow_runs` times only; one that went wrong is not run again.
    """
    first = [once(command) for command in commands]
    samples: list[list[Sample]] = [[] for _ in commands]
    for turn in range(max(runs, slow_runs)):
        for command, warm, done in zip(commands, first, samples, strict=True):
            wanted = slow_runs if warm.seconds > slow_s else runs
            if turn < wanted and warm.problem is None:
                done.append(once(command))
    return [
        Measurement(command.label, tuple(done) or (warm,))
        for command, warm, done in zip(commands, first, samples, strict=True)
    ]


def once(command: Command) -> Sample:
    """One run; its output goes to `.bench-output` beside the directory it runs in."""
    command.prepare()
    log = command.directory.parent / f"{command.directory.name}.bench-output"
    with log.open("wb") as output:
        before = time.perf_counter()
        pid = _spawn(command, output.fileno())
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - before
    code = os.waitstatus_to_exitcode(status)
    problem = None
    if code != 0:
        problem = f"exit {code}: {_last_line(log)}"
    elif not command.check():
        problem = "did not do what it was measured for"
    return Sample(seconds, usage.ru_maxrss / 1024, problem)


def _spawn(command: Command, output: int) -> int:
    # env's own chdir keeps posix_spawn possible; its start costs a millisecond and is the same for all.
    argv = ["/usr/bin/env", "-C", str(command.directory), *command.argv]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    return os.posix_spawn(argv[0], argv, command.env, file_actions=actions)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:100] if lines else "no output"
