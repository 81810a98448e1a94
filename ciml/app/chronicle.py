"""Write to a model's ledger: decide on what it says now, append, and believe only what is read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from ciml.app.ports import Ledger
from ciml.core.entries import Entry, Genesis, Judgement
from ciml.core.errors import CimlError, RaceError, RepositoryError, ServiceError, TrustError
from ciml.core.ids import CommitSha, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.succession import Stale, extend
from ciml.core.value import Value

_ATTEMPTS = 24
"""Each lost race means that another writer won one."""


class Byline(TypedDict):
    """What an entry says of who wrote it."""

    nonce: str
    actor: str
    at: str
    commit: CommitSha | None


class Author(Value, frozen=True, kw_only=True):
    """Who writes, and when."""

    actor: str
    at: str
    """UTC, RFC 3339, seconds. Informational."""
    nonce: str
    """Nobody else's, and new in every process: by it a writer knows its own entries when it reads them."""

    def byline(self, commit: CommitSha | None) -> Byline:
        """What an entry about a commit says of its writer."""
        return Byline(nonce=self.nonce, actor=self.actor, at=self.at, commit=commit)

    def wrote(self, state: LedgerState) -> bool:
        """Whether an entry of the ledger is this writer's."""
        return any(entry.nonce == self.nonce for entry in state.entries)


def write(ledger: Ledger, decide: Callable[[LedgerState], Sequence[Entry]]) -> LedgerState:
    """The state in which the ledger says all that is wanted.

    Args:
        ledger: of one model.
        decide: what is wanted, given what the ledger says; it is asked again when somebody else was first.

    Raises:
        RaceError: what is wanted was decided on a champion that is no more.
        ServiceError: the ledger cannot be reached.
        TrustError: it does not let us write.
    """
    refusal: CimlError | None = None
    for _ in range(_ATTEMPTS):
        state = ledger.read()
        extension = extend(state, decide(state))
        if isinstance(extension, Stale):
            raise RaceError(extension.reason)
        if not extension.entries:
            return state
        if refusal:
            raise refusal
        try:
            ledger.append(state, extension.entries)
        except (ServiceError, TrustError) as error:
            refusal = error
    raise RaceError(f"the ledger moved {_ATTEMPTS} times while this wrote to it")


def genesis(model: ModelName, registry: str, by: Author | Judgement) -> Genesis:
    """The entry that begins a ledger, by whoever writes the one that follows it."""
    return Genesis(nonce=by.nonce, actor=by.actor, at=by.at, model=model, registry=registry)


def checked(state: LedgerState, registry: str) -> LedgerState:
    """The state, once it is sure that its version numbers are those of this registry.

    Raises:
        RepositoryError: the ledger belongs to another registry.
    """
    if state.registry is not None and state.registry != registry:
        raise RepositoryError(
            f"the ledger of {state.model} belongs to the registry {state.registry}, not to {registry}",
            hint=f"Set `registry: {state.registry}` in ciml.yaml, or give the model another name.",
        )
    return state


def record_verdict(ledger: Ledger, judgement: Judgement, *, registry: str) -> LedgerState:
    """The ledger with this verdict in it; the first one that was recorded under its key stands.

    Raises:
        As `write`, and RepositoryError where the ledger belongs to another registry.
    """

    def wanted(state: LedgerState) -> Sequence[Entry]:
        checked(state, registry)
        return (genesis(state.model, registry, judgement), judgement)

    return write(ledger, wanted)
