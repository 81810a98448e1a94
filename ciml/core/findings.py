"""Problems in a file that the user wrote, collected so that all of them are shown at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from ciml.core.errors import ConfigurationError, Problem

KeyPath = tuple[str | int, ...]
"""From the root of a document to one of its parts: `("stages", "train", "inputs", 0)`."""

Locate = Callable[[KeyPath], tuple[int, int] | None]
"""Line and column of a part, from 1; of the nearest part above it where the file has none."""


def nowhere(path: KeyPath) -> tuple[int, int] | None:
    """None: for values that do not come from a file."""
    del path
    return None


MAX_PROBLEMS = 200
"""Shown at once; who has more begins with these."""


class Findings:
    """The problems found so far in one file."""

    def __init__(self, file: str, locate: Locate = nowhere) -> None:
        self.file = file
        self.locate = locate
        self.problems: list[Problem] = []
        self.unread = False
        """A params file could not be read, which is a problem of its own: what it would say is not known."""

    def add(self, at: KeyPath, message: str, hint: str | None = None) -> None:
        """Note that the part at `at` is wrong; raises ConfigurationError when there are too many to go on."""
        line, column = self.locate(at) or (None, None)
        key = ".".join(str(part) for part in at) or None
        self.problems.append(Problem(message=message, file=self.file, line=line, column=column, key=key, hint=hint))

        if len(self.problems) >= MAX_PROBLEMS:
            self.stop_if_any()

    def unknown(self, at: KeyPath, parameter: str, hint: str | None, *, prefix: str = "") -> None:
        """Note that nothing gives a parameter; not where a file that may do so could not be read."""
        if not self.unread:
            self.add(at, f"{prefix}unknown parameter '{parameter}'", hint)

    def stop_if_any(self) -> None:
        """Raise ConfigurationError with all problems, in the order of the file, if there are any."""
        if self.problems:
            raise ConfigurationError(problems=sorted(self.problems, key=lambda found: found.line or 0))


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """`did you mean 'gate'?` with the nearest of the known words, or None where none is near."""
    from difflib import get_close_matches  # 6 ms that only a mistake has to pay

    # Comparing takes 10 µs a pair: among thousands of names the first few hundred of like length must do.
    likely = list(islice((other for other in known if abs(len(other) - len(word)) < 4), 300))
    near = get_close_matches(word, likely, n=1)
    return f"did you mean '{near[0]}'?" if near else None
