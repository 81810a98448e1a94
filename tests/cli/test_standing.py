"""Who may register, as the remote itself says."""

from __future__ import annotations

import msgspec
import pytest

from ciml.cli.registry import Registries
from ciml.core.errors import TrustError
from ciml.core.trust import Standing, refusal
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

CIML = "version: 1\nstages: {train: {run: cp a m, inputs: [a], outputs: [m]}}\nmodels: {m: {path: m}}\n"


@pytest.fixture
def origin(repo: RepoBuilder) -> RepoBuilder:
    """A remote whose main has three commits, and whose branch topic has one more."""
    for number in range(3):
        repo.commit({"ciml.yaml": CIML, "a": str(number)})
    repo.branch("topic")
    repo.commit({"a": "topic"})
    repo.switch("main")
    return repo.bare_origin()


def standing(clone: RepoBuilder, *, of_push: bool) -> Standing:
    """Where a clone stands that would register in a registry of others."""
    with Workspace(clone).project() as (place, project):
        shared = msgspec.structs.replace(project.pipeline, registry="http://registry.example")
        registries = Registries(place, shared, {}, in_ci=True, of_push=of_push)
        return registries.standing(place.repository.head(), ())


@pytest.mark.parametrize("depth", [None, 1], ids=["whole", "shallow"])
def test_the_run_of_an_earlier_push_may_register(origin: RepoBuilder, repo: RepoBuilder, depth: int | None) -> None:
    """The next push came while it ran: the remote's default branch has its commit all the same."""
    clone = origin.clone(depth=depth)
    repo.commit({"a": "later"})
    repo.commit({"a": "latest"})
    repo.git("push", "-q", "origin", "main")

    found = standing(clone, of_push=True)
    assert found.default_head == repo.head() != found.head
    assert refusal(found) is None
    assert isinstance(refusal(standing(clone, of_push=False)), TrustError)


@pytest.mark.parametrize("depth", [None, 1], ids=["whole", "shallow"])
def test_c012_a_spoofed_push_of_a_commit_that_main_has_not(origin: RepoBuilder, depth: int | None) -> None:
    """GITHUB_REF spoofed to refs/heads/main → trust needs the remote's proof, not env; exit 6; R0."""
    clone = origin.clone(depth=depth, branch="topic")
    refused = refusal(standing(clone, of_push=True))
    assert isinstance(refused, TrustError)
    assert "is not the pushed head of main" in refused.message


def test_c012_a_commit_that_nobody_pushed(origin: RepoBuilder) -> None:
    """On top of main, and only here."""
    clone = origin.clone()
    clone.commit({"a": "mine"})
    assert isinstance(refusal(standing(clone, of_push=True)), TrustError)


def test_c047_what_a_force_push_has_taken_back_may_not_register(origin: RepoBuilder, repo: RepoBuilder) -> None:
    """Its run goes on, and what it made is nobody's any more."""
    clone = origin.clone()
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.commit({"a": "instead"})
    repo.git("push", "-q", "--force", "origin", "main")
    assert isinstance(refusal(standing(clone, of_push=True)), TrustError)


def test_the_head_itself_may_register(origin: RepoBuilder) -> None:
    """Whichever way it is asked."""
    clone = origin.clone()
    for of_push in (True, False):
        assert refusal(standing(clone, of_push=of_push)) is None
