"""Judging and registering what a commit's recipe made, from the command line."""

from __future__ import annotations

from ciml.app.follow import upheld
from ciml.app.orders import Orders, brought
from ciml.app.perform import judge
from ciml.app.plan import Prepared
from ciml.app.project import Project
from ciml.app.propose import proposal
from ciml.app.register import Proposal, Registered, register
from ciml.app.results import require, stored
from ciml.cli.console import Console, Live
from ciml.cli.invocation import Invocation
from ciml.cli.running import Running
from ciml.cli.wiring import Place
from ciml.core.errors import CimlError, RejectedError
from ciml.core.ids import StageName
from ciml.core.judged import Judged
from ciml.core.key import model_recipe
from ciml.core.lineage import RunTrace
from ciml.core.pipeline import Model
from ciml.core.plan import Known, LeftOut, State
from ciml.core.producers import Producers
from ciml.core.results import Skipped
from ciml.core.trust import may_register
from ciml.core.verdict import Status


class Registering:
    """The models of one commit on their way into the registry.

    Args:
        place: where the call works.
        project: the work tree's.
        prepared: its graph.
        invocation: how ciml was called.
        console: where lines go.
        running: the run that the models come from; None where nothing was run.
    """

    def __init__(
        self,
        place: Place,
        project: Project,
        prepared: Prepared,
        invocation: Invocation,
        console: Console,
        *,
        running: Running | None = None,
    ) -> None:
        self._place = place
        self._project = project
        self._prepared = prepared
        self._invocation = invocation
        self._run = running or Running(place, project, invocation, console, jobs=1)
        self._console = console
        self.registries = self._run.registries
        self._states = stored(prepared)

    def models(self, name: str | None) -> list[Model]:
        """The model that is named, or all."""
        if name is not None:
            return [self.registries.model(name)]
        return list(self._project.pipeline.models.values())

    def may_register(self) -> CimlError | None:
        """Why nothing of this may be registered, or None where it may."""
        dirty = (*self._project.tree.dirty, *self._prepared.edited) if self._prepared.dirty else ()
        return may_register(self.registries.standing(self._project.tree.commit, dirty))

    def known(self, model: Model) -> Registered | None:
        """The version that the commit's recipe has already, where its bytes are not here and need not be."""
        maker = Producers(self._prepared.graph.pipeline.stages.values()).maker(model.path)
        assert maker is not None, f"{model.path} has no maker"
        recipe = model_recipe(model.name, self._prepared.graph.recipes[maker])
        state = self.registries.read(model.name)
        version = state.recipes.get(recipe)
        if version is None or isinstance(self._states[maker], Known):
            return None
        ledger, registry = self.registries.ledger(model.name), self.registries.registry
        upheld(version, ledger=ledger, registry=registry, state=state, alias=model.champion.alias)
        uri = f"models:/{model.name}/{version}"
        return Registered(name=model.name, version=version, created=False, promoted=False, uri=uri)

    def judged(self, models: list[Model], *, anew: bool) -> tuple[tuple[Judged, ...], RunTrace]:
        """What the gates say of the commit's results, and the record of these.

        Raises:
            RepositoryError: a model must be judged, and what its gate reads is not all in the store.
        """
        states = self._states
        with Live(self._console, 0) as live:
            found = judge(
                self._project,
                self._prepared,
                self._run.means(live),
                states,
                self._orders(),
                models={model.name: model for model in models},
                anew=anew,
                ready=lambda model: require(self._prepared, states, model),
            )
        return found, self._run.trace(self._prepared, _results(states), found, seconds=0.0)

    def _orders(self) -> Orders:
        return Orders(
            self._prepared.graph,
            self._project.tree,
            self._project.store,
            self._prepared.evidence,
            digests=self._project.memory.digests,
            dump=self._project.documents.dump,
            bring=brought(self._project),
        )

    def proposal(self, judged: Judged, run: RunTrace) -> Proposal:
        """What is to be registered; its provenance is signed where a key is configured."""
        return proposal(judged, run, self._project.store, seal=self._seal)

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
        try:
            return register(self.proposal(judged, run), self.registries.author(), services, override=override)
        except RejectedError as error:
            return error

    def _seal(self, statement: bytes) -> bytes:
        from ciml.adapters.signing import KEY_VARIABLE, seal

        key = self._invocation.environ.get(KEY_VARIABLE)
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
