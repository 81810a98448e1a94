"""What a registered recipe made, brought back from the registry where the store has it no more."""

from __future__ import annotations

import msgspec

from ciml.app.ports import FetchVersion, Ledgers, Store
from ciml.core import key as keys
from ciml.core.errors import ServiceError
from ciml.core.ids import Digest, StageName
from ciml.core.pipeline import Model
from ciml.core.plan import Graph
from ciml.core.results import Record


class Recovery:
    """Finds a stage's outputs among registered versions.

    The ledger's word for the bytes is their digest, so nothing that the registry sends is believed.
    Only a stage that makes the model and nothing else can be brought back: a version has no more.

    Args:
        graph: what is run.
        ledgers: which recipes are registered.
        fetch: brings a version's files into the store, verified.
        store: keeps the record.
    """

    def __init__(self, graph: Graph, ledgers: Ledgers, fetch: FetchVersion, store: Store) -> None:
        self._graph = graph
        self._ledgers = ledgers
        self._fetch = fetch
        self._store = store

    def __call__(self, name: StageName, key: Digest) -> Record | None:
        """The record that now stands for the key, or None where no version can give it.

        Raises:
            IntegrityError: the registry has other files than the ledger says.
        """
        stage = self._graph.pipeline.stages[name]
        model = self._model_of(name)
        if model is None or not stage.reusable:
            return None
        state = self._ledgers.read(model.name)
        version = state.recipes.get(keys.model_recipe(model.name, self._graph.recipes[name]))
        if version is None:
            return None
        registration = state.versions[version]
        try:
            self._fetch(model.name, registration)
        except ServiceError:
            return None  # The stage can run; that costs time and nothing else.
        output = msgspec.structs.replace(registration.artifact, path=stage.outputs[0].inside)
        return self._store.publish(
            Record(
                key=key,
                recipe=self._graph.recipes[name],
                stage=name,
                outputs=(output,),
                platform=self._graph.runtime.platform_of(stage),
            )
        )

    def _model_of(self, name: StageName) -> Model | None:
        """The model that is all that a stage makes."""
        outputs = [place.path for place in self._graph.pipeline.stages[name].outputs]
        return next((model for model in self._graph.pipeline.models.values() if outputs == [model.path]), None)
