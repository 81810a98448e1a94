"""Two commits or versions beside each other: code, data, parameters, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ciml.core.changes import CONFIGURATION
from ciml.core.dataset import DataDifference
from ciml.core.history import LogRow
from ciml.core.ids import CommitSha, ModelName, RepoPath
from ciml.core.manifest import stands_for
from ciml.core.params import differences
from ciml.core.pipeline import ParamValue
from ciml.core.tree import PathChange
from ciml.core.value import Value


class Side(Value, frozen=True, kw_only=True):
    """One of the two."""

    name: str
    """As it was asked for."""
    commit: CommitSha
    subject: str = ""
    """The first line of the commit's message."""
    model: ModelName | None = None
    """Set where it is a version, or an alias of one."""
    version: int | None = None
    params: dict[str, ParamValue] | None = None
    """Every parameter by dotted path; None where its ciml.yaml cannot be read."""
    metrics: dict[ModelName, dict[str, float]] = {}


class CodeChange(Value, frozen=True, kw_only=True):
    """One tracked file that the two do not have in common."""

    path: RepoPath
    how: Literal["added", "removed", "changed"]


class MetricChange(Value, frozen=True, kw_only=True):
    """One metric of one model."""

    model: ModelName
    metric: str
    before: float | None
    """None where there is none."""
    after: float | None


class Comparison(Value, frozen=True, kw_only=True):
    """What differs between the two."""

    before: Side
    after: Side
    code: tuple[CodeChange, ...] = ()
    """Sorted by path; manifests and params files apart."""
    data: tuple[DataDifference, ...] = ()
    params: dict[str, str] = {}
    """Dotted path -> `0.1 -> 0.05`, `added: 3`, `removed: 3`."""
    metrics: tuple[MetricChange, ...] = ()
    """All that either has, those that are equal as well."""
    notes: tuple[str, ...] = ()


def comparison(
    before: Side,
    after: Side,
    *,
    paths: Sequence[PathChange],
    data: Sequence[DataDifference],
    params_files: frozenset[RepoPath],
) -> Comparison:
    """What differs between two sides.

    Args:
        before: the one that is compared with.
        after: the other.
        paths: where their trees differ.
        data: how the data behind manifests differs.
        params_files: of either; a change of one is a change of parameters.
    """
    notes = [f"the ciml.yaml of {side.name} cannot be read" for side in (before, after) if side.params is None]
    known = before.params is not None and after.params is not None
    return Comparison(
        before=before,
        after=after,
        code=tuple(_code(paths, params_files if known else frozenset())),
        data=tuple(data),
        params=differences(before.params or {}, after.params or {}) if known else {},
        metrics=tuple(_metrics(before, after)),
        notes=tuple(notes),
    )


def _code(paths: Sequence[PathChange], params_files: frozenset[RepoPath]) -> list[CodeChange]:
    found = []
    for change in paths:
        if stands_for(change.path) is None and (change.path == CONFIGURATION or change.path not in params_files):
            how: Literal["added", "removed", "changed"] = "changed"
            how = "added" if change.before is None else "removed" if change.after is None else how
            found.append(CodeChange(path=change.path, how=how))
    return found


def _metrics(before: Side, after: Side) -> list[MetricChange]:
    """Metrics by name; two versions of two models are compared with each other all the same."""
    if before.model and after.model and before.model != after.model:
        pairs = [(after.model, before.metrics.get(before.model, {}), after.metrics.get(after.model, {}))]
    else:
        named = [side.model for side in (before, after) if side.model]
        models = dict.fromkeys(named or [*before.metrics, *after.metrics])
        pairs = [(model, before.metrics.get(model, {}), after.metrics.get(model, {})) for model in models]
    return [
        MetricChange(model=model, metric=name, before=old.get(name), after=new.get(name))
        for model, old, new in pairs
        for name in dict.fromkeys([*old, *new])
    ]


def metrics_of(row: LogRow) -> dict[ModelName, dict[str, float]]:
    """What each model scored at a commit: the last that a ledger or a run here tells."""
    found: dict[ModelName, Mapping[str, float]] = {}
    for event in row.events:
        if event.metrics:
            found[event.model] = event.metrics
    return {model: dict(metrics) for model, metrics in found.items()}
