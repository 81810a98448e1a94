"""What the ledgers say, as a lineage and a log tell it: versions, deployments, and events beside commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from ciml.core.dataset import DataMove
from ciml.core.entries import (
    Adoption,
    Deployment,
    Entry,
    FailedDeployment,
    Judgement,
    Override,
    Promotion,
    Registration,
    Rollback,
)
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.lineage import Commit, ModelTrace, RunTrace
from ciml.core.value import Value


class VersionLine(Value, frozen=True, kw_only=True):
    """One registered version."""

    model: ModelName
    version: int
    recipes: tuple[Digest, ...]
    """The recipe it was registered under, then those that adopted it: equal bytes, asked for otherwise."""
    commits: tuple[CommitSha, ...]
    """The commit it was made at first, then every other that asks for it: by adoption, or by an equal tree."""
    artifact: Digest
    metrics: dict[str, float] = {}
    verdict: str = ""
    provenance: Digest | None = None
    by: str = ""
    at: str = ""
    aliases: tuple[str, ...] = ()


class DeploymentLine(Value, frozen=True, kw_only=True):
    """One deployment of a version."""

    environment: str
    model: ModelName
    version: int
    reference: str = ""
    """The release tag, where one asked for it."""
    commit: CommitSha | None = None
    at: str = ""
    current: bool = False
    """It serves now."""


class History(Value, frozen=True, kw_only=True):
    """What the ledgers of all models say, each list from old to new."""

    versions: tuple[VersionLine, ...] = ()
    deployments: tuple[DeploymentLine, ...] = ()


def history(
    states: Iterable[LedgerState], commits: Sequence[Commit] = (), *, aliases: Mapping[ModelName, str] | None = None
) -> History:
    """The versions and deployments of these ledgers.

    Args:
        states: one for each model.
        commits: those of the repository. One whose tree is that of a registration asks for the same
            version, though it never ran: two branches with equal trees are one registration.
        aliases: what a model's champion is called, where not `champion`.
    """
    by_tree: dict[GitOid, list[CommitSha]] = {}
    for commit in commits:
        by_tree.setdefault(commit.tree, []).append(commit.sha)
    versions: list[VersionLine] = []
    deployments: list[DeploymentLine] = []
    for state in states:
        alias = (aliases or {}).get(state.model, "champion")
        versions += [_version(state, number, by_tree, alias) for number in sorted(state.versions)]
        deployments += [_deployment(state, entry) for entry in state.entries if isinstance(entry, Deployment)]
    return History(versions=tuple(versions), deployments=tuple(deployments))


def _version(state: LedgerState, number: int, by_tree: Mapping[GitOid, Sequence[CommitSha]], alias: str) -> VersionLine:
    registration = state.versions[number]
    adoptions = [entry for entry in state.entries if isinstance(entry, Adoption) and entry.version == number]
    asked: list[Registration | Adoption] = [registration, *adoptions]
    named = [entry.commit for entry in asked if entry.commit]
    equal = [sha for entry in asked if entry.tree for sha in by_tree.get(entry.tree, ())]
    return VersionLine(
        model=state.model,
        version=number,
        recipes=tuple(dict.fromkeys(entry.recipe for entry in asked)),
        commits=tuple(dict.fromkeys((*named, *equal))),
        artifact=registration.artifact.digest,
        metrics=registration.metrics,
        verdict=_verdict(state, registration),
        provenance=registration.provenance,
        by=registration.actor,
        at=registration.at,
        aliases=(alias,) if state.champion and state.champion.version == number else (),
    )


def _verdict(state: LedgerState, registration: Registration) -> str:
    judged = state.verdicts.get(registration.verdict) if registration.verdict else None
    if judged is None:
        return ""
    outcome = str(judged.verdict.status)
    return f"{outcome}, overridden" if judged.key in state.overridden else outcome


def _deployment(state: LedgerState, entry: Deployment) -> DeploymentLine:
    return DeploymentLine(
        environment=entry.environment,
        model=state.model,
        version=entry.version,
        reference=entry.ref,
        commit=entry.commit,
        at=entry.at,
        current=state.deployments.get(entry.environment) == entry,
    )


class Happening(StrEnum):
    """What a log tells of a commit."""

    JUDGED = "judged"
    REGISTERED = "registered"
    ADOPTED = "adopted"
    SAME_TREE = "same-tree"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    OVERRIDDEN = "overridden"
    DEPLOYED = "deployed"
    NOT_DEPLOYED = "not-deployed"
    RAN = "ran"


class LogEvent(Value, frozen=True, kw_only=True):
    """One thing that happened at a commit."""

    what: Happening
    model: ModelName
    version: int | None = None
    verdict: str = ""
    metrics: dict[str, float] = {}
    environment: str = ""
    by: str = ""
    at: str = ""
    reason: str = ""


class LogRow(Value, frozen=True, kw_only=True):
    """One commit and what ciml knows of it."""

    commit: Commit
    events: tuple[LogEvent, ...] = ()
    data: tuple[DataMove, ...] = ()
    """What it did to data."""


def log(commits: Sequence[Commit], states: Iterable[LedgerState], runs: Iterable[RunTrace] = ()) -> tuple[LogRow, ...]:
    """What happened at each of these commits, in the order of the commits.

    Args:
        commits: as Git's log has them.
        states: the ledgers: what counts.
        runs: those of this clone, for what never reached a ledger (a branch, a dirty tree).
    """
    events: dict[CommitSha, list[LogEvent]] = {commit.sha: [] for commit in commits}
    for state in states:
        for entry in state.entries:
            event = _event(state, entry)
            if event and entry.commit in events:
                events[entry.commit].append(event)
        _add_same_trees(events, commits, state)
    _add_runs(events, runs)
    return tuple(LogRow(commit=commit, events=tuple(events[commit.sha])) for commit in commits)


def _event(state: LedgerState, entry: Entry) -> LogEvent | None:
    what: Happening
    version: int | None = None
    verdict = environment = reason = ""
    metrics: dict[str, float] = {}
    match entry:
        case Judgement():
            what, verdict, metrics = Happening.JUDGED, str(entry.verdict.status), entry.verdict.metrics
            reason = entry.verdict.reason
        case Registration():
            what, version, metrics = Happening.REGISTERED, entry.version, entry.metrics
        case Adoption():
            what, version = Happening.ADOPTED, entry.version
        case Promotion():
            what, version = Happening.PROMOTED, entry.version
        case Rollback():
            what, version = Happening.ROLLED_BACK, entry.version
        case Override():
            what, verdict = Happening.OVERRIDDEN, str(entry.outcome)
        case Deployment():
            what, version, environment = Happening.DEPLOYED, entry.version, entry.environment
        case FailedDeployment():
            what, version, environment = Happening.NOT_DEPLOYED, entry.version, entry.environment
        case _:
            return None
    return LogEvent(
        what=what,
        model=state.model,
        version=version,
        verdict=verdict,
        metrics=metrics,
        environment=environment,
        by=entry.actor,
        at=entry.at,
        reason=entry.reason or reason,
    )


def _add_same_trees(events: Mapping[CommitSha, list[LogEvent]], commits: Sequence[Commit], state: LedgerState) -> None:
    """A commit whose tree is that of a registered one asks for the same version."""
    trees = {
        entry.tree: entry.version
        for entry in state.entries
        if isinstance(entry, Registration | Adoption) and entry.tree
    }
    for commit in commits:
        told = any(event.model == state.model and event.version for event in events[commit.sha])
        if commit.tree in trees and not told:
            event = LogEvent(what=Happening.SAME_TREE, model=state.model, version=trees[commit.tree])
            events[commit.sha].append(event)


def _add_runs(events: Mapping[CommitSha, list[LogEvent]], runs: Iterable[RunTrace]) -> None:
    """What this clone ran and no ledger tells, once for each model and verdict."""
    for run in runs:
        if run.commit is None or run.commit.sha not in events:
            continue
        row = events[run.commit.sha]
        for model in run.models:
            if not any(event.model == model.name and event.what is not Happening.SAME_TREE for event in row):
                row.append(_of_run(run, model))


def _of_run(run: RunTrace, model: ModelTrace) -> LogEvent:
    return LogEvent(
        what=Happening.RAN,
        model=model.name,
        version=model.version,
        verdict=model.verdict,
        metrics=model.metrics,
        by=run.actor,
        at=run.started,
        reason="the work tree differed from the commit" if run.dirty else model.reason,
    )
