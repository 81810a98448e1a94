"""The README: what it shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from tests import readme

README = readme.README.read_text()


def test_every_output_is_what_comes_back(tmp_path: Path) -> None:
    """A new user types the README's commands, in order, in an empty folder, and sees what the README shows."""
    played = list(readme.played(README, tmp_path))

    shown = "".join(f"$ {step.command}\n{readme.normalised(step.output)}" for step, _ in played)
    seen = "".join(f"$ {step.command}\n{readme.normalised(output)}" for step, output in played)
    assert seen == shown, "`make readme` writes the outputs anew"


def test_output_stands_in_sessions_alone() -> None:
    """A block that is not a session is source or commands: an output that nobody tested has no place."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)

    assert {language for language, _ in blocks} == {"console", "shell", "yaml"}
    shell = [line for language, text in blocks if language == "shell" for line in text.splitlines()]
    assert all(re.match(r"(\$ make|cd|pip install|python3 -m venv) ", line) for line in shell), shell


def test_what_varies_is_all_that_may_differ() -> None:
    """Commits, digests, times and durations are alike; numbers, names and words are not."""
    one = "4eeb38b 2026-11-21T03:35:58Z sha256:16df5814880b ran in 7.9 s: accuracy 0.940351"
    assert readme.normalised(one) == "<hex> <time> sha256:<hex> ran in <duration>: accuracy 0.940351"
    numbers = "version 2, 10 features, gain 0.0315789, 95 % interval [0.00701754, 0.0631579]"
    assert readme.normalised(numbers) == numbers


def test_the_walk_is_the_whole_way() -> None:
    """It goes from an empty folder over a rejection and a promotion to a rollback."""
    typed = [step.command for session in readme.sessions(README) for step in session]
    called = [name for line in typed if (name := re.match(r"ciml (?:-C \w+ )?(\w+)", line))]

    assert list(dict.fromkeys(match.group(1) for match in called)) == [
        "init",
        "run",
        "register",
        "plan",
        "lineage",
        "log",
        "rollback",
        "status",
        "workflow",
        "data",
    ]
