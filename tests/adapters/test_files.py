from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from ciml.adapters import files
from ciml.core.errors import ServiceError, StageError


@pytest.mark.parametrize("size", [0, 1, files.SMALL, files.SMALL + 1, files.LARGE, files.LARGE + 7])
def test_copies_are_hashed_in_the_same_pass(tmp_path: Path, size: int) -> None:
    """The digest and the size are those of the bytes that are in the target, for files of any size."""
    data = os.urandom(size)
    (tmp_path / "source").write_bytes(data)
    source = os.open(tmp_path / "source", files.READ)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)

    copied = files.copy(source, target, size)

    assert copied == (hashlib.sha256(data).hexdigest(), size)
    assert (tmp_path / "target").read_bytes() == data
    assert files.digest(target, size) == copied
    os.close(source)
    os.close(target)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """Over what was there, in a folder that is made; what the system refuses leaves nothing behind."""
    path = tmp_path / "deep" / "file"
    for data in (b"first", b""):
        files.write_whole(str(path), data)
        assert path.read_bytes() == data
    (tmp_path / "folder" / "taken").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        files.write_whole(str(tmp_path / "folder" / "taken"), b"data")
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["taken"]


def test_a_file_that_grew_is_read_whole(tmp_path: Path) -> None:
    """A file that is longer than its size said is not cut: the size only chooses the way."""
    (tmp_path / "f").write_bytes(b"x" * 1000)
    fd = os.open(tmp_path / "f", files.READ)

    assert files.read_small(fd, 999) is None
    assert files.digest(fd, 10) == (hashlib.sha256(b"x" * 1000).hexdigest(), 1000)
    os.close(fd)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A link, a folder and a named pipe are refused by what they are."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, kind in {"link": "a symbolic link", "folder": "a directory", "pipe": "a named pipe"}.items():
        with pytest.raises(StageError, match=f"out is {kind}"):
            files.open_regular(str(tmp_path / name), "out")


@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("old", ["nothing", "file", "folder", "full folder", "link"])
def test_anything_takes_the_place_of_anything(tmp_path: Path, new: str, old: str) -> None:
    """After `replace` the new one stands at the target, and what a link pointed to is as it was."""
    for name, kind in {"new": new, "target": old}.items():
        path = tmp_path / name
        if kind == "file":
            path.write_text(name)
        elif kind == "link":
            (tmp_path / "precious").mkdir()
            path.symlink_to("precious")
        elif kind != "nothing":
            path.mkdir()
            if kind == "full folder":
                (path / "x").write_text(name)
    if new == "folder":
        (tmp_path / "new/y").write_text("new")

    moved = files.replace(str(tmp_path / "new"), str(tmp_path / "target"), aside=str(tmp_path / "aside"))

    assert moved == os.path.lexists(tmp_path / "aside")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / ("target/y" if new == "folder" else "target")).read_text() == "new"
    assert old != "link" or list((tmp_path / "precious").iterdir()) == []


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    """`write_new` refuses a name that is taken, by a link too, and leaves it alone."""
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("link", "file"):
        if name == "file":
            (tmp_path / name).write_bytes(b"old")
        with pytest.raises(FileExistsError):
            files.write_new(str(tmp_path / name), b"new", 0o644)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not (tmp_path / "elsewhere").exists()


def test_folders_below_are_real(tmp_path: Path) -> None:
    """The way to a folder goes through no link; folders that are missing are made on request."""
    os.close(files.open_below(str(tmp_path), "a/b/c", make=True))
    assert (tmp_path / "a/b/c").is_dir()
    (tmp_path / "a/link").symlink_to("b")

    with pytest.raises(OSError) as caught:
        files.open_below(str(tmp_path), "a/link/c")
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    with pytest.raises(FileNotFoundError):
        files.open_below(str(tmp_path), "a/x")


def test_errors_of_the_system_say_what_to_do() -> None:
    """A full disk is exit 5 and says how to free some space."""
    error = files.outside(OSError(errno.ENOSPC, "No space left on device"), "store model")

    assert isinstance(error, ServiceError)
    assert error.message == "cannot store model: No space left on device"
    assert error.hint is not None and "store gc" in error.hint


def test_syncing_what_is_not_there(tmp_path: Path) -> None:
    """`sync` works on a folder and fails on none."""
    files.sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        files.sync(str(tmp_path / "none"))
