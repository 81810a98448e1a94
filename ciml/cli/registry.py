"""The registry and the ledgers of a pipeline, as its `ciml.yaml` and the environment name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ciml.adapters.ledgers.git import GitLedger
from ciml.app.judge import Judged
from ciml.cli.wiring import Place
from ciml.core.entries import Registration
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import Pipeline


class Registries:
    """Where a pipeline's models are registered, and their histories.

    Args:
        place: where the call works.
        pipeline: names the registry.
        environ: `MLFLOW_TRACKING_URI` serves where the pipeline names none.
    """

    def __init__(self, place: Place, pipeline: Pipeline, environ: Mapping[str, str]) -> None:
        self._place = place
        self.uri = pipeline.registry or environ.get("MLFLOW_TRACKING_URI") or None
        self._ledgers: dict[ModelName, GitLedger] = {}
        self._states: dict[ModelName, LedgerState] = {}

    @property
    def shared(self) -> bool:
        """Whether others use the registry too; the embedded one is this clone's alone."""
        return self.uri is not None

    @property
    def local(self) -> bool:
        """Whether the ledgers are branches of this clone alone."""
        return not (self.shared and self._place.repository.remote_url())

    def ledger(self, model: ModelName) -> GitLedger:
        """A model's ledger: on `origin` for a shared registry, a local branch otherwise."""
        if model not in self._ledgers:
            git = self._place.repository.git
            remote = None if self.local else "origin"
            self._ledgers[model] = GitLedger(model, git, remote=remote, memory=f"{self._place.state}/index/ledgers")
        return self._ledgers[model]

    def read(self, model: ModelName) -> LedgerState:
        """What a model's ledger says, asked once a call."""
        if model not in self._states:
            self._states[model] = self.ledger(model).read()
        return self._states[model]

    def versions(self, judged: Iterable[Judged]) -> dict[str, int]:
        """Model -> the version that its recipe has, where it has one."""
        found = {item.model.name: self.read(item.model.name).recipes.get(item.recipe) for item in judged}
        return {name: version for name, version in found.items() if version is not None}

    def fetch(self, registration: Registration) -> None:
        """Put a version's files into the store, verified by their digest."""
        raise AssertionError
