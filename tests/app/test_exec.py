"""One work order, as a worker carries it out: from JSON, with a store and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ciml.app.exec import execute
from ciml.core.order import WorkOrder
from ciml.core.results import Failed, Ran, Restored
from tests.adapters.executors.conftest import Workshop


def test_order_from_json_is_carried_out_once(tmp_path: Path) -> None:
    """An order read back from JSON runs; carried out again, its record is the result."""
    workshop = Workshop(tmp_path)
    made = workshop.order("tr a-z A-Z < in > out", inputs=(workshop.given("in", "abc"),), outputs=("out",))
    order = msgspec.json.decode(msgspec.json.encode(made), type=WorkOrder)

    first = execute(order, store=workshop.store, executor=workshop.executor())
    again = execute(order, store=workshop.store, executor=workshop.executor())

    assert isinstance(first, Ran) and again == Restored(record=first.record)
    assert workshop.store.read(first.record.outputs[0].digest) == b"ABC"
    assert workshop.left_behind() == []


def test_failure_is_a_value(tmp_path: Path) -> None:
    """A stage that fails is a result, not an exception."""
    workshop = Workshop(tmp_path)

    result = execute(workshop.order("exit 4"), store=workshop.store, executor=workshop.executor())

    assert isinstance(result, Failed) and result.exit_code == 4
