"""What may come next in a ledger.

The ledger is a chain of entries whose last link moves by compare-and-swap: an entry is decided
against one state and is appended to that state or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from ciml.core.entries import (
    Adoption,
    Deployment,
    Entry,
    FailedDeployment,
    Genesis,
    Judgement,
    Override,
    Promotion,
    Registration,
    Rollback,
    digest_of,
    encode,
)
from ciml.core.ids import Digest
from ciml.core.ledger import LedgerState, add
from ciml.core.value import Value


class AlreadyThere(Value, frozen=True, kw_only=True):
    """Nothing to write: the ledger says it already."""

    entry: Entry


class Stale(Value, frozen=True, kw_only=True):
    """Decided against a state that is no more; read the ledger and decide again."""

    reason: str


def next_entry(state: LedgerState, wanted: Entry) -> Entry | AlreadyThere | Stale:
    """`wanted` as the next link of the chain, or why it is not written.

    A registration, an adoption and a promotion name the champion that they were judged against;
    where another one has come, they are stale.
    """
    if decided := _decided(state, wanted):
        return decided
    head = state.head
    return msgspec.structs.replace(wanted, seq=head.seq + 1 if head else 1, prev=head.digest if head else None)


def _decided(state: LedgerState, wanted: Entry) -> AlreadyThere | Stale | None:
    match wanted:
        case Genesis():
            return AlreadyThere(entry=state.entries[0]) if state.entries else None
        case Judgement():
            found = state.verdicts.get(wanted.key)
            return AlreadyThere(entry=found) if found else None
        case Override():
            overridden = state.overridden.get(wanted.verdict)
            return AlreadyThere(entry=overridden) if overridden else None
        case Registration():
            return _registration(state, wanted)
        case Adoption():
            return _of_recipe(state, wanted.recipe) or _moved(state, wanted.champion)
        case Promotion():
            return _promotion(state, wanted)
        case Rollback():
            return _moved(state, wanted.champion)
        case Deployment() | FailedDeployment():
            return _deployed(state, wanted)
    assert_never(wanted)


def _deployed(state: LedgerState, wanted: Deployment | FailedDeployment) -> AlreadyThere | None:
    """One entry for each receipt; what serves already and is told again needs none."""
    told = (entry for entry in state.entries if isinstance(entry, Deployment | FailedDeployment))
    if wanted.receipt and (same := next((entry for entry in told if entry.receipt == wanted.receipt), None)):
        return AlreadyThere(entry=same)
    serving = state.deployments.get(wanted.environment)
    if serving is None or isinstance(wanted, FailedDeployment) or wanted.environment in state.unsettled:
        return None
    told_already = (serving.version, serving.ref) == (wanted.version, wanted.ref)
    return AlreadyThere(entry=serving) if told_already else None


def _registration(state: LedgerState, wanted: Registration) -> AlreadyThere | Stale | None:
    if there := _of_recipe(state, wanted.recipe):
        return there
    if wanted.artifact.digest in state.bytes:
        return Stale(reason=f"version {state.bytes[wanted.artifact.digest]} was registered with the same bytes")
    if wanted.version in state.versions:
        return Stale(reason=f"version {wanted.version} was registered for another recipe")
    return _moved(state, wanted.champion)


def _promotion(state: LedgerState, wanted: Promotion) -> AlreadyThere | Stale | None:
    if state.champion and state.champion.version == wanted.version:
        return AlreadyThere(entry=state.moves[-1])
    if wanted.version not in state.versions:
        return Stale(reason=f"version {wanted.version} is not registered")
    if moved := _moved(state, wanted.champion):
        return moved
    if not wanted.by_hand and not state.may_promote(wanted.version):
        return Stale(reason=f"version {wanted.version} has no right to be promoted any more")
    return None


def _of_recipe(state: LedgerState, recipe: Digest) -> AlreadyThere | None:
    version = state.recipes.get(recipe)
    return AlreadyThere(entry=state.versions[version]) if version is not None else None


def _moved(state: LedgerState, judged: Digest | None) -> Stale | None:
    if judged == state.champion_identity:
        return None
    now = f"version {state.champion.version}" if state.champion else "none"
    return Stale(reason=f"the champion of {state.model} moved: it is {now} now")


class Extension(Value, frozen=True, kw_only=True):
    """Entries that may be appended to the state that they were decided against, all or none."""

    entries: tuple[bytes, ...]
    state: LedgerState
    """What the ledger will say then."""


def extend(state: LedgerState, wanted: Iterable[Entry]) -> Extension | Stale:
    """The links for all that is wanted; what is there already is left out.

    Each is decided against the state that the ones before it lead to.
    """
    raw: list[bytes] = []
    for each in wanted:
        match next_entry(state, each):
            case AlreadyThere():
                continue
            case Stale() as stale:
                return stale
            case entry:
                data = encode(entry)
                raw.append(data)
                state = add(state, [(entry, digest_of(data))])
    return Extension(entries=tuple(raw), state=state)
