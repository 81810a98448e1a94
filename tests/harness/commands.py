"""What a runner takes out of a step's output: workflow commands, and the files by which a step tells it things.

Source: github.com/actions/runner, ActionCommand.cs, ActionCommandManager.cs, FileCommandManager.cs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# What TrimStart takes away; Python's own idea of white space is another one.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_KNOWN = frozenset(
    [
        "add-mask",
        "add-matcher",
        "add-path",
        "debug",
        "echo",
        "endgroup",
        "error",
        "group",
        "internal-set-repo-path",
        "notice",
        "remove-matcher",
        "save-state",
        "set-env",
        "set-output",
        "stop-commands",
        "warning",
    ]
)
_LINE = re.compile(rb"\r\n|\r|\n")
LARGEST_SUMMARY = 1 << 20


class Command(NamedTuple):
    """One workflow command."""

    name: str
    properties: dict[str, str]
    data: str


class FileError(Exception):
    """A file of commands that the runner does not understand: the step fails."""


def lines(output: bytes) -> list[str]:
    """Output in the lines that a runner sees: also a carriage return alone ends one."""
    return [line.decode("utf-8", "replace") for line in _LINE.split(output)]


class Listener:
    """Finds commands in the lines of one step, and knows whether they are stopped."""

    def __init__(self) -> None:
        self._token: str | None = None

    def heard(self, line: str) -> Command | None:
        """The command that a line holds; None where it is text."""
        if self._token is not None:
            if _same(line, self._token):
                self._token = None
            return None
        found = _second(line) or _first(line)
        if found is not None and found.name == "stop-commands":
            self._token = found.data
        return found


def _same(line: str, token: str) -> bool:
    found = re.fullmatch(r"::(.*)::", line.strip(_SPACE))
    return found is not None and found[1] == token


def _second(line: str) -> Command | None:
    """`::name key=value,key=value::data`, first in the line."""
    found = re.match(r"::(.*?)::", line.lstrip(_SPACE))
    if found is None:
        return None
    name, _, told = found[1].strip().partition(" ")
    if name.lower() not in _KNOWN:
        return None
    pairs = (pair.strip().partition("=") for pair in told.split(",") if "=" in pair)
    properties = {key: _plain(value, (":", "%3A"), (",", "%2C")) for key, _, value in pairs}
    return Command(name.lower(), properties, _plain(line.lstrip(_SPACE)[found.end() :]))


def _first(line: str) -> Command | None:
    """`##[name key=value;key=value]data`, wherever it stands in the line."""
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name, _, told = line[start + 3 : end].strip().partition(" ")
    if name.lower() not in _KNOWN:
        return None
    pairs = (pair.strip().partition("=") for pair in told.split(";") if "=" in pair)
    return Command(name.lower(), {key: _old(value) for key, _, value in pairs}, _old(line[end + 1 :]))


def _plain(value: str, *more: tuple[str, str]) -> str:
    for sign, code in (*more, ("\r", "%0D"), ("\n", "%0A"), ("%", "%25")):
        value = value.replace(code, sign)
    return value


def _old(value: str) -> str:
    for sign, code in ((";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D"), ("%", "%25")):
        value = value.replace(code, sign)
    return value


def pairs(content: str) -> dict[str, str]:
    """Names and values of GITHUB_OUTPUT, GITHUB_ENV or GITHUB_STATE: `name=value`, or a heredoc.

    Raises:
        FileError: the runner would not understand it.
    """
    found: dict[str, str] = {}
    rest = content.removeprefix("\ufeff")
    while rest:
        line, _, rest = _cut(rest)
        if not line:
            continue
        equals, mark = line.find("="), line.find("<<")
        if equals >= 0 and (mark < 0 or equals < mark):
            name, value = line[:equals], line[equals + 1 :]
        elif mark >= 0:
            name, delimiter = line[:mark], line[mark + 2 :]
            if not name or not delimiter:
                raise FileError(f"Invalid format '{line}'")
            value, rest = _heredoc(name, delimiter, rest)
        else:
            raise FileError(f"Invalid format '{line}'")
        if not name:
            raise FileError(f"Invalid format '{line}'. Name must not be empty")
        found[name] = value
    return found


def _heredoc(name: str, delimiter: str, rest: str) -> tuple[str, str]:
    value: list[str] = []
    while rest:
        line, newline, rest = _cut(rest)
        if line == delimiter:
            return "\n".join(value), rest
        if not newline:
            raise FileError(f"Invalid value. EOF marker missing new line: {delimiter}")
        value.append(line)
    raise FileError(f"Invalid value. Matching delimiter not found '{delimiter}': {name}")


def _cut(content: str) -> tuple[str, str, str]:
    """The first line, its end, and the rest."""
    return content.partition("\n")
