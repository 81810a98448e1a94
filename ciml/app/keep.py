"""What a collection of the store must keep."""

from __future__ import annotations

from collections.abc import Iterable

from ciml.core.ids import Digest
from ciml.core.ledger import LedgerState
from ciml.core.lineage import RunTrace


def roots(states: Iterable[LedgerState], runs: Iterable[RunTrace]) -> frozenset[Digest]:
    """Keys of records and digests of objects that are still asked for.

    Registered versions keep their files; the runs that the journal has keep their records, with all
    outputs: that is what the branches worked on lately.
    """
    artifacts = (entry.artifact.digest for state in states for entry in state.versions.values())
    records = (stage.record.key for run in runs for stage in run.stages if stage.record)
    return frozenset((*artifacts, *records))
