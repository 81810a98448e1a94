"""What a runner is told, read back by a port of its own parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.adapters.ci.runner import OUTPUT_LIMIT, Guard, Runner, output


def parsed(text: str) -> dict[str, str]:
    """The file as the runner reads it: `name<<MARK`, lines, `MARK`; or `name=value`.

    Source: github.com/actions/runner, src/Runner.Worker/FileCommandManager.cs.
    """
    found: dict[str, str] = {}
    lines = text.split("\n")
    assert lines.pop() == "", "the file ends with a line end"
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        assert heredoc >= 0, f"no output: {line!r}"
        name, mark = line[:heredoc], line[heredoc + 2 :]
        value: list[str] = []
        while (line := lines.pop(0)) != mark:
            value.append(line)
        found[name] = "\n".join(value)
    return found


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_c020_an_output_is_read_back_as_it_was(value: str) -> None:
    """20. Output value with newline + `registered=true`: random delimiter, absent in the value; round-trip equal."""
    assert parsed(output("verdict", value)) == {"verdict": value}


def test_c020_a_value_sets_no_other_output() -> None:
    """20. A value that looks like another output is a value."""
    assert parsed(output("verdict", "x\nregistered=true\nEOF\nregistered<<EOF\n1\nEOF")).keys() == {"verdict"}


@pytest.mark.parametrize("value", ["", "\n", "\r", "a\r\nb", "\0", "é" * 9, "🚀" * 1000])
def test_c021_odd_values(tmp_path: Path, value: str) -> None:
    """21. No trailing newline, lone CR, NUL, emoji: one output, read back; a NUL becomes a replacement character."""
    file = tmp_path / "output"
    assert Runner({"GITHUB_OUTPUT": str(file)}).outputs({"report": value, "next": "1"}) == []
    with open(file, encoding="utf-8", newline="") as read:
        assert parsed(read.read()) == {"report": value.replace("\0", "\ufffd"), "next": "1"}


def test_c021_a_value_that_is_too_long_is_empty_and_said_so(tmp_path: Path) -> None:
    """21. 1 MB of emoji is beyond the limit: the output is empty, and the caller is told its name."""
    file = tmp_path / "output"
    long = Runner({"GITHUB_OUTPUT": str(file)}).outputs({"plan": "🚀" * OUTPUT_LIMIT, "verdict": "accepted"})
    assert long == ["plan"]
    assert parsed(file.read_text(encoding="utf-8")) == {"plan": "", "verdict": "accepted"}


def test_two_summaries_of_one_step_are_two_texts(tmp_path: Path) -> None:
    """HTML at the end of the first does not swallow the heading of the second."""
    cmarkgfm = pytest.importorskip("cmarkgfm")
    file = tmp_path / "summary"
    runner = Runner({"GITHUB_STEP_SUMMARY": str(file)})
    runner.summary("<details>\n\nmore\n\n</details>")
    runner.summary("## second\n")
    assert "<h2>second</h2>" in cmarkgfm.github_flavored_markdown_to_html(file.read_text())


def test_nothing_is_written_where_there_is_no_runner(capsys: pytest.CaptureFixture[str]) -> None:
    """On a laptop nobody reads outputs, summaries or masks."""
    runner = Runner({"TOKEN": "secret-value"})
    runner.outputs({"verdict": "accepted"})
    runner.summary("# text")
    runner.mask(["TOKEN"])
    assert capsys.readouterr().out == ""


def test_secrets_are_masked_in_every_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    """The runner blots out a secret's value, its base64, its hex and its URL form; no variable without a value."""
    Runner({"GITHUB_ACTIONS": "true", "TOKEN": "pass word/1+2"}).mask(["TOKEN", "ABSENT"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("::add-mask::") for line in lines)
    masked = {line.removeprefix("::add-mask::").replace("%25", "%") for line in lines}
    assert {"pass word/1+2", "pass%20word%2F1%2B2", "7061737320776f72642f312b32"} <= masked


def test_c019_what_a_stage_told_the_runner_is_undone(tmp_path: Path) -> None:
    """19. A stage finds $GITHUB_ENV and writes LD_PRELOAD: the growth is seen and reverted."""
    env, path = tmp_path / "env", tmp_path / "path"
    env.write_text("BEFORE=1\n")
    path.write_text("")
    guard = Guard({"GITHUB_ENV": str(env), "GITHUB_PATH": str(path), "GITHUB_OUTPUT": str(tmp_path / "none")})
    with open(env, "a", encoding="utf-8") as file:
        file.write("LD_PRELOAD=/tmp/evil.so\n")
    assert guard.undone() == ["env"]
    assert env.read_text() == "BEFORE=1\n"
    assert Guard({"GITHUB_ENV": str(env)}).undone() == []
