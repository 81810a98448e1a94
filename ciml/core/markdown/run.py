"""The part of a report that is about the run: what changed, the stages with reasons, the graph, the curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ciml.core import mermaid
from ciml.core.lineage import shown
from ciml.core.markdown.layout import Block, row, table
from ciml.core.markdown.text import code, fence, inline
from ciml.core.report import Curve, DeploymentLine, Report, StageLine, thinned

_FAILED_RANK, _DEPLOYED_RANK, _PLAN_RANK, _CHANGED_RANK, _GRAPH_RANK, _CURVE_RANK = 1, 3, 6, 7, 8, 9

_RESULTS = {
    "ran": "🔵 ran",
    "restored": "🟢 restored",
    "skipped": "⚪ skipped",
    "failed": "🔴 failed",
    "cancelled": "🟠 cancelled",
}

_PLANNED = {"run": "to run", "restore": "to restore", "skip": "to skip"}

_STYLES = {
    "ran": "fill:#dbeafe,stroke:#1d4ed8,color:#1e293b",
    "restored": "fill:#dcfce7,stroke:#15803d,color:#1e293b",
    "skipped": "fill:#f1f5f9,stroke:#94a3b8,color:#475569",
    "failed": "fill:#fee2e2,stroke:#b91c1c,color:#1e293b",
    "cancelled": "fill:#ffedd5,stroke:#c2410c,color:#1e293b",
    "planned": "fill:#ffffff,stroke:#475569,color:#1e293b",
}

_MOST_STAGES, _MOST_EDGES = 120, 400
"""Of a graph that is drawn: beyond 500 edges Mermaid gives up, and long before that nobody sees anything."""

_SHOWN_PATHS = 5
_CURVE_ROWS = 25
_TAIL_LINES = 40


def failures(stages: Sequence[StageLine]) -> Iterator[Block]:
    """Each failed stage with the end of its log."""
    for stage in stages:
        if stage.result != "failed":
            continue
        head = f"### 🔴 stage {code(stage.name)} failed\n\n{inline(stage.reason, 400)}"
        tail = "\n".join(line[:500] for line in stage.tail.splitlines()[-_TAIL_LINES:])
        yield Block(rank=_FAILED_RANK, head=f"{head}\n\n{fence(tail)}" if tail.strip() else head)


def changes(report: Report) -> Iterator[Block]:
    """What differs from the base: code, data and parameters, and what became of the data."""
    rows = [f"- **{kind}**: {_some(names)}" for kind, names in _kinds(report)]
    rows += [f"- {inline(line, 400)}" for line in report.data]
    if rows:
        yield Block(rank=_CHANGED_RANK, head="### What changed\n", rows=tuple(rows), noun="changes")


def _kinds(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    known = ("code", "data", "params")
    return [(kind, report.changed[kind]) for kind in known if report.changed.get(kind)]


def _some(names: Sequence[str]) -> str:
    left = len(names) - _SHOWN_PATHS
    return ", ".join(map(code, names[:_SHOWN_PATHS])) + (f" and {left:,} more" if left > 0 else "")


def plan(stages: Sequence[StageLine]) -> Iterator[Block]:
    """The stages with what was decided and why, and what came of it."""
    if not stages:
        return
    ordered = _eventful_first(stages)
    ran = any(stage.result for stage in stages)
    heads = ("stage", "result", "why", "time") if ran else ("stage", "plan", "why")
    yield Block(
        rank=_PLAN_RANK,
        head=f"### Stages: {_counted(ordered)}\n\n{table(heads, '<<<>'[: len(heads)])}",
        rows=tuple(_stage(stage, ran=ran) for stage in ordered),
        noun="stages",
    )


def _eventful_first(stages: Sequence[StageLine]) -> list[StageLine]:
    """In the order of the run, but those that nothing happened to come last."""
    return sorted(stages, key=lambda stage: stage.result in ("skipped", "restored") or stage.action == "skip")


def _counted(stages: Sequence[StageLine]) -> str:
    words = [stage.result or _PLANNED.get(stage.action, stage.action) for stage in stages]
    return ", ".join(f"{words.count(word):,} {inline(word, 40)}" for word in dict.fromkeys(words))


def _stage(stage: StageLine, *, ran: bool) -> str:
    cells = [code(stage.name), _RESULTS.get(stage.result) or inline(stage.action, 40), inline(stage.reason)]
    if ran:
        cells.append("" if stage.seconds is None else duration(stage.seconds))
    return row(*cells)


def duration(seconds: float) -> str:
    """As a person says it: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if not 0 <= seconds < 1e9:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def graph(report: Report) -> Iterator[Block]:
    """The stages as a flowchart in the colours of their results."""
    names = {stage.name for stage in report.stages}
    edges = [(before, after, None) for before, after in report.edges if before in names and after in names]
    if not edges or len(names) > _MOST_STAGES or len(edges) > _MOST_EDGES:
        return
    nodes = {str(stage.name): (str(stage.name), stage.result or "planned") for stage in report.stages}
    used = {kind for _, kind in nodes.values()}
    chart = mermaid.flowchart(nodes, edges, {kind: style for kind, style in _STYLES.items() if kind in used})
    yield Block(
        rank=_GRAPH_RANK, head=_folded("Graph of the stages", fence(chart, "mermaid"), is_open=len(names) <= 12)
    )


def curves(found: Sequence[Curve]) -> Iterator[Block]:
    """Each curve as GitHub draws it, with its numbers in a table."""
    for curve in found:
        name = f"{code(curve.path)} · {code(curve.y)} over {code(curve.x)}"
        chart = mermaid.line_chart(curve.path, curve.x, curve.y, curve.points)
        drawing = f"{fence(chart, 'mermaid')}\n\n" if chart else ""
        rows = map(_point, thinned(curve.points, _CURVE_ROWS))
        numbers = "\n".join((table((code(curve.x), code(curve.y)), ">>"), *rows))
        yield Block(rank=_CURVE_RANK, head=f"{name}\n\n{drawing}{_folded('Numbers', numbers, is_open=not chart)}")


def _point(point: tuple[float, float]) -> str:
    return row(shown(float(point[0])), shown(float(point[1])))


def deployments(lines: Sequence[DeploymentLine]) -> Iterator[Block]:
    """Which version serves where."""
    if not lines:
        return
    heads = ("", "environment", "model", "version", "state", "detail")
    yield Block(
        rank=_DEPLOYED_RANK,
        head=f"### Deployments\n\n{table(heads, '^<<><<')}",
        rows=tuple(map(_deployment, lines)),
        noun="deployments",
    )


STATES = {
    "deployed": ("✅", "deployed"),
    "already": ("⚪", "already there"),
    "failed": ("❌", "failed"),
    "rolled-back": ("↩️", "rolled back"),
    "pending": ("⏳", "pending"),
}


def _deployment(line: DeploymentLine) -> str:
    icon, words = STATES[line.state]
    return row(icon, code(line.environment), code(line.model), str(line.version), words, inline(line.detail))


def _folded(title: str, content: str, *, is_open: bool) -> str:
    """Content that a click shows; the title is ours."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{content}\n\n</details>"
