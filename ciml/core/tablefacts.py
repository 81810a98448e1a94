"""What is known of a table once it was read: rows, columns, and how the numbers of each lie.

Facts of several files add up to the facts of all, so that a directory with one new file costs one
file. The distribution of a numeric column is kept as points (value, rows below, rows up to it):
exact where it has few values, else with at most one part in `POINTS` of its rows between two points.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal

import msgspec

from ciml.core.pipeline import Scalar
from ciml.core.value import Value

POINTS = 512
"""Of one distribution, at most."""

_TOGETHER = 16
"""Parts that are added up at once: more would be held, fewer would be thinned more often."""

MAX_VALUES = 1000
"""Distinct values that are told one by one."""

Kind = Literal["int", "float", "bool", "string", "time", "other", "empty", "mixed"]
"""`empty`: no value at all. `mixed`: files disagree."""

NUMERIC: frozenset[Kind] = frozenset({"int", "float"})


class Distribution(Value, frozen=True, kw_only=True, array_like=True):
    """How the finite numbers of a column lie. All three are of one length; values ascend strictly."""

    values: tuple[float, ...] = ()
    below: tuple[int, ...] = ()
    """Rows with less than the value."""
    upto: tuple[int, ...] = ()
    """Rows with the value or less."""

    @property
    def rows(self) -> int:
        """All rows that have a finite number."""
        return self.upto[-1] if self.upto else 0

    def at_most(self, value: float) -> float:
        """The rows with `value` or less; between two points as if they lay evenly."""
        after = bisect_right(self.values, value)
        if after == 0:
            return 0.0
        if self.values[after - 1] == value or after == len(self.values):
            return float(self.upto[after - 1])
        return self._between(after, value)

    def less_than(self, value: float) -> float:
        """The rows with less than `value`."""
        after = bisect_left(self.values, value)
        if after == len(self.values):
            return float(self.rows)
        if self.values[after] == value:
            return float(self.below[after])
        return self._between(after, value) if after else 0.0

    def _between(self, after: int, value: float) -> float:
        low, high = self.values[after - 1], self.values[after]
        start, stop = self.upto[after - 1], self.below[after]
        return start + (stop - start) * ((value - low) / (high - low))


class ColumnFacts(Value, frozen=True, kw_only=True):
    """One column."""

    name: str
    kind: Kind
    text: bool = False
    """The file itself knows no types: the kind is what all values can be read as."""
    nulls: int = 0
    """Rows without a value; NaN is none."""
    infinite: int = 0
    least: int | float | None = None
    """Of a numeric column; None where it has no value."""
    greatest: int | float | None = None
    values: tuple[Scalar, ...] | None = ()
    """All distinct ones, in no order; None where there are more than `MAX_VALUES`, or it has other than scalars."""
    distribution: Distribution = Distribution()


class TableFacts(Value, frozen=True, kw_only=True):
    """A table, in one file or in many."""

    rows: int = 0
    columns: tuple[ColumnFacts, ...] = ()
    files: int = 1
    """Of the table."""
    others: int = 0
    """Files beside them that are no table."""
    breaks: tuple[str, ...] = ()
    """Where files disagree on the columns, the first of each kind, one sentence each."""

    @property
    def by_name(self) -> dict[str, ColumnFacts]:
        """Name -> column."""
        return {column.name: column for column in self.columns}


class NoTable(Value, frozen=True, kw_only=True):
    """What cannot be read as a table."""

    reason: str
    """One clause: `data/raw/a.csv: line 3 has 5 fields, not 4`."""


Facts = TableFacts | NoTable


class Part(Value, frozen=True, kw_only=True):
    """The facts of one file, or of some, with the name of the first."""

    name: str
    facts: TableFacts


# Adding up.


def total(parts: Sequence[Part]) -> TableFacts:
    """The facts of all parts together.

    Columns are matched by name. Where a part lacks a column, has one more, or another type that its
    file states, that is a break.
    """
    if len(parts) == 1:
        return parts[0].facts
    if not parts:
        return TableFacts(files=0)
    first = parts[0]
    by_name = [part.facts.by_name for part in parts]
    names = dict.fromkeys(name for columns in by_name for name in columns)
    breaks = [text for part in parts for text in part.facts.breaks]
    merged = []
    for name in names:
        have = [columns[name] for columns in by_name if name in columns]
        breaks += _lacks(name, first, parts, by_name)
        merged.append(_column(have))
        breaks += _kinds(name, parts, by_name)
    return TableFacts(
        rows=sum(part.facts.rows for part in parts),
        columns=tuple(merged),
        files=sum(part.facts.files for part in parts),
        others=sum(part.facts.others for part in parts),
        breaks=tuple(dict.fromkeys(breaks)),
    )


class Adding:
    """Adds up any number of parts and holds few of them: sums of equally many become one."""

    def __init__(self) -> None:
        self._levels: list[list[Part]] = []

    def add(self, part: Part) -> None:
        """Take in the next part."""
        for level in self._levels:
            level.append(part)
            if len(level) < _TOGETHER:
                return
            part = Part(name=level[0].name, facts=total(level))
            level.clear()
        self._levels.append([part])

    def total(self) -> TableFacts:
        """The facts of all parts, in the order in which they came."""
        return total([part for level in reversed(self._levels) for part in level])


def _lacks(name: str, first: Part, parts: Sequence[Part], by_name: Sequence[dict[str, ColumnFacts]]) -> Iterable[str]:
    """A sentence where not all parts have the column."""
    lacking = [part for part, columns in zip(parts, by_name, strict=True) if name not in columns]
    if not lacking:
        return
    has = next(part.name for part, columns in zip(parts, by_name, strict=True) if name in columns)
    if first in lacking:
        yield f"{has} has a column {name!r} that {first.name} has not"
    else:
        more = sum(part.facts.files for part in lacking) - 1
        yield f"{lacking[0].name} lacks the column {name!r}" + (f", as do {more} more" if more else "")


def _kinds(name: str, parts: Sequence[Part], by_name: Sequence[dict[str, ColumnFacts]]) -> Iterable[str]:
    """A sentence where files state different types."""
    stated: dict[Kind, str] = {}
    for part, columns in zip(parts, by_name, strict=True):
        column = columns.get(name)
        if column and not column.text and column.kind not in ("empty", "mixed"):
            stated.setdefault(column.kind, part.name)
    if len(stated) > 1 and not stated.keys() <= NUMERIC:
        told = ", ".join(f"{kind} in {where}" for kind, where in stated.items())
        yield f"the column {name!r} is {told}"


def _column(parts: Sequence[ColumnFacts]) -> ColumnFacts:
    kind = parts[0].kind
    for part in parts[1:]:
        kind = joined(kind, part.kind, text=part.text and parts[0].text)
    numeric = kind in NUMERIC
    least = [part.least for part in parts if part.least is not None]
    greatest = [part.greatest for part in parts if part.greatest is not None]
    return ColumnFacts(
        name=parts[0].name,
        kind=kind,
        text=all(part.text for part in parts),
        nulls=sum(part.nulls for part in parts),
        infinite=sum(part.infinite for part in parts) if numeric else 0,
        least=min(least) if least and numeric else None,
        greatest=max(greatest) if greatest and numeric else None,
        values=_values([part.values for part in parts]),
        distribution=together([part.distribution for part in parts]) if numeric else Distribution(),
    )


def joined(one: Kind, other: Kind, *, text: bool) -> Kind:
    """The kind of a column that is `one` here and `other` there; of texts both are strings where they differ."""
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    if {one, other} == NUMERIC:
        return "float"
    return "string" if text else "mixed"


def _values(sets: Sequence[tuple[Scalar, ...] | None]) -> tuple[Scalar, ...] | None:
    found: dict[tuple[type, Scalar], Scalar] = {}
    for values in sets:
        if values is None:
            return None
        # True and 1 are one key of a dict, and two values of a column.
        found.update(((type(value), value), value) for value in values)
        if len(found) > MAX_VALUES:
            return None
    return tuple(found.values())


def together(parts: Sequence[Distribution]) -> Distribution:
    """The distribution of all rows of the parts.

    At a point of its own each part is exact. Between two of its points half of the rows there count, which is off
    by half of one in `POINTS` at most; so is the sum.
    """
    parts = [part for part in parts if part.values]
    if len(parts) <= 1:
        return parts[0] if parts else Distribution()
    steps = sorted(step for part in parts for step in _steps(part))
    values: list[float] = []
    below: list[int] = []
    upto: list[int] = []
    done = 0.0
    for value, points in groupby(steps, itemgetter(0)):
        before = at = after = 0.0
        for _, half, own, other_half in points:
            before += half
            at += own
            after += other_half
        values.append(value)
        below.append(round(done + before))
        upto.append(round(done + before + at))
        done += before + at + after
    return thinned(values, below, upto)


def _steps(part: Distribution) -> Iterable[tuple[float, float, int, float]]:
    """For each point its value, half of the rows between it and the one before, its own, and half of those after."""
    gaps = [low - high for high, low in zip((0, *part.upto), part.below, strict=False)]
    after = [*(gap / 2 for gap in gaps[1:]), 0.0]
    own = [high - low for low, high in zip(part.below, part.upto, strict=True)]
    return zip(part.values, (gap / 2 if index else gap for index, gap in enumerate(gaps)), own, after, strict=True)


def thinned(values: Sequence[float], below: Sequence[int], upto: Sequence[int]) -> Distribution:
    """A distribution of at most `POINTS` of these points: the first, the last, and even steps of rows between."""
    if len(values) <= POINTS:
        return Distribution(values=tuple(values), below=tuple(below), upto=tuple(upto))
    steps = POINTS - 2
    wanted = (bisect_left(upto, upto[-1] * step // steps) for step in range(1, steps))
    kept = sorted({0, len(values) - 1, *wanted})
    return Distribution(
        values=tuple(values[index] for index in kept),
        below=tuple(below[index] for index in kept),
        upto=tuple(upto[index] for index in kept),
    )


def with_others(facts: TableFacts, others: int) -> TableFacts:
    """The facts of a directory that holds so many files besides."""
    return msgspec.structs.replace(facts, others=facts.others + others)
