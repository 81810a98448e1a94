"""The tests' own repositories."""

from __future__ import annotations

import os
from pathlib import Path

from tests.repobuilder import EXECUTABLE, LINK, RepoBuilder


def test_the_same_steps_give_the_same_commit_id(tmp_path: Path) -> None:
    """Identity and dates are fixed."""
    shas = set()
    for name in ("one", "two"):
        repo = RepoBuilder(tmp_path / name)
        repo.commit({"a.txt": "a"})
        shas.add(repo.commit({"b/c.txt": b"\0", "a.txt": None}))
    assert len(shas) == 1


def test_any_name_and_mode_can_be_committed(repo: RepoBuilder) -> None:
    """Newlines, bytes that are not UTF-8, links and executables."""
    odd = os.fsdecode(b"caf\xe9\n.bin")
    repo.commit({odd: "1", "run.sh": "echo", "link": odd}, modes={"run.sh": EXECUTABLE, "link": LINK})
    entries = [line.split(" ", 1) for line in repo.git("ls-tree", "-z", "HEAD").split("\0") if line]
    assert [(mode, rest.partition("\t")[2]) for mode, rest in entries] == [
        ("100644", odd),
        ("120000", "link"),
        ("100755", "run.sh"),
    ]
    assert repo.git("status", "--porcelain") == ""


def test_bulk_commit_continues_the_branch(repo: RepoBuilder) -> None:
    """It keeps what was there and leaves the work tree alone."""
    base = repo.commit({"a": "1"})
    head = repo.bulk_commit({"b": "2", "c/d": "2", "a": None})
    assert repo.git("rev-parse", f"{head}^") == base
    assert repo.git("ls-tree", "-r", "--name-only", head) == "b\nc/d"


def test_clones_can_be_shallow_sparse_and_bare(repo: RepoBuilder) -> None:
    """Each kind of clone is what it says."""
    repo.commit({"a": "1", "in/b": "2", "out/c": "3"})
    repo.commit({"a": "2"})
    origin = repo.bare_origin()
    assert origin.clone(depth=1).git("rev-list", "--count", "HEAD") == "1"
    sparse = origin.clone(sparse=["in"])
    assert (sparse.path / "in/b").exists()
    assert not (sparse.path / "out/c").exists()
    assert origin.clone(bare=True).git("rev-parse", "--is-bare-repository") == "true"
