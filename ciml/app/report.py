"""What is told of a run: from plans, results and verdicts to a report, which is data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ciml.core.datachecks import DataVerdict
from ciml.core.event import Event, Rights
from ciml.core.ids import ModelName, StageName
from ciml.core.judged import Judged
from ciml.core.lineage import check_lines
from ciml.core.plan import Decision, Graph, Plan, PlannedStage
from ciml.core.report import Curve, DeploymentLine, MetricRow, ModelReport, Report, StageLine, deployments_text
from ciml.core.results import Failed, Ran, Restored, Skipped, StageResult, told
from ciml.core.value import Value
from ciml.core.verdict import Status, Verdict

Conclusion = Literal["success", "failure", "action-required"]


class Became(Value, frozen=True, kw_only=True):
    """What became of one judged model."""

    version: int | None = None
    created: bool = False
    promoted: bool = False
    uri: str = ""
    refusal: str = ""
    """Why it was not registered, where somebody asked for it."""


class Story(Value, frozen=True, kw_only=True):
    """All that a report is made from."""

    event: Event
    rights: Rights
    graph: Graph
    planned: Plan
    subject: str
    results: Mapping[StageName, StageResult] = {}
    decisions: Mapping[StageName, Decision] = {}
    """What was decided when a stage's turn came; a plan could say `maybe`."""
    judged: tuple[Judged, ...] = ()
    became: Mapping[ModelName, Became] = {}
    curves: tuple[Curve, ...] = ()
    data: tuple[str, ...] = ()
    stopped_by: tuple[DataVerdict, ...] = ()
    """Data that was not let through, so that no stage was run."""
    deployments: tuple[DeploymentLine, ...] = ()
    notices: tuple[str, ...] = ()
    error: str = ""
    require: Literal["ran", "accepted"] = "ran"
    conclusion: Conclusion = "success"


def report_of(story: Story) -> Report:
    """The report of a run."""
    graph, planned = story.graph, story.planned
    changes = planned.changes
    changed: dict[str, tuple[str, ...]] = {"code": changes.code, "data": changes.data, "params": changes.params}
    models = (*map(_data, story.stopped_by), *(_model(item, story) for item in story.judged))
    return Report(
        event=story.event,
        head=planned.head,
        base=planned.base,
        subject=story.subject,
        conclusion=story.conclusion,
        title=_title(story, models),
        changed={kind: names for kind, names in changed.items() if names},
        data=story.data,
        stages=tuple(_stage(stage, story) for stage in planned.stages),
        edges=tuple((before, name) for name in graph.order for before in graph.waits[name]),
        models=models,
        curves=story.curves,
        deployments=story.deployments,
        notices=((f"Everything counts as changed: {changes.reason}.",) if changes.reason else ()) + story.notices,
        error=story.error,
        require=story.require,
    )


def _stage(planned: PlannedStage, story: Story) -> StageLine:
    result = story.results.get(planned.name)
    seconds = None
    match result:
        case Ran():
            seconds = result.record.seconds
        case Failed():
            seconds = result.seconds
    decided = story.decisions.get(planned.name, planned)
    return StageLine(
        name=planned.name,
        action=decided.action,
        reason=result.reason if isinstance(result, Failed) else decided.reason,
        result=told(result) if result is not None else "",
        seconds=seconds,
        line=story.graph.pipeline.stages[planned.name].line,
        tail=result.tail if isinstance(result, Failed) else "",
    )


def _data(verdict: DataVerdict) -> ModelReport:
    """Data that was not let through, check by check as a model would be."""
    return ModelReport(
        name=ModelName(verdict.path),
        verdict="rejected",
        reason=verdict.reason,
        checks=check_lines(verdict.findings),
        notes=verdict.notes,
        outcome="No stage was run on it.",
    )


def _model(item: Judged, story: Story) -> ModelReport:
    verdict, became = item.verdict, story.became.get(item.model.name, Became())
    return ModelReport(
        name=item.model.name,
        verdict=verdict.status.value,
        reason=verdict.reason,
        recorded=item.recorded,
        checks=check_lines(verdict.findings),
        metrics=_metrics(verdict),
        notes=verdict.notes,
        hint=verdict.hint,
        champion=int(verdict.champion.version) if verdict.champion else None,
        outcome=_outcome(item, became, story.rights),
        version=became.version,
        uri=became.uri,
        line=item.model.line,
    )


def _metrics(verdict: Verdict) -> tuple[MetricRow, ...]:
    """The candidate's metrics beside the champion's; what only the champion has comes last."""
    theirs = verdict.champion.metrics if verdict.champion else {}
    differences = {found.difference.metric: found.difference for found in verdict.findings if found.difference}
    names = [*verdict.metrics, *(name for name in theirs if name not in verdict.metrics)]
    return tuple(
        MetricRow(
            name=name,
            candidate=verdict.metrics.get(name),
            champion=theirs.get(name),
            interval=(differences[name].low, differences[name].high) if name in differences else None,
        )
        for name in names
    )


def _outcome(item: Judged, became: Became, rights: Rights) -> str:
    """One sentence: what was, or would be, registered and promoted."""
    if became.version is not None and not became.refusal:
        done = "Registered as" if became.created else "It is already registered as"
        return f"{done} version {became.version}{', and promoted' if became.promoted else ''}."
    if became.refusal:
        return f"Not registered: {became.refusal}."
    match item.verdict.status:
        case Status.REJECTED:
            return "Nothing is registered, nothing is promoted."
        case Status.UNCHANGED:
            return "It has the champion's bytes: nothing new would be registered."
        case Status.NOT_JUDGED:
            return "The model was not judged, so nothing is registered."
    then = ", and promoted" if item.model.promote == "auto" else ", and would wait for approval"
    return f"Would be registered as a new version{then}, once merged." if not rights.registers else "Not registered."


def _title(story: Story, models: Sequence[ModelReport]) -> str:
    if story.error:
        return story.error
    failed = [name for name, result in story.results.items() if isinstance(result, Failed)]
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"stage {failed[0]} failed{more}"
    if models:
        return "; ".join(_verdict_line(model) for model in models)
    if story.deployments:
        return deployments_text(story.deployments)
    made = sum(isinstance(result, Ran | Restored) for result in story.results.values())
    idle = all(isinstance(result, Skipped) for result in story.results.values())
    return "nothing to do" if idle else f"{made} stages done"


def _verdict_line(model: ModelReport) -> str:
    """`churn accepted: auc 0.91 (+0.02)`."""
    if model.verdict == "not-judged":
        return f"{model.name}: gate could not be evaluated"
    head = f"{model.name} {model.verdict}"
    row = next((row for row in model.metrics if row.candidate is not None), None)
    if row is None or row.candidate is None:
        return head
    against = f" ({row.candidate - row.champion:+.4g})" if row.champion is not None else ""
    return f"{head}: {row.name} {row.candidate:.4g}{against}"
