"""Text of strangers inside Markdown that GitHub draws: it shows what it says, and does nothing.

GitHub finds mentions, issues, commits and addresses in the text of the finished page, so that no
escape of Markdown's keeps them from it; a zero-width space does, and code does. What cannot be
printed, or would turn the direction of writing, is shown by its number.
"""

from __future__ import annotations

import re
import unicodedata

from ciml.core.url import without_secrets

LONGEST = 200
"""Characters of one text in a sentence or in a cell; a longer one is cut."""

_BREAK = "\u200b"

_MARKUP = re.compile(r"[\\`*_\[\]<~&$]")
_START = re.compile(r"^(?:[#+=:>-]|\d{1,9}(?=[.)](?:\s|$)))")

# Where GitHub would see a mention, an issue, an advisory, an address or a picture by name.
_ACTIVE = re.compile(
    r"""
      (?<=@)(?=\S)                          # @name, @org/team, name@host, repository@commit
    | (?<=\#)(?=[0-9])                      # #12, owner/name#12
    | (?<=gh-)(?=[0-9])                     # GH-12
    | (?<=:)(?=//)                          # https://…
    | (?<=www)(?=\.)
    | (?<=cve-)(?=[0-9]) | (?<=ghsa-)(?=\w)
    | (?<=:)(?=[\w+-]+:)                    # :tada:
    """,
    re.VERBOSE | re.IGNORECASE,
)


# What may be a commit's id: GitHub takes seven digits and more for one.
_COMMIT = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,}(?![0-9a-z])", re.IGNORECASE)
_SIX = re.compile(r"[0-9a-f]{6}(?=[0-9a-f])", re.IGNORECASE)


def visible(text: str) -> str:
    """`text` on one line; a control, a turn of direction, half a character are shown by their numbers."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _named(char) for char in text)


def _named(char: str) -> str:
    code = ord(char)
    if char in "\t\n\v\f\r\x85\u2028\u2029" or unicodedata.category(char) == "Zs":
        return " "
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as a path holds it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: str, longest: int = LONGEST) -> str:
    """`text` where no Markdown is read (a title, a status): one line that mentions and links nothing."""
    shown, room = _line(text, longest), longest
    while True:
        # Cut first, then broken: a cut makes an end of a word where there was none.
        safe = _COMMIT.sub(_no_commit, _ACTIVE.sub(_BREAK, cut(shown, room)))
        if len(safe) <= longest:
            return safe
        room -= -(-(len(safe) - longest) // 2)


def _line(text: str, longest: int) -> str:
    """One line without passwords in addresses, cut. Of a text of megabytes no more is read than may be needed."""
    return cut(" ".join(visible(without_secrets(text[: 8 * longest])).split()), longest)


def _no_commit(match: re.Match[str]) -> str:
    return _SIX.sub(rf"\g<0>{_BREAK}", match[0])


def inline(text: str, longest: int = LONGEST) -> str:
    """`text` inside a sentence, a heading, a list item or a cell of a table."""
    safe = _MARKUP.sub(r"\\\g<0>", plain(text, longest)).replace("|", "&#124;")
    return _START.sub(_first, safe)


def _first(match: re.Match[str]) -> str:
    """What begins a list, a heading or a line below one, made a character like others."""
    return f"{match[0]}{_BREAK}" if match[0].isdigit() else f"\\{match[0]}"


def code(text: str, longest: int = LONGEST) -> str:
    """`text` as code, where GitHub looks for nothing; as ordinary text where code cannot hold it."""
    shown = _line(text, longest)
    if not shown or "`" in shown or "|" in shown:
        return inline(shown or "-", longest)
    return f"`{shown}`"


def fence(text: str, language: str = "") -> str:
    """`text` as a block of code that no line of it can end.

    Args:
        text: lines; escapes for colours are taken out.
        language: what GitHub is to do with it: `mermaid`, or nothing.
    """
    lines = [visible(line.expandtabs(4)) for line in _COLOUR.sub("", text).splitlines()]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    mark = "`" * max(longest + 1, 3)
    return "\n".join((f"{mark}{language}", *lines, mark))


_COLOUR = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")


def cut(text: str, longest: int) -> str:
    """`text`, or its beginning and a mark where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
