"""A requirements file: what of it can be kept under a digest, and what of it is not exact."""

from __future__ import annotations

import re

from ciml.core.amounts import some_of
from ciml.core.errors import ConfigurationError, Problem

_OPTIONS = (
    "-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--no-binary", "--only-binary",
    "--prefer-binary", "--pre", "--trusted-host", "--require-hashes", "--use-feature",
)  # fmt: skip
_EXACT = re.compile(r"===?\s*[^\s,*]+\s*(?:$|[\s;#\\])|--hash[= ]|@\s*\S+@[0-9a-f]{40}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def check_requirements(text: str, *, file: str = "requirements.txt") -> str | None:
    """One sentence on the lines without an exact version, or None where all have one.

    Raises:
        ConfigurationError: a line leads out of the file (an editable install, a local path,
            another file), so its digest would not say what is installed.
    """
    problems: list[Problem] = []
    loose: list[str] = []
    for number, line in _lines(text):
        refusal = _refusal(line)
        if refusal is not None:
            problems.append(Problem(message=f"{refusal[0]}: {line}", file=file, line=number, hint=refusal[1]))
        elif not line.startswith("-") and not _EXACT.search(line):
            name = _NAME.match(line)
            loose.append(name.group() if name else line)
    if problems:
        raise ConfigurationError(problems=problems)
    if not loose:
        return None
    return f"{file}: no exact version for {some_of(loose, 5)}; another day may install another one"


def _lines(text: str) -> list[tuple[int, str]]:
    """(number of its first line, text) of each logical line, comments and continuations resolved."""
    found: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, physical in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", physical).strip()
        start, before = begun or (number, "")
        begun = None
        if line.endswith("\\"):
            begun = (start, f"{before}{line[:-1].strip()} ")
        elif before + line:
            found.append((start, (before + line).strip()))
    return [*found, (begun[0], begun[1].strip())] if begun else found


def _refusal(line: str) -> tuple[str, str] | None:
    """(what is wrong, what to do) with a line that leads out of the file."""
    word = re.split(r"[\s=]", line, maxsplit=1)[0]
    if word in ("-e", "--editable"):
        return "an editable install", "Make the code an input of the stages that use it."
    if word in ("-r", "--requirement", "-c", "--constraint"):
        return "another file is included", "Lock all requirements into one file (`uv pip compile`)."
    if line.startswith("-"):
        if word not in _OPTIONS:
            return "an option that is not known here", "Leave it out, or set it for pip and uv by PIP_… and UV_… ."
        value = line[len(word) :].strip(" =")
        if word in ("-f", "--find-links") and not value.startswith(("/", "https://", "http://", "file:///")):
            return "a relative path", "Name it absolutely, or by URL."
        return None
    target = line.split("@", 1)[1].strip() if re.match(r"[\w.\[\],-]+\s*@", line) else line
    if target.startswith((".", "/", "~", "file:")) or (
        re.match(r"[^\s;=<>!~]+\.(whl|zip|tar\.\w+)\b", target) and "://" not in target
    ):
        return "a local path", "Publish the package, or make the code an input of the stages that use it."
    return None
