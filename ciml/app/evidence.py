"""What a plan and a run look up while they decide: records, the work tree, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ciml.app.ports import Store
from ciml.core.errors import StageError
from ciml.core.expression import evaluate_condition
from ciml.core.ids import Digest, StageName
from ciml.core.metrics import Metrics
from ciml.core.pipeline import ParamValue, Stage
from ciml.core.results import Miss, Output, Record


class InPlace(Protocol):
    """Knows what the work tree holds."""

    def in_place(self, stage: Stage, record: Record) -> bool:
        """Whether the work tree holds these outputs, byte for byte."""
        ...


class LookedUp:
    """Evidence from a store and a work tree.

    Args:
        store: records and bytes.
        outputs: the work tree's; None where there is none, as in a bare clone.
        params: the values in force, which conditions may read.
    """

    def __init__(self, store: Store, outputs: InPlace | None, params: Mapping[str, ParamValue]) -> None:
        self._store = store
        self._outputs = outputs
        self._params = params

    def anywhere(self) -> LookedUp:
        """The same without the work tree, for stages whose outputs nobody will look for there."""
        return LookedUp(self._store, None, self._params)

    def record(self, key: Digest) -> Record | None:
        """The usable record of a key."""
        found = self._store.record(key)
        return None if isinstance(found, Miss) else found

    def part(self, output: Output, part: str) -> Output:
        """What lies at a path below a directory output."""
        found = self._store.part(output, part)
        if found is None:
            raise StageError(f"{output.path}/{part} is read, and nothing was made there")
        return found

    def in_place(self, stage: Stage, record: Record) -> bool:
        """Whether the work tree holds these outputs; a commit's plan has no work tree to ask."""
        return self._outputs is None or self._outputs.in_place(stage, record)

    def holds(self, condition: str, metrics: Mapping[StageName, Metrics]) -> bool | str:
        """The value of a `when`, or why it has none."""
        return evaluate_condition(condition, metrics, self._params)
