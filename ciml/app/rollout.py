"""What is deployed where: the versions that a tag or the champions name, found, verified and ordered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ciml.app.deploy import order_for
from ciml.app.plan import project_graph
from ciml.app.ports import Commits, Ledger, Store
from ciml.app.project import Project
from ciml.app.propose import files_of
from ciml.app.reads import recipe_of
from ciml.app.release import Asked, Deployable, Inspection, Waiting, champion, find, gather
from ciml.core.approval import NOT_APPROVED
from ciml.core.deployment import DeployOrder, already
from ciml.core.entries import Deployment, Registration
from ciml.core.errors import CimlError
from ciml.core.ids import CommitSha, Digest, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.release import Target, of_promotion, of_release
from ciml.core.results import Output
from ciml.core.value import Value
from ciml.core.verification import overridden, refusal


class Rollout(Value, frozen=True, kw_only=True):
    """One version and one environment: an order, or the entry by which it serves there already."""

    found: Deployable
    target: Target
    order: DeployOrder | None = None
    serves: Deployment | None = None


class Versions(Protocol):
    """The registered versions of a pipeline's models."""

    @property
    def identity(self) -> str:
        """What ledgers call the registry."""
        ...

    def ledger(self, model: ModelName) -> Ledger:
        """A model's ledger."""
        ...

    def read(self, model: ModelName) -> LedgerState:
        """What it says, asked once a call."""
        ...

    def remember(self, state: LedgerState) -> None:
        """Take what a ledger was just found to say for what it says."""
        ...

    def fetch(self, model: ModelName, registration: Registration) -> None:
        """Put a version's files into the store, verified."""
        ...


class Rollouts:
    """Finds, verifies and orders.

    Args:
        project: of the commit that is released, or of the work tree for a promotion.
        store: for the files of versions.
        versions: what is registered.
        commits: Git's history.
        refusal: why a tag is not acted on, whatever version it names.
        inspection: where evidence on a commit's version is gathered.
        pickles: what is to be told of the pickles in a model, one sentence each.
        warn: told what does not stop a rollout.
        address: of the store, where others can reach it; else empty.
    """

    def __init__(
        self,
        project: Project,
        store: Store,
        versions: Versions,
        *,
        commits: Commits,
        refusal: Callable[[Asked, list[LedgerState]], CimlError | None],
        inspection: Callable[[CommitSha], Inspection],
        pickles: Callable[[Output], Iterable[str]],
        warn: Callable[[str], None],
        address: str,
    ) -> None:
        self._project = project
        self._store = store
        self._versions = versions
        self._commits = commits
        self._refusal = refusal
        self._inspection = inspection
        self._pickles = pickles
        self._warn = warn
        self._address = address

    def released(
        self,
        asked: Asked,
        *,
        waiting: Waiting,
        environment: str | None = None,
        override: str | None = None,
        force: bool = False,
    ) -> tuple[Rollout, ...]:
        """What a tag deploys where, verified.

        Args:
            asked: the tag and what it names; the project is its commit's.
            waiting: how the commit's own run is waited for.
            environment: only this one, whatever it comes after.
            override: why faults of trust shall not count; None where they do.
            force: order also what serves already.

        Raises:
            TrustError, IntegrityError: it may not be deployed.
            RepositoryError, RaceError, RejectedError: there is no version of the tag's commit.
        """
        targets = of_release(asked.tag, self._project.pipeline.models, environment=environment)
        models = {target.model.name: target.model for target in targets}
        if error := self._refusal(asked, [self._versions.read(name) for name in models]):
            raise error
        graph = project_graph(self._project, self._project.tree, self._project.pipeline)
        found = {
            name: find(
                model,
                recipe_of(model, graph),
                asked,
                ledger=self._versions.ledger(name),
                registry=self._versions.identity,
                commits=self._commits,
                waiting=waiting,
            )
            for name, model in models.items()
        }
        return self._rolled_out(targets, found, override=override, force=force)

    def promoted(
        self, *, environment: str | None = None, override: str | None = None, force: bool = False
    ) -> tuple[Rollout, ...]:
        """What the champions deploy to the environments that follow them, verified; models without one are left out."""
        targets = of_promotion(self._project.pipeline.models, environment=environment)
        found: dict[ModelName, tuple[Deployable, LedgerState]] = {}
        for model in {target.model.name: target.model for target in targets}.values():
            state = self._versions.read(model.name)
            if best := champion(model, state):
                found[model.name] = best, state
        targets = tuple(target for target in targets if target.model.name in found)
        return self._rolled_out(targets, found, override=override, force=force)

    def _rolled_out(
        self,
        targets: tuple[Target, ...],
        found: Mapping[ModelName, tuple[Deployable, LedgerState]],
        *,
        override: str | None,
        force: bool,
    ) -> tuple[Rollout, ...]:
        rollouts, verified = [], {}
        for target in targets:
            version, state = found[target.model.name]
            self._versions.remember(state)
            serves = None if force else already(state, target.target.name, version.version)
            if serves:
                rollouts.append(Rollout(found=version, target=target, serves=serves))
                continue
            if version.subject not in verified:
                verified[version.subject] = self._verified(version, state, override)
            files, against = verified[version.subject]
            if target.target.approval and override is not None:
                against = "; ".join(filter(None, (against, NOT_APPROVED)))
            order = order_for(
                version,
                state,
                target.target,
                files=files,
                store=self._address,
                overridden=against,
                reason=override or "",
            )
            self._supply_previous(order, state)
            rollouts.append(Rollout(found=version, target=target, order=order))
        return tuple(rollouts)

    def _verified(self, found: Deployable, state: LedgerState, override: str | None) -> tuple[dict[str, Digest], str]:
        """The version's files by digest, and what a person overrode; its bytes are in the store now."""
        artifact = found.record.artifact
        self._versions.fetch(state.model, found.record)
        files = files_of(artifact, self._store)
        evidence = gather(found, state, files, self._inspection(found.commit))
        if error := refusal(evidence, override=override is not None):
            raise error
        for sentence in self._pickles(artifact):
            self._warn(f"{found.subject}: {sentence}")
        return files, overridden(evidence) if override is not None else ""

    def _supply_previous(self, order: DeployOrder, state: LedgerState) -> None:
        """Have what serves now at hand, to be put back; where it cannot be had, that is better known before."""
        if order.previous is None or order.target.sagemaker_endpoint is not None:
            return  # an endpoint goes back to its own configuration
        try:
            self._versions.fetch(order.model, state.versions[order.previous.version])
        except CimlError as error:
            told = f"{order.environment}: version {order.previous.version} could not be put back"
            self._warn(f"{told}, since its files cannot be had: {error.message}")
