"""The cases, each a function from a scratch directory to rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import dags, data, peers
from tests.benchmarks.action import action
from tests.benchmarks.dags import Dag
from tests.benchmarks.measure import Command, Measurement, in_turn
from tests.benchmarks.peers import Ciml, Doit, Dvc, Make, Snakemake, Tool
from tests.benchmarks.sharing import shared
from tests.benchmarks.table import Row, bounded, compared, memory
from tests.benchmarks.transfers import transfers

MEMORY_LIMIT_MB = 80.0


class Size(NamedTuple):
    """How much is measured."""

    full: bool
    runs: int = 5

    @property
    def slow_runs(self) -> int:
        """Runs of a command that needs more than five seconds."""
        return self.runs if self.full else 3

    def measure(self, commands: list[Command]) -> list[Measurement]:
        """All of the commands, in turn."""
        return in_turn(commands, runs=self.runs, slow_runs=self.slow_runs)


Case = Callable[[Path, Size], Iterator[Row]]


def start_up(scratch: Path, size: Size) -> Iterator[Row]:
    """P2: what a command costs before it does anything, with ten stages that are up to date."""
    ciml, dag = Ciml(), dags.wide(10)
    here = _finished(ciml, dag, scratch / "start-up")
    version = _command("dvc --version", ("dvc", "--version"), here)
    arguments = (("--version",), ("run",), ("plan",), ("validate",), ("explain", "s0"), ("store", "stats"))
    ours = [_command(f"ciml {' '.join(words)}", ("ciml", *words), here) for words in arguments]
    peer, *measured = size.measure([version, *ours])
    for measurement in measured:
        yield compared("P2", "start-up, 10 stages", measurement, peer, 1.0)
    yield memory("P11", "start-up, 10 stages", measured[1], limit_mb=MEMORY_LIMIT_MB)


def nothing_to_do(scratch: Path, size: Size) -> Iterator[Row]:
    """P1: everything is up to date."""
    sizes = (1000, 5000) if size.full else (1000,)
    for count in sizes:
        for dag in (dags.wide(count), dags.chain(count)):
            yield from _nothing_to_do(scratch / f"nothing-{dag.shape}-{count}", dag, size)


def _nothing_to_do(scratch: Path, dag: Dag, size: Size) -> Iterator[Row]:
    goals: dict[str, float | None] = {"make": 1.0, "doit": 1.0, "dvc": 1 / 200 if len(dag.steps) >= 5000 else 1 / 80}
    others: list[Tool] = [Make(), Doit(), Dvc()]
    if len(dag.steps) <= 1000:
        others.append(Snakemake())
    here = _finished(Ciml(), dag, scratch / "ciml")
    ours = [_idle("ciml run", ("ciml", "run"), dag, here), _idle("ciml plan", ("ciml", "plan"), dag, here)]
    theirs = [
        _idle(" ".join(tool.up_to_date), tool.up_to_date, dag, _finished(tool, dag, scratch / tool.name))
        for tool in others
    ]
    run, plan, *measured = size.measure([*ours, *theirs])
    for tool, peer in zip(others, measured, strict=True):
        for measurement in (run, plan):
            yield compared("P1", f"nothing to do, {dag}", measurement, peer, goals.get(tool.name))
    yield memory("P11", f"nothing to do, {dag}", run, limit_mb=MEMORY_LIMIT_MB)


def all_to_do(scratch: Path, size: Size) -> Iterator[Row]:
    """P3: nothing has ever run; ciml isolates each stage and stores what it makes."""
    small, rows = _all_to_do(scratch / "all-100", dags.wide(100), size, [Doit(), Dvc(), Make(), Snakemake()])
    yield from rows
    yield from _all_to_do(scratch / "all-1000", dags.wide(1000), size, [Doit(), Make()])[1]
    if size.full:
        large, rows = _all_to_do(scratch / "all-5000", dags.wide(5000), size, [])
        yield from rows
        problem = small.problem or large.problem
        share = None if problem else (large.seconds / 5000) / (small.seconds / 100)
        yield Row("P3", "cost of a stage at 5,000", "ciml run", "the same at 100", share, 1.2, problem)


def _all_to_do(scratch: Path, dag: Dag, size: Size, others: list[Tool]) -> tuple[Measurement, list[Row]]:
    goals: dict[str, float | None] = {"doit": 2.5, "dvc": 1 / 35}
    tools: list[Tool] = [Ciml(), *others]
    commands = []
    for tool in tools:
        here = _defined(tool, dag, scratch / tool.name)
        commands.append(
            _command(" ".join(tool.parallel), tool.parallel, here)._replace(
                prepare=_forgetting(tool, here), check=_right(dag, here)
            )
        )
    run, *measured = size.measure(commands)
    rows = [
        compared("P3", f"all to do, {dag}", run, peer, goals.get(tool.name))
        for tool, peer in zip(others, measured, strict=True)
    ]
    return run, [*rows, memory("P11", f"all to do, {dag}", run, limit_mb=MEMORY_LIMIT_MB)]


def restore(scratch: Path, size: Size) -> Iterator[Row]:
    """P4: the outputs were deleted, what the tool remembers is whole."""
    dag = dags.wide(100)
    commands = []
    tools: list[Tool] = [Ciml(), Dvc()]
    for tool in tools:
        here = _defined(tool, dag, scratch / f"restore-{tool.name}")
        peers.call(tool.parallel, here)
        commands.append(
            _command(" ".join(tool.up_to_date), tool.up_to_date, here)._replace(
                prepare=_without_outputs(here), check=_right(dag, here)
            )
        )
    run, dvc = size.measure(commands)
    yield compared("P4", f"restored, {dag}", run, dvc, 1 / 100)
    yield memory("P11", f"restored, {dag}", run, limit_mb=MEMORY_LIMIT_MB)


def one_change(scratch: Path, size: Size) -> Iterator[Row]:
    """P6: one input of a thousand stages was edited."""
    dag = dags.wide(1000)
    same = _finished(Ciml(), dag, scratch / "change-none")
    edited = _finished(Ciml(), dag, scratch / "change-one")
    (edited / dag.sources[500]).write_text("something else\n")
    idle, changed = size.measure(
        [_command("ciml plan", ("ciml", "plan"), same), _command("ciml plan", ("ciml", "plan"), edited)]
    )
    yield compared("P6", "one input of 1,000 stages changed, against none", changed, idle, 1.2)


def plan_of_a_large_tree(scratch: Path, size: Size) -> Iterator[Row]:
    """P5: two commits of 100,000 files; the limit is ciml's own start and Git's own diff, twice."""
    here = scratch / "large"
    commits = _large_repository(here, files=100_000, changes=(1, 100, 63_000))
    for count, head in commits.items():
        base = f"{head}~1"
        plan, diff, start = size.measure(
            [
                _command("ciml plan", ("ciml", "plan", "--base", base, "--head", head), here),
                _command("git diff", ("git", "diff", "--raw", "-z", base, head), here),
                _command("ciml --version", ("ciml", "--version"), here),
            ]
        )
        work = f"plan, {count:,} of 100,000 files changed"
        limit = start.seconds + 2 * diff.seconds
        yield bounded("P5", work, plan, limit=limit, what="start + 2 x git diff", goal=1.0)
        yield memory("P11", work, plan, limit_mb=MEMORY_LIMIT_MB)


def taken_in(scratch: Path, size: Size) -> Iterator[Row]:
    """P7: data taken in, durably, and one file more in a listing of a million."""
    yield from data.added(scratch, size.measure)
    yield from data.one_new_file(scratch, size.measure)


def looked_at(scratch: Path, size: Size) -> Iterator[Row]:
    """P8: status of data that has not changed."""
    yield from data.looked_at(scratch, size.measure)


def bucket(scratch: Path, size: Size) -> Iterator[Row]:
    """P10: push and pull of 1,000 x 100 KB and 4 x 256 MB, beside boto3's transfer manager and DVC."""
    yield from transfers(scratch, size.measure)
    yield from shared(scratch, size.measure)


def on_github(scratch: Path, size: Size) -> Iterator[Row]:
    """The Action: its installation from a warm cache, and its jobs where a pull request changes nothing relevant."""
    yield from action(scratch, size.measure)


CASES: dict[str, Case] = {
    "P2": start_up,
    "P1": nothing_to_do,
    "P6": one_change,
    "P3": all_to_do,
    "P4": restore,
    "P5": plan_of_a_large_tree,
    "P7": taken_in,
    "P8": looked_at,
    "P10": bucket,
    "action": on_github,
}


def _large_repository(here: Path, *, files: int, changes: tuple[int, ...]) -> dict[int, str]:
    """A commit per number of changed files, each on top of the one before; the last is checked out."""
    here.mkdir(parents=True)
    peers.call(("git", "init", "-q", "-b", "main"), here)
    stages = "".join(
        f"  s{i}: {{run: 'ls src/{i:03d} > out/{i}.txt', inputs: [src/{i:03d}], outputs: [out/{i}.txt]}}\n"
        for i in range(10)
    )
    yaml = f"version: 1\nstages:\n{stages}"
    script = here.parent / "fast-import"
    with script.open("w") as stream:
        for generation, count in enumerate((files, *changes)):
            stream.write(f"commit refs/heads/main\nmark :{generation + 1}\n")
            stream.write(f"committer bench <bench@example.org> {1_700_000_000 + generation} +0000\n")
            stream.write(f"data 1\n{generation}\n" + (f"from :{generation}\n" if generation else ""))
            stream.write(f"M 100644 inline ciml.yaml\ndata {len(yaml)}\n{yaml}\n")
            for number in range(count):
                content = f"{number} {generation}\n"
                stream.write(f"M 100644 inline src/{number % 1000:03d}/{number}.txt\ndata {len(content)}\n{content}\n")
    peers.call(("sh", "-c", f"git fast-import --quiet < {script}"), here)
    peers.call(("git", "reset", "-q", "--hard", "main"), here)
    script.unlink()
    last = len(changes)
    heads = [peers.call(("git", "rev-parse", f"main~{last - 1 - i}"), here).strip() for i in range(last)]
    return dict(zip(changes, heads, strict=True))


def _command(label: str, argv: tuple[str, ...], here: Path) -> Command:
    return Command(label, argv, here, peers.environment())


def _idle(label: str, argv: tuple[str, ...], dag: Dag, here: Path) -> Command:
    """A command that must leave every output untouched."""
    times = dags.output_times(dag, here)
    return _command(label, argv, here)._replace(check=lambda: dags.output_times(dag, here) == times)


def _defined(tool: Tool, dag: Dag, here: Path) -> Path:
    dags.write_sources(dag, here)
    tool.define(dag, here)
    return here


def _finished(tool: Tool, dag: Dag, here: Path) -> Path:
    _defined(tool, dag, here)
    tool.finish(dag, here)
    return here


def _without_outputs(here: Path) -> Callable[[], None]:
    def prepare() -> None:
        peers.set_aside(here, "out")
        (here / "out").mkdir()

    return prepare


def _forgetting(tool: Tool, here: Path) -> Callable[[], None]:
    empty = _without_outputs(here)

    def prepare() -> None:
        empty()
        tool.forget(here)

    return prepare


def _right(dag: Dag, here: Path) -> Callable[[], bool]:
    return lambda: dags.outputs_are_right(dag, here)
