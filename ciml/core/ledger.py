"""The append-only history of one model and what it adds up to, as a pure function of its entries.

What may come next is in `ciml.core.succession`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from ciml.core.entries import (
    Adoption,
    Deployment,
    Entry,
    FailedDeployment,
    Genesis,
    Head,
    Judgement,
    Override,
    Promotion,
    Registration,
    Rollback,
    decode,
    digest_of,
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
    unsettled: dict[str, FailedDeployment] = {}
    """Environment -> the deployment that failed last and left nobody knows what serving."""

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
            hint="Somebody rewrote or deleted the ledger's branch. `git for-each-ref refs/ciml/pins` names what this "
            "clone read last: restore the branch to that.",
        )
    state = LedgerState(model=model, tip=tip)
    return add(state, zip(entries, digests, strict=True))


def add(state: LedgerState, linked: Iterable[tuple[Entry, Digest]]) -> LedgerState:
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
        for name, value in self._fields.items():
            if isinstance(value, dict):
                self._fields[name] = dict(value)

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
                fields["unsettled"].pop(entry.environment, None)
            case FailedDeployment():
                self._fail(entry)
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

    def _fail(self, entry: FailedDeployment) -> None:
        self._known(entry.version, entry)
        if entry.restored:
            self._fields["unsettled"].pop(entry.environment, None)
        else:
            self._fields["unsettled"][entry.environment] = entry

    def _known(self, version: int, entry: Entry) -> None:
        if version not in self._fields["versions"]:
            raise IntegrityError(
                f"ledger of {self._fields['model']}: entry {entry.seq} speaks of version {version}, "
                "which was never registered"
            )
