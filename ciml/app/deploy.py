"""Deploy a version that was verified: order, carry out, smoke, put back what served before, record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from ciml.app.chronicle import Author, checked, write
from ciml.app.follow import follow
from ciml.app.ports import Ledger, Registry, Store
from ciml.app.release import Deployable
from ciml.core.deployment import (
    DeployOrder,
    Receipt,
    deployment_id,
    receipt_digest,
    receipt_fault,
    restoring,
    serving,
)
from ciml.core.entries import Deployment, Entry, FailedDeployment
from ciml.core.errors import CimlError, IntegrityError, InterruptedRunError
from ciml.core.ids import Digest
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output
from ciml.core.value import Value


class Deployer(Protocol):
    """One kind of target. What it cannot do is an error; what it did, it says in a sentence."""

    def deploy(self, order: DeployOrder, files: str) -> str:
        """Make a version serve; the same order again comes to the same.

        Args:
            order: what, and where to.
            files: the model's verified files, or its one file.
        """
        ...

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        """Make serve again what served before `deploy`: by the ledger `before`, None where it knows of nothing."""
        ...


Smoke = Callable[[DeployOrder, str], None]
"""Raises where what was deployed does not work; gets the order and the model's files."""

LONGEST = 4_000
"""Characters of why a deployment failed that a ledger keeps: a job with anybody's code wrote them, and it keeps all."""


def order_for(
    found: Deployable,
    state: LedgerState,
    target: DeployTarget,
    *,
    files: Mapping[str, Digest],
    store: str = "",
    overridden: str = "",
    reason: str = "",
) -> DeployOrder:
    """The order that brings a version to an environment.

    Args:
        found: the version, verified.
        state: the model's ledger: it says what serves now.
        target: where to.
        files: path below the model -> SHA-256.
        store: address of the shared store, where there is one.
        overridden: what spoke against it.
        reason: why a person overrode that.
    """
    return DeployOrder(
        id=deployment_id(target.name, found.model.name, found.version, found.ref),
        model=found.model.name,
        version=found.version,
        artifact=found.record.artifact,
        files=dict(files),
        commit=found.commit,
        ref=found.ref,
        tag=found.asked.object if found.asked else None,
        target=target,
        previous=serving(state, target.name),
        store=store,
        overridden=overridden,
        reason=reason if overridden else "",
    )


class Stand(Value, frozen=True, kw_only=True):
    """Where an order is carried out."""

    store: Store
    """Has the bytes of the order, and of what serves now where that is to be put back."""
    folder: str
    """A folder of this deployment's own, absolute; whoever made it removes it."""
    deployer: Deployer
    smoke: Smoke | None
    now: Callable[[], str]
    """UTC, RFC 3339, seconds."""
    nonce: str
    """Of this attempt."""


def carry_out(order: DeployOrder, stand: Stand) -> Receipt:
    """The receipt of an order that was carried out, whatever came of it.

    A failed smoke test puts back what served before and tests that too. A deployment that itself
    failed is left as it is: what it did is not known, and doing more may make it worse.

    Raises:
        IntegrityError: the bytes are not what the ledger says; nothing was begun.
    """
    started = stand.now()
    files = lay_out(order.artifact, stand, str(order.version))
    outcome: Literal["deployed", "rolled-back", "failed"] = "deployed"
    reason = detail = ""
    try:
        detail = stand.deployer.deploy(order, files)
    except InterruptedRunError:
        raise  # no receipt: what it did is not known, and the same order again has the same id
    except CimlError as error:
        outcome, reason = "failed", error.message
    if outcome == "deployed" and (fault := _smoked(order, files, stand)):
        outcome, detail = _put_back(order, stand)
        reason = f"the smoke test failed: {fault.message}"
    return Receipt(
        id=order.id,
        environment=order.environment,
        model=order.model,
        version=order.version,
        artifact=order.artifact.digest,
        outcome=outcome,
        reason=reason,
        detail=detail,
        started=started,
        finished=stand.now(),
        nonce=stand.nonce,
    )


def lay_out(artifact: Output, stand: Stand, name: str) -> str:
    """The path of a verified, read-only copy of a model's files, under their own name."""
    target = os.path.join(stand.folder, name, os.path.basename(artifact.path))
    stand.store.materialise(artifact, target, read_only=True)
    return target


def _put_back(order: DeployOrder, stand: Stand) -> tuple[Literal["rolled-back", "failed"], str]:
    before = restoring(order)
    what = f"version {before.version}" if before else "what served before"
    try:
        files = lay_out(before.artifact, stand, str(before.version)) if before else None
        detail = stand.deployer.restore(before, files)
    except InterruptedRunError:
        raise
    except CimlError as error:
        return "failed", f"{what} could not be put back: {error.message}"
    if before is not None and files is not None and (fault := _smoked(before, files, stand)):
        return "failed", f"{what} was put back, and its smoke test failed too: {fault.message}"
    return "rolled-back", detail or f"{what} serves again"


def _smoked(order: DeployOrder, files: str, stand: Stand) -> CimlError | None:
    """Why what was deployed does not work, or None where it does."""
    if stand.smoke is None:
        return None
    try:
        stand.smoke(order, files)
    except InterruptedRunError:
        raise
    except CimlError as error:
        return error
    return None


# What becomes of it in the ledger.


class Recorded(Value, frozen=True, kw_only=True):
    """What the ledger says of a receipt now."""

    receipt: Receipt
    written: bool
    """By this call; False where it was recorded before."""
    state: LedgerState


def record(
    order: DeployOrder, receipt: Receipt, author: Author, *, ledger: Ledger, registry: Registry | None, alias: str
) -> Recorded:
    """The ledger with a receipt in it, once, and the registry's alias where the ledger has it.

    Args:
        order: that the receipt is for.
        receipt: as the deployment handed it on; it is held against the order.
        author: who records it.
        ledger: of the model.
        registry: whose alias is repaired; None to leave that out.
        alias: that names the champion.

    Raises:
        IntegrityError: the receipt is not the order's, or the order is not of a registered version.
        ServiceError, TrustError: the ledger or the registry cannot be reached or written.
    """
    if fault := receipt_fault(order, receipt):
        raise fault

    def wanted(state: LedgerState) -> Sequence[Entry]:
        known = state.versions.get(order.version)
        if known is None or known.artifact.digest != order.artifact.digest:
            raise IntegrityError(f"the ledger has no {order.model} version {order.version} with these bytes")
        return (entry_for(order, receipt, author),)

    state = write(ledger, wanted)
    if registry is not None:
        state = follow(ledger, registry, checked(state, registry.identity), alias)
    return Recorded(receipt=receipt, written=author.wrote(state), state=state)


def entry_for(order: DeployOrder, receipt: Receipt, author: Author) -> Deployment | FailedDeployment:
    """What the ledger keeps of a receipt."""
    done = Deployment(
        **author.byline(order.commit),
        reason=order.reason,
        environment=order.environment,
        version=order.version,
        artifact=order.artifact.digest,
        ref=order.ref,
        receipt=receipt_digest(receipt),
        tag=order.tag,
        overridden=order.overridden,
        run=order.run,
    )
    if receipt.outcome == "deployed":
        return done
    fields = msgspec.structs.asdict(done)
    del fields["overridden"]
    restored = receipt.outcome == "rolled-back"
    why = "; ".join(filter(None, (receipt.reason, receipt.detail)))
    return FailedDeployment(**{**fields, "reason": why[:LONGEST], "restored": restored})
