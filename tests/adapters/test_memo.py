"""What a data directory held when it was last read, and whether that still holds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ciml.adapters.memo import Memo, Memos
from ciml.adapters.stores.ingest import Hasher, ingest
from ciml.adapters.stores.local import LocalStore
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Output

NAME = RepoPath("data")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files, folders, an empty folder, a link and an executable, none of them written just now."""
    top = tmp_path / "data"
    (top / "a").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a" / "x").write_text("1")
    (top / "a.b").write_text("22")
    (top / "run").write_text("#!")
    (top / "run").chmod(0o755)
    (top / "link").symlink_to("a/x")
    settle(top)
    return top


def settle(top: Path) -> None:
    """Wait until the clock has left the moment in which these were last written."""
    newest = max(os.lstat(path).st_ctime_ns for path in (top, *top.rglob("*")))
    while time.time_ns() < newest + 30_000_000:
        os.sched_yield()


def memo_of(tmp_path: Path) -> Memo:
    return Memos(str(tmp_path / "memos"), str(tmp_path)).of(NAME)


def look(tmp_path: Path) -> Output:
    """What is there, remembered."""
    memo = memo_of(tmp_path)
    found = LocalStore(str(tmp_path / "store")).look_at(str(tmp_path / "data"), name=NAME, watch=memo)
    memo.keep(found)
    return found


def test_what_did_not_move_is_known(tmp_path: Path, data: Path) -> None:
    """The digest is told without reading anything, of a directory and of a file."""
    found = look(tmp_path)
    assert memo_of(tmp_path).unmoved(NAME) == found
    assert [(taken.path, taken.entry and taken.entry.mode) for taken in memo_of(tmp_path).known()] == [
        (b"", None),
        (b"a.b", 0o100644),
        (b"a/", None),
        (b"a/x", 0o100644),
        (b"empty", 0o040000),
        (b"link", 0o120000),
        (b"run", 0o100755),
    ]


@pytest.mark.parametrize("what", ["edit", "touch", "new", "gone", "mode", "link", "folder", "swap"])
def test_what_moved_is_seen(tmp_path: Path, data: Path, what: str) -> None:
    """Other bytes, another time, a file more or less, another mode or target: nothing is taken for granted."""
    before = look(tmp_path)
    x = data / "a" / "x"
    match what:
        case "edit":
            status = x.stat()
            x.write_text("9")
            os.utime(x, ns=(status.st_atime_ns, status.st_mtime_ns))  # the change time cannot be set
        case "touch":
            x.touch()
        case "new":
            (data / "empty" / "y").write_text("")
        case "gone":
            x.unlink()
        case "mode":
            x.chmod(0o755)
        case "link":
            (data / "link").unlink()
            (data / "link").symlink_to("a.b")
        case "folder":
            (data / "more").mkdir()
        case "swap":
            os.rename(data / "a.b", data / "a.c")
    assert memo_of(tmp_path).unmoved(NAME) is None

    settle(data)
    after = look(tmp_path)
    fresh = LocalStore(str(tmp_path / "other")).put_path(str(data), name=NAME)
    assert after == fresh
    assert (after.digest == before.digest) == (what == "touch")
    assert memo_of(tmp_path).unmoved(NAME) == after


class Counting(Hasher):
    """Hashes, and keeps the names of the files that it read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        self.read.append(shown)
        return super().put_file(path, shown, folder)


def test_only_what_moved_is_read(tmp_path: Path, data: Path) -> None:
    """Files whose signature is known are not opened, and the digest is that of a full read."""
    look(tmp_path)
    (data / "a.b").write_text("333")
    sink = Counting()
    found = ingest(str(data), NAME, sink, memo_of(tmp_path))

    assert sink.read == ["data/a.b"]
    assert found == LocalStore(str(tmp_path / "other")).put_path(str(data), name=NAME)


def test_what_was_just_written_is_read_again(tmp_path: Path, data: Path) -> None:
    """A file that may change again within the tick of its time stamp is not trusted, as in Git's index."""
    ahead = time.time_ns() + 3_600_000_000_000
    os.utime(data / "a.b", ns=(ahead, ahead))
    look(tmp_path)
    assert memo_of(tmp_path).unmoved(NAME) is None
    sink = Counting()
    ingest(str(data), NAME, sink, memo_of(tmp_path))
    assert sink.read == ["data/a.b"]


def test_a_single_file(tmp_path: Path) -> None:
    """A file is remembered like a directory."""
    file = tmp_path / "data"
    file.write_text("1")
    settle(file)
    found = look(tmp_path)
    assert memo_of(tmp_path).unmoved(NAME) == found
    file.write_text("2")
    assert memo_of(tmp_path).unmoved(NAME) is None


def test_what_was_put_there_is_known(tmp_path: Path, data: Path) -> None:
    """Data that ciml has placed is not read to be known, folders and links included."""
    store = LocalStore(str(tmp_path / "store"))
    stored = store.put_path(str(data), name=NAME)
    store.materialise(stored, str(data))
    settle(data)
    memo = memo_of(tmp_path)
    memo.remember(stored, store.entries(stored))

    sink = Counting()
    assert memo_of(tmp_path).unmoved(NAME) == stored
    assert ingest(str(data), NAME, sink, memo_of(tmp_path)) == stored
    assert sink.read == []


def test_many_files_in_blocks(tmp_path: Path) -> None:
    """More files than a block holds, and paths that are not UTF-8."""
    top = tmp_path / "data"
    top.mkdir()
    for number in range(2100):
        (top / f"{number:05d}").write_text(str(number))
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff"))).write_text("x")
    settle(top)
    found = look(tmp_path)
    assert memo_of(tmp_path).unmoved(NAME) == found
    assert len([*memo_of(tmp_path).known()]) == 2102
    (top / "02050").write_text("other")
    assert memo_of(tmp_path).unmoved(NAME) is None


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_damaged_memo_is_no_memory(tmp_path: Path, data: Path, damage: str) -> None:
    """Whatever lies where the memo should be: the data is read again, and the answer is right."""
    found = look(tmp_path)
    [file] = (tmp_path / "memos").iterdir()
    whole = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "noise": os.urandom(300)}[damage])
    sink = Counting()

    assert memo_of(tmp_path).unmoved(NAME) is None
    assert ingest(str(data), NAME, sink, memo_of(tmp_path)) == found
    assert sorted(sink.read) == ["data/a.b", "data/a/x", "data/run"]


def test_an_empty_folder_beside_a_file_of_a_similar_name(tmp_path: Path) -> None:
    """`a` before `a.b` when it is empty, `a/x` after it when it is not: the listing is sorted either way."""
    top = tmp_path / "data"
    for folder in ("a", "a.b", "a.b.c", "b/c"):
        (top / folder).mkdir(parents=True)
    for file in ("a.x", "a.b!", "a.b.c/y", "b/c.d"):
        (top / file).write_text(file)
    store = LocalStore(str(tmp_path / "store"))
    found = store.put_path(str(top), name=NAME)
    assert [entry.path for entry in store.entries(found)] == [
        b"a",
        b"a.b",
        b"a.b!",
        b"a.b.c/y",
        b"a.x",
        b"b/c",
        b"b/c.d",
    ]
