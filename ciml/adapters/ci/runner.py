"""What a job tells its GitHub runner: outputs, the summary, secrets to mask; and what no stage may tell it.

An output is written in the runner's own multi-line form, whose end mark is drawn anew for every
value, so that no value can end itself and begin another one. Elsewhere than on GitHub nobody
reads any of this, and nothing is written.

Source: github.com/actions/runner, src/Runner.Worker/FileCommandManager.cs.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Mapping

from ciml.adapters import files
from ciml.core.redaction import forms

OUTPUT_LIMIT = 256 << 10
"""UTF-16 units of one output; all of a job's together may have a million bytes."""

SUMMARY_LIMIT = (1 << 20) - 2
"""Bytes of a step's summary without the blank line that ends it; a longer one is thrown away by the runner, whole."""

COMMAND_FILES = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
"""Files by which a step tells the runner to set variables for later steps: no stage is given them."""


class Runner:
    """The runner of the job that this process is in.

    Args:
        environ: names the runner's files; none of them elsewhere than on GitHub.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def outputs(self, values: Mapping[str, str]) -> list[str]:
        """The names of the outputs that were too long and are empty instead; the others are set."""
        path = self._environ.get("GITHUB_OUTPUT")
        long = [name for name, value in values.items() if len(value.encode("utf-16-le")) // 2 > OUTPUT_LIMIT]
        if path:
            _append(path, "".join(output(name, "" if name in long else value) for name, value in values.items()))
        return long

    def summary(self, markdown: str) -> None:
        """Show the text on the run's page; it is not longer than `SUMMARY_LIMIT`.

        A blank line ends it: the HTML at its end would swallow the first line of what the same step writes next.
        """
        path = self._environ.get("GITHUB_STEP_SUMMARY")
        if path:
            _append(path, markdown.rstrip("\n") + "\n\n")

    def mask(self, names: Iterable[str]) -> None:
        """Have the runner blot out the values of these variables, in every spelling, wherever they are printed."""
        if "GITHUB_ACTIONS" not in self._environ:
            return
        values = {self._environ.get(name, "") for name in names}
        for form in sorted({form.decode("utf-8", "replace") for value in values for form in forms(value)}):
            if form.isprintable():
                sys.stdout.write(f"::add-mask::{form.replace('%', '%25')}\n")
        sys.stdout.flush()


class Guard:
    """Sees whether anything was told to the runner behind ciml's back, while stages ran.

    A stage does not get these files' names, but a process of the same user can find them.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._sizes = {path: _size(path) for name in COMMAND_FILES if (path := environ.get(name))}

    def undone(self) -> list[str]:
        """The names of files that had grown, each now as it was."""
        grown = [path for path, size in self._sizes.items() if _size(path) > size]
        for path in grown:
            os.truncate(path, self._sizes[path])
        return [os.path.basename(path) for path in grown]


def output(name: str, value: str) -> str:
    """One output as the runner reads it back, whatever the value holds."""
    text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    lines = set(text.replace("\r", "\n").split("\n"))
    mark = secrets.token_hex(16)
    while mark in lines:
        mark = secrets.token_hex(16)
    return f"{name}<<{mark}\n{text}\n{mark}\n"


def _append(path: str, text: str) -> None:
    try:
        with open(path, "ab") as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise files.outside(error, f"write {path}") from error


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
