"""What loading a model's files would run. Nothing is ever unpickled: opcodes are read, by picklescan.

Source: https://github.com/mmaitre314/picklescan
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Collection, Iterator
from importlib.util import find_spec

LARGEST = 1 << 30
"""Bytes; reading the opcodes of more takes minutes."""

_WELL_KNOWN = frozenset(
    {"catboost", "keras", "lightgbm", "numpy", "pandas", "polars", "scipy", "sklearn", "statsmodels", "tensorflow"}
    | {"torch", "torchvision", "xgboost"}
)
"""Packages whose classes models consist of."""

_REBUILDING = frozenset({"_reconstruct", "_frombuffer", "scalar", "dtype", "_rebuild_tensor_v2", "__newobj__"})
"""Functions of theirs that put arrays together."""

_NAMED = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"})
_PROTOCOLS = range(6)
_SHOWN = 5


def pickles(path: str) -> tuple[str, ...]:
    """A sentence on each file at or below `path` that is a pickle, or an archive with one, where there is something
    to tell: loading it would run what is dangerous or not known, or nobody can say.
    """
    if os.path.isfile(path):
        files = [path]
    else:
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    found = (file for file in files if not os.path.islink(file) and _is_pickle(file))
    told = ((os.path.relpath(file, os.path.dirname(path)), "; ".join(_findings(file))) for file in found)
    return tuple(f"{name} is a pickle, and loading it runs what it names: {words}" for name, words in told if words)


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


def _findings(file: str) -> Iterator[str]:
    """What is to be told of a pickle, worst first."""
    if os.path.getsize(file) > LARGEST:
        yield "it is too large to be looked through"
        return
    if find_spec("picklescan") is None:
        yield 'nobody looked through it: pip install "ciml[provenance]"'
        return
    from picklescan.scanner import SafetyLevel, scan_file_path

    logging.getLogger("picklescan").disabled = True
    try:
        result = scan_file_path(file)
    except Exception as error:  # a file may hold anything, and what cannot be read is told
        yield f"it cannot be read ({type(error).__name__})"
        return
    dangerous = [item for item in result.globals if item.safety is SafetyLevel.Dangerous]
    unknown = [item for item in result.globals if item.safety is SafetyLevel.Suspicious]
    if dangerous:
        yield f"DANGEROUS: {_listed({f'{item.module}.{item.name}' for item in dangerous})}"
    if names := {f"{item.module}.{item.name}" for item in unknown if not _is_well_known(item.module, item.name)}:
        yield f"{_listed(names)}, which no well-known package has as a part of a model"
    if result.scan_err:
        yield "it could not be read to its end"


def _is_well_known(module: str, name: str) -> bool:
    """Whether it is a class of a package that models are made with, or puts one of its arrays together.

    Any other function of such a package is not: some run whatever they are given.
    """
    if module.partition(".")[0] not in _WELL_KNOWN:
        return (module, name.partition(".")[0]) == ("joblib.numpy_pickle", "NumpyArrayWrapper")
    return name in _REBUILDING or name.startswith("__pyx_unpickle_") or (name[:1].isupper() and name.isidentifier())


def _listed(found: Collection[str]) -> str:
    names = sorted(found)
    shown = ", ".join("".join(char if char.isprintable() else "?" for char in name[:80]) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
