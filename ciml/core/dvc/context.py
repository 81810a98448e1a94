"""What a conversion knows of the repository, and what it has to tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from ciml.core.findings import Findings, KeyPath
from ciml.core.ids import RepoPath
from ciml.core.params import leaves
from ciml.core.pipeline import ParamValue
from ciml.core.value import Value

Read = Callable[[RepoPath], dict[str, ParamValue] | None]
"""The tree of a params file; None where there is no such file, or none that can be read as one."""

_READABLE = (".yaml", ".yml", ".json", ".toml")


class Note(Value, frozen=True, kw_only=True):
    """One thing that is not carried over, or not as it was."""

    file: str
    line: int | None
    """Where dvc.yaml says it, from 1."""
    about: str
    """`stages.train`; "" for the whole."""
    text: str
    do: str
    """What there is to do about it; "" where nothing is."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        about = f" {self.about}:" if self.about else ""
        return f"{place}:{about} {self.text}{f' ({self.do})' if self.do else ''}"


class Context:
    """What is known while one dvc.yaml is converted, and what is told of it.

    Args:
        file: its path.
        files: all files that Git tracks, or would.
        read: for params files.
        found: where mistakes in dvc.yaml are noted.
    """

    def __init__(self, file: RepoPath, files: Collection[RepoPath], read: Read, found: Findings) -> None:
        self.folder = file.rpartition("/")[0]
        self.files = files
        self.notes: list[Note] = []
        self.trees: dict[RepoPath, dict[str, ParamValue]] = {}
        """The params files that are ciml's too, in the order in which they were named."""
        self.found = found
        self._file = file
        self._read = read
        self.at: KeyPath = ()
        """The part of dvc.yaml that is looked at."""
        self._refused: set[RepoPath] = set()

    def look_at(self, at: KeyPath) -> None:
        """What is told from now on is about this part of dvc.yaml."""
        self.at = at

    def tell(self, text: str, do: str = "", *, at: KeyPath = ()) -> None:
        """Note what is not carried over; `at` is below the part that is looked at."""
        line = (self.found.locate((*self.at, *at)) or (None,))[0]
        note = Note(file=self._file, line=line, about=".".join(map(str, self.at[:2])), text=text, do=do)
        if note not in self.notes:
            self.notes.append(note)

    def tree(self, path: RepoPath) -> dict[str, ParamValue] | None:
        """What a file of values holds, whether or not it can be a params file."""
        return self._read(path) if path.endswith(_READABLE) else None

    def params_file(self, path: RepoPath) -> dict[str, ParamValue] | None:
        """What a params file holds, which ciml.yaml names from now on; None where it must be a plain input."""
        if path not in self.trees and path not in self._refused:
            self._admit(path)
        return self.trees.get(path)

    def _admit(self, path: RepoPath) -> None:
        tree = self.tree(path)
        if tree is None:
            self.tell(f"{path} is an input as a whole: ciml reads parameters from YAML, JSON and TOML")
            self._refused.add(path)
        elif both := _first_of_both(tree, self.trees.values()):
            self.tell(f"{path} is an input as a whole: {both} is in another params file too")
            self._refused.add(path)
        else:
            self.trees[path] = tree


def _first_of_both(tree: Mapping[str, ParamValue], others: Iterable[Mapping[str, ParamValue]]) -> str | None:
    taken = {name for other in others for name in leaves(dict(other))}
    return next((name for name in leaves(dict(tree)) if name in taken), None)
