"""Which stage makes a path."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache

from ciml.core.ids import RepoPath, StageName
from ciml.core.inputs import ProducedInput
from ciml.core.pipeline import Place, Stage


def is_glob(path: str) -> bool:
    """Whether a declared input is a pattern."""
    return any(character in path for character in "*?[")


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` and `?` stop at `/`, `**/` spans any depth."""
    out: list[str] = []
    rest = glob
    while rest:
        if rest.startswith("**/"):
            out, rest = [*out, "(?:.*/)?"], rest[3:]
        elif rest.startswith("**"):
            out, rest = [*out, ".*"], rest[2:]
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            out, rest = [*out, rest[: end + 1].replace("[!", "[^", 1)], rest[end + 1 :]
        else:
            out, rest = [*out, {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0]))], rest[1:]
    return re.compile("".join(out))


def matches(path: str, glob: str) -> bool:
    """Whether a path matches a glob, as in a shell with `globstar`."""
    return _pattern(glob).fullmatch(path) is not None


class Producers:
    """All outputs of a pipeline, by path.

    Every look-up costs the depth of the path or a bisection, not the number of stages.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._makers: dict[RepoPath, tuple[StageName, RepoPath]] = {}
        for stage in stages:
            for place in stage.outputs:
                self._makers[place.path] = (stage.name, place.inside)
        self.paths: list[RepoPath] = sorted(self._makers)

    def at(self, place: Place) -> ProducedInput | None:
        """The input at `place`, when it is an output or lies inside one."""
        path: str = place.path
        while path:
            if maker := self._makers.get(RepoPath(path)):
                stage, output = maker
                return ProducedInput(inside=place.inside, stage=stage, output=output, part=place.path[len(path) + 1 :])
            path = path.rpartition("/")[0]
        return None

    def find(self, path: RepoPath) -> ProducedInput | None:
        """The output at `path`, or the part of one."""
        return self.at(Place(path=path, inside=path))

    def maker(self, path: RepoPath) -> StageName | None:
        """The stage that makes `path`, or the output that holds it."""
        found = self.find(path)
        return found.stage if found else None

    def covers(self, path: RepoPath) -> bool:
        """Whether `path` is an output or lies inside one."""
        return self.find(path) is not None

    def _below(self, directory: RepoPath) -> Iterator[RepoPath]:
        prefix = f"{directory}/" if directory not in ("", ".") else ""
        index = bisect_left(self.paths, prefix)
        while index < len(self.paths) and self.paths[index].startswith(prefix):
            yield self.paths[index]
            index += 1

    def any_below(self, directory: RepoPath) -> bool:
        """Whether some output lies below `directory`."""
        return next(self._below(directory), None) is not None

    def below(self, place: Place, *, reader: Stage) -> Iterator[ProducedInput]:
        """The outputs below a directory, the reader's own left out."""
        for path in self._below(place.path):
            stage, output = self._makers[path]
            if stage != reader.name:
                inside = RepoPath(place.inside + path[len(place.path) :])
                yield ProducedInput(inside=inside, stage=stage, output=output)

    def matching(self, glob: str, *, reader: Stage) -> Iterator[ProducedInput]:
        """The outputs that match a glob, the reader's own left out."""
        for path in self.paths:
            stage, output = self._makers[path]
            if stage != reader.name and matches(path, glob):
                yield ProducedInput(inside=path, stage=stage, output=output)
