"""Outputs in the work tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ciml.adapters.index import Index
from ciml.adapters.outputs import Outputs
from ciml.adapters.stores.local import LocalStore
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.pipeline import Place, Stage
from ciml.core.results import Output, Record

TRAIN = StageName("train")


class Tree:
    """A work tree, a store, and one stage whose outputs are called otherwise inside and outside."""

    def __init__(self, root: Path) -> None:
        self.root = root / "tree"
        self.root.mkdir()
        self.store = LocalStore(str(root / "store"))
        places = (("build/model@1", "build/model"), ("build/table@1", "build/table"))
        self.stage = Stage(
            name=TRAIN,
            template=TRAIN,
            outputs=tuple(Place(path=RepoPath(path), inside=RepoPath(inside)) for path, inside in places),
        )
        self.index_root = str(root / "index")
        source = root / "source"
        (source / "deep").mkdir(parents=True)
        (source / "deep/x").write_text("1")
        (source / "y").write_text("2")
        folder = self.store.put_path(str(source), name=RepoPath("build/table"))
        model = Output(path=RepoPath("build/model"), digest=self.store.put_bytes(b"model"), size=5)
        self.record = Record(key=Digest("k"), recipe=Digest("r"), stage=TRAIN, outputs=(model, folder), platform="any")

    def outputs(self, index: Index | None = None) -> Outputs:
        return Outputs(str(self.root), {TRAIN: self.stage}, self.store, index or Index(self.index_root, str(self.root)))

    @property
    def model(self) -> Path:
        return self.root / "build/model@1"

    def instead_of_the_model(self, make: Callable[[], object]) -> None:
        self.model.unlink()
        make()

    @property
    def table(self) -> Path:
        return self.root / "build/table@1"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_outputs_lie_where_the_places_say(tree: Tree) -> None:
    """By the graph's path, whatever the stage called them; the folder above is made."""
    outputs = tree.outputs()
    assert not outputs.in_place(tree.stage, tree.record)
    outputs.place(TRAIN, tree.record)
    assert tree.model.read_text() == "model"
    assert (tree.table / "deep/x").read_text() == "1"
    assert outputs.in_place(tree.stage, tree.record)


def test_outputs_are_the_users_own(tree: Tree) -> None:
    """Writable, no link into the store: changing one harms nothing."""
    tree.outputs().place(TRAIN, tree.record)
    tree.model.write_text("changed")
    assert os.stat(tree.model).st_nlink == 1
    assert tree.store.read(tree.record.outputs[0].digest) == b"model"


def test_an_unknown_output_is_hashed_once(tree: Tree) -> None:
    """A fresh clone's own copy counts as in place when its bytes are right, and is remembered."""
    tree.outputs().place(TRAIN, tree.record)
    fresh = Index(tree.index_root + "-2", str(tree.root))
    assert tree.outputs(fresh).in_place(tree.stage, tree.record)
    assert fresh.placed(str(tree.model)) == tree.record.outputs[0].digest


def test_every_change_is_seen_and_mended(tree: Tree) -> None:
    """Other bytes, a missing file, one more, a folder for a file, a link, a pipe: not in place, and placed again."""
    outputs = tree.outputs()
    outputs.place(TRAIN, tree.record)
    changes: list[Callable[[], object]] = [
        lambda: tree.model.write_text("other"),
        tree.model.unlink,
        lambda: (tree.table / "deep/x").write_text("9"),
        lambda: (tree.table / "new").write_text(""),
        (tree.table / "y").unlink,
        lambda: tree.instead_of_the_model(tree.model.mkdir),
        lambda: tree.instead_of_the_model(partial(tree.model.symlink_to, "/etc/passwd")),
        lambda: tree.instead_of_the_model(partial(os.mkfifo, tree.model)),
    ]
    for change in changes:
        change()
        assert not outputs.in_place(tree.stage, tree.record)
        outputs.place(TRAIN, tree.record)
        assert outputs.in_place(tree.stage, tree.record)
        assert tree.model.read_text() == "model"
        assert sorted(path.name for path in tree.table.iterdir()) == ["deep", "y"]


def test_what_is_in_place_is_not_written_again(tree: Tree) -> None:
    """The files keep their times: nothing that watches them is woken."""
    tree.outputs().place(TRAIN, tree.record)
    before = tree.model.stat().st_mtime_ns
    tree.outputs().place(TRAIN, tree.record)
    assert tree.model.stat().st_mtime_ns == before
