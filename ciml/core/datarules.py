"""What `data:` in ciml.yaml asks of data before any stage runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import UNSET

from ciml.core.document import ColumnKeys, DataKeys, Document
from ciml.core.findings import Findings, KeyPath
from ciml.core.ids import RepoPath
from ciml.core.paths import inside_fault, normal
from ciml.core.pipeline import ColumnRule, DataRules
from ciml.core.tablefacts import MAX_VALUES
from ciml.core.units import share


def data_rules(document: Document, found: Findings) -> tuple[DataRules, ...]:
    """The rules, in the order of the file; what is wrong with them is noted in `found`."""
    rules = tuple(_rules(document, found))
    paths = [rule.path for rule in rules]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        found.add(("data",), f"{path} is named twice", "keep one")
    return rules


def data_lines(document: Document, found: Findings) -> dict[RepoPath, int]:
    """Where the rules of each path stand in ciml.yaml."""
    places = {normal(name): found.locate(("data", name)) for name in document.data}
    return {path: place[0] for path, place in places.items() if place}


def _rules(document: Document, found: Findings) -> Iterator[DataRules]:
    for name, keys in document.data.items():
        at: KeyPath = ("data", name)
        if fault := inside_fault(name):
            found.add(at, f"path '{name}' {fault}")
            continue
        _check(keys, at, found)
        rows, drift = keys.rows, keys.drift
        yield DataRules(
            path=normal(name),
            min_rows=None if rows is UNSET or rows.min is UNSET else rows.min,
            max_rows=None if rows is UNSET or rows.max is UNSET else rows.max,
            rows_change=None if rows is UNSET or rows.change is UNSET else share(rows.change),
            columns=tuple(_column(column, wanted) for column, wanted in keys.columns.items()),
            max_psi=None if drift is UNSET or drift.max_psi is UNSET else drift.max_psi,
            may_drift=() if drift is UNSET else tuple(drift.ignore),
        )


def _column(name: str, keys: ColumnKeys) -> ColumnRule:
    return ColumnRule(
        name=name,
        type=None if keys.type is UNSET else keys.type,
        least=None if keys.min is UNSET else keys.min,
        greatest=None if keys.max is UNSET else keys.max,
        allowed=None if keys.enum is UNSET else tuple(keys.enum),
        nulls=None if keys.nulls is UNSET else share(keys.nulls),
    )


def _check(keys: DataKeys, at: KeyPath, found: Findings) -> None:
    """Note limits that nothing can meet, and such that cannot be looked at."""
    rows = keys.rows
    if rows is not UNSET and rows.min is not UNSET and rows.max is not UNSET and rows.min > rows.max:
        found.add((*at, "rows", "min"), f"{rows.min} is above the maximum {rows.max}")
    if keys.drift is not UNSET and keys.drift.max_psi is not UNSET and not math.isfinite(keys.drift.max_psi):
        found.add((*at, "drift", "max-psi"), "it is not finite")
    for name, column in keys.columns.items():
        here: KeyPath = (*at, "columns", name)
        limits = (column.min, column.max) != (UNSET, UNSET)
        if limits and column.type in ("string", "bool"):
            found.add(here, f"min and max are for numbers, not for {column.type}", "use `enum` to name what is allowed")
        if column.min is not UNSET and column.max is not UNSET and column.min > column.max:
            found.add((*here, "min"), f"{column.min:g} is above the maximum {column.max:g}")
        if column.enum is not UNSET and len(column.enum) > MAX_VALUES:
            found.add((*here, "enum"), f"{len(column.enum)} values are more than the {MAX_VALUES} that are compared")
