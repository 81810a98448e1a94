"""Stage output against an independent port of the runner's parser."""

from __future__ import annotations

import os
import random
import re

import pytest

from ciml.core.neutralise import harmless, harmless_text, neutralise

# The runner's own commands, lower-cased: names are compared without regard to case.
COMMANDS = frozenset({
    "set-env", "set-output", "save-state", "add-path", "add-mask", "add-matcher", "remove-matcher", "error", "warning",
    "notice", "debug", "group", "endgroup", "echo", "stop-commands", "internal-set-repo-path",
})  # fmt: skip
SPACES = "\t\v\f \x85\xa0\u1680\u2000\u2001\u2007\u200a\u2028\u2029\u202f\u205f\u3000"


def runner_lines(text: str) -> list[str]:
    """StreamReader.ReadLine: lines end at \\n, \\r or \\r\\n and nowhere else."""
    return re.split(r"\r\n|\r|\n", text)


def command_in(line: str) -> str | None:
    """The command the runner takes from a line: ActionCommand.TryParseV2, then TryParse."""
    trimmed = line.lstrip(SPACES)
    if trimmed.startswith("::"):
        end = trimmed.find("::", 2)
        name = trimmed[2:end].split(" ")[0].lower() if end >= 0 else ""
        if name in COMMANDS:
            return name
    start = line.find("##[")
    end = line.find("]", start)
    if start >= 0 and end >= 0:
        name = line[start + 3 : end].split(" ", maxsplit=1)[0].lower()
        if name in COMMANDS:
            return name
    return None


def commands(text: str) -> list[str]:
    return [name for line in runner_lines(text) if (name := command_in(line)) is not None]


def shown(text: str) -> str:
    return "\n".join(neutralise(text, prefix="train | "))


@pytest.mark.parametrize("text", ["::set-output name=promoted::true", "::error file=a::x", "  ::ADD-MASK::a"])
def test_c014_commands_at_the_start_of_a_line(text: str) -> None:
    """A stage prints `::set-output …`, `::error …`, `::add-mask::a` → no command reaches the runner."""
    assert commands(text) and not commands(shown(text))


def test_c015_command_after_a_carriage_return() -> None:
    """`progress 10%\\r::set-output …` (CR starts a new runner line) → neutralised."""
    text = "progress 10%\r::set-output name=x::v"
    assert commands(text) and not commands(shown(text))


@pytest.mark.parametrize("text", ["text ##[set-output name=x;]v", "###[error]x", "##[##[error]]"])
def test_c016_old_commands_anywhere_in_a_line(text: str) -> None:
    """`text ##[set-output name=x;]v` in mid-line → neutralised."""
    assert not commands(shown(text))


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\u0085", "\u3000", "\v", "\x1c"])
def test_c017_unicode_space_before_a_command(space: str) -> None:
    """U+00A0, U+2028, U+0085 before `::` (the runner trims Unicode space) → neutralised."""
    assert not commands(shown(f"x\n{space}::error::x"))


def test_c018_stop_commands() -> None:
    """A stage's own `::stop-commands::token` has no effect: the runner never sees it."""
    assert not commands(shown("::stop-commands::pause-logging\n::pause-logging::"))


def test_no_hostile_line_gets_through() -> None:
    """Random lines of the parsers' own pieces: many are commands before, none is one after."""
    draw = random.Random(14)
    pieces = [
        "::",
        "##[",
        "#",
        "[",
        "]",
        "error",
        "set-output",
        "group",
        " ",
        "\r",
        "\n",
        "x",
        *SPACES,
        "\x1b[0m",
        "\0",
        "\u200d",
    ]
    before = 0
    for _ in range(int(os.environ.get("CIML_TEST_ROUNDS", "20000"))):
        text = "".join(
            draw.choices(pieces, weights=[8, 8, 2, 2, 6, 6, 4, 3, 4, 3, 3, 3, *[1] * (len(pieces) - 12)], k=9)
        )
        before += bool(commands(text))
        assert not commands(shown(text)), repr(text)
        assert "##[" not in re.sub(r"[^\x20-\x7e]", "", shown(text)), repr(text)
    assert before > 100


def test_colours_stay_and_other_control_goes() -> None:
    """Colours are kept; cursor movement, titles, bells and bidi overrides are not."""
    text = "\x1b[31mred\x1b[0m \x1b[2Jclear \x1b]0;title\x07bell\x07 \u202ebidi \x9b31m"

    assert harmless(text) == "\x1b[31mred\x1b[0m clear bell bidi 31m"


def test_what_ciml_says_itself_keeps_its_lines_and_holds_no_command() -> None:
    """A path in a message may hold anything: lines that a runner would obey are put behind a bar."""
    assert harmless_text("error: x\n  hint: y\n") == "error: x\n  hint: y\n"
    for hostile in ("::a::b", "  ::a::b", "\u00a0::a::b", "\x1b[2K::a::b", "\x1b[31m::a::b", ":\x00:a::b", "\r::a::b"):
        first, second = harmless_text(f"bad path x\n{hostile}").split("\n")
        assert first == "bad path x"
        assert second.startswith("| ")
    assert "##[" not in harmless_text("x ##[set-output name=a;]b")
    assert harmless_text("\x1b]0;title\x07x\x1b[1mbold") == "x\x1b[1mbold"
