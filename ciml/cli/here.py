"""Commands in errors and warnings, as they are typed where the user stands.

What is said of a repository names paths from its root; whoever stands in a folder of it, or used `-C`, has to
say so. Here alone, and not where each hint is made.
"""

from __future__ import annotations

import os
import re
import shlex

_COMMAND = re.compile(
    r"\b(ciml|git|dvc)(?: -C ('[^']*'|[^\s'`]+))?"
    r"( (?:data (?:add|update|pull|push)|add|rm|log|lfs pull|checkout|sparse-checkout add|submodule update) )"
)
"""Commands whose words are paths, with the folder they are to run in, where that is named."""


def typeable(text: str, directory: str) -> str:
    """A text whose commands do what they say where the process was started.

    Args:
        text: of an error, a hint or a warning; commands in it name paths from the root of the repository.
        directory: where ciml was told to work; "" for where the process was started.
    """
    if not _COMMAND.search(text):
        return text
    try:
        here = os.getcwd()
    except OSError:
        return text  # who stands in a folder that is gone can type nothing
    root = _root(directory or here)
    way = os.path.relpath(os.path.realpath(root), os.path.realpath(here)) if root else "."
    return text if way == "." else _COMMAND.sub(lambda found: _from(way, found), text)


def _from(way: str, found: re.Match[str]) -> str:
    tool, folder, words = found.groups()
    full = os.path.normpath(os.path.join(way, *shlex.split(folder or "")))
    return f"{tool} {'--cd' if tool == 'dvc' else '-C'} {shlex.quote(full)}{words}"


def _root(directory: str) -> str | None:
    """The nearest folder above that is a work tree's; None where there is none."""
    while not os.path.lexists(f"{directory}/.git"):
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above
    return directory
