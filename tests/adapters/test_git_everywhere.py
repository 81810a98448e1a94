from __future__ import annotations

from ciml.adapters.git.everywhere import all_commits
from ciml.adapters.git.repository import Repository
from tests.repobuilder import RepoBuilder


def test_c075_commits_of_all_branches_are_seen_with_their_trees(repo: RepoBuilder) -> None:
    """Two branches with identical trees: both commits are listed, and their trees are equal; ledgers are left out."""
    base = repo.commit({"train.py": "print(1)"})
    one = repo.commit({"train.py": "print(2)"})
    repo.git("switch", "-q", "-c", "other", base)
    two = repo.commit({"train.py": "print(2)"})
    repo.git("switch", "-q", "--orphan", "ciml/ledger/churn")
    ledger = repo.commit({"00000001.json": "{}"})
    repo.git("switch", "-q", "--detach", base)
    detached = repo.commit({"words": "x"})

    with Repository.open(str(repo.path), repo.env) as repository:
        found = {commit.sha: commit.tree for commit in all_commits(repository, limit=100)}
        assert len(all_commits(repository, limit=2)) == 2

    assert found.keys() == {base, one, two, detached}
    assert found[one] == found[two]
    assert ledger not in found


def test_before_the_first_commit_there_is_none(repo: RepoBuilder) -> None:
    """An empty repository is no error."""
    with Repository.open(str(repo.path), repo.env) as repository:
        assert all_commits(repository, limit=10) == []
