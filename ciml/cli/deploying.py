"""Releases and promotions on their way to environments, from the command line and from CI jobs."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property

from ciml.adapters.deployers.kinds import deployer_for
from ciml.adapters.deployers.process import Commands
from ciml.adapters.git.checkout import checkout
from ciml.adapters.pickles import pickles
from ciml.adapters.signatures import Signatures
from ciml.app.deploy import Recorded, Stand, carry_out, record
from ciml.app.project import Project
from ciml.app.release import Asked, Inspection, Waiting
from ciml.app.rollout import Rollouts
from ciml.cli.aftermath import tell
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.protection import Protection
from ciml.cli.registry import Registries
from ciml.cli.running import run_url
from ciml.cli.storing import VARIABLE
from ciml.cli.wiring import Place, project_at
from ciml.core import alert
from ciml.core.approval import Reviews, approval_refusal
from ciml.core.deployment import DeployOrder, Receipt, order_fault, receipt_digest
from ciml.core.errors import IntegrityError
from ciml.core.event import Event
from ciml.core.history import DeploymentLine
from ciml.core.ids import CommitSha
from ciml.core.lineage import RunTrace
from ciml.core.neutralise import neutralise
from ciml.core.release import PREFIX, release_tag
from ciml.core.results import Output
from ciml.core.verification import released

NOT_WAITED = Waiting(run=lambda commit: "over", wait_s=0.0, sleep=time.sleep, clock=time.monotonic)
"""By hand nobody knows what runs elsewhere."""


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

    @cached_property
    def rollouts(self) -> Rollouts:
        """What finds and verifies what is asked for."""
        protection = Protection(self._place.repository, self._project.documents, local=self._registries.local)

        def inspection(commit: CommitSha) -> Inspection:
            return Inspection(
                project=self._project,
                registry=self._registries.registry,
                witness=Signatures(self._place.repository.objects, self._environ, file=protection.signers_file or ""),
                policy=protection.policy(commit),
            )

        return Rollouts(
            self._project,
            self._place.store,
            self._registries,
            commits=self._place.repository,
            refusal=protection.refusal,
            inspection=inspection,
            pickles=self._pickles,
            warn=self._console.warn,
            address=self._shared_store,
        )

    @property
    def _shared_store(self) -> str:
        """Address of the store, where others can reach it."""
        named = self._environ.get(VARIABLE) or self._project.pipeline.store or ""
        return named if "://" in named else ""

    def _pickles(self, artifact: Output) -> tuple[str, ...]:
        with self._folder() as folder:
            target = os.path.join(folder, os.path.basename(artifact.path))
            self._place.store.materialise(artifact, target, link=True)
            return pickles(target)

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
            RepositoryError: it is an override, and nobody says whose; nothing was begun.
        """
        if handed_on is not None:
            self._hold(order, handed_on)
        overridden = reviews is None and order.reason
        if overridden:
            self._registries.person()
        if order.target.approval and not overridden:
            refused = approval_refusal(order.environment, reviews() if reviews else None, used=self._used(order))
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

    def _used(self, order: DeployOrder) -> int:
        """How often the order's run has deployed the model there before, with or without success."""
        made = released(self._registries.read(order.model))
        return sum((entry.environment, entry.run) == (order.environment, order.run) for entry in made)

    def _hold(self, order: DeployOrder, event: Event) -> None:
        model = self._project.pipeline.models.get(order.model)
        if model is None:
            raise IntegrityError(f"the order {order.name} is for a model that ciml.yaml does not have")
        targets = {target.name: target for target in model.deploy}
        state = self._registries.read(order.model)
        if fault := order_fault(order, state, targets, tag=event.tag, head=event.head, run=event.run.id):
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
        if receipt.outcome != "deployed":
            why = "; ".join(filter(None, (receipt.reason, receipt.detail)))
            self.tell_failed(order, why, attempt=receipt_digest(receipt))
        return recorded

    def tell_failed(self, order: DeployOrder, why: str, *, attempt: str) -> None:
        """Tell whoever wants alerts that an order came to nothing, once for each attempt at it."""
        if "deploy-failed" in self._project.pipeline.alerts:
            tell(lambda: [self._alert(order, why, attempt)], self._place, self._environ, self._console)

    def _alert(self, order: DeployOrder, why: str, attempt: str) -> alert.Alert:
        repository = self._place.repository
        run = RunTrace(
            id=attempt,
            commit=repository.commit(order.commit) if repository.holds(order.commit) else None,
            branch=order.ref or repository.branch(),
            repository=repository.remote_url() or "",
            event="release" if order.ref else "promotion",
            run_url=run_url(self._environ),
        )
        line = DeploymentLine(environment=order.environment, model=order.model, version=order.version)
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
