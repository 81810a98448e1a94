"""Files that Git does not track, and that count all the same once they are admitted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ciml.adapters.git.repository import Repository
from ciml.adapters.git.worktree import WorkTree
from ciml.core.ids import RepoPath
from ciml.core.tree import LINK
from tests.repobuilder import RepoBuilder


def work_tree(repo: RepoBuilder) -> WorkTree:
    return Repository.open(str(repo.path), repo.env).work_tree()


def paths(*names: str) -> list[RepoPath]:
    return [RepoPath(name) for name in names]


def test_at_and_below_several_paths(repo: RepoBuilder) -> None:
    """Each path is a file or a folder; what is tracked, ignored or elsewhere is left out; paths are literal."""
    repo.commit({"d/old": "", ".gitignore": "*.log\n"})
    repo.write({"d/new": "", "d/x.log": "", "f": "", "g": "", "*": ""})
    tree = work_tree(repo)
    assert tree.untracked(*paths("d", "f", "none")) == ["d/new", "f"]
    assert tree.untracked(RepoPath("*")) == ["*"]
    assert tree.untracked() == tree.untracked(RepoPath("none")) == []


def test_paths_beyond_links_and_in_submodules(repo: RepoBuilder, tmp_path: Path) -> None:
    """What lies there is no file of this repository: nothing, and no error."""
    library = RepoBuilder(tmp_path / "library")
    library.commit({"x": ""})
    repo.commit({"real/a": "", "link": "real"}, modes={"link": LINK})
    repo.git("submodule", "add", "-q", str(library.path), "sub")
    repo.git("commit", "-qm", "submodule")
    repo.write({"real/new": ""})
    (repo.path / "sub/new").write_text("")
    assert work_tree(repo).untracked(*paths("link/new", "link/a", "sub/new", "sub")) == []


@pytest.mark.parametrize("many", [3, 700])
def test_few_and_many_paths_have_one_answer(repo: RepoBuilder, many: int) -> None:
    """However the question is put to Git."""
    repo.commit({"x": ""})
    repo.write({**{f"d{number}/x": "" for number in range(many)}, "other": ""})
    asked = paths(*(f"d{number}" for number in range(many)))
    assert work_tree(repo).untracked(*asked) == sorted(f"d{number}/x" for number in range(many))


def test_what_is_ignored(repo: RepoBuilder) -> None:
    """The file itself, or something below the folder."""
    repo.commit({".gitignore": "*.log\n/whole/\n", "d/kept": ""})
    repo.write({"x.log": "", "d/y.log": "", "whole/z": "", "plain": ""})
    tree = work_tree(repo)
    asked = ("x.log", "d", "whole", "whole/z", "plain", "d/kept", "none")
    assert [path for path in paths(*asked) if tree.ignores(path)] == ["x.log", "d", "whole", "whole/z"]


def test_an_admitted_file_is_as_if_it_were_added(repo: RepoBuilder) -> None:
    """The same entries, listings and object ids of folders as after `git add`; dirty."""
    repo.commit({"d/old": "", "top": ""})
    new = {"d/deep/new": "1", "run.sh": "#!/bin/sh", "l": "top"}
    repo.write(new, modes={"run.sh": 0o755, "l": LINK})
    tree = work_tree(repo)
    assert tree.dirty == frozenset()
    tree.admit(paths(*new))
    assert tree.dirty == frozenset(new)
    asked = paths("", "d", "d/deep", *new)
    admitted, listed = tree.entries(asked), tree.files(RepoPath(""))
    repo.git("add", "-A")
    added = work_tree(repo)
    assert added.entries(asked) == admitted
    assert added.files(RepoPath("")) == listed
    assert admitted[RepoPath("")].oid == repo.git("write-tree")
    assert tree.fetch(admitted[RepoPath("d/deep/new")]) == b"1"


def test_what_is_neither_file_nor_link_is_not_admitted(repo: RepoBuilder) -> None:
    """A pipe, a folder, nothing at all."""
    repo.commit({"x": ""})
    os.mkfifo(repo.path / "pipe")
    (repo.path / "folder").mkdir()
    tree = work_tree(repo)
    tree.admit(paths("pipe", "folder", "none"))
    assert tree.dirty == frozenset()
    assert tree.entries(paths("pipe", "folder", "none")) == {}


def test_a_commit_admits_nothing(repo: RepoBuilder) -> None:
    """It holds what it holds."""
    head = repo.commit({"x": "", ".gitignore": "y\n"})
    repo.write({"y": "", "z": ""})
    tree = Repository.open(str(repo.path), repo.env).commit_tree(head)
    tree.admit(paths("z"))
    assert tree.untracked(RepoPath("")) == []
    assert not tree.ignores(RepoPath("y"))
    assert tree.entries(paths("z")) == {}
    assert tree.dirty == frozenset()
