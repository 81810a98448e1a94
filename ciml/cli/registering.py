"""Judging and registering what a commit's recipe made, from the command line."""

from __future__ import annotations

from ciml.app.follow import upheld
from ciml.app.orders import Orders
from ciml.app.perform import judge
from ciml.app.plan import Prepared
from ciml.app.propose import proposal
from ciml.app.reads import maker_of, recipe_of
from ciml.app.register import Registered, register
from ciml.app.results import require, stored
from ciml.cli.console import Live
from ciml.cli.running import Running
from ciml.core.errors import RejectedError
from ciml.core.ids import StageName
from ciml.core.judged import Judged
from ciml.core.lineage import RunTrace
from ciml.core.pipeline import Model
from ciml.core.plan import Known, LeftOut, State
from ciml.core.results import Skipped
from ciml.core.verdict import Status


class Registering:
    """The models of one commit on their way into the registry.

    Args:
        running: the run that the models come from, or one of which nothing was run.
        prepared: the graph of the work tree.
    """

    def __init__(self, running: Running, prepared: Prepared) -> None:
        self._running = running
        self._project = running.project
        self._prepared = prepared
        self.registries = running.registries
        self._states = stored(prepared)

    def models(self, name: str | None) -> list[Model]:
        """The model that is named, or all."""
        if name is not None:
            return [self.registries.model(name)]
        return list(self._project.pipeline.models.values())

    def known(self, model: Model) -> Registered | None:
        """The version that the commit's recipe has already, where its bytes are not here and need not be."""
        if isinstance(self._states[maker_of(model, self._prepared.graph)], Known):
            return None
        version = self.uphold(model)
        if version is None:
            return None
        uri = f"models:/{model.name}/{version}"
        return Registered(name=model.name, version=version, created=False, promoted=False, uri=uri)

    def uphold(self, model: Model) -> int | None:
        """The version that the commit's recipe has already, once the registry shows what the ledger says of the model.

        Raises:
            IntegrityError: the registry's version is not the one that was registered.
            ServiceError: the registry fails.
        """
        state = self.registries.read(model.name)
        version = state.recipes.get(recipe_of(model, self._prepared.graph))
        if version is not None:
            ledger, registry = self.registries.ledger(model.name), self.registries.registry
            upheld(version, ledger=ledger, registry=registry, state=state, alias=model.champion.alias)
        return version

    def judged(self, models: list[Model], *, anew: bool) -> tuple[tuple[Judged, ...], RunTrace]:
        """What the gates say of the commit's results, and the record of these.

        Raises:
            RepositoryError: a model must be judged, and what its gate reads is not all in the store.
        """
        states = self._states
        with Live(self._running.console, 0) as live:
            found = judge(
                self._project,
                self._prepared,
                self._running.means(live),
                states,
                Orders(self._project, self._prepared.graph, self._prepared.evidence),
                models={model.name: model for model in models},
                anew=anew,
                ready=lambda model: require(self._prepared, states, model),
            )
        return found, self._running.trace(self._prepared, _results(states), found, seconds=0.0)

    def register(self, judged: Judged, run: RunTrace, *, override: str | None) -> Registered | RejectedError | None:
        """What came of one model: a rejection is an answer, for there may be others; None for one left out."""
        if judged.artifact is None and judged.verdict.status is Status.NOT_JUDGED:
            return None
        gone = judged.artifact is None or not judged.lasting
        if gone and judged.verdict.status is Status.REJECTED and override is None:
            return RejectedError(f"{judged.model.name} is not registered: {judged.verdict.reason}")
        if judged.artifact is None:
            require(self._prepared, self._states, judged.model)
        services = self.registries.services(judged.model.name)
        author = self.registries.author() if override is None else self.registries.person()
        proposed = proposal(judged, run, self._project.store, seal=self._seal)
        try:
            return register(proposed, author, services, override=override)
        except RejectedError as error:
            return error

    def _seal(self, statement: bytes) -> bytes:
        """The statement, signed where a key is configured."""
        from ciml.adapters.signing import KEY_VARIABLE, seal

        key = self._running.invocation.environ.get(KEY_VARIABLE)
        return seal(statement, key_file=key) if key else statement


def _results(states: dict[StageName, State]) -> dict[StageName, Skipped]:
    """States as results, for the record of a commit that nothing was run for."""
    found = {}
    for name, state in states.items():
        match state:
            case Known(record=record):
                found[name] = Skipped(reason="stored", record=record)
            case LeftOut(reason=reason):
                found[name] = Skipped(reason=reason)
    return found
