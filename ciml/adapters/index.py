"""What ciml remembers between two calls so that it need not look again.

Everything here can be deleted at any time: it is made again, a little slower. Each file is
written whole, beside its target, and renamed; a file that cannot be read counts as empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from ciml import __version__
from ciml.adapters import files
from ciml.adapters.files import Signature
from ciml.core.ids import Digest, GitOid, RepoPath
from ciml.core.imports import ImportedName
from ciml.core.manifest import Manifest
from ciml.core.pipeline import Pipeline
from ciml.core.results import Output
from ciml.core.value import Value

_Entry = TypeVar("_Entry")


def signature(path: str | bytes) -> Signature | None:
    """The signature of what lies at `path`, a link not followed; None where nothing lies."""
    try:
        return files.signature(os.lstat(path))
    except OSError:
        return None


class Placed(Value, frozen=True, kw_only=True, array_like=True):
    """An output in the work tree, as it was when its bytes were last known."""

    digest: Digest
    signatures: list[tuple[bytes, Signature]]
    """The output itself (b""), and everything below it when it is a directory; names need not be UTF-8."""


class CompiledPipeline(Value, frozen=True, kw_only=True, array_like=True):
    """A pipeline as it was read, with the params files that went into it."""

    params_files: dict[RepoPath, Digest | None]
    pipeline: Pipeline


class Index:
    """The memory of one repository.

    Args:
        root: the folder `index` of ciml's state.
        work_tree: which of the repository's work trees this is about.
    """

    def __init__(self, root: str, work_tree: str) -> None:
        import hashlib

        self._root = root
        self._tree = hashlib.sha256(os.fsencode(work_tree)).hexdigest()[:16]
        self._imports: dict[GitOid, tuple[ImportedName, ...]] | None = None
        self._imports_before = 0
        self._placed: dict[str, Placed] | None = None
        self._placed_changed = False
        self._digests: dict[GitOid, tuple[Digest, int]] | None = None
        self._digests_before = 0
        self._manifests: dict[Digest, Manifest] | None = None
        self._manifests_before = 0
        self._pointers: dict[Digest, Output] | None = None
        self._pointers_before: dict[Digest, Output] = {}
        self._parts: dict[str, Output] | None = None
        self._parts_before = 0

    # Pipelines, by everything that `ciml.yaml` was read with.

    def pipeline(self, name: Digest) -> CompiledPipeline | None:
        """The pipeline that was read under this name."""
        return self._load(f"pipelines/{name}", CompiledPipeline)

    def keep_pipeline(self, name: Digest, compiled: CompiledPipeline) -> None:
        """Remember a pipeline."""
        self._save(f"pipelines/{name}", compiled)

    # What each Python file imports.

    @property
    def imports(self) -> dict[GitOid, tuple[ImportedName, ...]]:
        """Git object id -> names; the caller adds to it."""
        if self._imports is None:
            self._imports = self._load("imports", dict[GitOid, tuple[ImportedName, ...]]) or {}
            self._imports_before = len(self._imports)
        return self._imports

    @property
    def digests(self) -> dict[GitOid, tuple[Digest, int]]:
        """Git object id of a blob -> its SHA-256 and size; the caller adds to it."""
        if self._digests is None:
            self._digests = self._load("digests", dict[GitOid, tuple[Digest, int]]) or {}
            self._digests_before = len(self._digests)
        return self._digests

    # Data.

    @property
    def manifests(self) -> dict[Digest, Manifest]:
        """Digest of a manifest's name and text -> what it says; the caller adds to it."""
        if self._manifests is None:
            self._manifests = self._load("manifests", dict[Digest, Manifest]) or {}
            self._manifests_before = len(self._manifests)
        return self._manifests

    @property
    def pointers(self) -> dict[Digest, Output]:
        """Digest of a DVC pointer -> what it stands for; the caller adds to it."""
        if self._pointers is None:
            self._pointers = self._load("pointers", dict[Digest, Output]) or {}
            self._pointers_before = dict(self._pointers)
        return self._pointers

    @property
    def parts(self) -> dict[str, Output]:
        """A directory's digest and a path in it -> what lies there; the caller adds to it."""
        if self._parts is None:
            self._parts = self._load("parts", dict[str, Output]) or {}
            self._parts_before = len(self._parts)
        return self._parts

    # Outputs in the work tree.

    def _all_placed(self) -> dict[str, Placed]:
        if self._placed is None:
            self._placed = self._load(f"{self._tree}/placed", dict[str, Placed]) or {}
        return self._placed

    def placed(self, path: str) -> Digest | None:
        """The digest of what lies at an absolute path, if it is what was placed there."""
        placed = self._all_placed().get(path)
        if placed is None:
            return None
        top = os.fsencode(path)
        for below, before in placed.signatures:
            if signature(top + b"/" + below if below else top) != before:
                return None
        return placed.digest

    def place(self, path: str, digest: Digest, *, signatures: list[tuple[bytes, Signature]] | None = None) -> None:
        """Remember that `path` (absolute) holds the bytes of `digest`.

        Args:
            path: an output.
            digest: of its bytes.
            signatures: as they were before the bytes were read; those of now where ciml has just put them there.
        """
        found = signatures_of(path) if signatures is None else signatures
        self._all_placed()[path] = Placed(digest=digest, signatures=found)
        self._placed_changed = True

    def watched(self, paths: Iterable[str]) -> dict[str, Signature]:
        """The signatures of placed outputs, to tell later that none of them changed."""
        watched: dict[str, Signature] = {}
        for path in paths:
            placed = self._all_placed().get(path)
            for below, before in placed.signatures if placed else ():
                watched[f"{path}/{os.fsdecode(below)}" if below else path] = before
        return watched

    def folder(self, name: str) -> str:
        """Where this work tree's memory of another kind is kept; it need not exist."""
        return f"{self._root}/{self._tree}/{name}"

    def flush(self) -> None:
        """Write what was added."""
        if self._imports is not None and len(self._imports) != self._imports_before:
            self._save("imports", self._imports)
        if self._digests is not None and len(self._digests) != self._digests_before:
            self._save("digests", self._digests)
        if self._manifests is not None and len(self._manifests) != self._manifests_before:
            self._save("manifests", self._manifests)
        if self._pointers is not None and self._pointers != self._pointers_before:
            self._save("pointers", self._pointers)
        if self._parts is not None and len(self._parts) != self._parts_before:
            self._save("parts", self._parts)
        if self._placed is not None and self._placed_changed:
            self._save(f"{self._tree}/placed", self._placed)

    # Files.

    def _load(self, name: str, kind: type[_Entry]) -> _Entry | None:
        try:
            with open(f"{self._root}/{name}", "rb") as file:
                version, _, body = file.read().partition(b"\n")
            return msgspec.msgpack.decode(body, type=kind) if version.decode() == __version__ else None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _save(self, name: str, entry: object) -> None:
        try:
            files.write_whole(f"{self._root}/{name}", f"{__version__}\n".encode() + msgspec.msgpack.encode(entry))
        except (OSError, UnicodeEncodeError):
            return  # A memory that cannot be kept costs time and nothing else.


def signatures_of(path: str) -> list[tuple[bytes, Signature]]:
    """The signatures of what lies at `path` (b"") and below it, as it is now."""
    top = os.fsencode(path)
    here = signature(top)
    found = [(b"", here)] if here else []
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            below = os.path.join(folder, name)
            if there := signature(below):
                found.append((below[len(top) + 1 :], there))
    return found
