"""Which stages run, which are restored, which are skipped, and why.

A plan and a run decide with the same function. `decide` looks at one stage and at what is known
of the stages before it; a plan calls it once for each stage in order, a run calls it again when
a stage before it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from ciml.core import key as keys
from ciml.core.changes import ChangeSet
from ciml.core.ids import CommitSha, Digest, RepoPath, StageName
from ciml.core.inputs import Input, ProducedInput
from ciml.core.key import Runtime
from ciml.core.metrics import Metrics, Undefined, combine, of_stage
from ciml.core.pipeline import Pipeline, Stage
from ciml.core.producers import Producers
from ciml.core.results import Output, Record
from ciml.core.value import Value


class Action(StrEnum):
    """What will happen to a stage."""

    RUN = "run"
    """No readable record."""
    RESTORE = "restore"
    """A record; its outputs are not in the work tree."""
    SKIP = "skip"
    """Outputs are in place, or the stage is left out."""
    MAYBE = "maybe"
    """A stage before it must run first; its result decides."""


class PlannedStage(Value, frozen=True, kw_only=True):
    """One stage and what was decided for it."""

    name: StageName
    action: Action
    reason: str
    """One clause that a reviewer can read: `params.yaml: train.lr 0.1 -> 0.05`."""
    recipe: Digest
    key: Digest | None


class Plan(Value, frozen=True, kw_only=True):
    """What changed, and what will be done about it."""

    base: CommitSha | None
    head: CommitSha | None
    dirty: bool
    changes: ChangeSet
    stages: tuple[PlannedStage, ...]

    @property
    def nothing_to_do(self) -> bool:
        """Whether every stage is in place."""
        return all(stage.action is Action.SKIP for stage in self.stages)


class Graph(Value, frozen=True, kw_only=True):
    """A pipeline with every input resolved and every recipe known."""

    pipeline: Pipeline
    order: tuple[StageName, ...]
    """Each stage after those it waits for."""
    inputs: dict[StageName, tuple[Input, ...]]
    conditions: dict[StageName, tuple[StageName, ...]]
    """The stages whose metrics `when` reads, for stages that have one."""
    waits: dict[StageName, tuple[StageName, ...]]
    """All stages that must have ended first: makers of inputs, conditions, `needs`, a pick's instances."""
    recipes: dict[StageName, Digest]
    runtime: Runtime
    producers: Producers
    """Of the pipeline's outputs."""
    folders: frozenset[RepoPath] = frozenset()
    """Folders in which a new file could be an input: where declared paths and modules were looked for."""


class Known(Value, frozen=True, kw_only=True):
    """The stage's outputs are known by content."""

    key: Digest
    record: Record


class LeftOut(Value, frozen=True, kw_only=True):
    """The stage does not take part: its `when` is false, or what it reads was left out."""

    reason: str


class Pending(Value, frozen=True, kw_only=True):
    """The stage must run before anything can be said of its outputs."""


State = Known | LeftOut | Pending


class Evidence(Protocol):
    """What can be looked up while deciding."""

    def record(self, key: Digest) -> Record | None:
        """The usable record of a key."""
        ...

    def part(self, output: Output, part: str) -> Output:
        """What lies at a path below a directory output."""
        ...

    def in_place(self, stage: Stage, record: Record) -> bool:
        """Whether the work tree holds these outputs."""
        ...

    def holds(self, condition: str, metrics: Mapping[StageName, Metrics]) -> bool | str:
        """The value of a `when`, or why it has none."""
        ...


class Decision(Value, frozen=True, kw_only=True):
    """What is to be done with one stage now, and the state that follows for the stages after it."""

    action: Action
    reason: str
    key: Digest | None = None
    state: State = Pending()


def decide(
    name: StageName,
    graph: Graph,
    states: Mapping[StageName, State],
    evidence: Evidence,
    *,
    why: Callable[[StageName], str],
    force: bool = False,
) -> Decision:
    """What to do with a stage, given what is known of the stages before it.

    Args:
        name: the stage.
        graph: the pipeline, resolved.
        states: of all stages that this one reads, conditions included.
        evidence: records, the work tree, and the values of conditions.
        why: what changed for a stage, for the reason of a run; "" when nothing is known to have.
        force: run although a record exists.
    """
    stage = graph.pipeline.stages[name]
    read = reads(name, graph)
    for other in read:
        if isinstance(state := states[other], LeftOut):
            return _left_out(f"{other} was left out")
    if waiting := [other for other in read if isinstance(states[other], Pending)]:
        clause = f"waits for {waiting[0]}" + (f" and {len(waiting) - 1} more" if len(waiting) > 1 else "")
        return Decision(action=Action.MAYBE, reason="; ".join(filter(None, (why(name), clause))))
    known = {other: state for other in read if isinstance(state := states[other], Known)}
    if stage.pick:
        return _pick(stage, known, evidence)
    if stage.when is not None:
        value = evidence.holds(stage.when, {other: combine(state.record.metrics) for other, state in known.items()})
        if value is not True:
            return _left_out(f"when is {'false' if value is False else value}: {stage.when}")
    return _by_record(stage, graph, known, evidence, why=why, force=force)


def reads(name: StageName, graph: Graph) -> tuple[StageName, ...]:
    """The stages whose results this one needs, each once, in a fixed order."""
    stage = graph.pipeline.stages[name]
    makers = [item.stage for item in graph.inputs[name] if isinstance(item, ProducedInput)]
    candidates = [other for pair in stage.pick.candidates for other in pair] if stage.pick else []
    return tuple(dict.fromkeys([*makers, *graph.conditions.get(name, ()), *candidates]))


def _left_out(reason: str) -> Decision:
    return Decision(action=Action.SKIP, reason=reason, state=LeftOut(reason=reason))


def _by_record(
    stage: Stage,
    graph: Graph,
    known: Mapping[StageName, Known],
    evidence: Evidence,
    *,
    why: Callable[[StageName], str],
    force: bool,
) -> Decision:
    inputs = graph.inputs[stage.name]
    made = made_inputs(inputs, known, evidence)
    key = keys.key(stage, inputs, graph.runtime, made)
    if always := _always(stage, force=force):
        return Decision(action=Action.RUN, reason=always, key=key)
    record = evidence.record(key)
    if record is None:
        return Decision(action=Action.RUN, reason=why(stage.name) or _news(known), key=key)
    state = Known(key=key, record=record)
    if evidence.in_place(stage, record):
        return Decision(action=Action.SKIP, reason="up to date", key=key, state=state)
    reason = why(stage.name) or "its outputs are stored, and not in the work tree"
    return Decision(action=Action.RESTORE, reason=reason, key=key, state=state)


def _news(known: Mapping[StageName, Known]) -> str:
    """Why there is no record, where nothing in Git says why."""
    return f"no record for what {', '.join(known)} made" if known else "no record of these inputs"


def _always(stage: Stage, *, force: bool) -> str | None:
    """Why the stage runs whatever the store holds, if it does."""
    if force:
        return "forced"
    if stage.always:
        return "finally: runs whatever happened"
    if not stage.cache:
        return "cache: false"
    if not stage.isolated:
        return "isolation: none, so its record serves one run"
    return None


def made_inputs(
    inputs: Sequence[Input], known: Mapping[StageName, Known], evidence: Evidence
) -> dict[tuple[StageName, str, str], Output]:
    """What lies at each produced input, by (stage, output, part)."""
    made: dict[tuple[StageName, str, str], Output] = {}
    for item in inputs:
        if isinstance(item, ProducedInput):
            output = output_of(known[item.stage].record, item.output)
            made[item.stage, item.output, item.part] = evidence.part(output, item.part) if item.part else output
    return made


def output_of(record: Record, path: RepoPath) -> Output:
    """The output that a stage's record names, by the path its maker sees."""
    return next(output for output in record.outputs if output.path == path)


def _pick(stage: Stage, known: Mapping[StageName, Known], evidence: Evidence) -> Decision:
    """The winner's outputs under the plain names. Ties go to the first; no finite number loses."""
    rule = stage.pick
    assert rule is not None, f"{stage.name} is not a pick node"
    best: tuple[float, StageName] | None = None
    for candidate, scored in rule.candidates:
        value = of_stage(rule.metric, combine(known[scored].record.metrics))
        if isinstance(value, Undefined):
            continue
        gain = value if rule.goal == "max" else -value
        if best is None or gain > best[0]:
            best = (gain, candidate)
    key = keys.pick_key(stage, {name: state.key for name, state in known.items()})
    if best is None:
        return _left_out(f"no instance has a finite {rule.metric}")
    winner = known[best[1]].record
    wanted = {place.inside for place in stage.outputs}
    record = Record(
        key=key,
        recipe=winner.recipe,
        stage=best[1],
        outputs=tuple(output for output in winner.outputs if output.path in wanted),
        metrics=winner.metrics,
        platform=winner.platform,
        packages=winner.packages,
        started=winner.started,
        seconds=winner.seconds,
    )
    state = Known(key=key, record=record)
    reason = f"picks {best[1]}"
    action = Action.SKIP if evidence.in_place(stage, record) else Action.RESTORE
    return Decision(action=action, reason=reason, key=key, state=state)


def plan_stages(
    graph: Graph,
    evidence: Evidence,
    *,
    why: Callable[[StageName], str],
    wanted: Sequence[StageName] | None = None,
    force: frozenset[StageName] = frozenset(),
) -> tuple[PlannedStage, ...]:
    """The decision for each wanted stage (all when None), in order."""
    chosen = None if wanted is None else set(wanted)
    states: dict[StageName, State] = {}
    planned = []
    for name in graph.order:
        if chosen is not None and name not in chosen:
            continue
        decision = decide(name, graph, states, evidence, why=why, force=name in force)
        states[name] = decision.state
        planned.append(
            PlannedStage(
                name=name,
                action=decision.action,
                reason=decision.reason,
                recipe=graph.recipes[name],
                key=decision.key,
            )
        )
    return tuple(planned)
