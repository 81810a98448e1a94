"""What people see in the registry follows the ledger, never the other way round."""

from __future__ import annotations

from collections.abc import Callable

from ciml.app.chronicle import checked
from ciml.app.ports import Ledger, Registry
from ciml.core.errors import IntegrityError, ServiceError
from ciml.core.ledger import LedgerState
from ciml.core.registry import Row, mismatch

_ROUNDS = 12
_FAILURES = 3
"""Two writers that set one alias at once may make the registry fail for one of them."""


def recorded_row(state: LedgerState, version: int, registry: Registry) -> Row:
    """The registry's row of a version, once it is the one that the ledger means.

    Raises:
        IntegrityError: it is gone, or another row has its number.
    """
    record = state.versions[version]
    row = registry.row(state.model, version)
    if wrong := mismatch(record, row):
        raise IntegrityError(
            f"{state.model}: {wrong}",
            hint="The ledger keeps what was registered; the registry's version was deleted, or made again by others.",
        )
    assert row is not None, "what is gone is a mismatch"
    return row


def upheld(version: int, *, ledger: Ledger, registry: Registry, state: LedgerState, alias: str) -> LedgerState:
    """The state of the ledger, once the registry is seen to have the version and to show the champion.

    Raises:
        RepositoryError: the ledger belongs to another registry.
        IntegrityError: the registry's version is not the one that was registered.
        ServiceError: the registry fails.
    """
    recorded_row(checked(state, registry.identity), version, registry)
    return follow(ledger, registry, state, alias)


def settle(act: Callable[[], None], settled: Callable[[], bool]) -> None:
    """Do what others may be doing at the same time: their doing it first is no failure.

    Raises:
        ServiceError: it failed, and is not done.
    """
    try:
        act()
    except ServiceError:
        if not settled():
            raise


def follow(ledger: Ledger, registry: Registry, state: LedgerState, alias: str) -> LedgerState:
    """The state of the ledger that the alias is seen to follow.

    The registry lets whoever writes last win, and an answer may be late: so look, set, read the
    ledger and look again, until both say the same.

    Raises:
        ServiceError: others keep moving the alias.
    """
    failures = 0
    for _ in range(_ROUNDS):
        champion = state.champion
        if champion is None or registry.aliases(state.model).get(alias) == champion.version:
            return state
        try:
            registry.set_alias(state.model, alias, champion.version)
        except ServiceError:
            failures += 1
            if failures == _FAILURES:
                raise
        state = ledger.read()
    raise ServiceError(
        f"the alias {alias} of {state.model} does not stay where the ledger says",
        hint="Somebody else keeps moving it. The ledger's champion is what is deployed, whatever the alias says.",
    )
