"""Where in a bash script an expansion is one word, and where it would be something else.

A scanner, not a parser: it follows quotes, here-documents, comments and nesting, and says of each
place that it asks about how an expansion must be quoted there, or why none may stand there. Where
it cannot be sure it says no.

Source: https://www.gnu.org/software/bash/manual/html_node/Shell-Syntax.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum


class Quoting(Enum):
    """How an expansion must be written to be one word."""

    NONE = "none"
    """It stands bare: it needs double quotes of its own."""
    DOUBLE = "double"
    """It stands in double quotes already."""


_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]*)'|\"([^\"\n]*)\"|((?:\\.|[^\s;&|<>()'\"])+))")
_WORD_END = frozenset(" \t\n;&|()<>")
_COMMAND_END = frozenset("\n;&|(){}!")
# What follows one of these is read as a script of its own,
_INTERPRETER = re.compile(
    r"(?:^|[\s/])(?:"
    r"(?:ba|da|z|k|a)?sh(?:\s+[-+]\w*o\s+\w+|\s+[-+]\S+)*\s+-\w*c"
    r"|python[\d.]*(?:\s+-\S+)*\s+-\w*c"
    r"|(?:perl|ruby|node|R|Rscript|php)(?:\s+-\S+)*\s+-\w*[er]"
    r")\s"
)
# and what follows one of these, where a command's name stands, as a script or as a subscript's arithmetic.
_BUILTIN = re.compile(
    r"^\s*(?:(?:\w+=\S*|builtin|command|exec|time|then|do|else|elif|if|while|until)\s+)*"
    r"(?:eval|let|trap|alias|read|unset|mapfile|readarray|printf\s+-v|(?:test|\[)\s+-v"
    r"|(?:declare|local|typeset|export|readonly)\s+-\w*[in]\w*)\s"
)
_ARITHMETIC_TEST = re.compile(r"\s-(?:eq|ne|lt|le|gt|ge|v|R)\s")
_SUBSCRIPT = re.compile(r"(?:^|[\s;&|(])[A-Za-z_]\w*\[[^\]\n]*$")
# Nothing begins or ends with these: most of a script is skipped at once.
_PLAIN = re.compile(r"[A-Za-z0-9 \t./_=,:@%+~^*?-]+")
_CASE = re.compile(r"(?:^|[\s;&|(])case\s")


def quotings(script: str, places: Sequence[int]) -> list[Quoting | str]:
    """For each place how an expansion must be quoted there, or where it stands that it may not.

    Args:
        script: for `bash -euo pipefail`.
        places: offsets of the expansions' `$`, ascending.

    Returns:
        A Quoting, or words such as `in single quotes`, for each place.
    """
    return _Scanner(script, places).run()


class _Frame:
    """A nesting that is open: `code`, `double` or one in which nothing may stand, and how it ends."""

    __slots__ = ("close", "command", "kind", "start")

    def __init__(self, kind: str, close: str, start: int) -> None:
        self.kind = kind
        self.close = close
        self.start = start
        self.command = start
        """Where the simple command began that is being read."""


class _Scanner:
    def __init__(self, script: str, places: Sequence[int]) -> None:
        self._text = script
        self._places = list(places)
        self._answers: list[Quoting | str] = []
        self._frames = [_Frame("code", "", 0)]
        self._heredocs: list[tuple[str, bool]] = []
        self._at = 0

    def run(self) -> list[Quoting | str]:
        while self._at < len(self._text) and len(self._answers) < len(self._places):
            if self._at == self._places[len(self._answers)]:
                self._answer(self._verdict())
                self._at = self._text.find("}}", self._at) + 2
            else:
                self._step()
        return self._answers

    def _answer(self, verdict: Quoting | str) -> None:
        self._answers.append(verdict)

    def _verdict(self) -> Quoting | str:
        frame = self._frames[-1]
        if frame.kind not in ("code", "double"):
            return frame.kind
        for outer in self._frames:
            if outer.kind.startswith("in "):
                return outer.kind
        code = next(outer for outer in reversed(self._frames) if outer.kind == "code")
        before = self._text[code.command : self._at]
        if _INTERPRETER.search(before) or _BUILTIN.match(before):
            return "in what is read as a script of its own"
        if "[[" in before and _ARITHMETIC_TEST.search(self._command_from(code.command)):
            return "in an arithmetic comparison ([ … -lt … ] is safe)"
        if frame.kind == "code" and _SUBSCRIPT.search(before):
            return "in a subscript"
        return Quoting.NONE if frame.kind == "code" else Quoting.DOUBLE

    def _command_from(self, start: int) -> str:
        end = self._text.find("]]", start)
        return self._text[start : end if end >= 0 else None]

    def _skip(self, end: int, why: str) -> None:
        """Go on at `end`; a place before it gets `why`."""
        while len(self._answers) < len(self._places) and self._places[len(self._answers)] < end:
            self._answer(why)
        self._at = end

    def _push(self, kind: str, opening: str, close: str) -> None:
        self._at += len(opening)
        self._frames.append(_Frame(kind, close, self._at))

    def _step(self) -> None:
        text, at, frame = self._text, self._at, self._frames[-1]
        if plain := _PLAIN.match(text, at):
            self._at = plain.end()
            return
        character = text[at]
        if character == "\\":
            self._skip(at + 2, "behind a backslash")
        elif frame.close and text.startswith(frame.close, at):
            self._close(frame)
        elif text.startswith("$((", at):
            self._push("in arithmetic", "$((", "))")
        elif text.startswith("$(", at):
            self._push("code", "$(", ")")
        elif text.startswith("${", at):
            self._push("in ${…}", "${", "}")
        elif character == "`":
            self._skip(self._end_of("`", at + 1), "in backquotes (write $(…) instead)")
        elif character == '"':
            self._push("double", '"', '"')
        elif frame.kind == "double":
            self._at += 1
        else:
            self._code(character)

    def _close(self, frame: _Frame) -> None:
        if frame.close == ")" and _CASE.search(self._text[frame.start - 1 : self._at]):
            # A pattern's `)` looks like the end: beyond this point nothing is certain.
            self._skip(len(self._text), "behind a `case` in $(…)")
            return
        self._at += len(frame.close)
        self._frames.pop()

    def _code(self, character: str) -> None:
        """One step outside of double quotes."""
        text, at = self._text, self._at
        word_start = at == 0 or text[at - 1] in _WORD_END
        if text.startswith("$'", at):
            self._skip(self._end_of("'", at + 2), "in $'…'")
        elif character == "'":
            end = text.find("'", at + 1)
            self._skip(len(text) if end < 0 else end + 1, "in single quotes")
        elif character == "#" and word_start:
            self._comment()
        elif text.startswith("((", at):
            self._push("in arithmetic", "((", "))")
        elif character == "(":
            self._push("code", "(", ")")
        elif text.startswith("$[", at):
            self._push("in arithmetic", "$[", "]")
        elif text.startswith("<<<", at):
            self._at += 3
        elif heredoc := _HEREDOC.match(text, at):
            delimiter = next(part for part in heredoc.groups()[1:] if part is not None)
            self._heredocs.append((delimiter.replace("\\", ""), bool(heredoc[1])))
            self._skip(heredoc.end(), "in a here-document's delimiter")
        else:
            self._at += 1
            if character in _COMMAND_END:
                self._frames[-1].command = self._at
            if character == "\n" and self._heredocs:
                self._bodies()

    def _comment(self) -> None:
        """A comment is not executed: an expansion in it is harmless, however it is quoted."""
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        while len(self._answers) < len(self._places) and self._places[len(self._answers)] < end:
            self._answer(Quoting.DOUBLE)
        self._at = end

    def _bodies(self) -> None:
        for delimiter, tabs in self._heredocs:
            end = self._at
            while end < len(self._text):
                stop = self._text.find("\n", end)
                line = self._text[end : len(self._text) if stop < 0 else stop]
                end = len(self._text) if stop < 0 else stop + 1
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
            self._skip(end, "in a here-document")
        self._heredocs = []
        self._frames[-1].command = self._at

    def _end_of(self, quote: str, start: int) -> int:
        """Behind the closing quote, backslashes heeded; the end of the text where it is never closed."""
        at = start
        while at < len(self._text):
            if self._text[at] == "\\":
                at += 2
            elif self._text[at] == quote:
                return at + 1
            else:
                at += 1
        return len(self._text)
