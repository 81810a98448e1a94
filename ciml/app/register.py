"""Register what the gate let through, exactly once, and promote it where it may be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ciml.app.chronicle import Author, checked, record_verdict, write
from ciml.app.follow import follow, recorded_row, settle
from ciml.app.ports import Ledger, Registry, Store
from ciml.app.proposal import Entries, Proposal
from ciml.core.entries import Entry, Promotion
from ciml.core.errors import CimlError, RaceError, RejectedError, ServiceError, TrustError, UsageError
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState
from ciml.core.registration import (
    Answer,
    Claim,
    Created,
    CreateRow,
    Finish,
    Found,
    GiveUp,
    ReadLedger,
    SearchRows,
    Seen,
    Step,
    SweepRows,
    Swept,
    Writer,
    WriteRecord,
    Written,
    learned,
    next_step,
)
from ciml.core.registry import NewVersion, Row, checked_alias
from ciml.core.succession import Stale, extend
from ciml.core.value import Value
from ciml.core.verdict import Status


class Registered(Value, frozen=True, kw_only=True):
    """What came of it."""

    name: ModelName
    version: int
    created: bool
    """By this call; False where the recipe, or its bytes, had a version."""
    promoted: bool
    """By this call."""
    uri: str
    notes: tuple[str, ...] = ()
    """What should be known, one sentence each."""


class Services(Value, frozen=True, kw_only=True):
    """Where it is registered."""

    ledger: Ledger
    registry: Registry
    store: Store


def register(proposal: Proposal, author: Author, services: Services, *, override: str | None = None) -> Registered:
    """The version of the proposal's recipe, whoever registered it.

    The same call again, after whatever happened to an earlier one, goes on where that one stopped.

    Args:
        proposal: what this commit asks for.
        author: who registers.
        services: ledger, registry and store.
        override: why a person lets it through although the gate does not; None to obey the gate.

    Raises:
        RejectedError: the gate did not let it through.
        RaceError: the champion that it was judged against is no more.
        ServiceError: a service failed; nothing is lost.
        TrustError: the ledger may not be written.
        IntegrityError: the registry or the ledger is not what was recorded.
    """
    checked_alias(proposal.alias)
    if override is not None and not override.strip():
        raise UsageError("an override needs a reason", hint="--reason TEXT")
    return _Registering(proposal, author, services, override)()


class _Registering:
    """One call: carries out the steps of `ciml.core.registration`."""

    def __init__(self, proposal: Proposal, author: Author, services: Services, override: str | None) -> None:
        self._proposal = proposal
        self._author = author
        self._override = override
        self._ledger = services.ledger
        self._registry = services.registry
        self._store = services.store
        self._state = LedgerState(model=proposal.model)
        self._rows: dict[int, Row] = {}
        self._refusal: CimlError | None = None
        self._entries = Entries(proposal, author, override)

    def __call__(self) -> Registered:
        writer = Writer(nonce=self._author.nonce)
        while not isinstance(step := next_step(writer), Finish):
            writer = learned(writer, self._answer(step))
        self._promote(step.version)
        self._state = follow(self._ledger, self._registry, self._state, self._proposal.alias)
        return Registered(
            name=self._proposal.model,
            version=step.version,
            created=step.created and self._state.versions[step.version].nonce == self._author.nonce,
            promoted=any(isinstance(e, Promotion) and e.nonce == self._author.nonce for e in self._state.entries),
            uri=f"models:/{self._proposal.model}/{step.version}",
            notes=self._notes(step.version),
        )

    def _answer(self, step: Step) -> Answer:
        match step:
            case ReadLedger():
                return self._read()
            case SearchRows():
                return Found(row=self._lowest_whole_row())
            case CreateRow():
                return Created(row=self._create())
            case WriteRecord():
                self._record(step)
                return Written()
            case SweepRows(keep=version):
                self._sweep(version)
                return Swept()
            case GiveUp():
                told = f"{self._proposal.model}: {self._registry.identity} or the ledger did not answer"
                raise self._refusal or ServiceError(told, hint="The same command again goes on where this one stopped.")
            case Finish():
                raise AssertionError("a finished registration has no further step")

    # 1. What the ledger says.

    def _read(self) -> Seen:
        state = checked(self._ledger.read(), self._registry.identity)
        self._state = state
        record = state.record(self._proposal.recipe)
        if record is None:
            self._admit(state)
        return Seen(
            head=state.head.digest if state.head else "",
            claim=Claim(version=record.version, nonce=record.nonce) if record else None,
            twin=state.bytes.get(self._proposal.artifact.digest),
        )

    def _admit(self, state: LedgerState) -> None:
        """Raise, unless what is not registered yet may be."""
        if self._refusal:
            raise self._refusal
        verdict = self._proposal.verdict
        if self._override is None and verdict.status not in (Status.ACCEPTED, Status.UNCHANGED):
            record_verdict(self._ledger, self._entries.judgement, registry=self._registry.identity)
            raise RejectedError(
                f"{verdict.model} is not registered: {verdict.reason}",
                hint=verdict.hint
                or "See the checks: ciml gate. A person may register it with --override --reason TEXT.",
            )
        if self._proposal.champion != state.champion_identity:
            raise RaceError(f"the champion of {state.model} moved since {verdict.model} was judged")

    # 2. and 3. The registry's rows.

    def _lowest_whole_row(self) -> int | None:
        for row in self._registry.rows(self._proposal.model, self._proposal.recipe):
            if row.version not in self._state.versions and self._registry.verifies(row, self._proposal.artifact):
                self._rows[row.version] = row
                return row.version
        return None

    def _create(self) -> int | None:
        proposal = self._proposal
        new = NewVersion(run=proposal.run, artifact=proposal.artifact, nonce=self._author.nonce, tags=proposal.tags)
        row = self._registry.create(new, self._store)
        if row and row.version in self._state.versions:
            recorded_row(self._state, row.version, self._registry)  # raises: the registry counts from 1 again
        if row:
            self._rows[row.version] = row
        return row.version if row else None

    # 4. The record.

    def _record(self, step: WriteRecord) -> None:
        entries, number = self._entries, step.version
        version = entries.adoption(number) if step.adopts else entries.registration(self._rows[number])
        before = entries.before(self._registry.identity)
        extension = extend(self._state, (*before, version, *entries.promotion(number, self._state)))
        if isinstance(extension, Stale):
            return  # the next read says what it is that moved
        try:
            self._ledger.append(self._state, extension.entries)
        except (ServiceError, TrustError) as error:
            self._refusal = error  # unless it arrived all the same: the next read tells

    # What follows the record.

    def _sweep(self, version: int) -> None:
        """Only the record makes a row of the recipe superfluous, and only those that it does not name."""
        registry, model = self._registry, self._proposal.model
        keep = recorded_row(self._state, version, registry)
        if keep.tentative:
            settle(partial(registry.confirm, keep), lambda: not recorded_row(self._state, version, registry).tentative)
        if self._state.versions[version].recipe != self._proposal.recipe:
            return
        for row in registry.rows(model, self._proposal.recipe):
            if row.version not in self._state.versions:
                settle(partial(registry.discard, row, keep=keep), partial(self._is_gone, row.version))

    def _is_gone(self, version: int) -> bool:
        return self._registry.row(self._proposal.model, version) is None

    def _promote(self, version: int) -> None:
        """Use the right to be promoted, where an earlier call gained it and did not come to use it."""

        def wanted(state: LedgerState) -> Sequence[Entry]:
            return self._entries.promotion(version, state) if state.may_promote(version) else ()

        if wanted(self._state):
            self._state = write(self._ledger, wanted)

    def _notes(self, version: int) -> tuple[str, ...]:
        record = self._state.versions[version]
        if record.artifact.digest != self._proposal.artifact.digest:
            told = f"this recipe made other bytes than version {version} has, so a stage is not deterministic"
            return (f"{told}; version {version} stands, and these bytes are not registered",)
        if record.recipe != self._proposal.recipe:
            return (f"the bytes are those of version {version}, which was made from {(record.commit or '')[:12]}",)
        return ()
