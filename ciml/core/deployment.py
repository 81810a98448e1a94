"""Deployments as values: what is asked for, what came of it, and what a target's command gets to see.

An order and a receipt travel between CI jobs: the job that has the target's credential gets the
order and the model's files, and hands a receipt to a job that has none and writes the ledger. So
both are JSON that says everything, and whoever reads a receipt holds it against its order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from ciml.core.entries import Deployment
from ciml.core.errors import CimlError, IntegrityError, RaceError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName
from ciml.core.key import digest
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output
from ciml.core.url import bare
from ciml.core.value import Value

ORDER = "ciml/deployment/1"
RECEIPT = "ciml/receipt/1"


class Served(Value, frozen=True, kw_only=True):
    """What serves in an environment, by the ledger."""

    version: int
    artifact: Output
    ref: str = ""
    commit: CommitSha | None = None


class DeployOrder(Value, frozen=True, kw_only=True):
    """One version that was verified, on its way to one environment."""

    format: str = ORDER
    id: Digest
    """Of environment, model, version and ref: the same order again has the same."""
    model: ModelName
    version: int
    artifact: Output
    files: dict[str, Digest] = {}
    """Path below the model -> SHA-256; a model that is one file has that file's name."""
    commit: CommitSha
    ref: str = ""
    """The release tag; empty where a promotion asked for it."""
    tag: GitOid | None = None
    """What the tag's ref named: the tag object itself where there is one."""
    target: DeployTarget
    previous: Served | None = None
    """What serves there now."""
    store: str = ""
    """Address of the shared store, where there is one: the bytes are `objects/` in it."""
    overridden: str = ""
    """What spoke against it and was overridden by a person."""
    reason: str = ""
    """Why that person did."""
    run: str = ""
    """The CI service's number of the run that decided it."""

    @property
    def environment(self) -> str:
        """Where to."""
        return self.target.name

    @property
    def name(self) -> str:
        """`production.churn`: one order of that name is handed on at a time."""
        return f"{self.environment}.{self.model}"

    @property
    def uri(self) -> str:
        """The version's address in the registry."""
        return f"models:/{self.model}/{self.version}"

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All that whoever carries it out needs the bytes of: to deploy, and to put back what serves now."""
        return (self.artifact, self.previous.artifact) if self.previous else (self.artifact,)


class Receipt(Value, frozen=True, kw_only=True):
    """What came of an order."""

    format: str = RECEIPT
    id: Digest
    """Of the order."""
    environment: str
    model: ModelName
    version: int
    artifact: Digest
    outcome: Literal["deployed", "rolled-back", "failed"]
    """`rolled-back`: what served before serves again. `failed`: nobody knows what serves."""
    reason: str = ""
    """Why it is not deployed."""
    detail: str = ""
    """What the target says of it."""
    started: str
    """UTC, RFC 3339, seconds; as `finished` informational."""
    finished: str
    nonce: str
    """Tells two attempts at one order apart."""


def deployment_id(environment: str, model: ModelName, version: int, ref: str) -> Digest:
    """The name of a deployment: whoever asks for the same again is known by it."""
    return digest("ciml/deployment/1", environment, model, version, ref)


def restoring(order: DeployOrder) -> DeployOrder | None:
    """The order that puts back what served before; None where nothing did."""
    before = order.previous
    if before is None:
        return None
    return msgspec.structs.replace(
        order,
        id=deployment_id(order.environment, order.model, before.version, before.ref),
        version=before.version,
        artifact=before.artifact,
        files={},
        commit=before.commit or order.commit,
        ref=before.ref,
        tag=None,
        previous=Served(version=order.version, artifact=order.artifact, ref=order.ref, commit=order.commit),
        overridden="",
        reason="",
    )


def serving(state: LedgerState, environment: str) -> Served | None:
    """What serves in an environment, by the ledger; None where nothing was ever deployed there."""
    entry = state.deployments.get(environment)
    if entry is None:
        return None
    artifact = state.versions[entry.version].artifact
    return Served(version=entry.version, artifact=artifact, ref=entry.ref, commit=entry.commit)


def already(state: LedgerState, environment: str, version: int) -> Deployment | None:
    """The entry by which a version serves already; None where it does not, or where that is not sure."""
    entry = state.deployments.get(environment)
    sure = entry is not None and environment not in state.unsettled
    return entry if entry is not None and sure and entry.version == version else None


def order_fault(
    order: DeployOrder,
    state: LedgerState,
    targets: Mapping[str, DeployTarget],
    *,
    tag: str | None,
    head: CommitSha | None,
    run: str,
) -> CimlError | None:
    """Why an order is not one that ledger and ciml.yaml bear out (any more), or None where it is.

    Args:
        order: as it was handed on.
        state: the model's ledger.
        targets: the model's environments, as ciml.yaml has them at the order's commit.
        tag: that the event is about; None where champions are followed.
        head: the tag's commit, whose commands are run.
        run: of the CI service, that carries it out.
    """
    record = state.versions.get(order.version)
    wrong = {
        "its id": order.id != deployment_id(order.environment, order.model, order.version, order.ref),
        "its version": record is None,
        "its files": record is not None and record.artifact.digest != order.artifact.digest,
        "its target": targets.get(order.environment) != order.target,
        "its run": order.run != run,
        "its tag": order.ref != (tag or ""),
        "its commit": order.commit != (head if tag else record and record.commit),
    }
    told = [what for what, differs in wrong.items() if differs]
    if told:
        return IntegrityError(f"the order {order.name} is not what was decided: {', '.join(told)} differ")
    since, hint = f"since {order.name} was decided", "Run all jobs again: what is deployed is decided anew."
    if order.previous != serving(state, order.environment):
        return RaceError(f"another version came to serve in {order.environment} {since}", hint=hint)
    if not tag and (state.champion is None or state.champion.version != order.version):
        return RaceError(f"version {order.version} of {order.model} is no longer the champion {since}", hint=hint)
    return None


def receipt_fault(order: DeployOrder, receipt: Receipt) -> IntegrityError | None:
    """Why a receipt is not this order's, or None where it is: a deployment tells of itself and of no other."""
    wanted = (order.id, order.environment, order.model, order.version, order.artifact.digest)
    told = (receipt.id, receipt.environment, receipt.model, receipt.version, receipt.artifact)
    if wanted == told:
        return None
    return IntegrityError(
        f"the receipt for {order.name} is not its order's: it tells of {receipt.model} version {receipt.version} "
        f"in {receipt.environment}",
        hint="A deployment job handed on what is not its own; nothing of it was recorded.",
    )


def receipt_digest(receipt: Receipt) -> Digest:
    """SHA-256 that names a receipt in the ledger."""
    return digest("ciml/receipt/1", receipt)


_HANDLES = frozenset({"GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE"})
_HANDLES |= {"GITHUB_STEP_SUMMARY"}
_OURS = re.compile(
    r"CIML_.*|INPUT_.*|ACTIONS_.*_TOKEN|GIT_CONFIG_(?:COUNT|PARAMETERS|KEY_\d+|VALUE_\d+)"
    r"|MLFLOW_.*(?:USERNAME|PASSWORD|TOKEN|SECRET|KEY|CREDENTIAL).*"
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(?:^|_)KEY(?:$|_)|(?:^|_)PAT$", re.IGNORECASE)


def deploy_env(order: DeployOrder, environ: Mapping[str, str], *, files: str) -> dict[str, str]:
    """The environment of a deployment's command.

    Unlike a stage it needs the target's credentials, whatever they are called, so it gets all but
    what is the runner's, the registry's and ciml's own.

    Args:
        order: what is deployed.
        environ: ciml's own environment.
        files: where the model's verified files are.
    """
    kept = {name: value for name, value in environ.items() if name not in _HANDLES and not _OURS.fullmatch(name)}
    if "MLFLOW_TRACKING_URI" in kept:
        kept["MLFLOW_TRACKING_URI"] = bare(kept["MLFLOW_TRACKING_URI"])
    return {
        **kept,
        "CIML_MODEL": order.model,
        "CIML_VERSION": str(order.version),
        "CIML_MODEL_PATH": files,
        "CIML_MODEL_URI": order.uri,
        "CIML_COMMIT": order.commit,
        "CIML_DIGEST": order.artifact.digest,
        "CIML_ENVIRONMENT": order.environment,
        "CIML_DEPLOYMENT_ID": order.id,
        "CIML_PREVIOUS_VERSION": str(order.previous.version) if order.previous else "",
        "CIML_REF": order.ref,
    }


def secrets_in(environ: Mapping[str, str], declared: Collection[str] = ()) -> dict[str, str]:
    """The variables that are declared as secrets, and those whose names say that their values are."""
    return {
        name: value
        for name, value in environ.items()
        if (name in declared and value) or (_SECRET.search(name) and len(value) >= 8)
    }
