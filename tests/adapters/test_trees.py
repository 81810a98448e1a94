"""Trees of files, removed and compared."""

from __future__ import annotations

import os
from pathlib import Path

from ciml.adapters.trees import empty, exceeds, remove_tree, signatures


def planted(top: Path) -> Path:
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "f").write_text("1")
    (top / "link").symlink_to("/etc")
    return top


def test_removal_stops_at_nothing_and_follows_nothing(tmp_path: Path) -> None:
    """Read-only folders and links go; what a link points to stays; nothing there is fine."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    top = planted(tmp_path / "top")
    (top / "a" / "out").symlink_to(kept)
    os.chmod(top / "a" / "b", 0o500)
    os.chmod(top / "a", 0)

    remove_tree(str(top))
    remove_tree(str(top))
    remove_tree(str(tmp_path / "no" / "such"))

    assert os.listdir(tmp_path) == ["kept"] and (kept / "file").read_text() == "x"


def test_signatures_tell_every_change(tmp_path: Path) -> None:
    """Writing, replacing, adding and removing each show; reading does not."""
    top = planted(tmp_path / "top")
    before = signatures(str(top))
    assert set(before) == {"a/b/f", "link"}
    (top / "a" / "b" / "f").read_text()
    assert signatures(str(top)) == before
    (top / "a" / "b" / "f").write_text("2")
    assert signatures(str(top)) != before
    assert set(signatures(str(top / "a" / "b" / "f"))) == {""}
    assert signatures(str(top / "none")) == {} == signatures(str(top / "a" / "b" / "f" / "below"))


def test_emptying(tmp_path: Path) -> None:
    """A folder with little in it is as good as new once it is empty; a link is no folder."""
    top = planted(tmp_path / "top")
    assert empty(str(top), nothing) and os.listdir(top) == []
    for number in range(40):
        (top / str(number)).touch()
    assert not empty(str(top), nothing)
    (tmp_path / "link").symlink_to(top)
    assert not empty(str(tmp_path / "link"), nothing)


def test_emptied_folders_are_offered(tmp_path: Path) -> None:
    """Each folder below that held little is offered, empty and writable; what is not taken is removed."""
    top = planted(tmp_path / "top")
    os.chmod(top / "a" / "b", 0o500)
    (top / "large").mkdir()
    for number in range(40):
        (top / "large" / str(number)).touch()

    def take(name: str, parent: int) -> bool:
        if name == "b":
            os.rename(name, tmp_path / "taken", src_dir_fd=parent)
        else:
            assert name == "a" and os.listdir(top / "a") == []
        return name == "b"

    assert empty(str(top), take)

    assert os.listdir(top) == os.listdir(tmp_path / "taken") == []
    assert os.stat(tmp_path / "taken").st_mode & 0o777 == 0o755


def nothing(name: str, parent: int) -> bool:
    return False


def test_counting_stops_when_enough(tmp_path: Path) -> None:
    """More bytes or more files than the limit, in a file or below a folder."""
    top = planted(tmp_path / "top")
    (top / "big").write_bytes(b"x" * 100_000)

    assert exceeds(str(top), size=90_000, count=100) and exceeds(str(top / "big"), size=90_000, count=100)
    assert exceeds(str(top), size=1 << 30, count=3)
    assert not exceeds(str(top), size=1 << 30, count=100)
    assert not exceeds(str(tmp_path / "none"), size=0, count=0)
