"""Move the champion by hand: forward with `promote`, back with `rollback`."""

from __future__ import annotations

from collections.abc import Callable

from ciml.app.chronicle import Author, checked, write
from ciml.app.follow import follow, recorded_row
from ciml.app.ports import Ledger, Registry
from ciml.core.entries import Promotion, Rollback
from ciml.core.errors import UsageError
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState
from ciml.core.value import Value


class Moved(Value, frozen=True, kw_only=True):
    """Who is champion now, and who was."""

    name: ModelName
    version: int
    previous: int | None
    moved: bool
    """By this call; False where the version was champion already."""


class ByHand(Value, frozen=True, kw_only=True):
    """A person's word on who is champion of a model, and where it is kept and shown."""

    author: Author
    ledger: Ledger
    registry: Registry
    alias: str = "champion"
    """That names the champion in the registry."""
    reason: str = ""


def promote(version: int, by: ByHand) -> Moved:
    """The version as champion.

    Where the gate let it through and nothing happened since, that is an approval; else a person
    decides against or beside the gate, and says why.

    Raises:
        UsageError: there is no such version, or a reason is needed.
        RaceError: somebody else moved the champion meanwhile.
        IntegrityError: the registry's version is not the one that was registered.
    """
    seen = _seen(by, version)
    if not by.reason.strip() and not seen.may_promote(version) and not _is_champion(seen, version):
        raise UsageError(
            f"the gate's word for version {version} of {seen.model} is used up, or was against another champion",
            hint="Promote it all the same with --reason TEXT.",
        )

    def promotion(state: LedgerState) -> Promotion:
        right = state.rights.get(version)
        return Promotion(
            **by.author.byline(state.versions[version].commit),
            reason=by.reason,
            gen=len(state.champions) + 1,
            version=version,
            previous=seen.champion.version if seen.champion else None,
            champion=seen.champion_identity,
            verdict=right.verdict if right else None,
            by_hand=True,
        )

    return _moved(by, version, seen, promotion)


def rollback(by: ByHand, *, to: int | None = None) -> Moved:
    """An earlier champion as champion again: the one before today's, or the one that is named.

    Raises:
        UsageError: there is none, or the named one never was champion.
        RaceError: somebody else moved the champion meanwhile.
        IntegrityError: the registry's version is not the one that was registered.
    """
    before = by.ledger.read()
    version = to if to is not None else before.champion_before()
    if version is None:
        raise UsageError(f"{before.model} has no earlier champion to go back to")
    seen = _seen(by, version)
    if version not in seen.champions:
        raise UsageError(
            f"version {version} of {seen.model} never was champion", hint=f"ciml promote {seen.model} {version}"
        )
    replaced = seen.champions[-1]

    def again(state: LedgerState) -> Rollback:
        return Rollback(
            **by.author.byline(state.versions[version].commit),
            reason=by.reason,
            gen=len(state.champions) + 1,
            version=version,
            previous=replaced,
            champion=seen.champion_identity,
        )

    return _moved(by, version, seen, again)


def _seen(by: ByHand, version: int) -> LedgerState:
    """The state that the person decides on, once the version is there and is what it was."""
    state = checked(by.ledger.read(), by.registry.identity)
    if version not in state.versions:
        known = ", ".join(map(str, sorted(state.versions)[-8:])) or "none"
        raise UsageError(f"version {version} of {state.model} is not registered", hint=f"Registered: {known}.")
    recorded_row(state, version, by.registry)
    return state


def _is_champion(state: LedgerState, version: int) -> bool:
    return state.champion is not None and state.champion.version == version


def _moved(by: ByHand, version: int, seen: LedgerState, entry: Callable[[LedgerState], Promotion | Rollback]) -> Moved:
    """What came of writing the entry, unless the version is champion by then."""
    state = write(by.ledger, lambda state: () if _is_champion(state, version) else (entry(state),))
    follow(by.ledger, by.registry, state, by.alias)
    return Moved(
        name=state.model,
        version=version,
        previous=seen.champion.version if seen.champion else None,
        moved=by.author.wrote(state),
    )
