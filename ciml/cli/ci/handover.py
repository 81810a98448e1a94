"""What other jobs handed on, taken in; and what this one hands on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ciml.adapters.stores.local import LocalStore
from ciml.app.perform import Means
from ciml.app.ports import Executor
from ciml.app.relay import Relay, RelayedOrders
from ciml.cli.ci.call import Call
from ciml.core.handover import RESCORED, StageOutcome, may_tell_of_stage
from ciml.core.ids import StageName
from ciml.core.order import WorkOrder
from ciml.core.results import record_of
from ciml.core.workflow.order import job_names


class Relayed:
    """The results of other jobs, whose bytes are in the store from now on.

    Args:
        call: names the folder that they are in.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        call.taken.take_in(call.place.store)
        self.outcomes = {item.stage: item for item in self._of_stages()}
        self._rescored = {item.key: item for item in call.taken.all("rescored", StageOutcome, of=RESCORED)}

    def _of_stages(self) -> Iterator[StageOutcome]:
        """What jobs say of their own stages; what they say of others' is left aside."""
        pipeline = self._call.project.pipeline
        jobs = job_names(pipeline)
        meddling: dict[str, None] = {}
        for artifact, item in self._call.taken.each("results", StageOutcome):
            stage = pipeline.stages.get(item.stage)
            if stage is None:
                continue
            if may_tell_of_stage(artifact, jobs.get(stage.template)):
                yield item
            else:
                meddling[artifact] = None
        self._call.notices += [f"{name} tells of another job's stage, which is left aside." for name in meddling]

    def instead(self, means: Means, *, runs: Iterable[StageName] = (), rescores: bool = False) -> Means:
        """The means for a job that carries out just some of the stages.

        Args:
            means: of a job that would run everything.
            runs: the stages of this job.
            rescores: champions are scored again in this job.
        """
        names = frozenset(runs)
        store = self._call.project.store
        executor = means.executor

        def relay() -> Executor:
            return Relay(self._of_stage, store, executor() if names else None, names)

        return msgspec.structs.replace(
            means,
            executor=relay,
            relayed=lambda graph, real: RelayedOrders(graph, real, names),
            rescores=executor if rescores else lambda: Relay(self._of_key, store),
            relayed_rescoring=None if rescores else RelayedOrders,
            may_lack_champion=self._call.may_lack_champion,
        )

    def _of_stage(self, order: WorkOrder) -> StageOutcome | None:
        return self.outcomes.get(order.stage)

    def _of_key(self, order: WorkOrder) -> StageOutcome | None:
        return self._rescored.get(order.key)


def hand_on(call: Call, kind: str, outcomes: Mapping[str, StageOutcome]) -> None:
    """Leave outcomes for other jobs, with their bytes where the jobs share no store that has them."""
    if call.handed is None:
        return
    stages = call.prepared.graph.pipeline.stages
    shared = not isinstance(call.project.store, LocalStore)
    for name, item in outcomes.items():
        call.handed.write(kind, name, item)
        record = record_of(item.result)
        stage = stages[item.stage]
        published = shared and stage.reusable
        if record is not None and not published:
            call.handed.export(record.outputs, call.place.store)
