"""Outputs in the work tree: put there when a stage has succeeded, and known again later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from ciml.adapters.index import Index, signatures_of
from ciml.core.errors import StageError, TrustError
from ciml.core.ids import Digest, StageName
from ciml.core.pipeline import Place, Stage
from ciml.core.results import Output, Record


class Bytes(Protocol):
    """A store, as far as the work tree needs one."""

    def materialise(
        self, output: Output, target: str, *, link: bool = False, read_only: bool = False, within: str = ""
    ) -> None:
        """Put the bytes at `target`, verified, all or nothing; no link on the way leads out of `within`."""
        ...

    def digest_of(self, path: str) -> Digest | None:
        """The digest that the store would give what lies at `path`."""
        ...


class Outputs:
    """The outputs of a pipeline's stages in one work tree.

    Args:
        root: the work tree.
        stages: the pipeline's.
        store: where the bytes come from.
        index: remembers what was placed, so that unchanged outputs are not hashed again.
        link: large outputs are read-only hard links into the store, which saves their space.
    """

    def __init__(
        self, root: str, stages: Mapping[StageName, Stage], store: Bytes, index: Index, *, link: bool = False
    ) -> None:
        self._root = root
        self._link = link
        self._stages = stages
        self._store = store
        self._index = index

    def place(self, name: StageName, record: Record) -> None:
        """Put a record's outputs where the stage's places say, each all or nothing."""
        for place, output in _pairs(self._stages[name], record):
            path = f"{self._root}/{place.path}"
            if not self._holds(path, output):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._store.materialise(output, path, within=self._root, link=self._link, read_only=self._link)
                self._index.place(path, output.digest)

    def in_place(self, stage: Stage, record: Record) -> bool:
        """Whether the work tree holds these outputs, byte for byte."""
        return all(self._holds(f"{self._root}/{place.path}", output) for place, output in _pairs(stage, record))

    def _holds(self, path: str, output: Output) -> bool:
        known = self._index.placed(path)
        if known is None and os.path.lexists(path):
            before = signatures_of(path)
            known = self._digest(path)
            if known == output.digest:
                self._index.place(path, known, signatures=before)
        return known == output.digest

    def _digest(self, path: str) -> Digest | None:
        """The digest of what lies there; None for what no stage makes, such as a link or a pipe."""
        try:
            return self._store.digest_of(path)
        except (StageError, TrustError):
            return None


def _pairs(stage: Stage, record: Record) -> list[tuple[Place, Output]]:
    made = {output.path: output for output in record.outputs}
    return [(place, made[place.inside]) for place in stage.outputs if place.inside in made]
