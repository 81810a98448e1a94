from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.declarations import BadValueError, parsed, parsed_leaf, text_of
from ciml.core.params import differences, leaves, pruned, with_leaf
from ciml.core.pipeline import ParamValue

SAMPLE: dict[str, ParamValue] = {
    "train": {"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.99]}},
    "seed": 1,
    "no": {},
}


def test_leaves_are_dotted_paths() -> None:
    """Every leaf has its path; a list and an empty mapping are leaves."""
    assert leaves(SAMPLE) == {
        "train.lr": 0.1,
        "train.opt.name": "adam",
        "train.opt.betas": [0.9, 0.99],
        "seed": 1,
        "no": {},
    }


def test_a_leaf_is_replaced_where_it_stands() -> None:
    """The tree keeps its order and everything else; the given tree is not touched."""
    changed = with_leaf(SAMPLE, "train.opt.name", "sgd")
    assert leaves(changed) == {**leaves(SAMPLE), "train.opt.name": "sgd"}
    assert leaves(SAMPLE)["train.opt.name"] == "adam"
    with pytest.raises(KeyError):
        with_leaf(SAMPLE, "train.nothing", 1)


def test_a_tree_is_pruned_to_what_is_named() -> None:
    """Only the named leaves are left, in the tree's order, without empty branches."""
    assert pruned(SAMPLE, ["seed", "train.opt.name"]) == {"train": {"opt": {"name": "adam"}}, "seed": 1}
    assert pruned(SAMPLE, leaves(SAMPLE)) == SAMPLE


keys = st.text("abc", min_size=1, max_size=3)
trees = st.dictionaries(
    keys,
    st.recursive(st.integers(0, 9) | st.booleans(), lambda inner: st.dictionaries(keys, inner, max_size=3)),
    max_size=4,
)


@given(trees)
def test_pruning_keeps_exactly_the_named_leaves(made: dict[str, ParamValue]) -> None:
    """For any tree, what is left has the named leaves and no other."""
    every = leaves(made) if made else {}
    wanted = {path: value for index, (path, value) in enumerate(every.items()) if index % 2}
    left = pruned(made, wanted)
    assert (leaves(left) if left else {}) == wanted


@pytest.mark.parametrize(
    ("text", "like", "value"),
    [
        ("1", "int", 1),
        ("1", "float", 1.0),
        ("1e-4", "float", 1e-4),
        ("-3", "int", -3),
        ("true", "bool", True),
        ("1", "string", "1"),
    ],
)
def test_overrides_are_read_by_the_declared_type(text: str, like: str, value: object) -> None:
    """-P's text is what the type makes of it."""
    got = parsed(text, like)  # type: ignore[arg-type]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("1.5", "int"),
        ("nan", "float"),
        ("inf", "float"),
        ("1e999", "float"),
        ("yes", "bool"),
        ("", "int"),
        ("1_000", "int"),
        (" 1", "int"),
        ("٣", "int"),
        ("9" * 5000, "int"),
    ],
)
def test_overrides_that_mean_nothing(text: str, like: str) -> None:
    """A text of another type is refused, however large."""
    with pytest.raises(BadValueError):
        parsed(text, like)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "present", "value"),
    [
        ("0.5", 1, 0.5),
        ("2", 0.1, 2.0),
        ("x", "y", "x"),
        ("1", "y", "1"),
        ("false", True, False),
        ("[1]", [2], [1]),
        ("3", None, 3),
        ("x", None, "x"),
    ],
)
def test_a_file_s_leaf_keeps_its_type(text: str, present: ParamValue, value: ParamValue) -> None:
    """A number stays a number, a text a text; lists are JSON."""
    got = parsed_leaf(text, present)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(("text", "present"), [("x", 1), ("1", True), ("x", [1]), ("nan", 0.1), ("[1", [1])])
def test_a_file_s_leaf_refuses_another_type(text: str, present: ParamValue) -> None:
    """What the present value is not is an error."""
    with pytest.raises(BadValueError):
        parsed_leaf(text, present)


def test_differences_are_readable() -> None:
    """Each difference is a clause for a reason: old -> new, added, removed; types count."""
    before: dict[str, ParamValue] = {"train.lr": 0.1, "a": 1, "same": [1], "kind": 1}
    after: dict[str, ParamValue] = {"train.lr": 0.05, "b": "x", "same": [1], "kind": 1.0}
    assert differences(before, after) == {
        "train.lr": "0.1 -> 0.05",
        "a": "removed: 1",
        "kind": "1 -> 1.0",
        "b": 'added: "x"',
    }
    assert len(differences({"a": "x" * 500}, {"a": 1})["a"]) < 80


def test_text_of_values() -> None:
    """A value's text is what a command line would hold."""
    assert [text_of(value) for value in (True, 0.2, "a b", [1, "x"], None)] == ["true", "0.2", "a b", '[1,"x"]', "null"]
