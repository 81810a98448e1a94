"""The directory in which one CI job hands on to the next what it decided and made.

    plan.json                       ciml.core.handover.HandedPlan
    results/<stage>.json            StageOutcome
    records/<key>.json              Record
    objects/<sha256>                bytes; absent where the jobs share a store
    report.json                     ciml.core.report.Report
    deployments/, receipts/         orders and receipts of deployments, <environment>.<model>.json

It travels as an artifact, and the job that wrote it may have run anybody's code. So only regular
files with such names are read, JSON is read strictly and never beyond a bound, and an object is
taken in under the digest that its bytes have. Where each artifact is in a folder of its own, a
kind is read from those alone whose job has to hand it on: a stage says nothing of another one.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from ciml.adapters import files
from ciml.adapters.stores.local import LocalStore
from ciml.core import listing
from ciml.core.errors import ConfigurationError, IntegrityError, TrustError
from ciml.core.handover import is_artifact
from ciml.core.ids import Digest, RepoPath, is_digest
from ciml.core.results import Output
from ciml.core.value import Value

LARGEST = 64 << 20
"""Bytes of one JSON file."""

_NAME = re.compile(r"[A-Za-z0-9@._%-]{1,250}\.json")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,199}")

T = TypeVar("T", bound=Value)


class Handover:
    """Reads what other jobs handed on, or writes what this one does.

    Args:
        folder: of the handover; made when something is written.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)

    # Writing.

    def write(self, kind: str, name: str, value: Value) -> str:
        """The path of `<kind>/<name>.json` (`<name>.json` where kind is ""), which now holds the value."""
        target = os.path.join(self.folder, kind, f"{file_name(name)}.json")
        try:
            files.write_whole(target, msgspec.json.encode(value))
        except OSError as error:
            raise files.outside(error, f"write {target}") from error
        return target

    def export(self, outputs: Iterable[Output], store: LocalStore) -> None:
        """Put the bytes of files and directories into `objects/`, listings included."""
        folder = f"{self.folder}/objects"
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise files.outside(error, f"write {folder}") from error
        for output in outputs:
            for part in _objects(output, store):
                target = f"{folder}/{part.digest}"
                if not os.path.lexists(target):
                    store.materialise(part, target, link=True)

    # Reading.

    def read(self, name: str, type_: type[T], *, of: str) -> T | None:
        """The value of `<name>.json`, None where there is none.

        Args:
            name: of the file.
            type_: of the value.
            of: the artifact that has it, where artifacts are kept apart.

        Raises:
            ConfigurationError: it is not what it should be.
            TrustError: it is no regular file.
        """
        artifacts = self._artifacts()
        folder = artifacts.get(of) or artifacts.get("")
        return self._decoded(os.path.join(folder, f"{name}.json"), type_) if folder else None

    def all(self, kind: str, type_: type[T], *, of: str) -> Iterator[T]:
        """Every value of a kind, by name; `of` as above."""
        return (value for artifact, value in self.each(kind, type_) if artifact in ("", of))

    def each(self, kind: str, type_: type[T]) -> Iterator[tuple[str, T]]:
        """Every value of a kind with the artifact that it came in, "" where they are not kept apart."""
        for artifact, parent in self._artifacts().items():
            folder = os.path.join(parent, kind)
            for name in sorted(_listed(folder)):
                if not _NAME.fullmatch(name):
                    raise TrustError(f"{folder} holds {name!r}, which no job hands on")
                value = self._decoded(f"{folder}/{name}", type_)
                if value is not None:
                    yield artifact, value

    def take_in(self, store: LocalStore) -> int:
        """How many objects were put into the store, each under the digest of its bytes.

        Raises:
            TrustError: something is no regular file, or has a name that is no digest.
            IntegrityError: an object's bytes are not what its name says.
        """
        return sum(self._take_in(f"{folder}/objects", store) for folder in self._artifacts().values())

    def _take_in(self, folder: str, store: LocalStore) -> int:
        names = sorted(_listed(folder))
        for name in names:
            path = f"{folder}/{name}"
            if not is_digest(name):
                raise TrustError(f"{folder} holds {name!r}, which is not the digest of an object")
            _regular(path)
            if store.holds(Digest(name)):
                continue
            found = store.put_path(path, name=RepoPath(f"objects/{name}")).digest
            if found != name:
                raise IntegrityError(
                    f"an object was handed on under a wrong name: {name[:12]} has the bytes of {found[:12]}",
                    hint="Run the jobs again; where it happens again, somebody changes the artifacts.",
                )
        return len(names)

    def _artifacts(self) -> dict[str, str]:
        """Artifact -> its folder; under "" the one folder of a CI service that does not keep them apart."""
        apart = [name for name in sorted(_listed(self.folder)) if is_artifact(name)]
        for name in apart:
            path = f"{self.folder}/{name}"
            if not stat.S_ISDIR((status := os.lstat(path)).st_mode):
                raise TrustError(f"{path} is {files.kind_of(status)}, and no artifact")
        return {name: f"{self.folder}/{name}" for name in apart} or {"": self.folder}

    def _decoded(self, path: str, type_: type[T]) -> T | None:
        if not os.path.lexists(path):
            return None
        status = _regular(path)
        if status.st_size > LARGEST:
            raise ConfigurationError(f"{path} is larger than {LARGEST >> 20} MiB")
        try:
            with open(path, "rb") as file:
                return msgspec.json.decode(file.read(), type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} is not what a job hands on: {error}") from error
        except OSError as error:
            raise files.outside(error, f"read {path}") from error


def file_name(name: str) -> str:
    """A name for a file, the same for the same name and another for every other one."""
    if _PLAIN.fullmatch(name) and not name.endswith("."):
        return name
    quoted = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02x}" for byte in os.fsencode(name))
    return quoted if len(quoted) <= 200 else f"%{hashlib.sha256(os.fsencode(name)).hexdigest()}"


def _objects(output: Output, store: LocalStore) -> Iterator[Output]:
    """Every object behind an output, as a file of its own."""
    if not output.directory:
        yield output
        return
    for digest in listing.parts(output.digest, store.read):
        yield Output(path=output.path, digest=digest, size=len(store.read(digest)))
    for entry in listing.entries(output.digest, store.read):
        if entry.mode != listing.FOLDER:
            yield Output(path=output.path, digest=entry.digest, size=entry.size)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.outside(error, f"read {folder}") from error


def _regular(path: str) -> os.stat_result:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise TrustError(f"{path} is {files.kind_of(status)}: jobs hand on regular files alone")
    return status
