"""The registry and the ledgers of a pipeline, as its `ciml.yaml` and the environment name them."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ciml.adapters.git.everywhere import ledgers, remote_ledgers
from ciml.adapters.git.repository import INTRODUCTION, NOBODY
from ciml.adapters.ledgers.git import GitLedger
from ciml.app.chronicle import Author
from ciml.app.propose import LINEAGE
from ciml.app.register import Services
from ciml.cli.wiring import Place, ledgers_are_local, registry_uri
from ciml.core.entries import Registration
from ciml.core.errors import IntegrityError, RepositoryError, ServiceError, UsageError
from ciml.core.findings import suggestion
from ciml.core.ids import CommitSha, ModelName
from ciml.core.judged import Judged
from ciml.core.key import digest
from ciml.core.ledger import LedgerState
from ciml.core.lineage import RunTrace, decode
from ciml.core.pipeline import Model, Pipeline
from ciml.core.trust import Standing
from ciml.core.url import bare

if TYPE_CHECKING:
    from ciml.adapters.ledgers.s3 import S3Ledger
    from ciml.adapters.mlflow.registry import MlflowRegistry
    from ciml.adapters.stores.bucket import Bucket

NO_REGISTRY = "Name one: `registry:` in ciml.yaml, or MLFLOW_TRACKING_URI in the job's environment."


class Registries:
    """Where a pipeline's models are registered, and their histories.

    Args:
        place: where the call works.
        pipeline: names the registry.
        environ: `MLFLOW_TRACKING_URI` serves where the pipeline names none.
        in_ci: a CI job has no registry of its own: where none is named there is none, and the ledgers
            of the one that other jobs use can still be read.
        allowed: the event lets registry and ledgers be written.
        of_push: this is the run of a push to the default branch, which may end after the next push.
    """

    def __init__(
        self,
        place: Place,
        pipeline: Pipeline,
        environ: Mapping[str, str],
        *,
        in_ci: bool = False,
        allowed: bool = True,
        of_push: bool = False,
    ) -> None:
        self._place = place
        self._models = pipeline.models
        self._environ = environ
        self._in_ci = in_ci
        self._allowed = allowed
        self._of_push = of_push
        self.uri = registry_uri(pipeline, environ)
        remote = place.repository.remote_url() is not None
        self._bucket = pipeline.ledger if self.uri is not None or in_ci else None
        self.local = not self._bucket and ledgers_are_local(place, pipeline, environ) and not (in_ci and remote)
        """Whether the ledgers are branches of this clone alone."""
        self._ledgers: dict[ModelName, GitLedger | S3Ledger] = {}
        self._states: dict[ModelName, LedgerState] = {}

    @property
    def shared(self) -> bool:
        """Whether others use the registry too; the embedded one is this clone's alone."""
        return self.uri is not None

    @property
    def identity(self) -> str:
        """What ledgers call the registry."""
        return bare(self.uri).rstrip("/") if self.uri else "embedded"

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The registry itself; MLflow is imported with the first question."""
        from ciml.adapters.mlflow.registry import MlflowRegistry

        folder = f"{self._place.state}/registry"
        if self.uri is None and self._in_ci:
            raise ServiceError("no registry is named here", hint=NO_REGISTRY)
        if self.uri is None:
            return MlflowRegistry.embedded(folder)
        return MlflowRegistry(self.uri, identity=self.identity, scratch=f"{folder}/tmp")

    def ledger(self, model: ModelName) -> GitLedger | S3Ledger:
        """A model's ledger: on `origin`, or in a bucket, for a shared registry, a local branch otherwise."""
        if model not in self._ledgers:
            self._ledgers[model] = self._in_bucket(model, self._bucket) if self._bucket else self._on_branch(model)
        return self._ledgers[model]

    def _on_branch(self, model: ModelName) -> GitLedger:
        remote = None if self.local else "origin"
        memory = f"{self._place.state}/index/ledgers"
        return GitLedger(model, self._place.repository.git, remote=remote, memory=memory)

    def _in_bucket(self, model: ModelName, named: str) -> S3Ledger:
        from ciml.adapters.ledgers.s3 import S3Ledger

        bucket = self._bucket_at(named)
        name = digest("ciml/ledgers/1", bucket.place)[:32]
        memory, pins = f"{self._place.state}/index/ledgers/{name}", f"{self._place.state}/pins/{name}"
        return S3Ledger(model, bucket, memory=memory, pins=pins)

    def _bucket_at(self, named: str) -> Bucket:
        from ciml.adapters.stores.bucket import Bucket
        from ciml.core.s3 import s3_address

        return Bucket(s3_address(named), self._environ)

    def services(self, model: ModelName) -> Services:
        """Where one model is registered."""
        return Services(ledger=self.ledger(model), registry=self.registry, store=self._place.project_store)

    def read(self, model: ModelName) -> LedgerState:
        """What a model's ledger says, asked once a call."""
        if model not in self._states:
            self._states[model] = self.ledger(model).read()
        return self._states[model]

    def remember(self, state: LedgerState) -> None:
        """Take what a ledger was just found to say for what it says."""
        self._states[state.model] = state

    def forget(self) -> None:
        """Ask the ledgers anew from now on."""
        self._states.clear()

    def states(self) -> list[LedgerState]:
        """What the ledgers of all models say."""
        return [self.read(model) for model in self._models]

    def states_everywhere(self) -> list[LedgerState]:
        """What all ledgers say that there are, also those of models that are not in this ciml.yaml.

        Raises:
            ServiceError: it is not known which there are.
        """
        return [self.read(model) for model in sorted({*self._models, *map(ModelName, self._with_ledger())})]

    def _with_ledger(self) -> list[str]:
        if self._bucket:
            from ciml.adapters.ledgers.s3 import models_in

            return models_in(self._bucket_at(self._bucket))
        if self.local:
            return ledgers(self._place.repository, None)
        return remote_ledgers(self._place.repository)

    def gone(self) -> list[str]:
        """The models that have a ledger, as far as this clone knows without asking, and are not in ciml.yaml."""
        if self._bucket:
            return []
        known = ledgers(self._place.repository, None if self.local else "origin")
        return [name for name in known if name not in self._models]

    def model(self, name: str) -> Model:
        """The model of that name.

        Raises:
            UsageError: ciml.yaml has none.
        """
        found = self._models.get(ModelName(name))
        if found is None:
            raise UsageError(f"there is no model {name!r} in ciml.yaml", hint=suggestion(name, self._models))
        return found

    def author(self) -> Author:
        """Who writes to the ledgers in this call."""
        return Author(
            actor=self._environ.get("GITHUB_ACTOR") or self._place.repository.identity(),
            at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            nonce=secrets.token_hex(16),
        )

    def person(self) -> Author:
        """The same where the ledger has to say who: whoever overrules a check or moves the champion by hand.

        Raises:
            RepositoryError: nobody says who that is.
        """
        author = self.author()
        if author.actor == NOBODY:
            raise RepositoryError(
                "the ledger is to say who did this, and Git does not know who you are",
                hint=INTRODUCTION,
            )
        return author

    def versions(self, judged: Iterable[Judged]) -> dict[str, int]:
        """Model -> the version that its recipe has, where it has one."""
        found = {item.model.name: self.read(item.model.name).recipes.get(item.recipe) for item in judged}
        return {name: version for name, version in found.items() if version is not None}

    def standing(self, head: CommitSha | None, dirty: Iterable[str]) -> Standing:
        """Where this call stands that wants to register; the remote is asked where the registry is shared."""
        repository = self._place.repository
        asked = self.shared and not self.local and self._allowed
        branch, tip = repository.remote_default() if asked else ("", None)
        return Standing(
            head=head,
            dirty=sorted(dirty),  # type: ignore[arg-type]
            shared=not self.local,
            default_branch=branch,
            default_head=tip,
            allowed=self._allowed,
            contained=bool(self._of_push and tip and head and repository.reaches(tip, head)),
        )

    def fetch(self, model: ModelName, registration: Registration) -> None:
        """Put the files of a model's version into the store, verified by their digest.

        Raises:
            IntegrityError: the registry has other files than the ledger says.
        """
        store = self._place.store
        artifact = registration.artifact
        if store.has(artifact):
            return
        row = self.registry.row(model, registration.version)
        if row is None:
            raise IntegrityError(f"version {registration.version} is gone from the registry {self.registry.identity}")
        with _scratch(f"{self._place.state}/registry/tmp") as folder:
            target = f"{folder}/model"
            self.registry.fetch(row, artifact, target)
            store.put_path(target, name=artifact.path)


@contextmanager
def _scratch(parent: str) -> Iterator[str]:
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Traces:
    """The port VersionTraces: what the registry keeps with each version, asked once for each."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    def file(self, model: ModelName, version: int, path: str) -> bytes | None:
        """A file of the version's run, None where it has none."""
        registration = self._registries.read(model).versions.get(version)
        return self._registries.registry.file(registration.run, path) if registration else None

    def trace(self, model: ModelName, version: int) -> RunTrace | None:
        """The version's `ciml/lineage.json`, None where it has none."""
        data = self.file(model, version, LINEAGE)
        return decode(data, RunTrace, where=f"{LINEAGE} of {model}/{version}") if data is not None else None
