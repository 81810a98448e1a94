from __future__ import annotations

import hashlib
import itertools

import msgspec
import pytest

from ciml.core.entries import Deployment, FailedDeployment
from ciml.core.errors import IntegrityError, TrustError
from ciml.core.ids import CommitSha, Digest, ModelName
from ciml.core.ledger import LedgerState
from ciml.core.provenance import LOCAL_BUILDER
from ciml.core.verification import (
    Evidence,
    Signature,
    Signed,
    counted,
    faults,
    overridden,
    refusal,
    same_repository,
    tag_refusal,
    trusted_builder,
    web_address,
)

GOOD = Signed(state=Signature.GOOD, who="release@acme.example")
SOUND = Evidence(
    subject="churn version 3",
    tag=GOOD,
    tag_name="v1",
    provenance=GOOD,
    statement=None,
    elsewhere=None,
    registry=None,
    recipe=None,
    let_through=True,
)
OF_TRUST = (Signature.ABSENT, Signature.UNKNOWN, Signature.EXPIRED, Signature.FOREIGN)
OF_INTEGRITY = (Signature.BROKEN, Signature.ELSEWHERE)


def but(**what: object) -> Evidence:
    return msgspec.structs.replace(SOUND, **what)


def test_nothing_speaks_against_what_is_sound() -> None:
    """Signed by those who count, or signed by nobody where nothing has to be signed."""
    assert refusal(SOUND, override=False) is None
    assert refusal(but(tag=None, provenance=None), override=False) is None
    assert overridden(SOUND) == ""


@pytest.mark.parametrize("state", OF_TRUST)
@pytest.mark.parametrize("what", ["tag", "provenance"])
def test_nobody_who_counts_has_signed(what: str, state: Signature) -> None:
    """Exit 6, and a person may override it; the ledger gets what was overridden."""
    evidence = but(**{what: Signed(state=state, who="somebody")})
    error = refusal(evidence, override=False)

    assert isinstance(error, TrustError)
    assert "--override --reason TEXT" in (error.hint or "")
    assert refusal(evidence, override=True) is None
    assert overridden(evidence) == error.message


@pytest.mark.parametrize(
    "evidence",
    [
        *(but(tag=Signed(state=state, who="v0")) for state in OF_INTEGRITY),
        but(provenance=Signed(state=Signature.BROKEN)),
        but(statement="the provenance does not hold"),
        but(registry="registry version 3 is gone"),
        but(recipe="the commit does not ask for it"),
        but(let_through=False),
    ],
)
def test_what_is_not_what_was_recorded(evidence: Evidence) -> None:
    """Exit 7 whatever a person says."""
    assert isinstance(refusal(evidence, override=False), IntegrityError)
    assert isinstance(refusal(evidence, override=True), IntegrityError)
    assert overridden(evidence) == ""


def test_another_repository() -> None:
    """A provenance of another repository is a fault of trust: this one may have been renamed."""
    evidence = but(elsewhere="https://forge.example/acme/old")
    assert isinstance(refusal(evidence, override=False), TrustError)
    assert refusal(evidence, override=True) is None


def test_every_combination_is_decided_by_its_gravest_fault() -> None:
    """Of all combinations of evidence: one integrity fault is exit 7, else one trust fault exit 6, else none."""
    signatures = [None, *(Signed(state=state, who="x") for state in Signature)]
    texts = (None, "wrong")
    seen = 0
    for tag, proof, statement, elsewhere, registry, recipe, through, override in itertools.product(
        signatures, signatures, texts, texts, texts, texts, (True, False), (True, False)
    ):
        evidence = but(
            tag=tag,
            provenance=proof,
            statement=statement,
            elsewhere=elsewhere,
            registry=registry,
            recipe=recipe,
            let_through=through,
        )
        states = [signed.state for signed in (tag, proof) if signed]
        broken = any(state in OF_INTEGRITY for state in states) or not through or statement or registry or recipe
        doubtful = any(state in OF_TRUST for state in states) or elsewhere
        error = refusal(evidence, override=override)
        expected = IntegrityError if broken else TrustError if doubtful and not override else None
        assert type(error) is (expected or type(None)), evidence
        assert bool(overridden(evidence)) == bool(doubtful)
        assert [fault.trust for fault in faults(evidence)] == sorted(fault.trust for fault in faults(evidence))
        seen += 1
    assert seen == 64 * 64


# Tags.

ONE, TWO = CommitSha("1" * 40), CommitSha("2" * 40)
DIGEST = Digest(hashlib.sha256(b"").hexdigest())


def state(*entries: Deployment | FailedDeployment) -> LedgerState:
    return LedgerState(model=ModelName("churn"), entries=entries)


def entry(ref: str, commit: CommitSha) -> Deployment:
    return Deployment(nonce="n", environment="production", version=1, artifact=DIGEST, ref=ref, commit=commit)


def why(
    commit: CommitSha,
    states: list[LedgerState],
    *,
    moves: bool = False,
    on_branch: bool | None = True,
    branch: str = "main",
) -> str:
    error = tag_refusal("v1", commit, states, moves=moves, on_branch=on_branch, branch=branch)
    return error.message if error else ""


def test_c050_a_tag_off_the_branch() -> None:
    """Refused where the branch is known not to have it; where there is no remote, nobody can say."""
    assert why(ONE, [], on_branch=False).startswith("tag commit not on a protected branch: v1 names 111111111111")
    assert why(ONE, [], on_branch=False, branch="").endswith("and `origin` names no default branch")
    assert why(ONE, [], on_branch=None) == why(ONE, [], on_branch=True) == ""
    assert why(ONE, [], on_branch=False, moves=True) != ""


def test_c051_a_tag_that_was_moved() -> None:
    """By any ledger's word, also of a deployment that failed; unless its name says that it moves."""
    failed = FailedDeployment(nonce="n", environment="e", version=1, artifact=DIGEST, ref="v1", commit=ONE)
    assert (
        why(TWO, [state(), state(entry("v0", TWO), entry("v1", ONE))]) == f"tag v1 now points elsewhere; recorded {ONE}"
    )
    assert why(TWO, [state(failed)]) != ""
    assert why(ONE, [state(entry("v1", ONE), entry("v2", TWO))]) == ""
    assert why(TWO, [state(entry("v1", ONE))], moves=True) == ""


# Whose word counts.


def test_c149_no_commit_vouches_for_its_own_signer() -> None:
    """Of the branch's lines those that the released commit's parent had too, where that commit changed the file."""
    now = "a@x ssh-ed25519 AAAA\nb@x ssh-ed25519 BBBB"
    assert counted(now, None) == f"{now}\n"
    assert counted(now, "a@x ssh-ed25519 AAAA\nc@x ssh-ed25519 CCCC\n") == "a@x ssh-ed25519 AAAA\n"
    assert counted(now, "") == ""


@pytest.mark.parametrize(
    ("builder", "trusted"),
    [
        (LOCAL_BUILDER, True),
        ("https://github.com/acme/churn/.github/workflows/ciml.yml@refs/heads/main", True),
        ("https://github.com/acme/churn/.github/workflows/ciml.yml@refs/heads/other", False),
        ("https://github.com/acme/churn/.github/workflows/ciml.yml@refs/pull/1/merge", False),
        ("https://github.com/evil/churn/.github/workflows/ciml.yml@refs/heads/main", False),
        ("https://github.com/acme/churn-evil/.github/workflows/ciml.yml@refs/heads/main", False),
        ("", False),
    ],
)
def test_builders(builder: str, trusted: bool) -> None:
    """A person with the signing key, or the repository's own workflow on its default branch."""
    assert trusted_builder(builder, "https://github.com/acme/churn", "main") is trusted
    assert trusted_builder(builder, "", "main") is (builder == LOCAL_BUILDER)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/acme/churn", "https://github.com/acme/churn"),
        ("https://token@github.com/acme/churn.git", "https://github.com/acme/churn"),
        ("git@github.com:acme/churn.git", "https://github.com/acme/churn"),
        ("ssh://git@github.com/acme/churn", "https://github.com/acme/churn"),
        ("ssh://git@forge.example:2222/acme/churn.git/", "https://forge.example/acme/churn"),
        ("http://forge.example/acme/churn", "https://forge.example/acme/churn"),
        ("/srv/git/churn.git", ""),
        ("file:///srv/git/churn.git", ""),
        ("", ""),
    ],
)
def test_addresses(remote: str, address: str) -> None:
    """One address for a repository, however it is reached; none for one that is a folder."""
    assert web_address(remote) == address
    assert same_repository(remote, remote)
    assert same_repository(remote, "https://github.com/acme/churn") is (address == "https://github.com/acme/churn")
