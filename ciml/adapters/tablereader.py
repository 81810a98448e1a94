"""The facts of a table from its batches: what is kept of a column does not grow with its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from ciml.core.pipeline import Scalar
from ciml.core.tablefacts import (
    MAX_VALUES,
    POINTS,
    ColumnFacts,
    Distribution,
    Kind,
    TableFacts,
    thinned,
    together,
)

_CELLS = 1 << 22
"""Numbers that are held before they become points: 32 MiB."""

_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


class Reader:
    """Adds up batches.

    Args:
        schema: the columns.
        text: every column is text, and a column's type is what all its values can be read as.
    """

    def __init__(self, schema: pl.Schema, *, text: bool) -> None:
        self._rows = 0
        self._files = 0
        self._columns = {name: _Column(name, kind, text=text) for name, kind in schema.items()}

    def begin(self) -> None:
        """A file with these columns begins."""
        self._files += 1

    def add(self, batch: pl.DataFrame) -> None:
        """Take in some rows."""
        self._rows += batch.height
        room = _CELLS // max(1, len(self._columns))
        for name, column in self._columns.items():
            column.add(batch.get_column(name), room)

    def drop(self, rows: int) -> None:
        """Take back rows without any value."""
        self._rows -= rows
        for column in self._columns.values():
            column.drop(rows)

    def facts(self) -> TableFacts:
        """What all batches add up to."""
        columns = tuple(column.facts() for column in self._columns.values())
        return TableFacts(rows=self._rows, columns=columns, files=self._files)


class _Column:
    def __init__(self, name: str, dtype: pl.DataType, *, text: bool) -> None:
        self._name = name
        self._text = text
        self._kind: Kind = "empty" if text else _kind(dtype)
        self._could_be: set[Kind] = {"int", "float", "bool"} if text else {self._kind}
        self._nulls = 0
        self._filled = 0
        self._infinite = 0
        self._least: int | float | None = None
        self._greatest: int | float | None = None
        self._values: dict[Scalar, None] | None = None if self._kind in ("other", "time") else {}
        self._numbers: list[pl.Series] = []
        self._held = 0
        self._levels: list[Distribution | None] = []

    def add(self, series: pl.Series, room: int) -> None:
        nulls = series.null_count()
        filled = series.drop_nulls() if nulls else series
        if not self._text and self._kind == "float":
            filled = filled.cast(pl.Float64).drop_nans()
            nulls = series.len() - filled.len()
        self._nulls += nulls
        self._filled += filled.len()
        if not filled.len():
            return
        self._remember(filled)
        if numbers := self._as_numbers(filled):
            self._take(*numbers, room)

    def drop(self, nulls: int) -> None:
        self._nulls -= nulls

    def _remember(self, filled: pl.Series) -> None:
        """Keep the distinct values, as long as they are few."""
        if self._values is None:
            return
        new = filled.unique().head(MAX_VALUES + 1).to_list()
        self._values.update(dict.fromkeys(new))
        if len(self._values) > MAX_VALUES:
            self._values = None

    def _as_numbers(self, filled: pl.Series) -> tuple[pl.Series, pl.Series] | None:
        """The values as exact numbers and as float64; None where not all of them are numbers."""
        if not self._text:
            return (filled, filled.cast(pl.Float64)) if self._kind in ("int", "float") else None
        if "bool" in self._could_be and not filled.is_in([*_TRUE, *_FALSE]).all():
            self._could_be.discard("bool")
        if "float" not in self._could_be:
            return None
        floats = filled.cast(pl.Float64, strict=False)
        if floats.null_count():
            self._could_be -= {"int", "float"}
            self._numbers, self._levels = [], []
            return None
        if "int" in self._could_be:
            whole = filled.cast(pl.Int64, strict=False)
            if not whole.null_count():
                return whole, floats
            self._could_be.discard("int")
        return floats, floats

    def _take(self, exact: pl.Series, floats: pl.Series, room: int) -> None:
        finite = floats.filter(floats.is_finite())
        self._infinite += floats.len() - finite.len()
        least, greatest = exact.min(), exact.max()
        if isinstance(least, int | float) and isinstance(greatest, int | float):
            self._least = least if self._least is None else min(self._least, least)
            self._greatest = greatest if self._greatest is None else max(self._greatest, greatest)
        self._numbers.append(finite)
        self._held += finite.len()
        if self._held >= room:
            self._settle()

    def _settle(self) -> None:
        """Make points of the numbers that are held; two sums of equally many batches become one."""
        if not self._held:
            return
        carried: Distribution | None = _distribution(pl.concat(self._numbers))
        self._numbers, self._held = [], 0
        for level, other in enumerate(self._levels):
            if other is None:
                self._levels[level], carried = carried, None
                break
            assert carried is not None, "a place was free before"
            carried, self._levels[level] = together([other, carried]), None
        if carried is not None:
            self._levels.append(carried)

    def facts(self) -> ColumnFacts:
        kind = self._final_kind()
        numeric = kind in ("int", "float")
        if numeric:
            self._settle()
        return ColumnFacts(
            name=self._name,
            kind=kind,
            text=self._text,
            nulls=self._nulls,
            infinite=self._infinite if numeric else 0,
            least=self._least if numeric else None,
            greatest=self._greatest if numeric else None,
            values=self._told(kind),
            distribution=together([part for part in self._levels if part]) if numeric else Distribution(),
        )

    def _final_kind(self) -> Kind:
        if not self._filled:
            return "empty"
        if not self._text:
            return self._kind
        order: tuple[Kind, ...] = ("int", "float", "bool")
        return next((kind for kind in order if kind in self._could_be), "string")

    def _told(self, kind: Kind) -> tuple[Scalar, ...] | None:
        """The distinct values as the column's kind has them."""
        if self._values is None:
            return None
        values = list(self._values)
        if self._text and kind == "bool":
            return tuple(dict.fromkeys(value in _TRUE for value in values))
        if self._text and kind in ("int", "float"):
            numbers = [int(str(value)) if kind == "int" else float(str(value)) for value in values]
            return tuple(dict.fromkeys(numbers))
        return tuple(values)


def empty_rows(batch: pl.DataFrame) -> int:
    """The rows of a batch that have no value in any column."""
    if not all(batch.null_count().row(0)):
        return 0
    return int(batch.select(pl.all_horizontal(pl.all().is_null()).sum()).item())


def blank_lines(lines: pl.LazyFrame) -> int:
    """The blank lines of a CSV file below its header, without those inside a quoted value.

    Args:
        lines: of the whole file, one column of text.
    """
    found, quotes, headed = 0, 0, False
    for batch in lines.collect_batches(maintain_order=True, lazy=True):
        line = batch.to_series()
        blank = line == ""
        if not headed:
            blank &= (~blank).cum_max()
            headed = not (line == "").all()
        open_until = line.str.count_matches('"', literal=True).cum_sum() + quotes
        found += int((blank & (open_until % 2 == 0)).sum())
        quotes = int(open_until[-1]) % 2 if line.len() else quotes
    return found


def _kind(dtype: pl.DataType) -> Kind:
    if dtype.is_integer():
        return "int"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    if dtype == pl.Boolean:
        return "bool"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "string"
    if dtype == pl.Null:
        return "empty"
    return "time" if dtype.is_temporal() else "other"


def _distribution(numbers: pl.Series) -> Distribution:
    """The points of finite numbers: all of them where they have few values, else even steps of rows."""
    ordered = numbers.sort()
    if ordered.n_unique() > POINTS:
        rows = ordered.len()
        ranks = sorted({(rows - 1) * step // (POINTS - 1) for step in range(POINTS)})
        values = ordered.gather(ranks).unique().sort()
    else:
        values = ordered.unique().sort()
    below = _searched(ordered, values, "left")
    upto = _searched(ordered, values, "right")
    return thinned([_plain(value) for value in values.to_list()], below, upto)


def _searched(ordered: pl.Series, values: pl.Series, side: Literal["left", "right"]) -> Sequence[int]:
    found = ordered.search_sorted(values, side=side)
    return [int(position) for position in found.to_list()]


def _plain(value: float) -> float:
    """-0.0 is 0.0: they are one value."""
    return value + 0.0
