"""Text of a stage, made harmless for the log of a CI job and for a terminal.

A runner takes commands from what is printed: `::name::value` at the start of a line, where the
line begins after `\\n`, `\\r` or both and any Unicode space is skipped, and `##[name]value`
anywhere in a line. Other runners know `##vso[…]` and `##teamcity[…]`. So each line gets a
prefix that is no space, and the second form is broken wherever it stands.

Source: github.com/actions/runner, src/Runner.Common/ActionCommand.cs, `TryParse` and `TryParseV2`.
"""

from __future__ import annotations

import re

# Characters that a culture-aware comparison skips may stand between the three: they count as nothing.
_ANYWHERE = re.compile(r"#([^\x20-\x7e]*)#(?=[^\x20-\x7e]*\w*[^\x20-\x7e]*\[)")

# The beginning of a line that a runner would take for a command.
_COMMAND = re.compile(r"[^\x21-\x7e]*:[^\x21-\x7e]*:")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

# All escape sequences but colours (`ESC [ … m`), and all control characters but the tab.
_CONTROL = re.compile(
    r"\x1b\[(?![0-9;:]*m)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b(?!\[)[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def harmless(line: str) -> str:
    """One line without terminal control other than colour, and without a command inside it."""
    return _ANYWHERE.sub(r"#\1 #", _CONTROL.sub("", line))


def harmless_text(text: str) -> str:
    """What ciml itself says, in which a path or a name may hold anything: the same lines, none of them a command."""
    told = map(harmless, text.split("\n"))
    return "\n".join(f"| {line}" if _COMMAND.match(_COLOUR.sub("", line)) else line for line in told)


def neutralise(text: str, *, prefix: str) -> list[str]:
    """The lines of `text`, each behind `prefix`, such that no runner finds a command in them.

    Args:
        text: what a stage printed, decoded.
        prefix: begins with a character that is no space and no colon, such as `train | `.
    """
    # Every line end of Unicode's ends one here, as some reader may see it.
    return [prefix + harmless(line) for line in text.splitlines()]
