"""The one table that `make bench` prints: a row per comparison, with its goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.benchmarks.measure import Measurement


class Row(NamedTuple):
    """One comparison; `ratio` and `goal` are None where there is nothing to compare or to reach."""

    case: str
    work: str
    ciml: str
    against: str
    ratio: float | None
    goal: float | None
    problem: str | None = None

    @property
    def verdict(self) -> str:
        """Reached, missed, not measured, or nothing where there is no goal."""
        if self.problem:
            return "not measured"
        if self.ratio is None or self.goal is None:
            return ""
        return "reached" if self.ratio <= self.goal else "MISSED"


def compared(case: str, work: str, ciml: Measurement, peer: Measurement, goal: float | None) -> Row:
    """How long ciml takes, as a share of what the peer takes."""
    problem = ciml.problem or peer.problem
    ratio = None if problem else ciml.seconds / peer.seconds
    return Row(case, work, timed(ciml), timed(peer), ratio, goal, problem)


def bounded(case: str, work: str, ciml: Measurement, *, limit: float, what: str, goal: float) -> Row:
    """How long ciml takes, as a share of a limit in seconds that was measured in the same run."""
    ratio = None if ciml.problem else ciml.seconds / limit
    return Row(case, work, timed(ciml), f"{what} {limit:.3f} s", ratio, goal, ciml.problem)


def memory(case: str, work: str, ciml: Measurement, *, limit_mb: float) -> Row:
    """The peak memory of ciml, as a share of the limit."""
    ratio = None if ciml.problem else ciml.peak_mb / limit_mb
    return Row(case, work, f"{ciml.label} {ciml.peak_mb:.0f} MB", f"limit {limit_mb:.0f} MB", ratio, 1.0, ciml.problem)


def timed(measurement: Measurement) -> str:
    """The command, its median and the number of runs, or what went wrong."""
    if measurement.problem:
        return f"{measurement.label}: {measurement.problem:.40}"
    return f"{measurement.label} {measurement.seconds:.3f} s ({len(measurement.samples)})"


HEAD = ("case", "work", "ciml, median (runs)", "against", "ratio", "goal", "")


def text(rows: Sequence[Row]) -> str:
    """The table in Markdown, which also reads well as it is."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def summary(rows: Sequence[Row]) -> str:
    """How many goals were reached, and which were not."""
    judged = [row for row in rows if row.goal is not None]
    reached = [row for row in judged if row.verdict == "reached"]
    others = [_sentence(row) for row in judged if row not in reached]
    return "\n  ".join([f"{len(reached)} of {len(judged)} goals reached.", *others])


def _sentence(row: Row) -> str:
    if row.problem:
        return f"{row.case} {row.work}: {row.ciml} beside {row.against}, {row.verdict}: {row.problem}"
    return f"{row.case} {row.work}: {row.ciml} beside {row.against}, {row.verdict}"


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else _ratio(row.ratio)
    goal = "" if row.goal is None else f"<= {_ratio(row.goal)}"
    return (row.case, row.work, row.ciml, row.against, ratio, goal, row.verdict)


def _ratio(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 0.1 else f"{ratio:.2f}"
