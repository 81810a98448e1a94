"""What is champion, what serves where, since when; and where registry, ledger and environments disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ciml.app.ports import Ledger, Registry
from ciml.core.deployment import deployment_id
from ciml.core.entries import Deployment
from ciml.core.ids import CommitSha, Digest, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import DeployTarget
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


class EnvironmentStatus(Value, frozen=True, kw_only=True):
    """What serves in one environment, by the ledger."""

    version: int
    ref: str
    """The release tag; empty where a promotion brought it."""
    commit: CommitSha | None
    artifact: Digest
    since: str
    by: str
    overridden: str
    settled: bool
    """False where a later deployment failed and nobody knows what it left."""


class ModelStatus(Value, frozen=True, kw_only=True):
    """One model."""

    name: ModelName
    registry: str
    champion: ChampionStatus | None
    versions: int
    waiting: tuple[int, ...]
    """Versions that the gate let through and nobody has promoted yet."""
    environments: dict[str, EnvironmentStatus]
    drift: tuple[str, ...]
    """One sentence for each thing that is not as the ledger says."""


class Probes(Value, frozen=True, kw_only=True):
    """What ledger and registry are compared with besides: how to ask tags and targets."""

    targets: tuple[DeployTarget, ...] = ()
    """The model's environments, as ciml.yaml has them."""
    commit_of: Callable[[str], CommitSha | None] = lambda tag: None
    """The commit that a tag names now, None where it is not known."""
    serves: Callable[[DeployTarget, Digest], bool | None] = lambda target, deployment: None
    """Whether a target says that it serves what a deployment of this id brought; None where it cannot be asked."""


def status(
    ledger: Ledger, registry: Registry | None, *, alias: str = "champion", probes: Probes | None = None
) -> ModelStatus:
    """How a model stands. Nothing is repaired.

    Args:
        ledger: of the model.
        registry: compared with the ledger; None to leave it out.
        alias: that should name the champion.
        probes: of tags and targets.

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
        environments={name: _environment(state, entry) for name, entry in sorted(state.deployments.items())},
        drift=(
            *(_drift(state, registry, alias) if registry and state.entries else ()),
            *_deployed(state, probes or Probes()),
        ),
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


def _environment(state: LedgerState, entry: Deployment) -> EnvironmentStatus:
    return EnvironmentStatus(
        version=entry.version,
        ref=entry.ref,
        commit=entry.commit,
        artifact=entry.artifact,
        since=entry.at,
        by=entry.actor,
        overridden=entry.overridden,
        settled=entry.environment not in state.unsettled,
    )


def _deployed(state: LedgerState, probes: Probes) -> Iterator[str]:
    """Where environments, tags and targets are not as the ledger says."""
    targets = {target.name: target for target in probes.targets}
    for name, failed in sorted(state.unsettled.items()):
        yield f"{name}: deploying version {failed.version} failed, and nobody knows what serves: {failed.reason}"
    for name, entry in sorted(state.deployments.items()):
        target, champion = targets.get(name), state.champion
        if target and target.after == "promotion" and champion and champion.version != entry.version and not entry.ref:
            yield f"{name} follows the champion, version {champion.version}, and serves version {entry.version}"
        now = probes.commit_of(entry.ref) if entry.ref else None
        if now is not None and now != entry.commit:
            then = (entry.commit or "")[:12]
            yield f"{name} was deployed by the tag {entry.ref} at {then}, which names {now[:12]} now"
        identity = deployment_id(name, state.model, entry.version, entry.ref)
        if target and name not in state.unsettled and probes.serves(target, identity) is False:
            yield f"{name} says that it does not serve version {entry.version}"


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
