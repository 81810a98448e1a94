"""Checks on data: every one is reported, and what cannot be told fails."""

from __future__ import annotations

import math

from ciml.core.datachecks import DataVerdict, Reference, judge_data
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.pipeline import ColumnRule, DataRules, Scalar
from ciml.core.tablefacts import ColumnFacts, Distribution, Facts, Kind, NoTable, TableFacts
from ciml.core.verdict import Status

DIGEST = Digest("d" * 64)


def column(name: str = "age", kind: Kind = "int", **more: object) -> ColumnFacts:
    return ColumnFacts(name=name, kind=kind, **more)  # type: ignore[arg-type]


def table(*columns: ColumnFacts, rows: int = 100, **more: object) -> TableFacts:
    return TableFacts(rows=rows, columns=columns, **more)  # type: ignore[arg-type]


def judged(facts: Facts, *columns: ColumnRule, references: tuple[Reference, ...] = (), **rules: object) -> DataVerdict:
    asked = DataRules(path=RepoPath("data/raw"), columns=columns, **rules)  # type: ignore[arg-type]
    return judge_data(asked, DIGEST, facts, references)


def outcomes(verdict: DataVerdict) -> dict[str, bool]:
    return {finding.check: finding.passed for finding in verdict.findings}


def details(verdict: DataVerdict) -> dict[str, str]:
    return {finding.check: finding.detail for finding in verdict.findings if not finding.passed}


FULL = ColumnRule(name="age", type="int", least=0, greatest=120, allowed=(1, 2), nulls=0.01)


def test_all_hold() -> None:
    """Every check is a finding, also those that hold."""
    facts = table(column(least=1, greatest=2, values=(1, 2), nulls=1))
    verdict = judged(facts, FULL, min_rows=10, max_rows=100)
    assert verdict.status is Status.ACCEPTED
    assert outcomes(verdict) == dict.fromkeys(
        ["rows >= 10", "rows <= 100", "age is int", "age >= 0", "age <= 120", "age in [1, 2]", "nulls of age <= 0.01"],
        True,
    )
    assert verdict.reason == "all checks hold"
    assert (verdict.rows, verdict.columns) == (100, 1)


def test_all_fail_and_all_are_told() -> None:
    """Not only the first that fails: each says what was found."""
    facts = table(column(kind="float", least=-1.0, greatest=121.5, values=(-1.0, 121.5), nulls=50))
    verdict = judged(facts, FULL, min_rows=101, max_rows=99)
    assert verdict.status is Status.REJECTED
    assert not any(outcomes(verdict).values())
    assert verdict.reason.startswith("7 of 7 checks did not hold: rows >= 101, rows <= 99, age is int")
    assert details(verdict)["age in [1, 2]"] == "it also holds -1.0, 121.5"
    assert details(verdict)["nulls of age <= 0.01"] == "50 of 100 rows"


def test_nothing_that_can_be_read() -> None:
    """Where there is no table every check fails, with the reason."""
    verdict = judged(NoTable(reason="data/raw holds no table"), FULL, min_rows=1, max_psi=0.1)
    assert verdict.status is Status.REJECTED
    assert [name for name, passed in outcomes(verdict).items() if passed] == ["psi <= 0.1 against the champion's data"]
    assert details(verdict)["it is a table"] == "data/raw holds no table"
    assert (verdict.rows, verdict.columns) == (None, None)


def test_a_missing_column() -> None:
    """All that is asked of it fails, and the nearest name is suggested."""
    verdict = judged(table(column("Age"), column("b")), FULL)
    assert set(details(verdict)) == set(outcomes(verdict))
    assert details(verdict)["age is int"] == "there is no such column: did you mean 'Age'?"


def test_a_column_without_values() -> None:
    """Limits and lists on nothing but gaps fail: nothing was seen to be right."""
    verdict = judged(table(column(kind="empty", nulls=100)), FULL)
    assert set(details(verdict)) == set(outcomes(verdict))
    assert details(verdict)["age in [1, 2]"] == "it has no value"


def test_no_rows() -> None:
    """Of no rows nobody can say that few are gaps."""
    verdict = judged(table(column(kind="empty"), rows=0), ColumnRule(name="age", nulls=0.0))
    assert outcomes(verdict) == {"age is there": True, "nulls of age <= 0": False}


def test_types() -> None:
    """A whole number is a float; digits in a text file are text too; nothing else passes for another."""
    wanted = {
        ("int", False): {"int", "float"},
        ("float", False): {"float"},
        ("bool", False): {"bool"},
        ("string", False): {"string"},
        ("int", True): {"int", "float", "string"},
        ("bool", True): {"bool", "string"},
        ("time", False): set(),
        ("mixed", False): set(),
        ("empty", True): set(),
    }
    for (kind, text), accepted in wanted.items():
        facts = table(column(kind=kind, text=text))  # type: ignore[arg-type]
        asked = ("int", "float", "string", "bool")
        passed = {name for name in asked if judged(facts, ColumnRule(name="age", type=name)).lets_through}  # type: ignore[arg-type]
        assert passed == accepted, (kind, text)


def test_enums() -> None:
    """Values are compared as values, in a text file as text too; True is not 1; too many are refused."""

    def holds(values: tuple[Scalar, ...] | None, allowed: tuple[Scalar, ...], *, text: bool = False) -> bool:
        facts = table(column(kind="string", values=values, text=text))
        return judged(facts, ColumnRule(name="age", allowed=allowed)).lets_through

    assert holds(("A", "B"), ("A", "B", "C"))
    assert not holds(("A", "D"), ("A", "B"))
    assert holds((1,), ("1",), text=True)
    assert not holds((1,), ("1",))
    assert not holds((True,), (1,))
    assert holds((True,), ("true",), text=True)
    assert not holds(None, ("A",))


def test_infinity_is_out_of_range() -> None:
    """An infinite value is above any limit, and is shown as text: JSON has no such number."""
    verdict = judged(table(column(kind="float", least=0.0, greatest=math.inf)), ColumnRule(name="age", greatest=1e300))
    [_, limit] = verdict.findings
    assert (limit.passed, limit.left) == (False, "inf")


def test_files_that_disagree() -> None:
    """Where a table lies in several files, whether they agree is the first check."""
    verdict = judged(table(files=2, breaks=("b.csv lacks the column 'age'",)))
    assert verdict.findings[0].detail == "b.csv lacks the column 'age'"
    assert not verdict.lets_through
    assert judged(table(files=2)).lets_through
    assert judged(table(others=2)).notes == ("2 files beside it are no tables",)


# Against the champion's data.


def numbers(*values: float) -> Distribution:
    count = len(values)
    return Distribution(values=values, below=tuple(range(count)), upto=tuple(range(1, count + 1)))


BEFORE = table(column(distribution=numbers(*map(float, range(100)))), column("gone", distribution=numbers(1.0, 2.0)))


def reference(facts: Facts = BEFORE) -> Reference:
    return Reference(model=ModelName("m"), version=3, digest=DIGEST, facts=facts)


def test_no_champion_yet() -> None:
    """What compares is noted as first and passes; the rest decides."""
    verdict = judged(table(column()), max_psi=0.2, rows_change=0.5)
    assert verdict.lets_through
    assert all(finding.comparison and finding.detail.startswith("first") for finding in verdict.findings)


def test_drift() -> None:
    """The column that moved most decides; one that is gone fails; what chance gives is said."""
    moved = table(column(distribution=numbers(*(value + 50.0 for value in range(100)))))
    verdict = judged(moved, max_psi=0.2, rows_change=0.5, references=(reference(),))
    [rows, drift] = verdict.findings
    assert rows.passed
    assert not drift.passed
    assert drift.check == "psi <= 0.2 against the data of m version 3"
    assert drift.detail.startswith("gone is gone, age ")
    assert "by chance 0.1" in drift.detail


def test_columns_that_move_by_nature() -> None:
    """Row numbers and times that are to be ignored do not decide, moved or gone; the rest still does."""
    moved = table(column(distribution=numbers(*(value + 50.0 for value in range(100)))))
    other = column("other", distribution=numbers(*map(float, range(100))))
    for ignored, passed in (((), False), (("gone",), False), (("age",), False), (("age", "gone"), True)):
        before = reference(table(*BEFORE.columns, other))
        verdict = judged(table(*moved.columns, other), max_psi=0.2, may_drift=ignored, references=(before,))
        assert verdict.lets_through is passed, ignored


def test_rows_change() -> None:
    """A share of the champion's rows, both ways, at its limit still allowed."""
    for rows, passed in ((50, True), (150, True), (49, False), (151, False)):
        verdict = judged(table(rows=rows), rows_change=0.5, references=(reference(),))
        assert verdict.lets_through is passed, rows


def test_a_champion_that_cannot_be_compared() -> None:
    """Its data is gone: the comparisons fail, with the reason."""
    verdict = judged(table(), max_psi=0.2, rows_change=0.5, references=(reference(NoTable(reason="its data is gone")),))
    assert [finding.detail for finding in verdict.findings if not finding.passed] == ["its data is gone"] * 2


def test_no_number_to_compare() -> None:
    """Drift that nothing can show fails, since nothing was looked at."""
    words = table(column(kind="string"))
    verdict = judged(words, max_psi=0.2, references=(reference(words),))
    assert details(verdict) == {"psi <= 0.2 against the data of m version 3": "no column of numbers to compare"}


def test_new_columns_are_noted() -> None:
    """A column that the champion's data had not is worth a word and no failure."""
    verdict = judged(table(*BEFORE.columns, column("new")), max_psi=0.2, references=(reference(),))
    assert verdict.lets_through
    assert verdict.notes == ("new since m version 3: new",)


def test_nothing_asked() -> None:
    """No check: said so."""
    assert judged(table()).reason == "nothing was tested: there is no check"
