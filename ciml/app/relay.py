"""Results that jobs hand on: of others, in the place of stages that this one does not run, and its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping

import msgspec

from ciml.app.ports import Executor, Store
from ciml.app.run import MakesOrders, Observer
from ciml.core import listing
from ciml.core.errors import IntegrityError
from ciml.core.handover import StageOutcome
from ciml.core.ids import Digest, StageName
from ciml.core.metrics import parse
from ciml.core.order import WorkOrder
from ciml.core.pipeline import Place
from ciml.core.plan import Decision, Graph, State
from ciml.core.results import Cancelled, Failed, Output, Ran, Record, Restored, StageResult, record_of

NOT_HANDED_ON = "the job that runs it handed no result on"

Outcomes = Callable[[WorkOrder], StageOutcome | None]
"""What another job handed on of the order's stage."""


class Relay:
    """The port Executor of a job that runs some stages, or none: the others' results are those handed on.

    A result counts only where its job computed the key that this one computes: whatever a job
    says, nothing is taken for the outcome of this commit's stage that is not. Numbers are read
    from the metrics files again, sizes held against the bytes, so that a record says nothing that its bytes do not.

    Args:
        outcomes: what other jobs handed on.
        store: holds the bytes that came with it.
        executor: for the stages of this job; None where it runs none.
        runs: the stages of this job.
    """

    def __init__(
        self, outcomes: Outcomes, store: Store, executor: Executor | None = None, runs: Collection[StageName] = ()
    ) -> None:
        self._outcomes = outcomes
        self._store = store
        self._executor = executor
        self._runs = frozenset(runs)
        self._answers: deque[tuple[WorkOrder, StageResult]] = deque()

    def has_room(self, order: WorkOrder) -> bool:
        """Whether the order fits beside those that run now; an answer takes no room."""
        return order.stage not in self._runs or self._executor is None or self._executor.has_room(order)

    def start(self, order: WorkOrder) -> None:
        """Begin, or look up what came of it elsewhere."""
        if self._executor is not None and order.stage in self._runs:
            self._executor.start(order)
        else:
            self._answers.append((order, self._handed_on(order)))

    def wait(self) -> tuple[WorkOrder, StageResult]:
        """The next order that ended."""
        if self._answers:
            return self._answers.popleft()
        assert self._executor is not None, "nothing was started"
        return self._executor.wait()

    def stop(self) -> None:
        """End what still runs."""
        if self._executor is not None:
            self._executor.stop()

    def _handed_on(self, order: WorkOrder) -> StageResult:
        outcome = self._outcomes(order)
        if outcome is None:
            return Failed(reason=NOT_HANDED_ON)
        match outcome.result:
            case Failed() as failed:
                return failed
            case Cancelled(reason=reason):
                return Failed(reason=f"its job did not run it: {reason}")
        record = record_of(outcome.result)
        if record is None:
            return Failed(reason="its job left it out, and this one would not")
        wrong = self._wrong(order, record)
        if wrong is not None:
            return wrong
        record = self._measured(order, record)
        if isinstance(outcome.result, Ran):
            return msgspec.structs.replace(outcome.result, record=record)
        return Restored(record=record)

    def _measured(self, order: WorkOrder, record: Record) -> Record:
        """The record with the numbers that its metrics files have, whatever it says itself."""
        files = {output.path: output.digest for output in record.outputs if output.path in order.metrics}
        metrics = {path: parse(self._store.read(digest), path) for path, digest in files.items()}
        return msgspec.structs.replace(record, metrics=metrics)

    def _wrong(self, order: WorkOrder, record: Record) -> Failed | None:
        if record.key != order.key:
            reason = f"its job ran something else: the key {record.key[:12]} and not {order.key[:12]}"
            return Failed(reason=reason, untrusted=True)
        if {output.path for output in record.outputs} != {place.inside for place in order.outputs}:
            return Failed(reason="its job handed other outputs on than it declares", untrusted=True)
        lost = next((output.path for output in record.outputs if not self._came(output)), None)
        return Failed(reason=f"the bytes of {lost} were not handed on") if lost is not None else None

    def _came(self, output: Output) -> bool:
        """Whether the bytes of an output are in the store, or of a directory its listing's.

        Raises:
            IntegrityError: they are not as many, in as many files, as was said.
        """
        size, files = self._store.size(output.digest), 1
        if size is None:
            return False
        if output.directory:
            size, files = listing.totals(self._store.read(output.digest))
        if (output.size, output.files) != (size, files):
            raise IntegrityError(
                f"{output.path} was handed on as {output.size} bytes in {output.files} files, "
                f"and is {size} bytes in {files}",
                hint="Run the jobs again; where it happens again, somebody changes what they hand on.",
            )
        return True


class RelayedOrders:
    """Makes orders: whole ones for this job's stages, and just names for those that others carried out.

    What an order needs (data, above all) has to be here only where it is carried out.

    Args:
        graph: the pipeline, resolved.
        real: makes whole orders.
        runs: the stages of this job.
    """

    def __init__(self, graph: Graph, real: MakesOrders, runs: Collection[StageName] = ()) -> None:
        self._graph = graph
        self._real = real
        self._runs = frozenset(runs)

    def order(
        self, name: StageName, key: Digest, states: Mapping[StageName, State], *, fresh: bool = False
    ) -> WorkOrder:
        """The order for a stage whose inputs are all known."""
        if name in self._runs:
            return self._real.order(name, key, states, fresh=fresh)
        stage = self._graph.pipeline.stages[name]
        return WorkOrder(
            stage=name,
            recipe=self._graph.recipes[name],
            key=key,
            outputs=tuple(Place(path=place.inside, inside=place.inside) for place in stage.outputs),
            metrics=tuple(place.inside for place in stage.outputs if place.path in stage.metrics),
            platform=self._graph.runtime.platform,
        )


class Seen:
    """An observer that keeps what it is told, and passes it on."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._keys: dict[StageName, Digest | None] = {}
        self.outcomes: list[StageOutcome] = []

    def decided(self, name: StageName, decision: Decision) -> None:
        """A stage's turn has come."""
        self._keys[name] = decision.key
        self._observer.decided(name, decision)

    def ended(self, name: StageName, result: StageResult) -> None:
        """A stage has ended, in whatever way."""
        self.outcomes.append(outcome(name, self._keys.get(name), result))
        self._observer.ended(name, result)


def outcome(name: StageName, key: Digest | None, result: StageResult) -> StageOutcome:
    """What is handed on of a stage: where a log lies on this machine is nobody's business."""
    if isinstance(result, Ran | Failed):
        result = msgspec.structs.replace(result, log="")
    return StageOutcome(stage=name, key=key, result=result)
