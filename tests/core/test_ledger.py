"""What a ledger adds up to, what may follow, and what breaks its chain."""

from __future__ import annotations

import pytest

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
from ciml.core.errors import CimlError, IntegrityError, RepositoryError
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.ledger import LedgerState, fold
from ciml.core.results import Output
from ciml.core.succession import AlreadyThere, Extension, Stale, extend, next_entry
from ciml.core.verdict import Finding, Status, Verdict

CHURN = ModelName("churn")
REJECTED = Verdict(
    model=CHURN,
    status=Status.REJECTED,
    reason="auc is too low",
    findings=(Finding(check="auc >= 0.8", passed=False, left=0.7, right=0.8, detail="", comparison=False),),
    notes=(),
    hint=None,
    tested=True,
    metrics={"auc": 0.7},
    champion=None,
)
GENESIS = Genesis(nonce="g", model=CHURN, registry="https://mlflow.example")


def hexes(text: str) -> Digest:
    return digest_of(text.encode())


def registration(version: int, champion: Digest | None = None, **more: object) -> Registration:
    fields: dict[str, object] = {
        "nonce": f"n{version}",
        "version": version,
        "recipe": hexes(f"recipe {version}"),
        "artifact": Output(path=RepoPath("model"), digest=hexes(f"bytes {version}"), size=1),
        "run": "run",
        "row": f"row{version}",
        "created": 1000 + version,
        "champion": champion,
    }
    return Registration(**{**fields, **more})  # type: ignore[arg-type]


def promotion(version: int, champion: Digest | None = None, *, by_hand: bool = False) -> Promotion:
    return Promotion(nonce="p", gen=0, version=version, champion=champion, by_hand=by_hand)


class Chain:
    """A ledger in memory, whose every entry is linked by the shipped rule."""

    def __init__(self, *entries: Entry) -> None:
        self.raw: list[bytes] = []
        self.add(GENESIS, *entries)

    @property
    def state(self) -> LedgerState:
        return fold(CHURN, self.raw)

    def add(self, *entries: Entry) -> None:
        before = fold(CHURN, self.raw) if self.raw else LedgerState(model=CHURN)
        extension = extend(before, entries)
        assert isinstance(extension, Extension), extension
        self.raw += extension.entries
        assert self.state == extension.state

    def refused(self, entry: Entry) -> str:
        stale = next_entry(self.state, entry)
        assert isinstance(stale, Stale), stale
        return stale.reason


def test_entries_read_back_as_they_were_written() -> None:
    """Bytes are canonical: an entry decoded and encoded again has the same bytes."""
    chain = Chain(registration(1), promotion(1))

    for number, data in enumerate(chain.raw, start=1):
        assert encode(decode(data, f"entry {number}")) == data


def test_what_a_newer_ciml_added_to_an_entry_does_not_break_the_chain() -> None:
    """Unknown fields are covered by the digest and otherwise left aside; an unknown kind says to upgrade."""
    newer = Chain().raw[0][:-2] + b',"zebra":1}\n'

    assert fold(CHURN, [newer]).head == Head(seq=1, digest=digest_of(newer))
    with pytest.raises(RepositoryError, match="does not know") as caught:
        decode(b'{"kind":"zebra","nonce":""}', "entry 1")
    assert caught.value.hint is not None and "Upgrade" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"kind":"genesis"}', b'{"kind":3}'])
def test_what_is_no_entry_is_an_integrity_error(data: bytes) -> None:
    """Torn, empty and foreign files are named; nothing is guessed from them."""
    with pytest.raises(IntegrityError, match="entry 7 is not an entry"):
        decode(data, "entry 7")


def test_versions_recipes_and_bytes_are_known() -> None:
    """A registration makes a version, an adoption adds a recipe to it."""
    chain = Chain(registration(1), Adoption(nonce="a", version=1, recipe=hexes("comment")))
    state = chain.state

    assert state.recipes == {hexes("recipe 1"): 1, hexes("comment"): 1}
    assert state.bytes == {hexes("bytes 1"): 1}
    assert state.identities[1] == digest_of(chain.raw[1])


def test_a_recipe_is_registered_once() -> None:
    """A second registration of a recipe is there already, whatever version it names."""
    chain = Chain(registration(1))

    there = next_entry(chain.state, registration(2, recipe=hexes("recipe 1")))
    assert isinstance(there, AlreadyThere)
    assert there.entry == chain.state.versions[1]


def test_equal_bytes_and_used_numbers_are_stale() -> None:
    """Bytes that a version has are for adoption, and a number that a record names is not named again."""
    chain = Chain(registration(1))

    assert "same bytes" in chain.refused(registration(2, artifact=chain.state.versions[1].artifact))
    assert "another recipe" in chain.refused(registration(1, recipe=hexes("other"), artifact=registration(3).artifact))


def test_a_promotion_names_the_champion_it_was_judged_against() -> None:
    """Where another champion has come, a registration and a promotion are stale, and by whom is said."""
    chain = Chain(registration(1), promotion(1))
    first = chain.state.champion_identity

    assert "moved: it is version 1" in chain.refused(registration(2, champion=None))
    chain.add(registration(2, champion=first), registration(3, champion=first), promotion(3, first))
    assert "moved: it is version 3" in chain.refused(promotion(2, first, by_hand=True))
    assert chain.state.champion is not None and chain.state.champion.gen == 2


def test_the_promotion_right_is_used_up() -> None:
    """A promotion, a rollback or a later registration uses it up; an adoption that passed gives it again."""
    chain = Chain(registration(1))
    assert chain.state.may_promote(1)
    chain.add(promotion(1))
    first = chain.state.champion_identity
    assert not chain.state.may_promote(1)

    chain.add(registration(2, champion=first))
    assert chain.state.may_promote(2)
    chain.add(registration(3, champion=first))
    assert not chain.state.may_promote(2)
    assert "no right" in chain.refused(promotion(2, first))

    chain.add(promotion(3, first))
    third = chain.state.champion_identity
    chain.add(Rollback(nonce="r", gen=3, version=1, previous=3, champion=third))
    assert chain.state.champion_identity == first
    assert not chain.state.may_promote(3)

    chain.add(Adoption(nonce="a", version=3, recipe=hexes("comment"), champion=first))
    assert chain.state.may_promote(3)
    chain.add(promotion(3, first))
    assert chain.state.champions == (1, 3, 1, 3)


def test_a_person_may_promote_any_registered_version() -> None:
    """By hand no right is needed, only a version and the champion that the person saw."""
    chain = Chain(registration(1), promotion(1))
    first = chain.state.champion_identity
    chain.add(registration(2, champion=first), registration(3, champion=first))

    chain.add(promotion(2, first, by_hand=True))
    assert chain.state.champion is not None and chain.state.champion.version == 2
    assert "is not registered" in chain.refused(promotion(9, chain.state.champion_identity, by_hand=True))


def test_the_champion_is_not_promoted_again() -> None:
    """A promotion of the champion is there already."""
    chain = Chain(registration(1), promotion(1))

    assert isinstance(next_entry(chain.state, promotion(1)), AlreadyThere)


def test_the_recorded_verdict_stands() -> None:
    """The first verdict of a key is the verdict; an override of it is recorded once."""
    verdict = Judgement(nonce="v", key=hexes("key"), recipe=hexes("r"), policy=hexes("p"), verdict=REJECTED)
    override = Override(nonce="o", recipe=hexes("r"), verdict=hexes("key"), outcome=REJECTED.status, reason="trial")
    chain = Chain(verdict, override)

    assert next_entry(chain.state, verdict) == AlreadyThere(entry=chain.state.verdicts[hexes("key")])
    assert isinstance(next_entry(chain.state, override), AlreadyThere)
    assert chain.state.overridden[hexes("key")].reason == "trial"


def test_deployments_are_known_by_environment() -> None:
    """The last deployment of an environment is what serves there; the same again is there already."""
    deployed = Deployment(nonce="d", environment="production", version=1, artifact=hexes("bytes 1"), ref="v1")
    chain = Chain(registration(1), deployed)

    assert chain.state.deployments["production"].version == 1
    assert isinstance(next_entry(chain.state, deployed), AlreadyThere)


def test_c159_a_rewritten_ledger_is_a_broken_chain() -> None:
    """Ledger ref rewritten (force push) → exit 7 "chain broken at …"; a pinned head prevents silent rollback."""
    chain = Chain(registration(1), promotion(1))
    head = chain.state.head
    other = Chain(registration(4), promotion(4))

    for raw in (chain.raw[:1] + chain.raw[2:], [chain.raw[1]], [chain.raw[0], other.raw[1], chain.raw[2]]):
        with pytest.raises(IntegrityError, match="chain broken at entry"):
            fold(CHURN, raw)
    for raw in (chain.raw[:-1], other.raw, []):
        with pytest.raises(IntegrityError, match="chain broken at entry 3, which was read here before"):
            fold(CHURN, raw, pinned=head)
    assert fold(CHURN, chain.raw, pinned=head) == chain.state


def test_c159_every_flipped_bit_is_found_or_changes_only_the_last_entry() -> None:
    """A changed bit in any entry but the last breaks the chain; in the last it changes the head's digest."""
    chain = Chain(registration(1), promotion(1))
    head = chain.state.head
    for number, data in enumerate(chain.raw):
        for place in range(len(data)):
            flipped = bytearray(data)
            flipped[place] ^= 1 << place % 8
            with pytest.raises(CimlError):
                fold(CHURN, [*chain.raw[:number], bytes(flipped), *chain.raw[number + 1 :]], pinned=head)


def test_c160_order_comes_from_the_chain_not_from_the_clock() -> None:
    """Clock skew between runners ±1 h → order from ledger chain, not time."""
    late, early = "2026-01-01T13:00:00Z", "2026-01-01T11:00:00Z"
    chain = Chain(registration(1, at=late), registration(2, at=early))

    assert chain.state.may_promote(2)
    assert not chain.state.may_promote(1)


def test_another_models_ledger_is_refused() -> None:
    """A ledger names its model; without that it is no ledger."""
    linked = next_entry(LedgerState(model=CHURN), GENESIS)
    assert isinstance(linked, Genesis)

    with pytest.raises(RepositoryError, match="another model, churn"):
        fold(ModelName("fraud"), [encode(linked)])
    lone = next_entry(LedgerState(model=CHURN), promotion(1, by_hand=True))
    assert isinstance(lone, Stale)
    with pytest.raises(IntegrityError, match="does not say whose"):
        fold(CHURN, [encode(registration(1, seq=1))])


def test_an_entry_about_an_unknown_version_is_an_integrity_error() -> None:
    """A chain that holds may still be nonsense: a promotion of what was never registered is not believed."""
    chain = Chain()
    head = chain.state.head
    assert head is not None
    nonsense = Promotion(nonce="p", seq=2, prev=head.digest, gen=1, version=7)

    with pytest.raises(IntegrityError, match="version 7, which was never registered"):
        fold(CHURN, [*chain.raw, encode(nonsense)])
