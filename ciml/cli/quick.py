"""The answer to a call that finds nothing to do, at the price of a few thousand `lstat`s.

A `run` or `plan` that found everything in place leaves a receipt: what it printed, and the
signature of every file that the answer depends on (configuration, inputs, outputs, Git's HEAD,
refs and index, the ledgers, the store's bins). While all signatures hold, the same call has the
same answer. Any doubt, and the call takes the ordinary way. So does a call with `--json`: that says
whether the tree is dirty, which any tracked file may change.

Nothing but built-in modules is imported here: for a thousand stages that are all in place,
importing click alone would take longer than the answer.
"""

from __future__ import annotations

import marshal
import os
import sys

from ciml import __version__

TYPE_CHECKING = False  # `typing` itself takes longer to import than the whole answer
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Signature = tuple[int, int, int, int]
"""Modification and change time (ns), size (bytes), inode; all 0 where nothing lies."""

_COMMANDS = {"run", "plan"}
_ENVIRONMENT = ("MLFLOW_", "CIML_", "GIT_", "GITHUB_", "CI", "PATH", "HOME", "XDG_CONFIG_HOME", "CUDA_VISIBLE_DEVICES")
_ELSEWHERE = ("--json", "--base", "--head")
"""Options whose answer depends on more than what is watched."""
_SETTLED_NS = 20_000_000
"""A file changed so shortly before it is looked at might change again without a trace: clocks tick in ms."""


def answer(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Print the answer that is on record for this folder and return its exit code; None where none holds."""
    name = _name(arguments)
    if name is None:
        return None
    try:
        place = _place(os.getcwd())
        if place is None:
            return None
        with open(f"{place[1]}/{name}", "rb") as file:
            about, watched, out, error, code = marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):
        return None
    if about != _about(arguments, environ, place[0]) or any(signature(path) != before for path, before in watched):
        return None
    sys.stderr.write(error if sys.stderr.isatty() else _plain(error))
    sys.stdout.write(out if sys.stdout.isatty() else _plain(out))
    return int(code)


def _plain(text: str) -> str:
    """The text without colours."""
    first, *rest = text.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)


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
    begun_ns: int,
) -> None:
    """Leave a receipt.

    Args:
        arguments: of the call.
        environ: of the call.
        directory: where it was made.
        watched: absolute paths of all that the answer depends on, as they are now.
        known: of paths whose signatures were taken when their bytes were read.
        out: what the call printed to stdout, colours included.
        error: and to stderr.
        code: its exit code.
        begun_ns: when the call began, in ns since 1970; what changed after that may have been read before.
    """
    name = _name(arguments)
    place = _place(directory) if name else None
    if not name or not place:
        return
    found = {**{path: signature(path) for path in watched}, **known}
    if any(max(times[:2]) > begun_ns - _SETTLED_NS for times in found.values()):
        return
    receipt = (_about(arguments, environ, place[0]), sorted(found.items()), out, error, int(code))
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
    files = [f"{own}/HEAD", f"{own}/index", f"{own}/config.worktree"]
    files += [f"{common}/{name}" for name in ("packed-refs", "config", "info/exclude", "reftable/tables.list")]
    with open(f"{own}/HEAD") as file:
        head = file.read().strip()
    return [*files, f"{common}/{head[5:]}"] if head.startswith("ref: ") else files


def _name(arguments: Sequence[str]) -> str | None:
    """The receipt's file name for a call; None for a call that never has one."""
    words = list(arguments)
    if not _COMMANDS.intersection(words) or any(map(_is_elsewhere, words)):
        return None
    # Two calls may have one name: the receipt itself holds the words.
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in "_".join(words))
    return name if len(name) <= 200 else None


def _is_elsewhere(word: str) -> bool:
    """Whether an option has an answer that no receipt holds: `-C DIR`, also as `-vC DIR`, and those by name."""
    return word.startswith(_ELSEWHERE) or (word[:1] == "-" and word[1:2] != "-" and "C" in word)


def _about(
    arguments: Sequence[str], environ: Mapping[str, str], own: str
) -> tuple[tuple[str, ...], str, str, str, str, tuple[tuple[str, str], ...]]:
    """What an answer depends on besides files. A copy of the clone has the receipt, too, but not its place `own`."""
    chosen = tuple(sorted((k, v) for k, v in environ.items() if k.startswith(_ENVIRONMENT)))
    return (tuple(arguments), own, __version__, sys.version, sys.executable, chosen)


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
