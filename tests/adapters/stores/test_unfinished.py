"""Large objects that are not all here yet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ciml.adapters.stores import unfinished
from ciml.adapters.stores.session import Session
from ciml.adapters.stores.unfinished import Unfinished
from ciml.core.ids import Digest
from tests.adapters.stores.faults import FINISHED, in_child

DIGEST = Digest("ab" * 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


def begun(root: Path, *, size: int = 10, number: int = 1) -> Unfinished:
    return unfinished.begun(str(root), DIGEST, size, other=str(root / f"tmp/lease.{number}"))


def left(root: Path, *, days: float = 0) -> None:
    """A process has ended, of whose object a part arrived so long ago."""
    assert in_child(lambda: begun(root).add(0)) == FINISHED
    for path in (root / "partial").iterdir():
        then = path.stat().st_mtime - days * 24 * 3600
        os.utime(path, (then, then))


def test_who_comes_second_has_a_file_of_its_own(root: Path) -> None:
    """Two processes never write to one file, and what the second one fetches is not remembered."""
    one, two = begun(root), begun(root)
    assert one.path != two.path
    one.add(0)
    two.add(5)
    assert (one.known(), two.known()) == ({0}, set())
    assert {os.path.getsize(path) for path in (one.path, two.path)} == {10}
    two.end()
    one.end()
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_what_became_an_object_is_not_gone_on_with(root: Path) -> None:
    """Where the file was made an object, the next one begins with nothing."""
    one = begun(root)
    one.add(0)
    os.rename(one.path, root / "object")
    one.end()
    assert begun(root).known() == set()
    assert (root / "object").stat().st_size == 10


@pytest.mark.parametrize("text", ["0\n5", "0\n\n", "0\nx\n", "0\n\udcff\n"])
def test_lines_that_are_torn(root: Path, text: str) -> None:
    """Only whole lines with a number count."""
    one = begun(root)
    Path(f"{one.path}.parts").write_text(text, errors="surrogateescape")
    assert one.known() == {0}


def test_a_file_of_another_size(root: Path) -> None:
    """Nothing is believed of it."""
    (root / "partial").mkdir()
    (root / "partial" / DIGEST).write_bytes(b"x")
    (root / "partial" / f"{DIGEST}.parts").write_text("0\n")
    one = begun(root)
    assert one.known() == set()
    assert os.path.getsize(one.path) == 10


def test_what_nobody_goes_on_with(root: Path) -> None:
    """After a week the next process that writes removes it."""
    left(root, days=8)
    session = Session(str(root))
    session.new()
    session.close()
    assert os.listdir(root / "partial") == []


def test_what_is_gone_on_with(root: Path) -> None:
    """For a week a call can go on where another one ended, and what somebody is at stays however old it is."""
    left(root, days=6)
    unfinished.sweep(str(root))
    one = begun(root)
    assert one.known() == {0}
    os.utime(one.path, (0, 0))
    unfinished.sweep(str(root))
    assert os.path.exists(one.path)
