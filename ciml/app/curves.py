"""The plots of a run as numbers: GitHub draws them itself, and no picture leaves the repository."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import islice

from ciml.app.perform import Performance
from ciml.app.ports import Store
from ciml.core.errors import CimlError
from ciml.core.ids import RepoPath
from ciml.core.report import Curve, thinned
from ciml.core.results import Output, record_of

LARGEST = 8 << 20
"""Bytes of a plot's file; a larger one is not drawn."""

POINTS = 48
"""Of one curve."""

_MOST = 6
"""Curves in one report."""


def curves(made: Performance, store: Store) -> tuple[Curve, ...]:
    """One curve for each CSV among the run's plots that has two columns of numbers."""
    found = (curve for output in _plots(made) if (curve := _curve(output, store)) is not None)
    return tuple(islice(found, _MOST))


def _plots(made: Performance) -> Iterator[Output]:
    stages = made.prepared.graph.pipeline.stages
    for name, result in made.results.items():
        record = record_of(result)
        if record is None or name not in stages:
            continue
        inside = {place.inside for place in stages[name].outputs if place.path in stages[name].plots}
        yield from (output for output in record.outputs if output.path in inside and output.path.endswith(".csv"))


def _curve(output: Output, store: Store) -> Curve | None:
    if output.directory or output.size > LARGEST:
        return None
    try:
        text = store.read(output.digest).decode("utf-8")
        rows = list(csv.reader(text.splitlines()))
    except (CimlError, UnicodeDecodeError, csv.Error):
        return None  # a plot that cannot be drawn is nobody's failure
    if len(rows) < 3 or len(rows[0]) < 2:
        return None
    points = [point for row in rows[1:] if (point := _point(row)) is not None]
    if len(points) < 2:
        return None
    return Curve(path=RepoPath(output.path), x=rows[0][0], y=rows[0][1], points=thinned(points, POINTS))


def _point(row: list[str]) -> tuple[float, float] | None:
    try:
        point = float(row[0]), float(row[1])
    except (ValueError, IndexError):
        return None
    return point if all(map(math.isfinite, point)) else None
