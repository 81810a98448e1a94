"""What loading a model's files would run. Nothing is ever unpickled: opcodes are read, by picklescan.

Source: https://github.com/mmaitre314/picklescan
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

LARGEST = 1 << 30
"""Bytes; reading the opcodes of more takes minutes."""

_NAMED = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"})
_PROTOCOLS = range(6)
_SHOWN = 5


def pickles(path: str) -> tuple[str, ...]:
    """A sentence on each file at or below `path` that is a pickle, or an archive with one in it."""
    if os.path.isfile(path):
        files = [path]
    else:
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    found = (file for file in files if not os.path.islink(file) and _is_pickle(file))
    return tuple(f"{os.path.relpath(file, os.path.dirname(path))} {_verdict(file)}" for file in found)


def _is_pickle(file: str) -> bool:
    if os.path.splitext(file)[1].lower() in _NAMED:
        return True
    with open(file, "rb") as data:
        start = data.read(4)
    if start[:1] == b"\x80" and len(start) > 1 and start[1] in _PROTOCOLS:
        return True
    return start == b"PK\x03\x04" and _holds_pickle(file)


def _holds_pickle(file: str) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(os.path.splitext(name)[1].lower() in _NAMED for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _verdict(file: str) -> str:
    what = "is a pickle, so loading it runs what it says"
    if os.path.getsize(file) > LARGEST:
        return f"{what}; it is too large to be looked through"
    if find_spec("picklescan") is None:
        return f'{what}; nobody looked through it: pip install "ciml[provenance]"'
    from picklescan.scanner import SafetyLevel, scan_file_path

    logging.getLogger("picklescan").disabled = True
    try:
        result = scan_file_path(file)
    except Exception as error:  # a file may hold anything, and what cannot be read is told
        return f"{what}; it cannot be read ({type(error).__name__})"
    names = {
        level.value: sorted(f"{name.module}.{name.name}" for name in result.globals if name.safety is level)
        for level in SafetyLevel
    }
    return "; ".join((what, *_told(names, complete=not result.scan_err)))


def _told(names: Mapping[str, list[str]], *, complete: bool) -> Iterator[str]:
    """What was found, worst first.

    Args:
        names: "dangerous", "suspicious" and "innocuous" -> what the file names of that sort.
        complete: it was read to its end.
    """
    if names["dangerous"]:
        yield f"DANGEROUS: it names {_listed(names['dangerous'])}"
    if names["suspicious"]:
        yield f"it names {_listed(names['suspicious'])}, of which nothing is known"
    if not names["dangerous"] and not names["suspicious"]:
        harmless = names["innocuous"]
        yield f"it names only what is harmless ({_listed(harmless)})" if harmless else "it names no code"
    if not complete:
        yield "it could not be read to its end"


def _listed(names: list[str]) -> str:
    shown = ", ".join("".join(char if char.isprintable() else "?" for char in name[:80]) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
