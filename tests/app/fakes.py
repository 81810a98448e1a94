"""A registry in memory: the same promises as the real one, none of its seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ciml.app.ports import Store
from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest, ModelName
from ciml.core.registry import NewVersion, Row, TrackedRun, checked_alias
from ciml.core.results import Output


class FakeRegistry:
    """Versions, aliases and runs; `lost` answers are lost after the deed."""

    def __init__(self, identity: str = "fake") -> None:
        self.identity = identity
        self.lost = 0
        self.runs: dict[str, TrackedRun] = {}
        self._rows: dict[tuple[ModelName, int], tuple[Row, Digest, Output]] = {}
        self._aliases: dict[ModelName, dict[str, int]] = {}
        self._numbers: dict[ModelName, int] = {}
        self._stores: dict[Digest, Store] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._clock = 1000

    def rows(self, model: ModelName, recipe: Digest) -> Sequence[Row]:
        found = [row for (name, _), (row, of, _) in self._rows.items() if name == model and of == recipe]
        return sorted(found, key=lambda row: row.version)

    def row(self, model: ModelName, version: int) -> Row | None:
        found = self._rows.get((model, version))
        return found[0] if found else None

    def create(self, new: NewVersion, store: Store) -> Row | None:
        self._stores[new.artifact.digest] = store
        model = new.run.model
        number = self._numbers[model] = self._numbers.get(model, 0) + 1
        self._clock += 1
        row = Row(model=model, version=number, nonce=new.nonce, created=self._clock, run=f"run-{self._clock}")
        self._rows[model, number] = (row, new.run.recipe, new.artifact)
        self._files[row.run] = new.run.files
        if self.lost:
            self.lost -= 1
            return None
        return row

    def verifies(self, row: Row, artifact: Output) -> bool:
        return self._rows[row.model, row.version][2].digest == artifact.digest

    def fetch(self, row: Row, artifact: Output, target: str) -> None:
        if not self.verifies(row, artifact):
            raise IntegrityError("not what was registered")
        self._stores[artifact.digest].materialise(artifact, target)

    def file(self, run: str, path: str) -> bytes | None:
        return self._files.get(run, {}).get(path)

    def confirm(self, row: Row) -> None:
        _, recipe, artifact = self._rows[row.model, row.version]
        shown = msgspec.structs.replace(row, tentative=False)
        self._rows[row.model, row.version] = (shown, recipe, artifact)

    def discard(self, row: Row, *, keep: Row) -> None:
        assert row != keep, "the recorded row is never discarded"
        self._rows.pop((row.model, row.version), None)

    def aliases(self, model: ModelName) -> Mapping[str, int]:
        return dict(self._aliases.get(model, {}))

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        self._aliases.setdefault(model, {})[checked_alias(alias)] = version

    def log(self, run: TrackedRun) -> str:
        self.runs[run.key] = run
        return run.key

    def remake(self, model: ModelName) -> None:
        """Delete the model as somebody may in a user interface: numbers start at 1 again."""
        self._rows = {key: value for key, value in self._rows.items() if key[0] != model}
        self._numbers.pop(model, None)
        self._aliases.pop(model, None)
