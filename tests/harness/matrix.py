"""The jobs that a matrix makes.

Source: docs.github.com, "Workflow syntax", `jobs.<job_id>.strategy.matrix`.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.harness.language import WorkflowError, text

JSON = dict[str, Any]
MOST = 256


def combinations(matrix: JSON) -> list[JSON]:
    """The values of each job, in order.

    Raises:
        WorkflowError: a vector is empty, or they are too many.
    """
    vectors = {name: values for name, values in matrix.items() if name not in ("include", "exclude")}
    for name, values in vectors.items():
        if not isinstance(values, list) or not values:
            raise WorkflowError(f"Matrix vector '{name}' does not contain any values")
    found: list[JSON] = []
    if vectors:
        found = [dict(zip(vectors, chosen, strict=True)) for chosen in itertools.product(*vectors.values())]
    excluded = matrix.get("exclude") or []
    found = [one for one in found if not any(_fits(item, one) for item in excluded)]
    made = _included(found, frozenset(vectors), matrix.get("include") or [])
    if not made:
        raise WorkflowError("Matrix must define at least one vector")
    if len(made) > MOST:
        raise WorkflowError(f"The matrix generated {len(made)} jobs which exceeds the maximum of {MOST}")
    return made


def _included(found: list[JSON], names: frozenset[str], included: list[JSON]) -> list[JSON]:
    """Each is added to every job whose own values it leaves as they are; else it is a job of its own."""
    made, extra = [dict(one) for one in found], []
    for item in included:
        own = {name: value for name, value in item.items() if name in names}
        fitting = [one for one, given in zip(made, found, strict=True) if _fits(own, given)]
        for one in fitting:
            one.update(item)
        if not fitting:
            extra.append(dict(item))
    return made + extra


def _fits(item: JSON, one: JSON) -> bool:
    return all(one.get(name) == value for name, value in item.items())


def title(values: JSON) -> str:
    """What stands behind a job's name."""
    flat = [text(value) for value in values.values() if not isinstance(value, dict | list)]
    return f" ({', '.join(flat)})" if flat else ""
