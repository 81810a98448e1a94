"""What a plan and a run look up while they decide: records, the work tree, conditions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from ciml.app.ports import Miss, Store
from ciml.core import listing
from ciml.core.errors import StageError
from ciml.core.expression import evaluate_condition
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.metrics import Metrics
from ciml.core.pipeline import ParamValue, Stage
from ciml.core.results import Output, Record
from ciml.core.tree import EXECUTABLE


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

    def record(self, key: Digest) -> Record | None:
        """The usable record of a key."""
        found = self._store.record(key)
        return None if isinstance(found, Miss) else found

    def part(self, output: Output, part: str) -> Output:
        """What lies at a path below a directory output."""
        return part_of(output, part, self._store)

    def in_place(self, stage: Stage, record: Record) -> bool:
        """Whether the work tree holds these outputs; a commit's plan has no work tree to ask."""
        return self._outputs is None or self._outputs.in_place(stage, record)

    def holds(self, condition: str, metrics: Mapping[StageName, Metrics]) -> bool | str:
        """The value of a `when`, or why it has none."""
        return evaluate_condition(condition, metrics, self._params)


def part_of(output: Output, part: str, store: Store) -> Output:
    """What lies at a path below a directory output; a folder's own listing is stored on the way.

    Raises:
        StageError: nothing lies there.
    """
    entries = list(listing.sublisting(output.digest, os.fsencode(part), store.read))
    path = RepoPath(f"{output.path}/{part}")
    if not entries:
        raise StageError(f"{path} is read, and the stage that makes {output.path} made nothing there")
    first = entries[0]
    if first.path == b"":
        return Output(path=path, digest=first.digest, size=first.size, executable=first.mode == EXECUTABLE)
    digest = output.digest
    for data in listing.objects(entries):
        digest = store.put_bytes(data)
    return Output(
        path=path,
        digest=digest,
        size=sum(entry.size for entry in entries),
        files=len(entries),
        directory=True,
    )
