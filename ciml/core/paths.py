"""Paths that `ciml.yaml` may name: inside the repository, and writable on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ciml.core.ids import RepoPath

# The names that Windows keeps for devices, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_UNPORTABLE = re.compile(r'[<>:"|?*\\]')
# Control characters, and those that turn the direction of text or cannot be seen.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_@+=,-]*(?:\.[A-Za-z0-9_@+=,-]+)*/?)+")
_SUFFIX = re.compile(r"(?<=[^/])\.[A-Za-z0-9]{1,8}$")


def has_invisible(text: str) -> bool:
    """Whether `text` holds a control, bidi or zero-width character: it would not be what it looks like."""
    return _INVISIBLE.search(text) is not None


def normal(text: str) -> RepoPath:
    """The path without `./`, doubled and trailing slashes; "" is the root."""
    if "//" in text or "." in text or text.endswith("/"):
        return RepoPath("/".join(part for part in text.split("/") if part not in ("", ".")))
    return RepoPath(text)


def inside_fault(text: str) -> str | None:
    """Why `text` is no path inside the repository, or None where it is one."""
    if not text:
        return "is empty"
    if has_invisible(text):
        return "holds a control or bidi character"
    if text.startswith(("/", "~", "\\")) or _DRIVE.match(text):
        return "leaves the repository"
    parts = text.replace("\\", "/").split("/")
    if ".." in parts:
        return "leaves the repository" if _climbs(parts) else "holds `..`"
    if any(part.casefold() == ".git" for part in parts):
        return "lies inside .git"
    return None


def _climbs(parts: list[str]) -> bool:
    depth = 0
    for part in parts:
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def output_fault(text: str) -> str | None:
    """Why a stage may not write to `text`, or None where it may: it must work on every system."""
    fault = inside_fault(text)
    if fault:
        return fault
    path = normal(text)
    if not path:
        return "is the whole repository"
    if f"{path.casefold()}/".startswith(".github/workflows/"):
        return "lies inside .github/workflows"
    if _PLAIN.fullmatch(path) and not _reserved(path):
        return None
    for part in path.split("/"):
        if _UNPORTABLE.search(part):
            return 'holds one of the characters \\ : * ? " < > |, which not every system can write'
        if part.endswith((".", " ")) or part.startswith(" "):
            return "has a part that starts or ends with a space or ends with a dot"
        if _DEVICE.fullmatch(part):
            return f"names a device of Windows ({part})"
        if len(part.encode()) > 255:
            return "has a part longer than 255 bytes"
    return None


def _reserved(path: str) -> bool:
    return len(path) > 255 or any(_DEVICE.fullmatch(part) for part in path.split("/"))


def without_case(path: str) -> str:
    """What the path is to a system that ignores case, and how an accent is spelt."""
    folded = path.casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)


def look_alikes(paths: Iterable[RepoPath]) -> list[tuple[RepoPath, RepoPath]]:
    """Those that are one path where case and spelling are ignored, each with the first such one."""
    known: dict[str, RepoPath] = {}
    pairs = [(known.setdefault(without_case(path), path), path) for path in sorted(set(paths))]
    return [(one, other) for one, other in pairs if one != other]


def folders(path: str) -> list[str]:
    """The folders that hold `path`, the nearest first: `a/b`, `a` for `a/b/c`."""
    parts = []
    end = path.rfind("/")
    while end > 0:
        parts.append(path[:end])
        end = path.rfind("/", 0, end)
    return parts


def marked(path: str, mark: str) -> RepoPath:
    """The path made distinct: `@mark` before its suffix, `build/model@0.1.pkl`."""
    suffix = _SUFFIX.search(path)
    stem = path[: suffix.start()] if suffix else path
    return RepoPath(f"{stem}@{mark}{suffix.group() if suffix else ''}")
