from __future__ import annotations

import pytest

from ciml.core.approval import Review, Reviews, approval_refusal

APPROVED = Review(by="grace", environments=("Production",), approved=True)


def reviews(*said: Review) -> Reviews:
    """Of a run that ada began and bob ran again."""
    return Reviews(began=("ada", "bob"), said=said)


def test_somebody_else_has_approved() -> None:
    """One who neither began the run nor ran it again; the environment's name is compared as GitHub does."""
    assert approval_refusal("production", reviews(APPROVED)) is None


def test_each_deployment_of_a_run_takes_an_approval_of_its_own() -> None:
    """An old release that is run again brings an old version back: what was approved then does not count now."""
    refused = approval_refusal("production", reviews(APPROVED), used=1)
    assert refused is not None and "grace approved what this run deployed before" in refused.message
    own = Review(by="ada", environments=("production",), approved=True)
    assert approval_refusal("production", reviews(APPROVED, own), used=1) is not None
    assert approval_refusal("production", reviews(APPROVED, own, APPROVED), used=1) is None


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ((), "nobody has approved it"),
        ((Review(by="grace", environments=("staging",), approved=True),), "nobody has approved it"),
        ((Review(by="grace", environments=("production",), approved=False),), "nobody has approved it"),
        ((Review(by="Ada", environments=("production",), approved=True),), "Ada began this run and approved it too"),
        ((Review(by="bob", environments=("production",), approved=True),), "bob began this run and approved it too"),
    ],
)
def test_nobody_else_has(said: tuple[Review, ...], says: str) -> None:
    """Another environment was approved, or this one was not; or by whoever began the run, or ran it again."""
    refused = approval_refusal("production", reviews(*said))
    assert refused is not None
    assert says in refused.message
    assert refused.hint is not None and "production" in refused.hint


def test_by_hand() -> None:
    """Where no run deploys, nobody can have approved one; a person's word is asked for."""
    refused = approval_refusal("production", None)
    assert refused is not None
    assert refused.hint is not None and "--override --reason TEXT" in refused.hint
