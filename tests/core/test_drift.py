"""The population stability index, held against a computation on all rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ciml.core.drift import lost, shift, shifts
from ciml.core.tablefacts import ColumnFacts, Distribution, Kind, TableFacts, thinned


def column(values: np.ndarray, *, name: str = "x", nulls: int = 0, kind: Kind = "float") -> ColumnFacts:
    ordered = np.sort(values)
    points = np.unique(ordered)
    below, upto = (np.searchsorted(ordered, points, side=side).tolist() for side in ("left", "right"))
    found = thinned(points.tolist(), below, upto) if len(points) else Distribution()
    return ColumnFacts(name=name, kind=kind, nulls=nulls, distribution=found)


def table(*columns: ColumnFacts) -> TableFacts:
    return TableFacts(rows=100, columns=columns)


def reference(before: np.ndarray, now: np.ndarray) -> float:
    """PSI over tenths, from all rows."""
    edges = np.unique(np.quantile(before, np.linspace(0.1, 0.9, 9), method="inverted_cdf"))
    edges = edges[edges < before.max()]
    one, other = (np.bincount(np.searchsorted(edges, v, side="left"), minlength=len(edges) + 1) for v in (before, now))
    p, q = np.maximum(one / len(before), 1e-4), np.maximum(other / len(now), 1e-4)
    return float(((q - p) * np.log(q / p)).sum())


CASES = {
    "same": (np.random.default_rng(1).normal(size=50_000), np.random.default_rng(2).normal(size=50_000)),
    "moved": (np.random.default_rng(1).normal(size=50_000), np.random.default_rng(2).normal(0.5, 1, 50_000)),
    "wider": (np.random.default_rng(1).normal(size=50_000), np.random.default_rng(2).normal(0, 3, 5_000)),
    "long tail": (np.random.default_rng(1).lognormal(0, 3, 50_000), np.random.default_rng(2).lognormal(0.4, 3, 50_000)),
    "counts": (np.random.default_rng(1).poisson(2, 20_000) * 1.0, np.random.default_rng(2).poisson(3, 20_000) * 1.0),
    "two values": (np.repeat([0.0, 1.0], [900, 100]), np.repeat([0.0, 1.0], [500, 500])),
}


@pytest.mark.parametrize("case", CASES)
def test_against_all_rows(case: str) -> None:
    """What is read from points is what all rows give, to 0.01."""
    before, now = CASES[case]
    assert shift(column(before), column(now)).psi == pytest.approx(reference(before, now), abs=0.01)


def test_nothing_moved() -> None:
    """The same numbers have moved by nothing; few of them would move by chance."""
    values = np.random.default_rng(3).normal(size=200)
    found = shift(column(values), column(values))
    assert found.psi == pytest.approx(0.0)
    assert found.by_chance == pytest.approx(9 * (1 / 200 + 1 / 200))


def test_gaps_are_a_shift() -> None:
    """A column that half fills up with missing values has moved, though its numbers have not."""
    values = np.random.default_rng(3).normal(size=10_000)
    assert shift(column(values), column(values, nulls=10_000)).psi > 1


def test_one_value_and_another() -> None:
    """A constant that becomes another constant has moved; one that stays has not."""
    ones, twos = np.ones(100), np.full(100, 2.0)
    assert shift(column(ones), column(ones)).psi == 0
    assert shift(column(np.append(ones, 0.0)), column(twos)).psi > 1
    assert math.isfinite(shift(column(ones), column(twos)).psi)


def test_the_worst_comes_first() -> None:
    """Columns of numbers that both have, by how far they moved; what is no number any more is told."""
    before, now = CASES["moved"]
    one = table(
        column(before, name="a"), column(before, name="b"), column(before, name="gone"), column(before, name="t")
    )
    two = table(column(before, name="a"), column(now, name="b"), column(np.array([]), name="t", kind="string"))
    assert [item.column for item in shifts(one, two)] == ["b", "a"]
    assert lost(one, two) == ("gone is gone", "t was float and is string")
