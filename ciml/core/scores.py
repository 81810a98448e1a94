"""Scores of single examples: read from CSV, joined by id, compared pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ciml.core.ids import RepoPath
from ciml.core.metrics import Undefined
from ciml.core.statistics import Interval, auc, auc_gain, mean_gain
from ciml.core.value import Value

MAX_BYTES = 256 * 1024 * 1024
SMALLEST_PROBABILITY = 1e-15
"""Probabilities are kept this far from 0 and 1, so that one wrong certainty does not cost infinity."""

LARGEST = 1e100
"""Of a score or a loss; squares and sums of what is smaller are finite."""

_TRUTHS = {"true": 1.0, "false": 0.0}


class Scores(Value, frozen=True, kw_only=True):
    """One row per example, sorted by id."""

    ids: tuple[str, ...]
    values: tuple[str, ...]
    """The score, or the prediction, as written."""
    labels: tuple[str, ...] | None
    """None for a file of scores."""


class Comparison(Value, frozen=True, kw_only=True):
    """A metric of two models on the same examples."""

    candidate: float
    champion: float
    interval: Interval


def parse(data: bytes, file: RepoPath) -> Scores | Undefined:
    """The rows of a CSV `id,score` or `id,label,prediction`, or why they cannot be used.

    The columns may stand in any order, beside others. Never raises.

    Args:
        data: UTF-8, with a header.
        file: named in the reasons.
    """
    if len(data) > MAX_BYTES:
        return Undefined(reason=f"{file} is larger than {MAX_BYTES // 1024**2} MiB")
    # Imported here: most gates read no scores.
    import csv
    import io

    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        return _scores(next(rows, []), ((rows.line_num, row) for row in rows if row), file)
    except UnicodeDecodeError as error:
        return Undefined(reason=f"{file} is not UTF-8: {error.reason} at byte {error.start}")
    except csv.Error as error:
        return Undefined(reason=f"{file} is not CSV: {error}")


def compare(
    metric: str, candidate: Scores, champion: Scores, *, level: float, lower_is_better: bool
) -> Comparison | Undefined:
    """The metric of both, and the interval of what the candidate gains, or why there is none.

    Args:
        metric: any name for files of scores, which are averaged; for labels and predictions one
            of accuracy, auc, log-loss, mse and mae.
        candidate: scored on the same examples as `champion`.
        champion: likewise; ids and labels must agree.
        level: two-sided coverage of the interval, in (0, 1).
        lower_is_better: a gain is then how much lower the candidate is.
    """
    if reason := _unlike(candidate, champion):
        return Undefined(reason=reason)
    if candidate.labels is None:
        return _averaged(_numbers(candidate.values), _numbers(champion.values), level, lower_is_better)
    name = metric.replace("_", "-")
    if name == "accuracy":
        return _accuracy(candidate.labels, candidate.values, champion.values, level, lower_is_better)
    labels, new, old = _numbers(candidate.labels), _numbers(candidate.values), _numbers(champion.values)
    if name == "auc":
        return _area(labels, new, old, level, lower_is_better)
    if name not in _LOSSES:
        known = ", ".join(["accuracy", "auc", *_LOSSES])
        return Undefined(
            reason=f"{metric} cannot be computed from labels and predictions (only {known}): write id,score"
        )
    loss = _LOSSES[name]
    return _averaged(_losses(loss, labels, new), _losses(loss, labels, old), level, lower_is_better)


def _scores(header: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]], file: RepoPath) -> Scores | Undefined:
    columns = [name.strip() for name in header]
    labelled = "label" in columns and "prediction" in columns
    wanted = ["id", "label", "prediction"] if labelled else ["id", "score"]
    if any(columns.count(name) != 1 for name in wanted) or (labelled and "score" in columns):
        return Undefined(
            reason=f"{file} has the columns {','.join(columns)[:80]!r}, not id,score or id,label,prediction"
        )
    places = [columns.index(name) for name in wanted]
    found: dict[str, list[str]] = {}
    for line, row in rows:
        if len(row) != len(columns):
            return Undefined(reason=f"{file} line {line} has {len(row)} cells, the header {len(columns)}")
        key, *cells = (row[place].strip() for place in places)
        if reason := _bad_row(key, cells, found, number=not labelled):
            return Undefined(reason=f"{file} line {line}: {reason}")
        found[key] = cells
    if not found:
        return Undefined(reason=f"{file} has no examples")
    ids = tuple(sorted(found))
    labels = tuple(found[key][0] for key in ids) if labelled else None
    return Scores(ids=ids, values=tuple(found[key][-1] for key in ids), labels=labels)


def _bad_row(key: str, cells: Sequence[str], found: dict[str, list[str]], *, number: bool) -> str | None:
    """Why a row cannot be used, if it cannot."""
    if not key:
        return "the id is empty"
    if key in found:
        return f"id {key[:40]!r} is given twice"
    for cell in cells:
        value = _number(cell)
        if not cell:
            return "a cell is empty"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{cell[:40]!r} is not finite"
        if number and isinstance(value, str):
            return f"the score {cell[:40]!r} is not a number"
    return None


def _unlike(candidate: Scores, champion: Scores) -> str | None:
    """Why two files of scores do not speak of the same examples, if they do not."""
    if (candidate.labels is None) != (champion.labels is None):
        return "one side has scores, the other labels and predictions"
    if candidate.ids != champion.ids:
        missing = sorted({*candidate.ids} ^ {*champion.ids})
        side = "champion" if missing[0] in candidate.ids else "candidate"
        return f"{len(missing)} examples are scored on one side only, id {missing[0][:40]!r} not by the {side}"
    for key, new, old in zip(candidate.ids, candidate.labels or (), champion.labels or (), strict=False):
        if _number(new) != _number(old):
            return f"the data differs: id {key[:40]!r} has the label {new[:40]!r} here, {old[:40]!r} for the champion"
    return None


def _number(text: str) -> float | str:
    """The number a cell holds (true and false are 1 and 0), else its text."""
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    try:
        return float(text) if "_" not in text else text
    except ValueError:
        return text


def _numbers(texts: Sequence[str]) -> list[float] | Undefined:
    """All cells as numbers, or the first that is none."""
    values = [_number(text) for text in texts]
    for value in values:
        if isinstance(value, str):
            return Undefined(reason=f"{value[:40]!r} is not a number")
    return [value for value in values if isinstance(value, float)]


def _averaged(
    new: list[float] | Undefined, old: list[float] | Undefined, level: float, lower_is_better: bool
) -> Comparison | Undefined:
    """The comparison of two means over the examples."""
    if isinstance(new, Undefined) or isinstance(old, Undefined):
        return _first(new, old)
    differences = [b - a if lower_is_better else a - b for a, b in zip(new, old, strict=True)]
    if max(map(abs, [*new, *old])) > LARGEST:
        return Undefined(reason=f"a score is larger than {LARGEST:.0e}")
    interval = mean_gain(differences, level=level)
    if isinstance(interval, Undefined):
        return interval
    return Comparison(candidate=math.fsum(new) / len(new), champion=math.fsum(old) / len(old), interval=interval)


def _accuracy(
    labels: Sequence[str], new: Sequence[str], old: Sequence[str], level: float, lower_is_better: bool
) -> Comparison | Undefined:
    """The share of right predictions, which are classes, or probabilities of label 1 cut at one half."""
    truths = [_number(label) for label in labels]
    sides = [[_number(text) for text in side] for side in (new, old)]
    fractions = [p for side in sides for p in side if isinstance(p, float) and not p.is_integer()]
    if fractions and {*truths} <= {0.0, 1.0}:
        cut = [[_rounded(p) for p in side] for side in sides]
        if any(p is None for side in cut for p in side):
            return Undefined(reason="accuracy needs predictions that are classes or probabilities")
        hits = [[float(p == truth) for p, truth in zip(side, truths, strict=True)] for side in cut]
    else:
        hits = [[float(p == truth) for p, truth in zip(side, truths, strict=True)] for side in sides]
    return _averaged(hits[0], hits[1], level, lower_is_better)


def _rounded(prediction: float | str) -> float | None:
    """The class that a probability of label 1 speaks for, or None where it is no probability."""
    if isinstance(prediction, str) or not 0 <= prediction <= 1:
        return None
    return float(prediction > 0.5)


def _area(
    labels: list[float] | Undefined,
    new: list[float] | Undefined,
    old: list[float] | Undefined,
    level: float,
    lower_is_better: bool,
) -> Comparison | Undefined:
    if isinstance(labels, Undefined) or isinstance(new, Undefined) or isinstance(old, Undefined):
        return _first(labels, new, old)
    if not {*labels} <= {0.0, 1.0}:
        return Undefined(reason="auc needs labels that are 0 or 1")
    positive = [label == 1 for label in labels]
    better, worse = (old, new) if lower_is_better else (new, old)
    interval = auc_gain(positive, better, worse, level=level)
    if isinstance(interval, Undefined):
        return interval
    return Comparison(candidate=auc(positive, new), champion=auc(positive, old), interval=interval)


def _losses(
    loss: Callable[[float, float], float | None],
    labels: list[float] | Undefined,
    predictions: list[float] | Undefined,
) -> list[float] | Undefined:
    """The loss of each example."""
    if isinstance(labels, Undefined) or isinstance(predictions, Undefined):
        return _first(labels, predictions)
    values = [loss(label, prediction) for label, prediction in zip(labels, predictions, strict=True)]
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        return Undefined(reason="log-loss needs labels that are 0 or 1, and probabilities")
    return found


def _log_loss(label: float, probability: float) -> float | None:
    if label not in (0, 1) or not 0 <= probability <= 1:
        return None
    given = probability if label else 1 - probability
    return -math.log(min(max(given, SMALLEST_PROBABILITY), 1 - SMALLEST_PROBABILITY))


def _squared(label: float, prediction: float) -> float:
    # A product, not a power: ** raises where the square is beyond any double.
    return (label - prediction) * (label - prediction)


def _absolute(label: float, prediction: float) -> float:
    return abs(label - prediction)


_LOSSES: dict[str, Callable[[float, float], float | None]] = {
    "log-loss": _log_loss,
    "mse": _squared,
    "mae": _absolute,
}


def _first(*values: list[float] | Undefined) -> Undefined:
    """The first of them that is undefined."""
    return next(value for value in values if isinstance(value, Undefined))
