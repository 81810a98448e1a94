"""`tests.benchmarks`: what is measured is what the table says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import dags, table
from tests.benchmarks.dags import Dag
from tests.benchmarks.measure import Command, Measurement, Sample, in_turn
from tests.benchmarks.peers import Ciml, Doit, Dvc, Make, Snakemake, Tool
from tests.benchmarks.table import Row

ENV = {"PATH": os.environ["PATH"]}
TOOLS: list[Tool] = [Ciml(), Doit(), Dvc(), Make(), Snakemake()]


@pytest.mark.parametrize("dag", [dags.wide(5), dags.chain(5)], ids=str)
def test_make_builds_the_dag(dag: Dag, tmp_path: Path) -> None:
    """The Makefile makes every output right, and a second run touches none."""
    dags.write_sources(dag, tmp_path)
    Make().define(dag, tmp_path)
    subprocess.run(Make.parallel, cwd=tmp_path, check=True)
    times = dags.output_times(dag, tmp_path)
    subprocess.run(Make.up_to_date, cwd=tmp_path, check=True)

    assert dags.outputs_are_right(dag, tmp_path)
    assert dags.output_times(dag, tmp_path) == times


def test_a_wrong_output_is_seen(tmp_path: Path) -> None:
    """A stage that wrote something else, or nothing, does not pass for done."""
    dag = dags.wide(2)
    dags.write_sources(dag, tmp_path)
    dags.write_outputs(dag, tmp_path)
    assert dags.outputs_are_right(dag, tmp_path)

    (tmp_path / dag.steps[0].output).write_text("")
    assert not dags.outputs_are_right(dag, tmp_path)
    (tmp_path / dag.steps[0].output).unlink()
    assert not dags.outputs_are_right(dag, tmp_path)


def test_pairs_are_measured_in_turn(tmp_path: Path) -> None:
    """A B, then A B again, so a slow minute hits both alike; the first round is thrown away."""
    order = tmp_path / "order"
    here = tmp_path / "here"
    here.mkdir()
    commands = [Command(name, ("sh", "-c", f"printf {name} >> ../order"), here, ENV) for name in "ab"]

    first, second = in_turn(commands, runs=3, slow_runs=1)

    assert order.read_text() == "abababab"
    assert (len(first.samples), len(second.samples)) == (3, 3)


def test_a_slow_command_is_measured_less_often(tmp_path: Path) -> None:
    """What takes longer than the limit in the first round gets the smaller number of runs."""
    [measurement] = in_turn([Command("x", ("true",), tmp_path, ENV)], runs=5, slow_runs=2, slow_s=0.0)
    assert len(measurement.samples) == 2


def test_a_failed_command_has_no_ratio(tmp_path: Path) -> None:
    """An exit code other than 0, and a check that does not hold, are said in place of a time."""
    here = tmp_path / "here"
    here.mkdir()
    failing = Command("f", ("sh", "-c", "echo broken; exit 3"), here, ENV)
    wrong = Command("w", ("true",), here, ENV, check=lambda: False)
    good = Command("g", ("true",), here, ENV)

    failed, unchecked, fine = in_turn([failing, wrong, good], runs=1, slow_runs=1)

    assert failed.problem == "exit 3: broken"
    assert unchecked.problem == "did not do what it was measured for"
    row = table.compared("P", "w", failed, fine, 1.0)
    assert (row.ratio, row.verdict) == (None, "not measured")


def test_ratio_and_goal() -> None:
    """The ratio is of medians, and the goal is reached when the ratio is not above it."""
    ours = Measurement("ciml run", tuple(Sample(s, 10.0, None) for s in (1.0, 9.0, 2.0)))
    theirs = Measurement("make", tuple(Sample(s, 10.0, None) for s in (4.0, 4.0, 1.0)))

    assert table.compared("P1", "w", ours, theirs, 0.5).verdict == "reached"
    assert table.compared("P1", "w", ours, theirs, 0.49).verdict == "MISSED"
    assert table.compared("P1", "w", ours, theirs, None).verdict == ""
    assert table.memory("P11", "w", ours, limit_mb=9.0).verdict == "MISSED"


def test_the_table_and_its_summary() -> None:
    """Small ratios are written as fractions; the summary names each goal that was not reached."""
    rows = [Row("P1", "w", "ciml", "dvc", 0.01, 1 / 80), Row("P3", "v", "ciml", "doit", 3.0, 2.5)]

    assert "1/100" in table.text(rows)
    assert "<= 1/80" in table.text(rows)
    assert table.summary(rows).splitlines() == ["1 of 2 goals reached.", "  P3 v: ciml beside doit, MISSED"]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_has_its_command_lines(tool: Tool) -> None:
    """The command that is timed starts with the tool's own name."""
    assert tool.up_to_date[0] == tool.parallel[0] == tool.name


def test_the_options_are_explained() -> None:
    """`python -m tests.benchmarks --help` works without any peer installed."""
    root = Path(__file__).parent.parent
    shown = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--help"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "--full" in shown.stdout
