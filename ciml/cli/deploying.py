"""Releases and promotions on their way to environments, from the command line and from CI jobs."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from ciml.adapters.deployers.kinds import deployer_for
from ciml.adapters.deployers.process import Commands
from ciml.adapters.git.checkout import checkout
from ciml.adapters.pickles import pickles
from ciml.adapters.signatures import Signatures
from ciml.app.deploy import Recorded, Stand, carry_out, order_for, record
from ciml.app.plan import project_graph
from ciml.app.project import Project
from ciml.app.propose import files_of
from ciml.app.reads import recipe_of
from ciml.app.release import Asked, Deployable, Inspection, Waiting, champion, find, gather
from ciml.cli.aftermath import tell
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.protection import Protection
from ciml.cli.registry import Registries
from ciml.cli.running import run_url
from ciml.cli.storing import VARIABLE
from ciml.cli.wiring import Place, project_at
from ciml.core import alert
from ciml.core.approval import NOT_APPROVED, Reviews, approval_refusal
from ciml.core.deployment import DeployOrder, Receipt, already, order_fault, receipt_digest
from ciml.core.entries import Deployment
from ciml.core.errors import CimlError, IntegrityError
from ciml.core.event import Event
from ciml.core.history import DeploymentLine
from ciml.core.ids import Digest, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.lineage import RunTrace
from ciml.core.neutralise import neutralise
from ciml.core.release import PREFIX, Target, of_promotion, of_release, release_tag
from ciml.core.value import Value
from ciml.core.verification import overridden, refusal

NOT_WAITED = Waiting(run=lambda commit: "over", wait_s=0.0, sleep=time.sleep, clock=time.monotonic)
"""By hand nobody knows what runs elsewhere."""


class Decision(Value, frozen=True, kw_only=True):
    """One version and one environment: an order, or the entry by which it serves there already."""

    found: Deployable
    target: Target
    order: DeployOrder | None = None
    serves: Deployment | None = None


class Deploying:
    """What deploys in one call.

    Args:
        place: where the call works.
        project: of the commit that is released, or of the work tree for a promotion.
        invocation: how ciml was called.
        console: where lines go.
        registries: ledgers and registry; None for those that a call by hand has.
    """

    def __init__(
        self,
        place: Place,
        project: Project,
        invocation: Invocation,
        console: Console,
        *,
        registries: Registries | None = None,
    ) -> None:
        self._place = place
        self._project = project
        self._environ = invocation.environ
        self._console = console
        self._registries = registries or Registries(place, project.pipeline, invocation.environ)
        self._protection = Protection(place.repository, project.documents, local=self._registries.local)

    # What is asked for, found and verified.

    def released(
        self,
        asked: Asked,
        *,
        environment: str | None = None,
        waiting: Waiting = NOT_WAITED,
        override: str | None = None,
        force: bool = False,
    ) -> tuple[Decision, ...]:
        """What a tag deploys where, verified.

        Args:
            asked: the tag and what it names; the project is its commit's.
            environment: only this one, whatever it comes after.
            waiting: how the commit's own run is waited for.
            override: why faults of trust shall not count; None where they do.
            force: order also what serves already.

        Raises:
            TrustError, IntegrityError: it may not be deployed.
            RepositoryError, RaceError, RejectedError: there is no version of the tag's commit.
        """
        targets = of_release(asked.tag, self._project.pipeline.models, environment=environment)
        names = dict.fromkeys(target.model.name for target in targets)
        if error := self._protection.refusal(asked, [self._registries.read(name) for name in names]):
            raise error
        graph = project_graph(self._project, self._project.tree, self._project.pipeline)
        found: dict[ModelName, tuple[Deployable, LedgerState]] = {}
        for target in targets:
            model = target.model
            if model.name not in found:
                found[model.name] = find(
                    model,
                    recipe_of(model, graph),
                    asked,
                    ledger=self._registries.ledger(model.name),
                    registry=self._registries.identity,
                    commits=self._place.repository,
                    waiting=waiting,
                )
        return self._decided(targets, found, override=override, force=force)

    def promoted(
        self, *, environment: str | None = None, override: str | None = None, force: bool = False
    ) -> tuple[Decision, ...]:
        """What the champions deploy to the environments that follow them, verified; models without one are left out."""
        targets = of_promotion(self._project.pipeline.models, environment=environment)
        found: dict[ModelName, tuple[Deployable, LedgerState]] = {}
        for model in {target.model.name: target.model for target in targets}.values():
            state = self._registries.read(model.name)
            if best := champion(model, state):
                found[model.name] = best, state
        targets = tuple(target for target in targets if target.model.name in found)
        return self._decided(targets, found, override=override, force=force)

    def _decided(
        self,
        targets: tuple[Target, ...],
        found: Mapping[ModelName, tuple[Deployable, LedgerState]],
        *,
        override: str | None,
        force: bool,
    ) -> tuple[Decision, ...]:
        decisions, verified = [], {}
        for target in targets:
            version, state = found[target.model.name]
            self._registries.remember(state)
            serves = None if force else already(state, target.target.name, version.version)
            if serves:
                decisions.append(Decision(found=version, target=target, serves=serves))
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
                store=self._shared_store,
                overridden=against,
                reason=override or "",
            )
            self._supply_previous(order, state)
            decisions.append(Decision(found=version, target=target, order=order))
        return tuple(decisions)

    @property
    def _shared_store(self) -> str:
        """Address of the store, where others can reach it."""
        named = self._environ.get(VARIABLE) or self._project.pipeline.store or ""
        return named if "://" in named else ""

    def _supply_previous(self, order: DeployOrder, state: LedgerState) -> None:
        """Have what serves now at hand, to be put back; where it cannot be had, that is better known before."""
        if order.previous is None or order.target.sagemaker_endpoint is not None:
            return  # an endpoint goes back to its own configuration
        try:
            self._registries.fetch(order.model, state.versions[order.previous.version])
        except CimlError as error:
            told = f"{order.environment}: version {order.previous.version} could not be put back"
            self._console.warn(f"{told}, since its files cannot be had: {error.message}")

    def _verified(self, found: Deployable, state: LedgerState, override: str | None) -> tuple[dict[str, Digest], str]:
        """The version's files by digest, and what a person overrode; its bytes are in the store now."""
        self._registries.fetch(state.model, found.record)
        files = files_of(found.record.artifact, self._place.store)
        where = Inspection(
            project=self._project,
            registry=self._registries.registry,
            witness=Signatures(self._place.repository.objects, self._environ, file=self._protection.signers_file or ""),
            policy=self._protection.policy(found.commit),
        )
        evidence = gather(found, state, files, where)
        if error := refusal(evidence, override=override is not None):
            raise error
        with self._folder() as folder:
            target = os.path.join(folder, os.path.basename(found.record.artifact.path))
            self._place.store.materialise(found.record.artifact, target, link=True)
            for sentence in pickles(target):
                self._console.warn(f"{found.subject}: {sentence}")
        return files, overridden(evidence) if override is not None else ""

    # What is done.

    def carry_out(
        self, order: DeployOrder, *, reviews: Callable[[], Reviews] | None = None, handed_on: Event | None = None
    ) -> Receipt:
        """The receipt of an order. Its command runs in a checkout of its own where the work tree is not at its commit.

        Args:
            order: what, and where to.
            reviews: what people said of this CI run; None by hand, where a person's override counts in its place.
            handed_on: the event, where another job handed the order on: it is held against that, ledger and
                ciml.yaml first.

        Raises:
            IntegrityError: the order or its bytes are not what was decided; nothing was begun.
            TrustError: nobody else has approved what has to be approved; nothing was begun.
        """
        if handed_on is not None:
            self._hold(order, handed_on)
        overridden = reviews is None and order.reason
        if order.target.approval and not overridden:
            refused = approval_refusal(order.environment, reviews() if reviews else None)
            if refused is not None:
                raise refused
        with self._folder() as folder, self._directory(order, folder) as directory:
            log = f"{self._place.state}/deployments/{order.name}-{order.id[:16]}"
            prefix = f"{order.environment} | "
            commands = Commands(
                directory,
                self._environ,
                log=log,
                on_line=lambda line: self._console.line("\n".join(neutralise(line, prefix=prefix))),
            )
            smoke = order.target.smoke
            stand = Stand(
                store=self._place.store,
                folder=folder,
                deployer=deployer_for(order.target, commands, self._environ),
                smoke=(lambda done, files: commands.run(smoke, done, files, what="its command")) if smoke else None,
                now=_now,
                nonce=secrets.token_hex(16),
            )
            return carry_out(order, stand)

    def _hold(self, order: DeployOrder, event: Event) -> None:
        model = self._project.pipeline.models.get(order.model)
        if model is None:
            raise IntegrityError(f"the order {order.name} is for a model that ciml.yaml does not have")
        targets = {target.name: target for target in model.deploy}
        state = self._registries.read(order.model)
        if fault := order_fault(order, state, targets, tag=event.tag, head=event.head):
            raise fault

    @contextmanager
    def _folder(self) -> Iterator[str]:
        folder = f"{self._place.state}/deployments/{secrets.token_hex(8)}"
        os.makedirs(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _directory(self, order: DeployOrder, folder: str) -> Iterator[str]:
        """Where commands run: the work tree where it is the order's commit, as in a CI job; else a checkout."""
        place = self._place
        needed = order.target.run is not None or order.target.smoke is not None
        here = place.root is not None and (not order.ref or place.repository.head() == order.commit)
        if not needed or (here and not (order.ref and place.repository.work_tree().dirty)):
            yield place.root or folder
            return
        self._console.line(
            f"The work tree is not at {order.ref or order.commit[:12]}: commands run in a checkout of it."
        )
        with checkout(place.repository.git, order.commit, f"{folder}/checkout") as directory:
            yield directory

    def record(self, order: DeployOrder, receipt: Receipt) -> Recorded:
        """What the ledger says of a receipt now; a failure is told to whoever wants alerts."""
        model = self._project.pipeline.models.get(order.model)  # the next commit may have renamed it
        recorded = record(
            order,
            receipt,
            self._registries.author(),
            ledger=self._registries.ledger(order.model),
            registry=self._registries.registry if model else None,
            alias=model.champion.alias if model else "",
        )
        if receipt.outcome != "deployed" and "deploy-failed" in self._project.pipeline.alerts:
            tell(lambda: [self._alert(order, receipt)], self._place, self._environ, self._console)
        return recorded

    def _alert(self, order: DeployOrder, receipt: Receipt) -> alert.Alert:
        repository = self._place.repository
        run = RunTrace(
            id=receipt_digest(receipt),
            commit=repository.commit(order.commit) if repository.holds(order.commit) else None,
            branch=order.ref or repository.branch(),
            repository=repository.remote_url() or "",
            event="release" if order.ref else "promotion",
            run_url=run_url(self._environ),
        )
        line = DeploymentLine(environment=order.environment, model=order.model, version=order.version)
        why = "; ".join(filter(None, (receipt.reason, receipt.detail)))
        return alert.deploy_failed(line, run, reason=why)


def asked_for(place: Place, invocation: Invocation, ref: str, params: Mapping[str, str]) -> tuple[Asked, Project]:
    """A tag and what it names, and the project of its commit.

    Raises:
        RepositoryError: there is no such tag, or it names no commit.
        UsageError: it is no release tag.
    """
    name = ref.removeprefix(PREFIX)
    there = place.repository.tag_object(name)
    commit = place.repository.resolve(f"{PREFIX}{name}")
    project = project_at(place, invocation, params, head=commit)
    pipeline = project.pipeline
    tag = release_tag(name, pipeline.models, patterns=pipeline.release.tags)
    return Asked(tag=tag, object=there, commit=commit), project


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
