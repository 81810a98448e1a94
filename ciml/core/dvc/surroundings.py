"""What a conversion knows of the repository, and what it has to tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from ciml.core.findings import KeyPath, Locate
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

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.about}: {self.text}" if self.about else f"{place}: {self.text}"


class Surroundings:
    """The repository around one dvc.yaml.

    Args:
        file: its path.
        files: all files that Git tracks, or would.
        read: for params files.
        locate: lines of dvc.yaml.
    """

    def __init__(self, file: RepoPath, files: Collection[RepoPath], read: Read, locate: Locate) -> None:
        self.folder = file.rpartition("/")[0]
        self.files = files
        self.notes: list[Note] = []
        self.trees: dict[RepoPath, dict[str, ParamValue]] = {}
        """The params files that are ciml's too, in the order in which they were named."""
        self._file = file
        self._read = read
        self._locate = locate
        self._at: KeyPath = ()
        self._refused: set[RepoPath] = set()

    def look_at(self, at: KeyPath) -> None:
        """What is told from now on is about this part of dvc.yaml."""
        self._at = at

    def tell(self, text: str) -> None:
        """Note what is not carried over."""
        line = (self._locate(self._at) or (None,))[0]
        note = Note(file=self._file, line=line, about=".".join(map(str, self._at)), text=text)
        if note not in self.notes:
            self.notes.append(note)

    def tree(self, path: RepoPath) -> dict[str, ParamValue] | None:
        """What a file of values holds, whether or not it can be a params file."""
        return self._read(path) if path.endswith(_READABLE) else None

    def params_file(self, path: RepoPath) -> list[str] | None:
        """The top names of a params file, which ciml.yaml names from now on; None where it must be a plain input."""
        if path not in self.trees and path not in self._refused:
            self._admit(path)
        return list(self.trees[path]) if path in self.trees else None

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
