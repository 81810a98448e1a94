"""Run what is not up to date, in parallel, and put the outputs into the work tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ciml.app.ports import Executor
from ciml.core import dag
from ciml.core.errors import StageError
from ciml.core.ids import Digest, StageName
from ciml.core.order import WorkOrder
from ciml.core.plan import Action, Decision, Evidence, Graph, Known, Pending, State, decide, reads
from ciml.core.results import Cancelled, Failed, Ran, Record, Restored, Skipped, StageResult
from ciml.core.value import Value


class Options(Value, frozen=True, kw_only=True):
    """How a run is to go about it."""

    targets: tuple[StageName, ...] = ()
    """Run these and what they need; empty means all."""
    force: bool = False
    """Run although there is a record: the targets, or everything."""
    keep_going: bool = False
    """After a failure, go on with what does not depend on it."""


class Observer(Protocol):
    """Who is told how a run goes."""

    def decided(self, name: StageName, decision: Decision) -> None:
        """A stage's turn has come."""
        ...

    def ended(self, name: StageName, result: StageResult) -> None:
        """A stage has ended, in whatever way."""
        ...


class Places(Protocol):
    """Where outputs go when a stage has succeeded."""

    def place(self, name: StageName, record: Record) -> None:
        """Put a record's outputs where the stage's places say."""
        ...


class MakesOrders(Protocol):
    """Makes work orders."""

    def order(
        self, name: StageName, key: Digest, states: Mapping[StageName, State], *, fresh: bool = False
    ) -> WorkOrder:
        """The order for a stage whose inputs are all known; `fresh` runs it although there is a record."""
        ...


class Equipment(Value, frozen=True, kw_only=True):
    """What a run works with."""

    evidence: Evidence
    orders: MakesOrders
    executor: Executor
    places: Places | None
    """None where nobody will look at the outputs, as when a champion is scored again."""
    observer: Observer
    why: Callable[[StageName], str]
    recover: Callable[[StageName, Digest], Record | None] = lambda name, key: None
    """Brings back what a stage made from somewhere else than the store."""


class Outcome(Value, frozen=True, kw_only=True):
    """What came of a run, stage by stage in the graph's order."""

    results: dict[StageName, StageResult]
    states: dict[StageName, State]


def carry_out(
    graph: Graph,
    equipment: Equipment,
    options: Options,
    *,
    given: Mapping[StageName, State] | None = None,
) -> Outcome:
    """Decide, start, wait and place, until nothing is left to do.

    Args:
        graph: the pipeline, resolved.
        equipment: what the run works with; its executor is stopped at the end.
        options: which stages, and how.
        given: stages whose outcome is settled already; they and what only they need are left alone.

    Raises:
        InterruptedRunError: ciml was told to stop; no stage runs any more.
    """
    try:
        return _Run(graph, equipment, options, given or {}).all()
    finally:
        equipment.executor.stop()


class _Run:
    """The state of one run."""

    def __init__(self, graph: Graph, equipment: Equipment, options: Options, given: Mapping[StageName, State]) -> None:
        self._graph = graph
        self._with = equipment
        self._executor = equipment.executor
        self._options = options
        self._forced = frozenset(options.targets or graph.order) if options.force else frozenset()
        self._states: dict[StageName, State] = dict(given)
        self._results: dict[StageName, StageResult] = {}
        self._ready: deque[StageName] = deque()
        self._blocked: deque[WorkOrder] = deque()
        self._waiting_for: dict[StageName, int] = {}
        self._followers: dict[StageName, list[StageName]] = {}
        self._running = 0
        self._failed = False
        self._set_out(given)

    def all(self) -> Outcome:
        """The outcome of every wanted stage."""
        while self._ready or self._blocked or self._running:
            self._start_what_can()
            if self._running:
                order, result = self._executor.wait()
                self._running -= 1
                self._settle(order, result)
        results = {name: self._results[name] for name in self._graph.order if name in self._results}
        return Outcome(results=results, states=self._states)

    def _set_out(self, given: Mapping[StageName, State]) -> None:
        """Count what each wanted stage waits for. A `finally` stage waits for all that do not wait for it."""
        stages = self._graph.pipeline.stages
        unsettled = {name: [o for o in before if o not in given] for name, before in self._graph.waits.items()}
        needed = dag.upstream(unsettled, self._options.targets or self._graph.order)
        wanted = [name for name in self._graph.order if name in needed and name not in given]
        ordinary = [name for name in wanted if not stages[name].always]
        for name in wanted:
            others = self._others(name, ordinary) if stages[name].always else ()
            before = dict.fromkeys([*unsettled[name], *others])
            self._waiting_for[name] = len(before)
            for other in before:
                self._followers.setdefault(other, []).append(name)
            if not before:
                self._ready.append(name)

    def _others(self, name: StageName, ordinary: Sequence[StageName]) -> list[StageName]:
        """The ordinary stages that a `finally` stage waits for: all but those that come after it."""
        after = dag.downstream(self._graph.waits, [name])
        return [other for other in ordinary if other not in after]

    def _start_what_can(self) -> None:
        for _ in range(len(self._blocked)):
            self._start(self._blocked.popleft())
        while self._ready and not self._blocked:
            self._turn(self._ready.popleft())

    def _turn(self, name: StageName) -> None:
        """Decide what is to be done with a stage whose predecessors have all ended."""
        if cancelled := self._cancelled(name):
            self._end(name, cancelled)
            return
        try:
            decision = self._decide(name)
        except StageError as error:
            self._end(name, Failed(reason=error.message))
            return
        decision = self._recovered(name, decision)
        self._states[name] = decision.state
        self._with.observer.decided(name, decision)
        match decision.action, decision.state:
            case Action.RUN, _:
                assert decision.key is not None, f"{name} runs without a key"
                self._start(self._with.orders.order(name, decision.key, self._states, fresh=name in self._forced))
            case Action.RESTORE, Known(record=record):
                self._place(name, record)
                self._end(name, Restored(record=record))
            case _, Known(record=record):
                self._end(name, Skipped(reason=decision.reason, record=record))
            case _:
                self._end(name, Skipped(reason=decision.reason))

    def _recovered(self, name: StageName, decision: Decision) -> Decision:
        """The decision, or to restore where the stage need not run after all."""
        if decision.action is not Action.RUN or decision.key is None or name in self._forced:
            return decision
        record = self._with.recover(name, decision.key)
        if record is None:
            return decision
        state = Known(key=decision.key, record=record)
        reason = "registered, and brought back from the registry"
        return Decision(action=Action.RESTORE, reason=reason, key=decision.key, state=state)

    def _decide(self, name: StageName) -> Decision:
        return decide(
            name,
            self._graph,
            self._states,
            self._with.evidence,
            why=self._with.why,
            force=name in self._forced,
        )

    def _cancelled(self, name: StageName) -> Cancelled | None:
        """Why a stage is not to start, if it is not. A `finally` stage starts whenever it has its inputs."""
        always = self._graph.pipeline.stages[name].always
        for other in reads(name, self._graph) if always else self._graph.waits[name]:
            if isinstance(self._states.get(other), Pending | None):
                return Cancelled(reason=f"{other} did not end well")
        if self._failed and not self._options.keep_going and not always:
            return Cancelled(reason="another stage failed")
        return None

    def _start(self, order: WorkOrder) -> None:
        if cancelled := self._cancelled(order.stage):
            self._end(order.stage, cancelled)
        elif self._executor.has_room(order):
            self._executor.start(order)
            self._running += 1
        else:
            self._blocked.append(order)

    def _settle(self, order: WorkOrder, result: StageResult) -> None:
        """Take an executor's result in, and put the outputs into the work tree when there are any."""
        if isinstance(result, Ran | Restored):
            self._states[order.stage] = Known(key=order.key, record=result.record)
            self._place(order.stage, result.record)
        self._end(order.stage, result)

    def _place(self, name: StageName, record: Record) -> None:
        if self._with.places is not None:
            self._with.places.place(name, record)

    def _end(self, name: StageName, result: StageResult) -> None:
        self._results[name] = result
        self._failed = self._failed or isinstance(result, Failed)
        self._with.observer.ended(name, result)
        for follower in self._followers.get(name, ()):
            self._waiting_for[follower] -= 1
            if not self._waiting_for[follower]:
                self._ready.append(follower)
