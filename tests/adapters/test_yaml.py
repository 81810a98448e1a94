from __future__ import annotations

import pytest

from ciml.adapters.yaml import MAX_BYTES, Places, compose, plain
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.findings import Findings
from ciml.core.pipeline import ParamValue


def values(text: str | bytes) -> ParamValue:
    """The plain values of a document."""
    root = compose(text.encode() if isinstance(text, str) else text, file="x.yaml")
    found = Findings("x.yaml", Places(root))
    read = plain(root, found)
    found.stop_if_any()
    return read


def problem(text: str | bytes) -> Problem:
    """The one thing that is wrong with a document."""
    with pytest.raises(ConfigurationError) as caught:
        values(text)
    (found,) = caught.value.problems
    assert found.file == "x.yaml"
    assert found.line is not None
    assert found.column is not None
    return found


def test_c076_duplicate_key() -> None:
    """A duplicate key is an error that names both lines."""
    found = problem("a: 1\nb:\n  train: 1\n  x: 2\n  train: 3\n")
    assert found.message == "duplicate key 'train' line 5 (first line 3)"
    assert (found.line, found.column, found.key) == (5, 3, "b.train")


def test_c076_all_duplicates_at_once() -> None:
    """Each duplicate is listed."""
    with pytest.raises(ConfigurationError) as caught:
        values("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [found.line for found in caught.value.problems] == [2, 3]


def test_c077_core_schema() -> None:
    """Norway is a word, `1e3` a number, `12:30:45` and a date are text; quotes make text of anything."""
    text = "[no, off, NO, on, 1e3, 12:30:45, 3.10, 2026-11-20, '014', \"1\", true, ~, 0o14, 0x1F, .5, 1_000, -0, y]"
    read = values(text)
    expected = ["no", "off", "NO", "on", 1e3, "12:30:45", 3.1, "2026-11-20", "014", "1", True, None]
    assert read == [*expected, 12, 31, 0.5, "1_000", 0, "y"]


@pytest.mark.parametrize("text", ["014", "-007", ".inf", "-.INF", ".nan", "1e999", "9223372036854775808", "9" * 5000])
def test_c077_c082_numbers_that_nobody_can_rely_on(text: str) -> None:
    """Leading zeros, infinities, overflows and 5,000 digits (c082) are located errors with a hint."""
    found = problem(f"a:\n  b: {text}\n")
    assert (found.line, found.key) == (2, "a.b")
    assert found.hint
    assert len(str(found)) < 200


def test_c078_alias_bomb() -> None:
    """Aliases that would expand to millions of nodes stop at the budget."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "aliases expand to more than" in problem("\n".join(lines)).message


def test_an_alias_is_its_anchor() -> None:
    """A plain alias means what its anchor holds."""
    assert values("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


def test_c079_merge_key() -> None:
    """`<<` is an error that says what to do instead."""
    found = problem("a: &a {x: 1}\nb:\n  <<: *a\n")
    assert "merge keys" in found.message
    assert found.line == 3


def test_c080_recursive_alias() -> None:
    """An alias inside what it names is a cycle."""
    assert "cycle" in problem("&a [*a]").message


@pytest.mark.parametrize("text", ["[" * 900 + "]" * 900, "{a: " * 65 + "1" + "}" * 65, "[" * 100_000])
def test_c081_nesting(text: str) -> None:
    """Nesting deeper than 64 is an error, not a traceback."""
    assert problem(text).message == "nesting deeper than 64"


def test_c081_64_levels_are_read() -> None:
    """The limit itself is allowed."""
    assert values("[" * 64 + "]" * 64) is not None


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system [touch x]", "a: !!int 1", "a: !x y", "!!map {}", "a: ! 1"]
)
def test_c083_tags(text: str) -> None:
    """No tag is allowed; nothing is constructed."""
    assert "is not allowed" in problem(text).message


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (b'a: 1\nb: "x\x00y"\n', (2, 6), "U+0000"),
        (b"a:\n\tb: 1\n", (2, 1), "not YAML"),
        (b"a: 1\nb: caf\xe9\n", (2, 7), "0xe9"),
        ("a: 1".encode("utf-16"), (1, 1), "UTF-16"),
        ("a: 1".encode("utf-16-be"), (1, 1), "U+0000"),
        (b"a: 1\n---\nb: 2\n", (2, 1), "second document"),
        (b"", (1, 1), "empty"),
        (b"# nothing\n", (1, 1), "empty"),
        (b"---\n...\n", (1, 1), "empty"),
        (b"[" + b"x," * (MAX_BYTES // 2) + b"]", (1, 1), "at most"),
        (b"a: [1\nb: 2\n", (2, 2), "not YAML"),
        (b"a: *x\n", (1, 4), "no anchor"),
        (b"? [a]\n: 1\n", (1, 3), "key must be text"),
        (b"%YAML 3.0\n---\na: 1\n", (1, 1), "not YAML"),
        (b"a: \xef\xbf\xbe\n", (1, 4), "U+FFFE"),
        (b"a: \xed\xa0\x80\n", (1, 4), "not UTF-8"),
    ],
)
def test_c084_no_plain_document(text: bytes, place: tuple[int, int], word: str) -> None:
    """NUL, tabs, other encodings, two documents, none, too much: each with line and column."""
    found = problem(text)
    assert (found.line, found.column) == place
    assert word in found.message


def test_c084_tab_indent_says_spaces() -> None:
    """The hint for a tab is what to type instead."""
    assert problem(b"a:\n\tb: 1\n").hint == "indent with spaces"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"a:\n  run:python x\n  b: 1\n", "a space after it, here or on the line above"),
        (b"a: b: c\n", "wants quotes"),
        (b"a:\n    b: 1\n   c: 2\n", "indented alike"),
        (b"a:\n  - 1\n  b: 2\n", "indented alike"),
        (b"a: [1, 2\nb: 1\n", "`[` is not closed"),
        (b"a: {b: 1\nc: 2\n", "`{` is not closed"),
    ],
)
def test_what_libyaml_says_comes_with_what_people_mostly_did(text: bytes, hint: str) -> None:
    """A forgotten space, an indent that is off by one, a bracket that stays open."""
    assert hint in (problem(text).hint or "")


def test_utf8_bom_and_crlf_are_read() -> None:
    """What Windows editors write is read."""
    assert values(b"\xef\xbb\xbfa: 1\r\nb: caf\xc3\xa9\r\n") == {"a": 1, "b": "café"}


def test_places() -> None:
    """A path has the place of its key or item; a part that is not there that of its parent."""
    places = Places(compose(b"a:\n  b: [x,\n      y]\n", file="x.yaml"))
    assert places(("a", "b")) == (2, 3)
    assert places(("a", "b", 1)) == (3, 7)
    assert places(("a", "zzz", 0)) == (1, 1)
    assert places(()) == (1, 1)
