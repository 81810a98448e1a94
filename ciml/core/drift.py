"""How far the numbers of a column have moved: the population stability index.

PSI = sum over bins of (now - before) * ln(now / before), with shares of rows. The bins are tenths of
the rows before; a missing value is a bin of its own, since a column that fills up with gaps has moved.
By custom below 0.1 is little, from 0.25 on is much.

Sources: Siddiqi, Credit Risk Scorecards (2006), ch. 6; for what chance alone gives, Yurdakul and
Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation 14 (2020).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ciml.core.tablefacts import NUMERIC, ColumnFacts, Distribution, TableFacts
from ciml.core.value import Value

BINS = 10
SMALLEST = 1e-4
"""Share that stands for an empty bin, whose logarithm would be infinite."""


class Shift(Value, frozen=True, kw_only=True):
    """How far one numeric column has moved."""

    column: str
    psi: float
    by_chance: float
    """What two samples of these sizes from one population show on average."""


def shifts(before: TableFacts, now: TableFacts) -> tuple[Shift, ...]:
    """The numeric columns that both tables have, the one that moved most first."""
    found, there = [], now.by_name
    for column in before.columns:
        other = there.get(column.name)
        if other and _is_numeric(column) and _is_numeric(other):
            found.append(shift(column, other))
    return tuple(sorted(found, key=lambda item: (-item.psi, item.column)))


def lost(before: TableFacts, now: TableFacts) -> tuple[str, ...]:
    """A clause for each numeric column that cannot be compared any more: gone, or no number now."""
    found, there = [], now.by_name
    for column in before.columns:
        other = there.get(column.name)
        if not _is_numeric(column):
            continue
        if other is None:
            found.append(f"{column.name} is gone")
        elif not _is_numeric(other):
            found.append(f"{column.name} was {column.kind} and is {other.kind}")
    return tuple(found)


def _is_numeric(column: ColumnFacts) -> bool:
    return column.kind in NUMERIC and column.distribution.rows > 0


def shift(before: ColumnFacts, now: ColumnFacts) -> Shift:
    """How far a numeric column has moved."""
    bins = _Bins(before.distribution)
    expected = [*bins.counts(before.distribution), float(before.infinite), float(before.nulls)]
    actual = [*bins.counts(now.distribution), float(now.infinite), float(now.nulls)]
    rows, rows_now = sum(expected), sum(actual)
    used = [(one / rows, other / rows_now) for one, other in zip(expected, actual, strict=True) if one or other]
    psi = sum(_term(max(one, SMALLEST), max(other, SMALLEST)) for one, other in used)
    return Shift(column=before.name, psi=psi, by_chance=(len(used) - 1) * (1 / rows + 1 / rows_now))


def _term(before: float, now: float) -> float:
    return (now - before) * math.log(now / before)


class _Bins:
    """Tenths of the rows before.

    Values that many rows share make fewer bins. Where a tenth or more share the least or the greatest,
    what lies beyond it is a bin too: a constant that becomes another constant has moved.
    """

    def __init__(self, before: Distribution) -> None:
        points = list(zip(before.values, before.below, before.upto, strict=True))
        tenth = before.rows / BINS
        edges = dict.fromkeys(
            next(value for value, _, upto in points if upto >= tenth * step) for step in range(1, BINS)
        )
        greatest, below, upto = points[-1]
        if upto - below < tenth:
            edges.pop(greatest, None)
        else:
            edges[greatest] = None
        self._edges = list(edges)
        self._least = points[0][0] if points[0][2] >= tenth else None

    def counts(self, distribution: Distribution) -> Iterator[float]:
        """The rows of each bin."""
        done = 0.0
        if self._least is not None:
            done = distribution.less_than(self._least)
            yield done
        for edge in self._edges:
            upto = distribution.at_most(edge)
            yield upto - done
            done = upto
        yield distribution.rows - done
