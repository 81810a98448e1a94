"""A version's files: sent, read back by digest, and brought to a folder.

The files of a directory lie under `model/` as they are, so that MLflow finds its own model there; a
single file lies there under its name. What MLflow cannot keep (modes, links, empty folders) is in
the directory's listing, which lies beside them under `ciml/listing/` and proves them all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Protocol

from ciml.core import listing
from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest
from ciml.core.results import Output

MODEL = "model"
LISTING = "ciml/listing"


class Bytes(Protocol):
    """Where the files come from."""

    def read(self, digest: Digest) -> bytes:
        """An object's bytes, verified."""
        ...

    def materialise(self, output: Output, target: str, *, link: bool = False, read_only: bool = False) -> None:
        """Put an output at `target`, verified."""
        ...


def lay_out(artifact: Output, store: Bytes, folder: str) -> None:
    """Put into `folder` what is to be sent: `model/` and, for a directory, its listing."""
    if not artifact.directory:
        store.materialise(artifact, os.path.join(folder, MODEL, os.path.basename(artifact.path)), link=True)
        return
    store.materialise(artifact, os.path.join(folder, MODEL), link=True)
    objects = os.path.join(folder, LISTING)
    os.makedirs(objects)
    for digest in listing.parts(artifact.digest, store.read):
        with open(os.path.join(objects, digest), "wb") as file:
            file.write(store.read(digest))
    for entry in listing.entries(artifact.digest, store.read):
        if entry.mode == listing.LINK:
            path = os.path.join(os.fsencode(folder), MODEL.encode(), entry.path)
            target = os.readlink(path)
            os.unlink(path)
            with open(path, "wb") as file:
                file.write(target)


def write(files: Mapping[str, bytes], folder: str) -> None:
    """Put small files into `folder`, by path."""
    for path, data in files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as file:
            file.write(data)


def bring(artifact: Output, source: str, target: str) -> None:
    """Make at `target` what the files in `source` (laid out as above) are, once every byte is proven.

    Raises:
        IntegrityError: a file is missing or is not what the digest says. Nothing is left at `target`.
    """
    beside = f"{target}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        if artifact.directory:
            for entry in _entries(artifact, source):
                _put(entry, os.path.join(source, MODEL), beside)
        else:
            _copy(_file(artifact, source), os.fsencode(beside), artifact.digest, executable=artifact.executable)
        os.replace(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check(artifact: Output, source: str) -> None:
    """Nothing, where the files in `source` are the artifact's; raises IntegrityError otherwise."""
    if not artifact.directory:
        _prove(_file(artifact, source), artifact.digest)
        return
    for entry in _entries(artifact, source):
        if entry.mode != listing.FOLDER:
            _prove(os.path.join(os.fsencode(source), MODEL.encode(), entry.path), entry.digest)


def scratch(parent: str) -> tempfile.TemporaryDirectory[str]:
    """A folder of our own that goes away."""
    os.makedirs(parent, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=parent, prefix="ciml-", ignore_cleanup_errors=True)


def _entries(artifact: Output, source: str) -> list[listing.Entry]:
    def read(digest: Digest) -> bytes:
        return _read(os.fsencode(os.path.join(source, LISTING, digest)), digest)

    return list(listing.entries(artifact.digest, read))


def _put(entry: listing.Entry, source: str, target: str) -> None:
    path = os.path.join(os.fsencode(target), entry.path)
    if entry.mode == listing.FOLDER:
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    have = os.path.join(os.fsencode(source), entry.path)
    if entry.mode == listing.LINK:
        os.symlink(_read(have, entry.digest), path)
    else:
        _copy(have, path, entry.digest, executable=entry.mode == listing.EXECUTABLE)


def _copy(source: bytes, target: bytes, digest: Digest, *, executable: bool) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as out:
        _prove(source, digest, out.write)
    os.chmod(target, 0o755 if executable else 0o644)


def _prove(path: bytes, digest: Digest, keep: Callable[[bytes], object] = len) -> None:
    """Hash a file while `keep` gets its pieces."""
    hasher = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                hasher.update(piece)
                keep(piece)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise IntegrityError(f"the file {os.fsdecode(os.path.basename(path))} is missing in the registry") from error
    if hasher.hexdigest() != digest:
        raise IntegrityError(f"the registry's {os.fsdecode(os.path.basename(path))} is not what was registered")


def _read(path: bytes, digest: Digest) -> bytes:
    pieces: list[bytes] = []
    _prove(path, digest, pieces.append)
    return b"".join(pieces)


def _file(artifact: Output, source: str) -> bytes:
    return os.fsencode(os.path.join(source, MODEL, os.path.basename(artifact.path)))
