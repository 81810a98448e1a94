"""Which stage makes a path."""

from __future__ import annotations

import pytest

from ciml.core.ids import RepoPath, StageName
from ciml.core.pipeline import Place, Stage
from ciml.core.producers import Producers, is_glob, matches


def place(path: str, inside: str | None = None) -> Place:
    return Place(path=RepoPath(path), inside=RepoPath(inside or path))


def stage(name: str, *outputs: str) -> Stage:
    return Stage(name=StageName(name), template=StageName(name), outputs=tuple(map(place, outputs)))


MADE = Producers([stage("prepare", "data/raw", "data/table.csv"), stage("train", "build/model", "build-log")])


@pytest.mark.parametrize(
    ("path", "glob", "holds"),
    [
        ("a/b.csv", "a/*.csv", True),
        ("a/b/c.csv", "a/*.csv", False),
        ("a/b/c.csv", "a/**/*.csv", True),
        ("a/c.csv", "a/**/*.csv", True),
        ("a/b/c", "a/**", True),
        ("a1", "a?", True),
        ("a/", "a?", False),
        ("a1", "a[0-9]", True),
        ("ax", "a[!0-9]", True),
        ("a1", "a[!0-9]", False),
        ("a[", "a[", True),
        ("a.csv", "a+csv", False),
        ("a.csv.bak", "a.csv", False),
    ],
)
def test_globs(path: str, glob: str, holds: bool) -> None:
    """As in a shell with globstar: `*` and `?` stop at `/`, `**/` spans any depth, everything else is itself."""
    assert matches(path, glob) is holds


def test_what_is_a_glob() -> None:
    """`*`, `?` and `[` make a pattern."""
    assert [is_glob(path) for path in ("a/b", "a/*", "a?", "[a]")] == [False, True, True, True]


def test_the_maker_of_a_path_and_of_what_lies_in_it() -> None:
    """An output, and any path inside a directory output."""
    assert MADE.maker(RepoPath("data/raw")) == "prepare"
    assert MADE.maker(RepoPath("build/model/weights.bin")) == "train"
    found = MADE.find(RepoPath("build/model/a/b"))
    assert found is not None
    assert (found.output, found.part) == ("build/model", "a/b")


def test_a_longer_name_is_another_path() -> None:
    """`build-log` is not inside `build`, nor `build/model2` inside `build/model`."""
    assert MADE.maker(RepoPath("build/model2")) is None
    assert MADE.maker(RepoPath("build")) is None
    assert not MADE.covers(RepoPath("data"))


def test_outputs_below_a_folder() -> None:
    """All outputs in a folder, but not the reader's own."""
    reader = stage("report", "data/report.html")
    made = Producers([stage("prepare", "data/raw", "data/table.csv"), reader])
    found = list(made.below(place("data"), reader=reader))
    assert [(item.stage, item.inside) for item in found] == [("prepare", "data/raw"), ("prepare", "data/table.csv")]
    assert made.any_below(RepoPath("data"))
    assert not made.any_below(RepoPath("dat"))
    assert [item.output for item in made.below(place(""), reader=reader)] == ["data/raw", "data/table.csv"]


def test_outputs_that_match_a_glob() -> None:
    """Declared outputs, the reader's own left out."""
    assert [item.output for item in MADE.matching("data/*.csv", reader=stage("x"))] == ["data/table.csv"]
    assert list(MADE.matching("data/*", reader=stage("prepare"))) == []


def test_an_instances_output_keeps_the_name_its_maker_sees() -> None:
    """The reader's place and the maker's place of one output may have different names."""
    made = Producers(
        [Stage(name=StageName("t@1"), template=StageName("t"), outputs=(place("build/model@1", "build/model"),))]
    )
    found = made.at(place("build/model@1", "build/model"))
    assert found is not None
    assert (found.stage, found.output, found.inside) == ("t@1", "build/model", "build/model")
