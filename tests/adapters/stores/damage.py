"""What may befall a file that nobody should have touched."""

from __future__ import annotations

import os
from pathlib import Path


def empty(path: Path) -> None:
    os.truncate(path, 0)


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def swap(path: Path) -> None:
    path.write_bytes(b"another valid object's bytes")


def zero(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def turn_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def turn_into_link(path: Path) -> None:
    path.rename(path.with_name("away"))
    path.symlink_to(path.with_name("away"))


def remove(path: Path) -> None:
    path.unlink()
