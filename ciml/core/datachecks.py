"""The checks on data, before any stage runs: rules x facts of a table x champion's data -> DataVerdict.

Like the gate of a model: every check is reported, none passes by omission. What cannot be read,
is missing or cannot be compared fails with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import msgspec

from ciml.core.drift import lost, shifts
from ciml.core.findings import suggestion
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.pipeline import ColumnRule, DataRules, Scalar
from ciml.core.tablefacts import ColumnFacts, Facts, NoTable, TableFacts
from ciml.core.value import Value
from ciml.core.verdict import Finding, Shown, Status

_NAMED = 5
"""Columns, values or breaks that a sentence names."""


class Reference(Value, frozen=True, kw_only=True):
    """The data that a champion was trained on."""

    model: ModelName
    version: int
    digest: Digest | None
    """None where nobody knows any more."""
    facts: Facts

    @property
    def name(self) -> str:
        """As a sentence calls it."""
        return f"{self.model} version {self.version}"


class DataVerdict(Value, frozen=True, kw_only=True):
    """What the checks say of the data of one manifest."""

    path: RepoPath
    digest: Digest
    status: Status
    """Accepted or rejected."""
    reason: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    rows: int | None = None
    """None where it is no table."""
    columns: int | None = None

    @property
    def lets_through(self) -> bool:
        """Whether stages may run on it."""
        return self.status is Status.ACCEPTED


def judge_data(rules: DataRules, digest: Digest, facts: Facts, references: Sequence[Reference]) -> DataVerdict:
    """What the rules say of a table, with a finding for every check.

    Args:
        rules: what the table must be.
        digest: of the data.
        facts: what was read of it.
        references: the data of today's champions; none: what compares with it is noted as first.
    """
    findings = tuple(_findings(rules, facts, references))
    failed = [finding for finding in findings if not finding.passed]
    table = facts if isinstance(facts, TableFacts) else None
    return DataVerdict(
        path=rules.path,
        digest=digest,
        status=Status.REJECTED if failed else Status.ACCEPTED,
        reason=_reason(findings, failed),
        findings=findings,
        notes=tuple(_notes(table, references)) if table else (),
        rows=table.rows if table else None,
        columns=len(table.columns) if table else None,
    )


def _reason(findings: Sequence[Finding], failed: Sequence[Finding]) -> str:
    if not findings:
        return "nothing was tested: there is no check"
    if not failed:
        return "all checks hold" if len(findings) > 1 else "the check holds"
    count = f"{len(failed)} of {len(findings)} checks" if len(findings) > 1 else "the check"
    return f"{count} did not hold: {', '.join(finding.check for finding in failed)}"


def _findings(rules: DataRules, facts: Facts, references: Sequence[Reference]) -> Iterator[Finding]:
    if isinstance(facts, NoTable):
        yield _finding("it is a table", passed=False, detail=facts.reason)
        facts = TableFacts(files=0)
    elif facts.files != 1:
        breaks = _some(facts.breaks, "; ")
        yield _finding("all files have the same columns", passed=not facts.breaks, left=facts.files, detail=breaks)
    yield from _rows(rules, facts)
    there = facts.by_name
    for rule in rules.columns:
        yield from _column(rule, there.get(rule.name), facts)
    if rules.rows_change is not None:
        yield from _growth(rules.rows_change, facts, references)
    if rules.max_psi is not None:
        yield from _drift(rules.max_psi, facts, references, rules.may_drift)


def _finding(
    check: str, *, passed: bool, left: Shown = None, right: Shown = None, detail: str = "", comparison: bool = False
) -> Finding:
    return Finding(check=check, passed=passed, left=left, right=right, detail=detail, comparison=comparison)


def _rows(rules: DataRules, facts: TableFacts) -> Iterator[Finding]:
    if rules.min_rows is not None:
        least = rules.min_rows
        yield _finding(f"rows >= {least}", passed=facts.rows >= least, left=facts.rows, right=least)
    if rules.max_rows is not None:
        most = rules.max_rows
        yield _finding(f"rows <= {most}", passed=facts.rows <= most, left=facts.rows, right=most)


# Columns.


def _column(rule: ColumnRule, column: ColumnFacts | None, facts: TableFacts) -> Iterator[Finding]:
    """A finding for each thing that is asked of a column; where it is missing all of them fail."""
    missing = "" if column else _missing(rule.name, facts)
    asked = rule.type or "there"
    fits = column is not None and (rule.type is None or _has_type(column, rule.type))
    kind = column.kind if column else None
    yield _finding(f"{rule.name} is {asked}", passed=fits, left=kind, right=rule.type, detail=missing)
    column = column or ColumnFacts(name=rule.name, kind="empty", nulls=facts.rows)
    yield from _range(rule, column, missing)
    if rule.allowed is not None:
        yield _among(rule.name, rule.allowed, column, missing)
    if rule.nulls is not None:
        share = column.nulls / facts.rows if facts.rows and not missing else 1.0
        detail = missing or (f"{column.nulls} of {facts.rows} rows" if column.nulls else "")
        check = f"nulls of {rule.name} <= {rule.nulls:.4g}"
        yield _finding(check, passed=share <= rule.nulls, left=share, right=rule.nulls, detail=detail)


def _missing(name: str, facts: TableFacts) -> str:
    if not facts.columns:
        return "there is no such column"
    known = [column.name for column in facts.columns]
    near = suggestion(name, known)
    return f"there is no such column: {near or f'there are {_some(known)}'}"


def _has_type(column: ColumnFacts, wanted: str) -> bool:
    """Whether every value is of the type; a whole number is a float, and in a text file all is text."""
    match wanted:
        case "float":
            return column.kind in ("float", "int")
        case "string":
            return column.kind == "string" or (column.text and column.kind != "empty")
        case _:
            return column.kind == wanted


def _range(rule: ColumnRule, column: ColumnFacts, missing: str) -> Iterator[Finding]:
    unknown = missing or ("" if column.kind in ("int", "float") else f"it is {column.kind}, not a number")
    if not unknown and column.least is None:
        unknown = "it has no value"
    if rule.least is not None:
        passed = column.least is not None and column.least >= rule.least
        check = f"{rule.name} >= {rule.least:g}"
        yield _finding(check, passed=passed, left=_finite(column.least), right=rule.least, detail=unknown)
    if rule.greatest is not None:
        passed = column.greatest is not None and column.greatest <= rule.greatest
        check = f"{rule.name} <= {rule.greatest:g}"
        yield _finding(check, passed=passed, left=_finite(column.greatest), right=rule.greatest, detail=unknown)


def _finite(value: float | None) -> Shown:
    """A number as JSON can hold it."""
    return value if value is None or math.isfinite(value) else str(value)


def _among(name: str, allowed: Sequence[Scalar], column: ColumnFacts, missing: str) -> Finding:
    check = f"{name} in [{_some([_word(value) for value in allowed])}]"
    if missing:
        return _finding(check, passed=False, detail=missing)
    if column.values is None:
        return _finding(check, passed=False, detail="it has too many different values to be one of a few")
    if not column.values:
        return _finding(check, passed=False, detail="it has no value")
    others = sorted(_word(value) for value in column.values if not _is_among(value, allowed, text=column.text))
    detail = f"it also holds {_some(others)}" if others else ""
    return _finding(check, passed=not others, left=len(column.values), right=len(allowed), detail=detail)


def _is_among(value: Scalar, allowed: Sequence[Scalar], *, text: bool) -> bool:
    """Whether a value is one of those allowed: of the same type, or in a text file written the same."""
    if text and _word(value) in [_word(other) for other in allowed]:
        return True
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in allowed)


def _word(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _some(items: Sequence[str], separator: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = f"{separator}and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return separator.join(items[:_NAMED]) + more


# Against the champion's data.

_FIRST = "first: there is no champion that was trained on this data"


def _growth(change: float, facts: TableFacts, references: Sequence[Reference]) -> Iterator[Finding]:
    """Rows against those of every champion."""
    if not references:
        yield _finding(f"rows within {change:.4g} of the champion's", passed=True, detail=_FIRST, comparison=True)
    for reference in references:
        check = f"rows within {change:.4g} of those of {reference.name}"
        before = reference.facts
        if isinstance(before, NoTable):
            yield _finding(check, passed=False, left=facts.rows, detail=before.reason, comparison=True)
            continue
        passed = abs(facts.rows - before.rows) <= change * before.rows
        yield _finding(check, passed=passed, left=facts.rows, right=before.rows, comparison=True)


def _drift(
    limit: float, facts: TableFacts, references: Sequence[Reference], ignored: Collection[str]
) -> Iterator[Finding]:
    """The column that moved most since every champion's training, of those that are not ignored."""
    if not references:
        yield _finding(f"psi <= {limit:g} against the champion's data", passed=True, detail=_FIRST, comparison=True)
    for reference in references:
        check = f"psi <= {limit:g} against the data of {reference.name}"
        before = reference.facts
        if isinstance(before, NoTable):
            yield _finding(check, passed=False, right=limit, detail=before.reason, comparison=True)
            continue
        asked = tuple(column for column in before.columns if column.name not in ignored)
        before = msgspec.structs.replace(before, columns=asked)
        found, gone = shifts(before, facts), lost(before, facts)
        over = [item for item in found if item.psi > limit]
        told = [
            *gone,
            *(f"{item.column} {item.psi:.3g} (by chance {item.by_chance:.2g})" for item in over or found[:1]),
        ]
        nothing = "" if found or gone else "no column of numbers to compare"
        worst = found[0].psi if found else None
        passed = not over and not gone and not nothing
        detail = nothing or _some(told)
        yield _finding(check, passed=passed, left=worst, right=limit, detail=detail, comparison=True)


def _notes(facts: TableFacts, references: Sequence[Reference]) -> Iterator[str]:
    """What does not decide and should be known."""
    if facts.others:
        is_no_table = "file beside it is no table" if facts.others == 1 else "files beside it are no tables"
        yield f"{facts.others} {is_no_table}"
    for reference in references:
        if isinstance(reference.facts, TableFacts):
            before = {column.name for column in reference.facts.columns}
            if new := [column.name for column in facts.columns if column.name not in before]:
                yield f"new since {reference.name}: {_some(new)}"
