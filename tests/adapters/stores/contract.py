"""What every store must do; the tests of an adapter inherit this class and say how one is made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ciml.app.ports import Store
from ciml.core.errors import IntegrityError, StageError, TrustError
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.results import Miss, Output, Record

MakeStore = Callable[..., Store]


def sha256(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def record_of(text: str, *outputs: Output, seconds: float = 1.0) -> Record:
    """A record with a key and outputs of its own."""
    key = sha256(text.encode())
    return Record(
        key=key, recipe=key, stage=StageName("train"), outputs=outputs, platform="linux-x86_64", seconds=seconds
    )


def tree(top: Path, files: dict[str, bytes]) -> Path:
    """A directory with these files; a name that ends in a slash is an empty folder."""
    for name, data in files.items():
        path = top / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return top


def snapshot(top: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of everything below; a link's bytes are its target."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        data = b"" if path.is_dir() else path.read_bytes()
        if path.is_symlink():
            data = os.fsencode(os.readlink(path))
        found[str(path.relative_to(top))] = (status.st_mode, data)
    return found


FILES = {"model.bin": b"\0\1" * 900, "sub/labels.txt": b"a\nb\n", "sub/deep/er/x": b"", "sub-a": b"-", "empty/": b""}


class StoreContract:
    """The port `Store`. Subclasses have a fixture `make`, which gives a new view of one store."""

    @pytest.fixture
    def store(self, make: MakeStore) -> Store:
        return make()

    def test_bytes_come_back(self, store: Store) -> None:
        """What was put is read back, under its SHA-256."""
        assert store.put_bytes(b"some bytes") == sha256(b"some bytes")
        assert store.read(sha256(b"some bytes")) == b"some bytes"
        assert store.holds(sha256(b"some bytes"))
        assert not store.holds(sha256(b"others"))

    def test_what_is_not_there_cannot_be_read(self, store: Store) -> None:
        """Reading an object that was never put is an integrity error that names it."""
        with pytest.raises(IntegrityError, match=sha256(b"nothing")):
            store.read(sha256(b"nothing"))

    @pytest.mark.parametrize("size", [0, 1, 4096, 131072, 131073, 5_000_001, (16 << 20) + 1])
    def test_a_file_comes_back(self, store: Store, tmp_path: Path, size: int) -> None:
        """Files of any size are stored under the SHA-256 of their bytes, and restored."""
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)

        output = store.put_path(str(tmp_path / "file"), name=RepoPath("out/file"))
        store.materialise(output, str(tmp_path / "back"))

        assert output == Output(path=RepoPath("out/file"), digest=sha256(data), size=size)
        assert (tmp_path / "back").read_bytes() == data

    def test_a_directory_comes_back(self, store: Store, tmp_path: Path) -> None:
        """A directory is restored with its modes, links and empty folders."""
        top = tree(tmp_path / "model", FILES)
        (top / "sub/run.sh").write_bytes(b"#!/bin/sh\n")
        (top / "sub/run.sh").chmod(0o755)
        (top / "latest").symlink_to("sub/labels.txt")
        (top / "sub/up").symlink_to("../model.bin")

        output = store.put_path(str(top), name=RepoPath("model"))
        store.materialise(output, str(tmp_path / "a/b/back"))

        assert output.directory
        assert output.files == 7
        assert snapshot(tmp_path / "a/b/back") == snapshot(top)

    def test_a_directory_has_one_digest(self, store: Store, tmp_path: Path) -> None:
        """Neither the order in which files were made nor their times are part of the digest."""
        names = [f"d{number % 3}/{number}" for number in range(50)]
        one = tree(tmp_path / "one", {name: name.encode() for name in names})
        two = tree(tmp_path / "two", {name: name.encode() for name in reversed(names)})
        os.utime(two / "d0/0", (0, 0))

        digests = {store.put_path(str(top), name=RepoPath("x")).digest for top in (one, two)}

        assert len(digests) == 1

    def test_many_files_come_back(self, store: Store, tmp_path: Path) -> None:
        """A directory that is worth a second process is the same directory."""
        top = tree(tmp_path / "many", {f"{n % 7}/{n:05}": b"%d" % n for n in range(3_000)})
        (top / "0/link").symlink_to("../1/00001")

        output = store.put_path(str(top), name=RepoPath("many"))
        store.materialise(output, str(tmp_path / "back"))

        assert output.files == 3_001
        assert snapshot(tmp_path / "back") == snapshot(top)

    def test_restoring_replaces_what_is_there(self, store: Store, tmp_path: Path) -> None:
        """A file takes the place of a directory, a directory that of a file or of another directory."""
        file = Output(path=RepoPath("f"), digest=store.put_bytes(b"file"), size=4)
        folder = store.put_path(str(tree(tmp_path / "d", FILES)), name=RepoPath("d"))
        target = tmp_path / "work/target"

        for output in (file, folder, folder, file, file):
            store.materialise(output, str(target))
            assert target.is_dir() == output.directory
        assert target.read_bytes() == b"file"
        assert os.listdir(tmp_path / "work") == ["target"]

    def test_a_link_at_the_target_is_replaced_not_followed(self, store: Store, tmp_path: Path) -> None:
        """What a link at the target points to is left alone."""
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / "target").symlink_to("precious")
        output = Output(path=RepoPath("f"), digest=store.put_bytes(b"file"), size=4)

        store.materialise(output, str(tmp_path / "target"))

        assert (tmp_path / "precious").read_bytes() == b"precious"
        assert (tmp_path / "target").read_bytes() == b"file"
        assert not (tmp_path / "target").is_symlink()

    def test_read_only_files(self, store: Store, tmp_path: Path) -> None:
        """`read_only` leaves no right to write on any file, linked or copied."""
        top = tree(tmp_path / "d", {"large": b"x" * (2 << 20), "small": b"y"})
        output = store.put_path(str(top), name=RepoPath("d"))

        store.materialise(output, str(tmp_path / "back"), link=True, read_only=True)

        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "back").iterdir()} == {0o444}

    @pytest.mark.parametrize("target", ["/etc/passwd", "../out", "sub/../../out", "sub/link/../../../out", "sub/.."])
    def test_links_that_leave_are_refused(self, store: Store, tmp_path: Path, target: str) -> None:
        """A link in an output that could lead out of it is exit 6, also by way of a second link."""
        top = tree(tmp_path / "d", {"sub/file": b""})
        (top / "link").symlink_to(target)

        with pytest.raises(TrustError, match="d/link"):
            store.put_path(str(top), name=RepoPath("d"))

    def test_an_output_that_is_a_link_is_refused(self, store: Store, tmp_path: Path) -> None:
        """An output that is itself a link is exit 6."""
        (tmp_path / "link").symlink_to("/etc/passwd")
        with pytest.raises(TrustError):
            store.put_path(str(tmp_path / "link"), name=RepoPath("link"))

    def test_a_missing_output(self, store: Store, tmp_path: Path) -> None:
        """A path where nothing lies is the stage's failure."""
        with pytest.raises(StageError, match="out/x"):
            store.put_path(str(tmp_path / "x"), name=RepoPath("out/x"))

    def test_records_come_back(self, make: MakeStore, store: Store) -> None:
        """A published record is found by its key, also from elsewhere; another key is a miss."""
        output = Output(path=RepoPath("f"), digest=store.put_bytes(b"file"), size=4)
        record = record_of("a", output)

        assert store.publish(record) == record
        store.flush()
        assert make().record(record.key) == record
        assert store.record(sha256(b"b")) == Miss()

    def test_the_first_record_wins(self, make: MakeStore, store: Store) -> None:
        """Who publishes second gets the first one's record."""
        first = record_of("a", Output(path=RepoPath("f"), digest=store.put_bytes(b"one"), size=3))
        second = record_of("a", Output(path=RepoPath("f"), digest=store.put_bytes(b"two"), size=3))

        assert store.publish(first) == first
        assert make().publish(second) == first
        assert store.record(first.key) == first

    def test_a_record_that_lost_its_outputs_is_replaced(self, store: Store) -> None:
        """A record whose object is not there is a miss that names it, and gives way to the next one."""
        lost = record_of("a", Output(path=RepoPath("f"), digest=sha256(b"never put"), size=9))
        store.publish(lost)
        found = store.record(lost.key)
        assert isinstance(found, Miss)
        assert sha256(b"never put") in found.reason

        whole = record_of("a", Output(path=RepoPath("f"), digest=store.put_bytes(b"one"), size=3))
        assert store.publish(whole) == whole
        assert store.record(lost.key) == whole
