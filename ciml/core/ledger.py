"""The append-only history of one model: what it adds up to, and what may come next.

The ledger is a chain of entries whose last link moves by compare-and-swap: an entry is decided
against one state and is appended to that state or not at all. So everything here is a pure
function of the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from ciml.core.entries import (
    Adoption,
    Deployment,
    Entry,
    Genesis,
    Head,
    Judgement,
    Override,
    Promotion,
    Registration,
    Rollback,
    decode,
    digest_of,
    encode,
)
from ciml.core.errors import IntegrityError, RepositoryError
from ciml.core.ids import Digest, ModelName
from ciml.core.value import Value


class Champion(Value, frozen=True, kw_only=True):
    """The version that was promoted last."""

    gen: int
    version: int
    identity: Digest
    """Of its registration: a number can be given twice by a registry, this cannot."""
    since: str
    """Informational: when it was promoted."""


class Right(Value, frozen=True, kw_only=True):
    """A version that the gate let through may become champion once."""

    seq: int
    """The registration or adoption that gave it."""
    champion: Digest | None
    """Whom it was judged against."""
    verdict: Digest | None


class LedgerState(Value, frozen=True, kw_only=True):
    """What a ledger says, all in all."""

    model: ModelName
    entries: tuple[Entry, ...] = ()
    head: Head | None = None
    """None before the first entry."""
    tip: str | None = None
    """The adapter's own name for the place of `head`, such as a commit id."""
    registry: str | None = None
    versions: dict[int, Registration] = {}
    identities: dict[int, Digest] = {}
    """Version -> SHA-256 of its registration's bytes."""
    recipes: dict[Digest, int] = {}
    """Registered and adopted recipes -> version."""
    bytes: dict[Digest, int] = {}
    """Artifact digest -> version."""
    verdicts: dict[Digest, Judgement] = {}
    overridden: dict[Digest, Override] = {}
    """By key of the verdict."""
    champion: Champion | None = None
    champions: tuple[int, ...] = ()
    """Every version that has been champion, in order of generation."""
    rights: dict[int, Right] = {}
    deployments: dict[str, Deployment] = {}
    """Environment -> what serves there."""

    @property
    def champion_identity(self) -> Digest | None:
        """Identity of the champion, None when there is none."""
        return self.champion.identity if self.champion else None

    @property
    def moves(self) -> list[Promotion | Rollback]:
        """Every change of the champion, in order."""
        return [entry for entry in self.entries if isinstance(entry, Promotion | Rollback)]

    def may_promote(self, version: int) -> bool:
        """Whether the version has the right to be promoted over today's champion without a word from a person."""
        right = self.rights.get(version)
        return right is not None and right.champion == self.champion_identity

    def record(self, recipe: Digest) -> Registration | Adoption | None:
        """The entry that gave a recipe its version."""
        version = self.recipes.get(recipe)
        found = self.versions.get(version) if version is not None else None
        if found is None or found.recipe == recipe:
            return found
        adoptions = (entry for entry in self.entries if isinstance(entry, Adoption))
        return next(entry for entry in adoptions if entry.recipe == recipe)

    def champion_before(self) -> int | None:
        """The version that was champion before today's, None where there was no other."""
        now = self.champion.version if self.champion else None
        return next((version for version in reversed(self.champions) if version != now), None)


class AlreadyThere(Value, frozen=True, kw_only=True):
    """Nothing to write: the ledger says it already."""

    entry: Entry


class Stale(Value, frozen=True, kw_only=True):
    """Decided against a state that is no more; read the ledger and decide again."""

    reason: str


def fold(model: ModelName, raw: Sequence[bytes], *, tip: str | None = None, pinned: Head | None = None) -> LedgerState:
    """What the entries add up to, once their chain holds.

    Args:
        model: whose ledger it should be.
        raw: the bytes of all entries, in order.
        tip: the adapter's name for the place of the last one.
        pinned: the last entry that was seen here before.

    Raises:
        IntegrityError: the chain is broken, the pinned entry is not in it, or an entry speaks of
            a version that was never registered.
        RepositoryError: it is another model's ledger, or a newer ciml's.
    """
    name = f"ledger of {model}"
    entries: list[Entry] = []
    digests: list[Digest] = []
    for number, data in enumerate(raw, start=1):
        entry = decode(data, f"entry {number} of the {name}")
        before = digests[-1] if digests else None
        if entry.seq != number or entry.prev != before:
            raise IntegrityError(
                f"{name}: chain broken at entry {number}, which does not follow entry {number - 1}",
                hint="Somebody rewrote the ledger's branch. Restore it from a clone that has the old one.",
            )
        entries.append(entry)
        digests.append(digest_of(data))
    if pinned and (pinned.seq > len(digests) or digests[pinned.seq - 1] != pinned.digest):
        raise IntegrityError(
            f"{name}: chain broken at entry {pinned.seq}, which was read here before and is gone",
            hint="Somebody rewrote the ledger's branch. Restore it from a clone that has the old one.",
        )
    state = LedgerState(model=model, tip=tip)
    return _add(state, zip(entries, digests, strict=True))


def _add(state: LedgerState, linked: Iterable[tuple[Entry, Digest]]) -> LedgerState:
    """The state after these entries, which follow its head."""
    building = _Building(state)
    for entry, digest in linked:
        building.add(entry, digest)
    return building.state()


class _Building:
    """A state under construction: mutable, so that reading n entries takes n steps."""

    def __init__(self, state: LedgerState) -> None:
        self._fields = msgspec.structs.asdict(state)
        self._entries = list(state.entries)
        self._champions = list(state.champions)
        for name in ("versions", "identities", "recipes", "bytes", "verdicts", "overridden", "rights", "deployments"):
            self._fields[name] = dict(self._fields[name])

    def state(self) -> LedgerState:
        return LedgerState(**{**self._fields, "entries": tuple(self._entries), "champions": tuple(self._champions)})

    def add(self, entry: Entry, digest: Digest) -> None:
        fields = self._fields
        if not self._entries and not isinstance(entry, Genesis):
            raise IntegrityError(f"ledger of {fields['model']}: the first entry does not say whose ledger it is")
        self._entries.append(entry)
        fields["head"] = Head(seq=entry.seq, digest=digest)
        match entry:
            case Genesis():
                self._begin(entry)
            case Judgement():
                fields["verdicts"].setdefault(entry.key, entry)
            case Override():
                fields["overridden"].setdefault(entry.verdict, entry)
            case Registration():
                self._register(entry, digest)
            case Adoption():
                self._adopt(entry)
            case Promotion() | Rollback():
                self._enthrone(entry)
            case Deployment():
                self._known(entry.version, entry)
                fields["deployments"][entry.environment] = entry
            case _:
                assert_never(entry)

    def _begin(self, entry: Genesis) -> None:
        if entry.model != self._fields["model"]:
            raise RepositoryError(f"the ledger of {self._fields['model']} is that of another model, {entry.model}")
        if self._fields["registry"] is None:
            self._fields["registry"] = entry.registry

    def _register(self, entry: Registration, digest: Digest) -> None:
        # The first record of a recipe and of a number stands, whatever a broken writer added.
        if entry.recipe in self._fields["recipes"] or entry.version in self._fields["versions"]:
            return
        self._fields["versions"][entry.version] = entry
        self._fields["identities"][entry.version] = digest
        self._fields["recipes"][entry.recipe] = entry.version
        self._fields["bytes"].setdefault(entry.artifact.digest, entry.version)
        self._fields["rights"].clear()
        self._grant(entry)

    def _adopt(self, entry: Adoption) -> None:
        self._known(entry.version, entry)
        if entry.recipe not in self._fields["recipes"]:
            self._fields["recipes"][entry.recipe] = entry.version
            self._grant(entry)

    def _grant(self, entry: Registration | Adoption) -> None:
        champion = self._fields["champion"]
        if entry.may_promote and (champion is None or champion.version != entry.version):
            right = Right(seq=entry.seq, champion=entry.champion, verdict=entry.verdict)
            self._fields["rights"][entry.version] = right

    def _enthrone(self, entry: Promotion | Rollback) -> None:
        self._known(entry.version, entry)
        self._fields["rights"].clear()
        self._champions.append(entry.version)
        self._fields["champion"] = Champion(
            gen=len(self._champions),
            version=entry.version,
            identity=self._fields["identities"][entry.version],
            since=entry.at,
        )

    def _known(self, version: int, entry: Entry) -> None:
        if version not in self._fields["versions"]:
            raise IntegrityError(
                f"ledger of {self._fields['model']}: entry {entry.seq} speaks of version {version}, "
                "which was never registered"
            )


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
        case Deployment():
            serving = state.deployments.get(wanted.environment)
            same = serving is not None and (serving.version, serving.ref) == (wanted.version, wanted.ref)
            return AlreadyThere(entry=serving) if serving is not None and same else None
    assert_never(wanted)


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
                state = _add(state, [(entry, digest_of(data))])
    return Extension(entries=tuple(raw), state=state)
