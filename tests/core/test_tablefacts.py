"""Facts of tables: files add up, and a distribution stays within what it promises."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ciml.core.tablefacts import (
    MAX_VALUES,
    POINTS,
    Adding,
    ColumnFacts,
    Distribution,
    Kind,
    Part,
    TableFacts,
    joined,
    thinned,
    together,
    total,
)


def exact(values: list[float]) -> Distribution:
    """The distribution of a few numbers."""
    distinct = sorted(set(values))
    below = [sum(other < value for other in values) for value in distinct]
    upto = [sum(other <= value for other in values) for value in distinct]
    return thinned(distinct, below, upto)


def column(name: str = "x", kind: Kind = "int", **more: object) -> ColumnFacts:
    return ColumnFacts(name=name, kind=kind, **more)  # type: ignore[arg-type]


def part(name: str, *columns: ColumnFacts, rows: int = 1) -> Part:
    return Part(name=name, facts=TableFacts(rows=rows, columns=columns))


@given(st.lists(st.lists(st.integers(-5, 5).map(float), max_size=30), max_size=5))
def test_few_values_add_up_exactly(parts: list[list[float]]) -> None:
    """Where values are few, the sum of parts is the distribution of all their numbers."""
    assert together([exact(values) for values in parts]) == exact([value for values in parts for value in values])


def test_many_values_stay_within_two_points() -> None:
    """A distribution keeps at most POINTS points of any number of rows, and is right to 2/POINTS of them."""
    drawn = random.Random(7)
    parts = [sorted(drawn.gauss(shift, 2.0) for _ in range(20_000)) for shift in (0, 1, 50)]
    every = sorted(value for values in parts for value in values)
    found = together([thinned(v, range(len(v)), range(1, len(v) + 1)) for v in parts])
    assert len(found.values) <= POINTS
    assert found.rows == len(every)
    assert (found.values[0], found.values[-1]) == (every[0], every[-1])
    for position in range(0, len(every), 97):
        true = position + 1
        assert abs(found.at_most(every[position]) - true) / len(every) <= 2 / POINTS


def test_a_value_that_many_rows_share_keeps_its_share() -> None:
    """A third of the rows at zero is a third, however the others lie."""
    drawn = random.Random(1)
    others = sorted(drawn.uniform(-1, 1) for _ in range(20_000))
    values = sorted({*others, 0.0})
    below = [index + (9_999 if value > 0 else 0) for index, value in enumerate(values)]
    upto = [low + (10_000 if value == 0 else 1) for low, value in zip(below, values, strict=True)]
    found = thinned(values, below, upto)
    assert found.at_most(0.0) - found.less_than(0.0) == 10_000


def test_parts_add_up() -> None:
    """Rows, nulls, limits and values of all parts together."""
    one = column(nulls=1, least=1, greatest=5, values=(1, 5), distribution=exact([1, 5]))
    other = column(kind="float", nulls=2, least=0.5, greatest=2.0, values=(0.5, 2.0), distribution=exact([0.5, 2]))
    found = total([part("a.csv", one, rows=3), part("b.csv", other, rows=4)])
    [x] = found.columns
    assert (found.rows, found.files, found.breaks) == (7, 2, ())
    assert (x.kind, x.nulls, x.least, x.greatest, x.distribution.rows) == ("float", 3, 0.5, 5, 4)
    assert sorted(map(float, x.values or ())) == [0.5, 1.0, 2.0, 5.0]
    assert total([]).files == 0


def test_breaks_name_files_and_columns() -> None:
    """A column that not all files have, and one whose stated type differs, are told with the files."""
    parts = [
        part("a.parquet", column("id"), column("age")),
        part("b.parquet", column("id", "string"), column("new")),
    ]
    assert total(parts).breaks == (
        "the column 'id' is int in a.parquet, string in b.parquet",
        "b.parquet lacks the column 'age'",
        "b.parquet has a column 'new' that a.parquet has not",
    )
    assert total(parts).columns[0].kind == "mixed"


def test_text_files_have_no_types_to_disagree_on() -> None:
    """Digits in one CSV and words in another are a column of words, and no break."""
    found = total([part("a.csv", column("zip", text=True)), part("b.csv", column("zip", "string", text=True))])
    assert (found.columns[0].kind, found.breaks) == ("string", ())


def test_kinds_join() -> None:
    """Whole numbers beside others are floats, nothing takes what the others are, the rest is text or mixed."""
    assert joined("int", "float", text=False) == "float"
    assert joined("empty", "bool", text=True) == joined("bool", "empty", text=True) == "bool"
    assert joined("int", "bool", text=True) == "string"
    assert joined("int", "bool", text=False) == "mixed"


def test_values_that_grow_too_many_are_not_told() -> None:
    """More than MAX_VALUES distinct values are None, and True is not the number 1."""
    many = tuple(range(MAX_VALUES))
    assert total([part("a", column(values=many)), part("b", column(values=(-1,)))]).columns[0].values is None
    mixed = total([part("a", column("x", "string", values=(1,))), part("b", column("x", "string", values=(True,)))])
    assert mixed.columns[0].values == (1, True)


@given(st.lists(st.integers(1, 9), max_size=60))
def test_adding_holds_few_and_says_the_same(rows: list[int]) -> None:
    """However many parts come, one after the other, the sum is that of all at once, and the first one names a break."""
    parts = [
        part(f"{number}.csv", column(distribution=exact([float(number)])), rows=count)
        for number, count in enumerate(rows)
    ]
    adding = Adding()
    for one in parts:
        adding.add(one)
    assert adding.total() == total(parts)
    odd = part("odd.csv", column("y"))
    adding.add(odd)
    if parts:
        assert "odd.csv has a column 'y' that 0.csv has not" in adding.total().breaks
