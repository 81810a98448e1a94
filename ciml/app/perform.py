"""A whole run: carry the stages out, judge the models, say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from ciml.app.judge import Judging
from ciml.app.orders import Orders
from ciml.app.plan import Prepared, refuse_edited, wanted_stages
from ciml.app.ports import Executor, FetchVersion, Ledgers, Store
from ciml.app.project import Project
from ciml.app.recover import Recovery
from ciml.app.rescoring import Rescoring
from ciml.app.run import Equipment, MakesOrders, Observer, Options, Outcome, carry_out
from ciml.core.errors import IntegrityError
from ciml.core.ids import ModelName, StageName
from ciml.core.judged import Judged
from ciml.core.pipeline import Model
from ciml.core.plan import Decision, Graph, State
from ciml.core.results import Skipped, StageResult
from ciml.core.value import Value

_REPAIRS = 10
"""Rounds in which damaged objects are made again before ciml gives up."""


class Performance(Value, frozen=True, kw_only=True):
    """What came of a run."""

    prepared: Prepared
    decisions: dict[StageName, Decision]
    """What was decided when the stage's turn came."""
    outcome: Outcome
    judged: tuple[Judged, ...]
    seconds: float

    @property
    def results(self) -> Mapping[StageName, StageResult]:
        """Every stage that took part, in the graph's order."""
        return self.outcome.results

    @property
    def idle(self) -> bool:
        """Whether everything was in place, so that nothing was done."""
        return all(isinstance(result, Skipped) for result in self.results.values())


class _Remembering:
    """An observer that keeps the decisions, and passes everything on."""

    def __init__(self, observer: Observer) -> None:
        self.decisions: dict[StageName, Decision] = {}
        self._observer = observer

    def decided(self, name: StageName, decision: Decision) -> None:
        self.decisions[name] = decision
        self._observer.decided(name, decision)

    def ended(self, name: StageName, result: StageResult) -> None:
        self._observer.ended(name, result)


class Means(Value, frozen=True, kw_only=True):
    """What a run needs besides the project."""

    executor: Callable[[], Executor]
    """A new one for every round of stages."""
    rescores: Callable[[], Executor] | None = None
    """For scoring the champion again; as `executor` when None."""
    ledgers: Ledgers
    fetch: FetchVersion
    observer: Observer
    rescoring: Observer
    """Told about the champion's rescoring."""
    warn: Callable[[str], None]
    relayed: Callable[[Graph, MakesOrders], MakesOrders] | None = None
    """Makes the orders where other jobs carry some out."""
    relayed_rescoring: Callable[[Graph, MakesOrders], MakesOrders] | None = None
    """The same for scoring the champion again."""
    may_lack_champion: bool = False
    """A champion that cannot be read here leaves a model not judged, and is no failure."""


def unmade(prepared: Prepared, judged: tuple[Judged, ...] = ()) -> Performance:
    """What came of a run without a stage: what was judged stood before."""
    outcome = Outcome(results={}, states={})
    return Performance(prepared=prepared, decisions={}, outcome=outcome, judged=judged, seconds=0.0)


def perform(
    project: Project,
    prepared: Prepared,
    means: Means,
    options: Options,
    *,
    models: Mapping[ModelName, Model] | None = None,
) -> Performance:
    """Run what is not up to date and judge the models.

    Args:
        project: where stores and trees are.
        prepared: the graph.
        means: what the run needs besides.
        options: which stages, and how.
        models: judge only these; all when None.

    Raises:
        UsageError: a target is no stage.
        RepositoryError: data was edited and its manifest was not.
        InterruptedRunError: ciml was told to stop.
    """
    begun = monotonic()
    wanted_stages(prepared.graph, options.targets)
    refuse_edited(prepared)
    real = Orders(project, prepared.graph, prepared.evidence)
    orders = means.relayed(prepared.graph, real) if means.relayed else real
    rescoring = means.relayed_rescoring(prepared.graph, real) if means.relayed_rescoring else real
    damage = ""
    for attempt in range(_REPAIRS + 1):
        remembering = _Remembering(means.observer)
        try:
            outcome = _carried_out(prepared, means, options, orders, remembering, project.store)
            judged = judge(project, prepared, means, outcome.states, rescoring, models=models)
            break
        except IntegrityError as error:
            # What is damaged is in quarantine by now, so its stage has no record and runs again.
            if attempt == _REPAIRS or error.message == damage:
                raise
            damage = error.message
            means.warn(f"{error.message}; the run begins once more")
    project.store.flush()
    return Performance(
        prepared=prepared,
        decisions=remembering.decisions,
        outcome=outcome,
        judged=judged,
        seconds=monotonic() - begun,
    )


def _carried_out(
    prepared: Prepared, means: Means, options: Options, orders: MakesOrders, observer: Observer, store: Store
) -> Outcome:
    equipment = Equipment(
        evidence=prepared.evidence,
        orders=orders,
        executor=means.executor(),
        places=prepared.outputs,
        observer=observer,
        why=prepared.reasons.why,
        recover=Recovery(prepared.graph, means.ledgers, means.fetch, store),
    )
    return carry_out(prepared.graph, equipment, options)


def judge(
    project: Project,
    prepared: Prepared,
    means: Means,
    states: Mapping[StageName, State],
    orders: MakesOrders,
    *,
    models: Mapping[ModelName, Model] | None = None,
    anew: bool = False,
    ready: Callable[[Model], None] = lambda model: None,
) -> tuple[Judged, ...]:
    """What the gates say of what a run made.

    Args:
        project: where stores and trees are.
        prepared: the graph that was run.
        means: ledgers, and what a rescoring needs.
        states: of the stages.
        orders: for scoring champions again.
        models: judge only these; all when None.
        anew: judge although a verdict is recorded.
        ready: raises, where what a gate reads is not all there.
    """

    def rescored(options: Options, given: Mapping[StageName, State]) -> Outcome:
        equipment = Equipment(
            evidence=prepared.evidence.anywhere(),
            orders=orders,
            executor=(means.rescores or means.executor)(),
            places=None,
            observer=means.rescoring,
            why=lambda name: "the champion is scored on this data",
        )
        return carry_out(prepared.graph, equipment, options, given=given)

    judging = Judging(
        prepared.graph,
        states,
        prepared.evidence,
        project.store,
        rescore=Rescoring(prepared.graph, states, fetch=means.fetch, carry_out=rescored),
        ready=ready,
        may_lack_champion=means.may_lack_champion,
    )
    wanted = prepared.graph.pipeline.models if models is None else models
    return tuple(judging.judge(model, means.ledgers.read(name), anew=anew) for name, model in wanted.items())
