"""Commits on branches that nobody has checked out."""

from __future__ import annotations

import os

import pytest

from ciml.adapters.git.branches import Branches, Pushed
from ciml.adapters.git.command import Git
from ciml.core.errors import ServiceError
from ciml.core.ids import RepoPath
from tests.repobuilder import RepoBuilder


def branches(repo: RepoBuilder, remote: str | None = "origin") -> Branches:
    return Branches(Git(str(repo.path), {**repo.env, "HOME": str(repo.path)}), remote)


FILES = {RepoPath("data/raw.manifest.yaml"): b"new\n"}


def test_a_commit_beside_everything(repo: RepoBuilder) -> None:
    """It changes the named files alone; index, work tree and refs are as they were."""
    first = repo.commit({"a": "1", "data/raw.manifest.yaml": "old\n"})
    (repo.path / "a").write_text("dirty")
    refs = repo.git("for-each-ref")
    new = branches(repo).commit(first, FILES, "data: raw\n\nmore\n")
    assert repo.git("show", "--format=%P %s", "--name-only", new).split() == [first, "data:", "raw", *FILES]
    assert repo.git("show", f"{new}:data/raw.manifest.yaml") == "new"
    assert repo.git("for-each-ref") == refs
    assert repo.git("status", "--porcelain").strip() == "M a"


@pytest.mark.parametrize("name", ['we"ird\\x', "a b", "ä/ü", os.fsdecode(b"\xff\xfe"), "tab\there"])
def test_names(repo: RepoBuilder, name: str) -> None:
    """Any name that Git can hold."""
    first = repo.commit({"a": "1"})
    new = branches(repo).commit(first, {RepoPath(name): b"x"}, "names")
    assert repo.git("ls-tree", "-r", "-z", "--name-only", new).split("\0")[:-1] == sorted(["a", name])


def test_who_commits(repo: RepoBuilder) -> None:
    """Whoever Git's configuration names; ciml where it names nobody."""
    first = repo.commit({"a": "1"})
    assert (
        repo.git("log", "-1", "--format=%cn <%ce>", branches(repo).commit(first, FILES, "x")) == "Ada <ada@example.com>"
    )
    nobody = {name: value for name, value in repo.env.items() if not name.startswith(("GIT_COMMITTER", "GIT_AUTHOR"))}
    repo.git("config", "user.useConfigOnly", "true")
    made = Branches(Git(str(repo.path), nobody), None).commit(first, FILES, "x")
    assert repo.git("log", "-1", "--format=%an <%ae>", made) == "ciml <ciml@users.noreply.github.com>"


def test_pushes(repo: RepoBuilder) -> None:
    """On top of what was read it is done; where the branch has moved it is lost, and moves nothing."""
    first = repo.commit({"a": "1"})
    origin = repo.bare_origin()
    mine = branches(repo)
    assert mine.tip("main") == first
    assert mine.tip("none") is None
    one, other = (mine.commit(first, {RepoPath("f"): text}, "x") for text in (b"1", b"2"))
    assert mine.push(one, "main", expected=first).pushed is Pushed.DONE
    assert mine.push(other, "main", expected=first).pushed is Pushed.LOST
    assert origin.git("rev-parse", "main") == one == mine.tip("main")


def test_a_branch_of_one_s_own_is_replaced(repo: RepoBuilder) -> None:
    """Only from where it was read: a lease, not force."""
    first = repo.commit({"a": "1"})
    origin = repo.bare_origin()
    mine = branches(repo)
    one, two, three = (mine.commit(first, {RepoPath("f"): text}, "x") for text in (b"1", b"2", b"3"))
    assert mine.push(one, "ciml/data/main", expected=None, replace=True).pushed is Pushed.DONE
    assert mine.push(two, "ciml/data/main", expected=one, replace=True).pushed is Pushed.DONE
    assert mine.push(three, "ciml/data/main", expected=one, replace=True).pushed is Pushed.LOST
    assert mine.push(three, "ciml/data/main", expected=None, replace=True).pushed is Pushed.LOST
    assert origin.git("rev-parse", "ciml/data/main") == two


@pytest.mark.parametrize("words", ["GH006: Protected branch update failed", "GH013: Repository rule violations found"])
def test_a_refusal_in_the_remote_s_words(repo: RepoBuilder, words: str) -> None:
    """It is told without Git's advice around it."""
    first = repo.commit({"a": "1"})
    hook = repo.bare_origin().path / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\necho "error: {words}" >&2\nexit 1\n')
    hook.chmod(0o755)
    mine = branches(repo)
    outcome = mine.push(mine.commit(first, FILES, "x"), "main", expected=first)
    assert outcome.pushed is Pushed.REFUSED
    assert words in outcome.said
    assert "hint" not in outcome.said


def test_a_remote_that_is_gone(repo: RepoBuilder) -> None:
    """A service error says which remote; the address shows no password."""
    first = repo.commit({"a": "1"})
    repo.git("remote", "add", "origin", f"file://{repo.path}/gone")
    mine = branches(repo)
    with pytest.raises(ServiceError, match="origin cannot be read"):
        mine.tip("main")
    with pytest.raises(ServiceError, match="main cannot be pushed to origin"):
        mine.push(first, "main", expected=first)


def test_a_clone_of_its_own(repo: RepoBuilder) -> None:
    """Without a remote: the branch that is checked out moves with its files, another one without."""
    first = repo.commit({"a": "1"})
    mine = branches(repo, None)
    new = mine.commit(first, FILES, "x")
    assert mine.push(new, "main", expected=first).pushed is Pushed.DONE
    assert repo.head() == new
    assert (repo.path / "data/raw.manifest.yaml").read_bytes() == b"new\n"
    repo.branch("work", first)
    third = mine.commit(new, {RepoPath("f"): b"1"}, "x")
    assert mine.push(third, "main", expected=first).pushed is Pushed.LOST
    assert mine.push(third, "main", expected=new).pushed is Pushed.DONE
    assert (repo.head(), mine.tip("main")) == (first, third)


def test_what_killed_calls_left_is_removed(repo: RepoBuilder) -> None:
    """The next commit takes refs away that nobody will ever."""
    first = repo.commit({"a": "1"})
    repo.git("update-ref", "refs/ciml/data/0123", first)
    branches(repo).commit(first, FILES, "x")
    assert "refs/ciml/data" not in repo.git("for-each-ref")
