"""What a stage left behind, checked and taken into the store."""

from __future__ import annotations

import hashlib
import os
import stat

from ciml.adapters import files
from ciml.adapters.isolation import StageDirectory
from ciml.adapters.objects import Sink
from ciml.core.errors import CimlError, StageError, TrustError
from ciml.core.ids import RepoPath
from ciml.core.metrics import Metrics, parse
from ciml.core.order import WorkOrder
from ciml.core.pipeline import Place
from ciml.core.redaction import Redactor
from ciml.core.results import Output

_LARGEST_METRICS = 16 << 20
"""Bytes; a metrics file beyond it is no metrics file."""

_HOLLOW = 16 << 30
"""Bytes; a larger file of which the disk holds less than 1 % is sparse by accident or by malice."""

_PIECE = 1 << 20


class Collected:
    """The outputs of a stage, in the store."""

    def __init__(self, outputs: tuple[Output, ...], metrics: dict[RepoPath, Metrics]) -> None:
        self.outputs = outputs
        self.metrics = metrics


def collect(order: WorkOrder, directory: StageDirectory, sink: Sink, redactor: Redactor) -> Collected:
    """Every declared output, stored.

    Its parents are walked without following a link, and it is read through the folder that was
    found there, so no link that a process swaps in meanwhile leads elsewhere.

    Raises:
        StageError: an output is missing, is not of this run, or is no file or directory.
        TrustError: it lies behind a link, or holds the value of a secret.
    """
    outputs: list[Output] = []
    metrics: dict[RepoPath, Metrics] = {}
    for place in order.outputs:
        folder = _folder(order, place, directory.root)
        try:
            outputs.append(_store(order, place, folder, directory, sink, redactor))
            if place.path in order.metrics:
                metrics[place.path] = _metrics(order, place, folder, outputs[-1])
        finally:
            os.close(folder)
    return Collected(tuple(outputs), metrics)


def _missing(order: WorkOrder, place: Place) -> StageError:
    return StageError(f"stage {order.stage} did not write {place.inside} in this run")


def _folder(order: WorkOrder, place: Place, root: str) -> int:
    """A descriptor of the folder that holds the output; no part of its path is a link."""
    try:
        return files.open_below(root, os.path.dirname(place.inside))
    except FileNotFoundError:
        raise _missing(order, place) from None
    except OSError as error:
        raise TrustError(
            f"stage {order.stage}: its output {place.inside} lies behind something that is no real folder",
            hint="Write to the declared path itself; what a link points to is not the stage's.",
        ) from error


def _store(
    order: WorkOrder, place: Place, folder: int, directory: StageDirectory, sink: Sink, redactor: Redactor
) -> Output:
    name = os.path.basename(place.inside)
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise _missing(order, place) from None
    _check_kind(order, place, status)
    if not directory.written(place.inside):
        raise _missing(order, place)
    path = f"/proc/self/fd/{folder}/{name}"
    if redactor:
        _check_secrets(order, place, path, redactor)
    try:
        output = sink.put_path(path, name=place.path)
    except PermissionError as error:
        raise StageError(f"stage {order.stage}: its output {place.inside} cannot be read: {error.strerror}") from error
    if output.directory and output.files == 0:
        raise StageError(f"stage {order.stage}: its output {place.inside} is an empty directory")
    return output


def _check_kind(order: WorkOrder, place: Place, status: os.stat_result) -> None:
    where = f"stage {order.stage}: its output {place.inside}"
    if stat.S_ISLNK(status.st_mode):
        raise StageError(
            f"stage {order.stage} did not write {place.inside} in this run: it is a symbolic link",
            hint="Copy the file to the declared path.",
        )
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise StageError(f"{where} is {files.kind_of(status)}, not a file or a directory")
    if stat.S_ISREG(status.st_mode) and status.st_size > _HOLLOW and status.st_blocks * 51200 < status.st_size:
        raise StageError(f"{where} is sparse: {status.st_size} bytes of which {status.st_blocks * 512} are written")


def _check_secrets(order: WorkOrder, place: Place, path: str, redactor: Redactor) -> None:
    """Every byte of the output, and every name in it, without the value of a secret."""
    paths = [path]
    if os.path.isdir(path):
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for file in paths:
        name = redactor.find(os.fsencode(file)) or _secret_in(file, redactor)
        if name is not None:
            raise TrustError(
                f"stage {order.stage}: its output {place.inside} holds the value of the secret {name}",
                hint="Nothing of this stage is stored. Keep the secret out of what the stage writes, and replace it.",
            )


def _secret_in(path: str, redactor: Redactor) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # a link or a special file: the store decides about it
    with open(fd, "rb", buffering=0) as file:
        kept = b""
        while stat.S_ISREG(os.fstat(fd).st_mode) and (piece := file.read(_PIECE)):
            name = redactor.find(kept + piece)
            if name is not None:
                return name
            kept = (kept + piece)[-redactor.longest :]
    return None


def _metrics(order: WorkOrder, place: Place, folder: int, output: Output) -> Metrics:
    """The numbers in a metrics file, from the very bytes that are in the store."""
    where = f"stage {order.stage}: its metrics file {place.inside}"
    if output.directory:
        raise StageError(f"{where} is a directory")
    if output.size > _LARGEST_METRICS:
        raise StageError(f"{where} has {output.size} bytes, more than {_LARGEST_METRICS}")
    fd = os.open(os.path.basename(place.inside), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with open(fd, "rb", buffering=0) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != output.digest:
        raise StageError(f"{where} was still being written when the stage ended")
    try:
        return parse(data, place.path)
    except CimlError as error:
        raise StageError(f"{where}: {error.message}", hint=error.hint) from error
