"""The answer to a call that finds nothing to do, at the price of a few thousand `lstat`s.

A `run` or `plan` that found everything in place leaves a receipt: what it printed, and the
signature of every file that the answer depends on (configuration, inputs, outputs, Git's HEAD,
refs and index, the ledgers). While all signatures hold, the same call has the same answer. Any
doubt, and the call takes the ordinary way.

Nothing but built-in modules is imported here: for a thousand stages that are all in place,
importing click alone would take longer than the answer.
"""

from __future__ import annotations

import marshal
import os
import sys
from typing import TYPE_CHECKING

from ciml import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Signature = tuple[int, int, int, int]
"""Modification and change time (ns), size (bytes), inode; all 0 where nothing lies."""

_COMMANDS = {"run", "plan"}
_ENVIRONMENT = ("MLFLOW_TRACKING_URI", "CIML_", "GIT_", "PATH", "CUDA_VISIBLE_DEVICES")
_SETTLED_NS = 20_000_000
"""A file changed so shortly before it is looked at might change again without a trace: clocks tick in ms."""


def answer(arguments: Sequence[str], environ: Mapping[str, str], directory: str) -> int | None:
    """Print the answer that is on record and return its exit code; None where there is none that holds."""
    name = _name(arguments)
    place = _place(directory) if name else None
    if not name or not place:
        return None
    try:
        with open(f"{place[1]}/{name}", "rb") as file:
            about, watched, out, error, code = marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):
        return None
    if about != _about(environ) or any(signature(path) != before for path, before in watched):
        return None
    sys.stderr.write(error)
    sys.stdout.write(out)
    return int(code)


def keep(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    directory: str,
    *,
    watched: Iterable[str],
    known: Mapping[str, Signature],
    out: str,
    error: str,
    code: int,
    now_ns: int,
) -> None:
    """Leave a receipt.

    Args:
        arguments: of the call.
        environ: of the call.
        directory: where it was made.
        watched: absolute paths of all that the answer depends on, as they are now.
        known: of paths whose signatures were taken when their bytes were read.
        out: what the call printed to stdout.
        error: and to stderr.
        code: its exit code.
        now_ns: the time, in ns since 1970.
    """
    name = _name(arguments)
    place = _place(directory) if name else None
    if not name or not place:
        return
    found = {**{path: signature(path) for path in watched}, **known}
    if any(max(times[:2]) > now_ns - _SETTLED_NS for times in found.values()):
        return
    receipt = (_about(environ), sorted(found.items()), out, error, int(code))
    beside = f"{place[1]}/{name}.{os.getpid()}"
    try:
        os.makedirs(place[1], exist_ok=True)
        with open(beside, "wb") as file:
            marshal.dump(receipt, file)
        os.replace(beside, f"{place[1]}/{name}")
    except OSError:
        return  # It costs time and nothing else.


def signature(path: str) -> Signature:
    """The signature of what lies at a path, a link not followed."""
    try:
        found = os.lstat(path)
    except OSError:
        return (0, 0, 0, 0)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def git_files(directory: str) -> list[str]:
    """Git's own files that say what is checked out: HEAD, the branch, packed refs, the index."""
    place = _place(directory)
    if place is None:
        return []
    own, common = place[0], place[2]
    files = [f"{own}/HEAD", f"{own}/index", f"{common}/packed-refs", f"{common}/config", f"{common}/info/exclude"]
    with open(f"{own}/HEAD") as file:
        head = file.read().strip()
    return [*files, f"{common}/{head[5:]}"] if head.startswith("ref: ") else files


def _name(arguments: Sequence[str]) -> str | None:
    """The receipt's file name for a call; None for a call that never has one."""
    words = list(arguments)
    if not _COMMANDS.intersection(words) or "-C" in words or len(words) > 12:
        return None
    return "".join(c if c.isalnum() else f"_{ord(c):x}" for c in " ".join(words))[:200]


def _about(environ: Mapping[str, str]) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    """What an answer depends on besides files."""
    chosen = tuple(sorted((k, v) for k, v in environ.items() if k.startswith(_ENVIRONMENT)))
    return (__version__, sys.version, sys.executable, chosen)


def _place(directory: str) -> tuple[str, str, str] | None:
    """Git's folder of this work tree, the folder of its receipts, and Git's common folder."""
    while not os.path.lexists(f"{directory}/.git"):
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above
    own = f"{directory}/.git"
    if os.path.isdir(own):
        return own, f"{own}/ciml/index/receipts", own
    try:
        with open(own) as file:
            own = os.path.join(directory, file.read().strip().removeprefix("gitdir: "))
        with open(f"{own}/commondir") as file:
            common = os.path.normpath(os.path.join(own, file.read().strip()))
    except OSError:
        return None
    return own, f"{common}/ciml/index/receipts-{os.path.basename(own)}", common
