"""Run what is not up to date, in parallel, and put the outputs into the work tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ciml.app.orders import Orders
from ciml.app.ports import Executor
from ciml.core.dag import upstream
from ciml.core.ids import StageName
from ciml.core.order import WorkOrder
from ciml.core.plan import Action, Decision, Evidence, Graph, Known, LeftOut, State, decide
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


class WorkTree(Protocol):
    """Where users find the outputs."""

    def place(self, name: StageName, record: Record) -> None:
        """Put a record's outputs where the stage's places say."""
        ...


class Run:
    """One run of one graph: decides, starts, waits, places, until nothing is left."""

    def __init__(
        self,
        graph: Graph,
        evidence: Evidence,
        orders: Orders,
        executor: Executor,
        work_tree: WorkTree,
        observer: Observer,
        *,
        why: Callable[[StageName], str],
        options: Options,
    ) -> None:
        self._graph = graph
        self._evidence = evidence
        self._orders = orders
        self._executor = executor
        self._work_tree = work_tree
        self._observer = observer
        self._why = why
        self._options = options
        self._forced = frozenset(options.targets or graph.order) if options.force else frozenset()
        self.states: dict[StageName, State] = {}
        self.results: dict[StageName, StageResult] = {}
        self._ready: deque[StageName] = deque()
        self._waiting_for: dict[StageName, int] = {}
        self._followers: dict[StageName, list[StageName]] = {}
        self._blocked: deque[tuple[WorkOrder, Decision]] = deque()
        self._running = 0
        self._failed = False

    def __call__(self) -> Mapping[StageName, StageResult]:
        """The result of every wanted stage, in the graph's order.

        Raises:
            InterruptedRunError: ciml was told to stop; the executor has been stopped.
        """
        wanted = upstream(self._graph.waits, self._options.targets or self._graph.order)
        self._set_out([name for name in self._graph.order if name in wanted])
        try:
            while self._ready or self._blocked or self._running:
                self._start_what_can()
                if self._running:
                    order, result = self._executor.wait()
                    self._running -= 1
                    self._end(order.stage, self._settled(order, result))
        except BaseException:
            self._executor.stop()
            raise
        return {name: self.results[name] for name in self._graph.order if name in wanted}

    def _set_out(self, wanted: Sequence[StageName]) -> None:
        """Count what each stage waits for. A `finally` stage waits for all that are not."""
        stages = self._graph.pipeline.stages
        ordinary = [name for name in wanted if not stages[name].always]
        for name in wanted:
            before = dict.fromkeys(self._graph.waits[name])
            if stages[name].always:
                before |= dict.fromkeys(ordinary)
            self._waiting_for[name] = len(before)
            for other in before:
                self._followers.setdefault(other, []).append(name)
            if not before:
                self._ready.append(name)

    def _start_what_can(self) -> None:
        for _ in range(len(self._blocked)):
            self._start(*self._blocked.popleft())
        while self._ready and (not self._blocked or self._executor.has_room(self._blocked[0][0])):
            self._turn(self._ready.popleft())

    def _turn(self, name: StageName) -> None:
        """Decide what is to be done with a stage whose predecessors have all ended."""
        if cancelled := self._cancelled(name):
            self._end(name, cancelled)
            return
        decision = decide(name, self._graph, self.states, self._evidence, why=self._why, force=name in self._forced)
        self._observer.decided(name, decision)
        self.states[name] = decision.state
        match decision.action, decision.state:
            case Action.RUN, _:
                assert decision.key is not None, f"{name} runs without a key"
                self._start(self._orders.order(name, decision.key, self.states), decision)
            case Action.RESTORE, Known(record=record):
                self._work_tree.place(name, record)
                self._end(name, Restored(record=record))
            case Action.SKIP, Known(record=record):
                self._end(name, Skipped(reason=decision.reason, record=record))
            case _:
                self._end(name, Skipped(reason=decision.reason))

    def _cancelled(self, name: StageName) -> Cancelled | None:
        stage = self._graph.pipeline.stages[name]
        read = [other for other in self._graph.waits[name] if not isinstance(self.states.get(other), Known | LeftOut)]
        if read:
            return Cancelled(reason=f"{read[0]} did not end well")
        if self._failed and not self._options.keep_going and not stage.always:
            return Cancelled(reason="another stage failed")
        return None

    def _start(self, order: WorkOrder, decision: Decision) -> None:
        if self._failed and not self._options.keep_going and not self._graph.pipeline.stages[order.stage].always:
            self._end(order.stage, Cancelled(reason="another stage failed"))
        elif self._executor.has_room(order):
            self._executor.start(order)
            self._running += 1
        else:
            self._blocked.append((order, decision))

    def _settled(self, order: WorkOrder, result: StageResult) -> StageResult:
        """The result, with the outputs in the work tree when there are any."""
        if isinstance(result, Ran | Restored):
            self.states[order.stage] = Known(key=order.key, record=result.record)
            self._work_tree.place(order.stage, result.record)
        return result

    def _end(self, name: StageName, result: StageResult) -> None:
        self.results[name] = result
        self._failed = self._failed or isinstance(result, Failed)
        self._observer.ended(name, result)
        for follower in self._followers.get(name, ()):
            self._waiting_for[follower] -= 1
            if not self._waiting_for[follower]:
                self._ready.append(follower)
