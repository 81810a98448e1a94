"""What is champion, what serves where, since when; and where registry and ledger disagree."""

from __future__ import annotations

from ciml.app.ports import Ledger, Registry
from ciml.core.entries import Deployment
from ciml.core.ids import CommitSha, Digest, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.registry import mismatch
from ciml.core.value import Value


class ChampionStatus(Value, frozen=True, kw_only=True):
    """The champion and how it came to be."""

    version: int
    since: str
    commit: CommitSha | None
    recipe: Digest
    metrics: dict[str, float]
    by: str
    reason: str


class ModelStatus(Value, frozen=True, kw_only=True):
    """One model."""

    name: ModelName
    registry: str
    champion: ChampionStatus | None
    versions: int
    waiting: tuple[int, ...]
    """Versions that the gate let through and nobody has promoted yet."""
    environments: dict[str, Deployment]
    drift: tuple[str, ...]
    """One sentence for each thing that is not as the ledger says."""


def status(ledger: Ledger, registry: Registry | None, *, alias: str = "champion") -> ModelStatus:
    """How a model stands. Nothing is repaired.

    Args:
        ledger: of the model.
        registry: compared with the ledger; None to leave it out.
        alias: that should name the champion.

    Raises:
        IntegrityError: the ledger's chain is broken.
        ServiceError: ledger or registry cannot be reached.
    """
    state = ledger.read()
    return ModelStatus(
        name=state.model,
        registry=state.registry or (registry.identity if registry else ""),
        champion=_champion(state),
        versions=len(state.versions),
        waiting=tuple(sorted(version for version in state.rights if state.may_promote(version))),
        environments=state.deployments,
        drift=tuple(_drift(state, registry, alias)) if registry and state.entries else (),
    )


def _champion(state: LedgerState) -> ChampionStatus | None:
    if state.champion is None:
        return None
    registration = state.versions[state.champion.version]
    move = state.moves[-1]
    return ChampionStatus(
        version=registration.version,
        since=state.champion.since,
        commit=registration.commit,
        recipe=registration.recipe,
        metrics=registration.metrics,
        by=move.actor,
        reason=move.reason,
    )


def _drift(state: LedgerState, registry: Registry, alias: str) -> list[str]:
    found: list[str] = []
    if state.registry != registry.identity:
        return [f"the ledger belongs to the registry {state.registry}, not to {registry.identity}"]
    shown = registry.aliases(state.model).get(alias)
    wanted = state.champion.version if state.champion else None
    if shown != wanted:
        found.append(
            f"the alias {alias} names {f'version {shown}' if shown else 'nothing'}, "
            f"the ledger's champion is {f'version {wanted}' if wanted else 'none'}"
        )
    serving = {deployment.version for deployment in state.deployments.values()}
    rows = {
        version: registry.row(state.model, version) for version in sorted(serving | ({wanted} if wanted else set()))
    }
    found += [wrong for version, row in rows.items() if (wrong := mismatch(state.versions[version], row))]
    for environment, deployment in sorted(state.deployments.items()):
        if deployment.artifact != state.versions[deployment.version].artifact.digest:
            found.append(f"{environment} serves other bytes than version {deployment.version} has")
    return found
