"""The pipelines that every tool is given: trivial stages, so that the tool's own cost is what is seen."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """One stage: `cat input > output`."""

    name: str
    input: str
    output: str

    @property
    def command(self) -> str:
        """What every tool runs, by a shell."""
        return f"cat {self.input} > {self.output}"


class Dag(NamedTuple):
    """Stages in an order in which they can run."""

    shape: str
    steps: tuple[Step, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that no stage makes."""
        made = {step.output for step in self.steps}
        return tuple(step.input for step in self.steps if step.input not in made)

    def __str__(self) -> str:
        return f"{len(self.steps):,} stages, {self.shape}"


def wide(size: int) -> Dag:
    """`size` stages, each with a source of its own."""
    return Dag("wide", tuple(Step(f"s{i}", f"src/{i}.txt", f"out/{i}.txt") for i in range(size)))


def chain(size: int) -> Dag:
    """`size` stages, each reading the one before."""
    inputs = ["src/0.txt", *(f"out/{i}.txt" for i in range(size - 1))]
    return Dag("chain", tuple(Step(f"s{i}", inputs[i], f"out/{i}.txt") for i in range(size)))


def write_sources(dag: Dag, directory: Path) -> None:
    """The source files, each with content of its own, and the folders."""
    (directory / "out").mkdir(parents=True, exist_ok=True)
    (directory / "src").mkdir(exist_ok=True)
    for path in dag.sources:
        (directory / path).write_text(f"content of {path}\n")


def write_outputs(dag: Dag, directory: Path) -> None:
    """The outputs as the stages would make them, in order, so that each is newer than its input."""
    for step in dag.steps:
        (directory / step.output).write_bytes((directory / step.input).read_bytes())


def outputs_are_right(dag: Dag, directory: Path) -> bool:
    """Whether every output is there and has its input's content."""
    return all(
        (directory / step.output).is_file()
        and (directory / step.output).read_bytes() == (directory / step.input).read_bytes()
        for step in dag.steps
    )


def output_times(dag: Dag, directory: Path) -> tuple[int, ...]:
    """When each output was last written: unchanged means that no stage ran."""
    return tuple((directory / step.output).stat().st_mtime_ns for step in dag.steps)
