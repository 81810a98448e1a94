"""Names that are one name to a file system without case."""

from __future__ import annotations

import itertools
import random
import unicodedata

import pytest

from ciml.core.clashes import Clashes, clashes


def found(*paths: str, most: int = 100) -> Clashes | None:
    ordered = sorted(path.encode() for path in paths)
    return clashes(lambda: ordered, most=most)


@pytest.mark.parametrize(
    "paths",
    [
        (),
        ("a", "b/a", "c/a"),
        ("A/x", "B/X"),
        ("a-b", "a/B", "a/c/b", "a0"),
        ("Data", "data2"),
    ],
)
def test_names_that_do_not_clash(paths: tuple[str, ...]) -> None:
    """The same name in two folders, or a folder and a longer name, are no clash."""
    assert found(*paths) is None


def test_pairs_are_named() -> None:
    """Files, folders, a file and a folder, letters beyond ASCII, and one letter in two encodings."""
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    for one, other in [
        ("a/Case.csv", "a/case.csv"),
        ("Data/x", "data/y"),
        ("DATA", "data/y"),
        ("d/STRASSE", "d/straße"),
        (f"{composed}.csv", f"{decomposed}.csv"),
        ("A", "a"),
    ]:
        clash = found(one, other, "b/z", "m")
        assert clash is not None
        [pair] = clash.pairs
        whole = {one.encode(), other.encode()}
        assert all(any(path == name or path.startswith(name + b"/") for path in whole) for name in pair), (one, other)
        assert len(set(pair)) == 2
        assert clash.more == 0


def test_the_first_are_named_and_the_rest_counted() -> None:
    """However many clash, three pairs are named; a folder that clashes counts as one, whatever is in it."""
    clash = found(*(f"f/{letter}" for letter in "abcdefABCDEF"))
    assert clash is not None
    assert clash.pairs == ((b"f/A", b"f/a"), (b"f/B", b"f/b"), (b"f/C", b"f/c"))
    assert clash.text == (
        "f/A and f/a, f/B and f/b, f/C and f/c cannot lie side by side on macOS and Windows; and 3 more pairs"
    )
    folders = found("A/x", "A/y", "a/x", "a/y")
    assert folders == Clashes(pairs=((b"A", b"a"),), more=0)


def test_of_a_folder_with_too_many_names_the_first_are_looked_at() -> None:
    """What is held is bounded: a clash beyond is not seen, one with what is held is."""
    assert found("Y", "Z", "x", "y", "z", most=1) == Clashes(pairs=((b"Y", b"y"),), more=0)


def test_against_a_plain_count() -> None:
    """On random trees it says what comparing every two names says."""
    drawn = random.Random(7)
    for _ in range(200):
        paths = sorted({"/".join(drawn.choices("aAbBc", k=drawn.randint(1, 3))) for _ in range(drawn.randint(0, 12))})
        paths = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
        names = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 2)}
        by_folder = itertools.groupby(sorted(names, key=_folder_and_fold), key=_folder_and_fold)
        expected = sum(len(list(group)) - 1 for _, group in by_folder)
        clash = found(*paths)
        assert (len(clash.pairs) + clash.more if clash else 0) == expected, paths


def _folder_and_fold(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name.casefold()
