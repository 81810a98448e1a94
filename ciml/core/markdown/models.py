"""The part of a report that is about models: verdict, gate check by check, metrics beside the champion's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ciml.core.lineage import CheckLine
from ciml.core.markdown.layout import Block, row, table
from ciml.core.markdown.text import code, inline
from ciml.core.report import MetricRow, ModelReport
from ciml.core.verdict import Shown, shown

ICONS = {"accepted": "✅", "rejected": "❌", "unchanged": "⚪", "not-judged": "⚠️"}

_WORDS = {"accepted": "accepted", "rejected": "rejected", "unchanged": "unchanged", "not-judged": "not judged"}

_GATE_RANK, _METRICS_RANK, _NOTES_RANK = 2, 4, 5


def overview(models: Sequence[ModelReport]) -> Iterator[Block]:
    """All models with their verdicts, a line each, where there are several."""
    if len(models) < 2:
        return
    yield Block(
        rank=1,
        head=table(("", "model", "verdict", "what becomes of it"), "^<<<"),
        rows=tuple(
            row(
                ICONS[model.verdict],
                code(model.name),
                _WORDS[model.verdict],
                inline(model.outcome or model.reason, 100),
            )
            for model in sorted(models, key=urgency)
        ),
        noun="models",
        first=250,
    )


def details(models: Sequence[ModelReport]) -> Iterator[Block]:
    """Each model: what was decided and why, its checks, its metrics."""
    for model in sorted(models, key=urgency):
        yield _gate(model)
        if model.metrics:
            yield _metrics(model)
        notes = [*model.notes, *([model.hint] if model.hint else [])]
        if notes:
            yield Block(rank=_NOTES_RANK, rows=tuple(f"- {inline(note, 400)}" for note in notes), noun="notes")


def urgency(model: ModelReport) -> int:
    """What a reviewer has to look at comes first."""
    return ("rejected", "not-judged", "accepted", "unchanged").index(model.verdict)


def _gate(model: ModelReport) -> Block:
    heading = f"### {ICONS[model.verdict]} {code(model.name)} {_WORDS[model.verdict]}{_version(model)}"
    parts = [heading, f"{_why(model)}"]
    if not model.checks:
        return Block(rank=_GATE_RANK, head="\n\n".join(part for part in parts if part))
    passed = sum(check.passed for check in model.checks)
    against = f", compared with champion version {model.champion}" if model.champion is not None else ""
    parts.append(f"**Gate**: {passed:,} of {len(model.checks):,} checks hold{against}")
    parts.append(table(("", "check", "left", "right", "detail"), "^<>><"))
    failed_first = sorted(model.checks, key=lambda check: check.passed)
    return Block(
        rank=_GATE_RANK,
        head="\n\n".join(part for part in parts if part),
        rows=tuple(map(_check, failed_first)),
        noun="checks",
    )


def _version(model: ModelReport) -> str:
    if model.version is None:
        return ""
    return f" · version {model.version}" + (f" · {code(model.uri)}" if model.uri else "")


def _why(model: ModelReport) -> str:
    if model.verdict == "not-judged":
        return f"**Gate could not be evaluated**: {inline(model.reason or 'no reason is known', 400)}"
    recorded = " (judged before; the recorded verdict stands)" if model.recorded else ""
    return f"{inline(model.reason, 400)}{recorded}" if model.reason or recorded else ""


def _check(check: CheckLine) -> str:
    return row(
        "✅" if check.passed else "❌",
        code(check.check),
        _side(check.left, check.right),
        _side(check.right, check.left),
        inline(check.detail),
    )


def _side(value: Shown, beside: Shown) -> str:
    return "" if value is None else inline(shown(value, beside=beside), 60)


def _metrics(model: ModelReport) -> Block:
    has_interval = any(metric.interval for metric in model.metrics)
    heads = ("metric", "this model", "champion", "difference", *(("interval",) if has_interval else ()))
    return Block(
        rank=_METRICS_RANK,
        head=table(heads, "<>>>>"[: len(heads)]),
        rows=tuple(_metric(metric, has_interval=has_interval) for metric in model.metrics),
        noun="metrics",
    )


def _metric(metric: MetricRow, *, has_interval: bool) -> str:
    cells = [code(metric.name), _number(metric.candidate, metric.champion), _number(metric.champion, metric.candidate)]
    cells.append(_difference(metric))
    if has_interval:
        cells.append(" … ".join(f"{end:+.3g}" for end in metric.interval) if metric.interval else "")
    return row(*cells)


def _number(value: float | None, beside: float | None) -> str:
    return shown(value, beside=beside)


def _difference(metric: MetricRow) -> str:
    if metric.candidate is None or metric.champion is None:
        return ""
    difference = metric.candidate - metric.champion
    return f"**{difference:+.4g}**" if difference else "0"
