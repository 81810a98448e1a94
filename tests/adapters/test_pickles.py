from __future__ import annotations

import collections
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from ciml.adapters.pickles import LARGEST, pickles


class Evil:
    """Runs a command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.fixture
def evil(tmp_path: Path) -> bytes:
    return pickle.dumps(Evil(f"touch {tmp_path}/executed"))


def test_c145_what_a_pickle_would_run_is_told_and_not_run(tmp_path: Path, evil: bytes) -> None:
    """Wherever it hides: by name, by its first bytes, in an archive, behind another pickle."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.pkl").write_bytes(evil)
    (model / "b.whatever").write_bytes(evil)
    (model / "c.pkl").write_bytes(pickle.dumps([1, 2]) + evil)
    with zipfile.ZipFile(model / "d.pt", "w") as archive:
        archive.writestr("archive/data.pkl", evil)
    with zipfile.ZipFile(model / "e.keras", "w") as archive:
        archive.writestr("x/data.pkl", evil)
    told = pickles(str(model))

    assert [sentence.split()[0] for sentence in told] == [
        "model/a.pkl",
        "model/b.whatever",
        "model/c.pkl",
        "model/d.pt",
        "model/e.keras",
    ]
    assert all("DANGEROUS: it names posix.system" in sentence for sentence in told)
    assert not (tmp_path / "executed").exists()


def test_what_is_harmless_and_what_is_not_known(tmp_path: Path) -> None:
    """A pickle is one whatever it names; names that nobody judged are listed."""
    for name, value in (("plain.pkl", {"a": [1.0]}), ("known.pkl", collections.OrderedDict(a=1)), ("own.pkl", Evil)):
        (tmp_path / name).write_bytes(pickle.dumps(value))
    assert pickles(str(tmp_path / "plain.pkl"))[0].endswith("runs what it says; it names no code")
    assert "only what is harmless (collections.OrderedDict)" in pickles(str(tmp_path / "known.pkl"))[0]
    assert "Evil, of which nothing is known" in pickles(str(tmp_path / "own.pkl"))[0]


def test_files_that_are_no_pickles(tmp_path: Path) -> None:
    """Weights, text, archives without pickles, links and empty files: nothing is said."""
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    (tmp_path / "model.txt").write_text("0.7\n")
    (tmp_path / "empty").touch()
    (tmp_path / "start").write_bytes(b"\x80")
    (tmp_path / "link.pkl").symlink_to("model.txt")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    assert pickles(str(tmp_path)) == ()


def test_a_damaged_pickle(tmp_path: Path, evil: bytes) -> None:
    """What can be read of it is told, and that this was not all; one that cannot be read at all is no error."""
    (tmp_path / "cut.pkl").write_bytes(evil[:-4])
    (tmp_path / "text.pkl").write_text("hello")
    cut, text = pickles(str(tmp_path))
    assert "DANGEROUS" in cut or "could not be read to its end" in cut
    assert "is a pickle" in text


def test_a_name_cannot_hide(tmp_path: Path) -> None:
    """Names come from the file: control characters and endless ones are shown as text of bounded length."""
    name = "x\n::set-env" + "y" * 500
    (tmp_path / "a.pkl").write_bytes(_global(name))
    [told] = pickles(str(tmp_path / "a.pkl"))
    assert "\n" not in told and len(told) < 400


def _global(name: str) -> bytes:
    """A pickle that names `evil.NAME`."""
    data = name.encode()
    return b"\x80\x04\x8c\x04evilX" + len(data).to_bytes(4, "little") + data + b"\x93."


def test_too_large(tmp_path: Path) -> None:
    """What would take minutes is not looked through, and that is said."""
    with (tmp_path / "a.pkl").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert "too large to be looked through" in pickles(str(tmp_path / "a.pkl"))[0]
