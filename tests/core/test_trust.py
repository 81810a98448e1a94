"""Who may register."""

from __future__ import annotations

import msgspec

from ciml.core.errors import RepositoryError, TrustError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.trust import Standing, refusal

HEAD = CommitSha("a" * 40)
OTHER = CommitSha("b" * 40)
PUSHED = Standing(head=HEAD, dirty=(), shared=True, default_branch="main", default_head=HEAD)


def changed(**fields: object) -> Standing:
    return msgspec.structs.replace(PUSHED, **fields)


def test_the_pushed_head_may_register() -> None:
    """A clean tree at the default branch's pushed head."""
    assert refusal(PUSHED) is None


def test_a_dirty_tree_never_may() -> None:
    """A registration from a dirty work tree is exit 4 and names the files, also with the embedded registry."""
    dirty = tuple(RepoPath(f"src/{name}.py") for name in "abcd")
    for shared in (True, False):
        refused = refusal(changed(dirty=dirty, shared=shared))
        assert isinstance(refused, RepositoryError)
        assert "src/a.py, src/b.py, src/c.py, …" in refused.message


def test_nothing_may_before_the_first_commit() -> None:
    """A version names a commit."""
    assert isinstance(refusal(changed(head=None)), RepositoryError)


def test_c012_the_remote_is_the_proof_not_a_variable() -> None:
    """GITHUB_REF spoofed in local env → trust needs proof by the remote, not env; exit 6."""
    for known in (OTHER, None):
        refused = refusal(changed(default_head=known))
        assert isinstance(refused, TrustError)
        assert "is not the pushed head of main" in refused.message


def test_an_embedded_registry_is_the_users_own() -> None:
    """Without a shared registry any clean commit may register."""
    assert refusal(changed(shared=False, default_head=None)) is None


def test_the_run_of_an_earlier_push_may_register() -> None:
    """The remote's default branch has the commit, and has moved on meanwhile."""
    assert refusal(changed(default_head=OTHER, contained=True)) is None
    assert isinstance(refusal(changed(default_head=OTHER, contained=True, dirty=("a",))), RepositoryError)


def test_an_event_that_may_not_register() -> None:
    """Of a pull request nothing is registered, also where its head is the default branch's."""
    for shared in (True, False):
        assert isinstance(refusal(changed(allowed=False, shared=shared)), TrustError)
