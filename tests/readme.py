"""The README's sessions: typed into a real shell, and compared with what the README shows.

    python -m tests.readme        write the README's blocks anew from a real run

A ```console block is a session: a line that begins with `$ ` is typed, the lines up to the next one are what
came back, on stdout and stderr alike. All sessions run in order, in one folder that is empty at first.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SESSION = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)

VARYING = (
    (re.compile(r"(?<![\w.])[0-9a-f]{7,64}\b"), "<hex>"),  # commits, digests; not what follows a decimal point
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\b\d+\.\d s\b"), "<duration>"),
)
"""All that may differ from one run to the next; everything else must be as the README shows it."""


class Step(NamedTuple):
    """What is typed, and what comes back."""

    command: str
    output: str


def steps(session: str) -> list[Step]:
    """The steps of one block. Raises AssertionError for output that no command stands before."""
    found: list[Step] = []
    for line in session.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Step(line[2:].rstrip("\n"), ""))
        else:
            assert found, f"a session begins with a command, not with {line!r}"
            found[-1] = found[-1]._replace(output=found[-1].output + line)
    return found


def sessions(text: str) -> list[list[Step]]:
    """The sessions of a Markdown text, in order."""
    return [steps(found) for found in SESSION.findall(text)]


def normalised(output: str) -> str:
    """An output with what varies replaced by its kind."""
    for pattern, kind in VARYING:
        output = pattern.sub(kind, output)
    return output


class Shell:
    """A new user's shell, in a folder of its own: commands are run one by one, `cd` and `$?` carry over."""

    def __init__(self, folder: Path) -> None:
        self._where = folder / "home"
        self._note = folder / "where"
        self._code = 0
        self._where.mkdir()
        tools = folder / "bin"
        tools.mkdir()
        script = tools / "ciml"
        script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m ciml "$@"\n')
        script.chmod(0o755)
        foreign = ("CI", "CIML_", "GIT_", "GITHUB_", "MLFLOW_")
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{role}_NAME": "Ada" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": "ada@example.org" for role in ("AUTHOR", "COMMITTER")},
        }

    def type(self, command: str) -> str:
        """What the command prints."""
        script = f"(exit {self._code})\n{command}\ncode=$?\npwd > '{self._note}'\nexit $code\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._where,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self._code = done.returncode
        self._where = Path(self._note.read_text().rstrip("\n"))
        return done.stdout


def played(text: str, folder: Path) -> Iterator[tuple[Step, str]]:
    """Every step of a Markdown text's sessions, with what came back this time."""
    shell = Shell(folder)
    for session in sessions(text):
        for step in session:
            yield step, shell.type(step.command)


def rewritten(text: str, folder: Path) -> str:
    """The text with every block made anew; an output that differs only in what varies stays as it is."""
    outputs = played(text, folder)

    def anew(match: re.Match[str]) -> str:
        lines = []
        for _ in steps(match.group()):
            step, output = next(outputs)
            same = normalised(step.output) == normalised(output)
            lines.append(f"$ {step.command}\n{step.output if same else output}")
        return "".join(lines)

    return SESSION.sub(anew, text)


def main() -> None:
    """Write the README anew."""
    with tempfile.TemporaryDirectory(prefix="ciml-readme-") as folder:
        README.write_text(rewritten(README.read_text(), Path(folder)))


if __name__ == "__main__":
    main()
