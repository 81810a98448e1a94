"""One work order, carried out: what `ciml exec ORDER` does in a CI job, a Ray task or a SageMaker job."""

from __future__ import annotations

from ciml.app.ports import Executor, Store
from ciml.core.order import WorkOrder
from ciml.core.results import Record, Restored, StageResult


def execute(order: WorkOrder, *, store: Store, executor: Executor) -> StageResult:
    """What became of the order; its outputs and record are in the store, durable.

    A record that is there already is the result, and nothing runs.

    Raises:
        CimlError: the store or the machine failed, not the stage.
    """
    record = store.record(order.key) if order.cache and not order.fresh else None
    if isinstance(record, Record):
        return Restored(record=record)
    try:
        executor.start(order)
        _, result = executor.wait()
    finally:
        executor.stop()
    store.flush()
    return result
