from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core import metrics
from ciml.core.ids import RepoPath, StageName
from ciml.core.metrics import FILE, Metrics, Undefined

FILE_NAME = RepoPath("build/metrics.json")


def parse(text: str) -> Metrics:
    return metrics.parse(text.encode(), FILE_NAME)


def test_nested_keys_are_joined_with_dots() -> None:
    """A metric of a nested object is named by the whole way to it."""
    assert parse('{"auc": 0.5, "val": {"loss": 1, "macro avg": {"f1": 0.25}}}') == Metrics(
        values={"auc": 0.5, "val.loss": 1.0, "val.macro avg.f1": 0.25}
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "1" * 5_000])
def test_c086_a_number_that_is_not_finite_is_a_problem(number: str) -> None:
    """NaN, Infinity, 1e999 and whole numbers beyond any double are problems, and no values."""
    assert parse(f'{{"acc": {number}}}') == Metrics(problems={"acc": "is not finite"})


@pytest.mark.parametrize(
    "text",
    [
        '{"acc": 0.1, "acc": 0.99}',
        '{"acc": 0.1, "acc": 0.1, "acc": 0.1}',
        '{"acc": "x", "acc": 0.99}',
        '{"acc": {}, "acc": 0.99}',
    ],
)
def test_c087_a_key_given_twice_counts_for_nothing(text: str) -> None:
    """Of a duplicate key neither value is taken: never last wins."""
    assert parse(text) == Metrics(problems={"acc": "is given twice"})


def test_c087_everything_below_a_duplicate_key_counts_for_nothing() -> None:
    """Two objects under one key are not merged."""
    assert parse('{"a": {"x": 1}, "a": {"y": 2}, "b": 3}') == Metrics(
        values={"b": 3.0}, problems={"a.x": "is given twice", "a.y": "is given twice"}
    )


def test_c087_two_ways_to_one_name_count_for_nothing() -> None:
    """A dotted key and a nested one that meet in a name are one name given twice."""
    assert parse('{"a.b": 1, "a": {"b": 2}}') == Metrics(problems={"a.b": "is given twice"})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("null", "is null"),
        ('"0.9"', "is text"),
        ("true", "is true or false, not a number"),
        ("[0.9]", "is a list"),
        ("[]", "is a list"),
        ("1e400", "is not finite"),
    ],
)
def test_c088_what_is_not_a_number_is_never_coerced(value: str, why: str) -> None:
    """Null, text, booleans, lists and overflowing numbers are problems of that key alone."""
    assert parse(f'{{"acc": {value}, "auc": 0.5}}') == Metrics(values={"auc": 0.5}, problems={"acc": why})


def test_c088_minus_zero_is_zero() -> None:
    """-0.0 is read as 0.0."""
    assert math.copysign(1, parse('{"acc": -0.0}').values["acc"]) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"auc: 0.5", "is not JSON"),
        (b'{"auc": 0.5} x', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "holds a list where"),
        (b"0.5", "holds a number where"),
        (b"null", "holds null where"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b" " * (metrics.MAX_BYTES + 1), "larger than 4 MiB"),
    ],
)
def test_a_broken_file_is_one_problem_of_the_file(data: bytes, why: str) -> None:
    """What is wrong with the whole file is a value that names it, not an exception."""
    parsed = metrics.parse(data, FILE_NAME)
    assert not parsed.values
    assert list(parsed.problems) == [FILE]
    assert why in parsed.problems[FILE]
    assert FILE_NAME in parsed.problems[FILE]


def test_nesting_is_bounded() -> None:
    """At 32 levels a number still counts, one level deeper it is a problem."""
    deepest = '{"a":' * metrics.MAX_DEPTH + "1" + "}" * metrics.MAX_DEPTH
    assert list(parse(deepest).values.values()) == [1.0]
    deeper = parse(f'{{"a":{deepest}}}')
    assert (list(deeper.values), list(deeper.problems.values())) == ([], ["is nested deeper than 32"])


def test_the_largest_file_is_still_read() -> None:
    """The size limit is inclusive."""
    data = b'{"a": 1}'.ljust(metrics.MAX_BYTES)
    assert metrics.parse(data, FILE_NAME) == Metrics(values={"a": 1.0})


def test_a_byte_order_mark_and_odd_names_are_read() -> None:
    """A mark before the text is skipped; a name that is no text is escaped; an empty one is a problem."""
    assert metrics.parse(b'\xef\xbb\xbf{"a": 1, "\\ud800": 2, "": 3}', FILE_NAME) == Metrics(
        values={"a": 1.0, "\\ud800": 2.0}, problems={FILE: "a metric has an empty name"}
    )


def test_a_name_in_two_files_of_a_stage_counts_for_nothing() -> None:
    """Files are combined without letting the later one win, whatever either of them says."""
    one = Metrics(values={"auc": 0.5, "acc": 0.9}, problems={"f1": "is null"})
    other = Metrics(values={"acc": 0.9, "f1": 0.3}, problems={FILE: "b.json is not JSON"})
    assert metrics.combine({RepoPath("a.json"): one, RepoPath("b.json"): other}) == Metrics(
        values={"auc": 0.5},
        problems={"acc": "is given twice", "f1": "is given twice", FILE: "b.json is not JSON"},
    )


def test_all_broken_files_of_a_stage_are_named() -> None:
    """Two files that cannot be read leave two reasons."""
    broken = {RepoPath(name): Metrics(problems={FILE: f"{name} is not JSON"}) for name in ("a", "b")}
    assert metrics.combine(broken).problems == {FILE: "a is not JSON; b is not JSON"}


def test_a_metric_is_looked_up_where_one_stage_writes_it() -> None:
    """Exactly one writer gives the value; none and two give a reason that names the stages."""
    train, test = StageName("train"), StageName("test")
    stages = {train: Metrics(values={"loss": 0.5, "auc": 0.6}), test: Metrics(values={"auc": 0.7})}
    assert metrics.lookup("loss", stages) == 0.5
    assert metrics.lookup("f1", stages) == Undefined(reason="no stage writes a metric f1")
    assert metrics.lookup("lss", stages) == Undefined(reason="no stage writes a metric lss; did you mean 'loss'?")
    assert metrics.lookup("auc", stages) == Undefined(
        reason="auc is written by train and by test: say stages.train.metrics.auc"
    )


def test_a_problem_counts_as_written() -> None:
    """Where one stage writes a number and another a problem of that name, neither is taken."""
    stages = {
        StageName("train"): Metrics(values={"auc": 0.6}),
        StageName("test"): Metrics(problems={"auc": "is not finite"}),
    }
    assert isinstance(metrics.lookup("auc", stages), Undefined)
    del stages[StageName("train")]
    assert metrics.lookup("auc", stages) == Undefined(reason="metric auc is not finite")


def test_a_missing_metric_brings_the_reason_of_a_broken_file() -> None:
    """Where a metric is not there and a file could not be read, the reason says both."""
    stages = {StageName("test"): Metrics(problems={FILE: "m.json is not JSON"})}
    assert metrics.lookup("auc", stages) == Undefined(reason="no stage writes a metric auc; m.json is not JSON")
    assert metrics.of_stage("auc", stages[StageName("test")]) == Undefined(reason="m.json is not JSON")
    assert metrics.of_stage("auc", Metrics()) == Undefined(reason="there is no metric auc")


def test_a_value_that_is_not_finite_is_refused_wherever_it_came_from() -> None:
    """Metrics that were not parsed here (a registry's) are looked at again."""
    assert metrics.of_stage("auc", Metrics(values={"auc": math.nan})) == Undefined(reason="metric auc is not finite")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_any_json_is_read_without_raising(tree: object) -> None:
    """Whatever a stage writes, values are finite numbers and every name is either value or problem."""
    parsed = parse(json.dumps(tree))
    assert all(math.isfinite(value) for value in parsed.values.values())
    assert not parsed.values.keys() & parsed.problems.keys()


@given(st.binary())
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    """Bytes that are no JSON are a problem of the file."""
    metrics.parse(data, FILE_NAME)
