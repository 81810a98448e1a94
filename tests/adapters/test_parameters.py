from __future__ import annotations

import json
import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ciml.adapters.parameters import dump, tree
from ciml.core.errors import ConfigurationError
from ciml.core.params import leaves
from ciml.core.pipeline import ParamValue


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.yaml", b"train: {lr: 1e-4, on: no}\nn: 1\n"),
        ("p.json", b'{"train": {"lr": 1e-4, "on": "no"}, "n": 1}'),
        ("p.toml", b'n = 1\n[train]\nlr = 1e-4\non = "no"\n'),
    ],
)
def test_the_three_formats_say_the_same(name: str, data: bytes) -> None:
    """YAML, JSON and TOML make the same leaves."""
    assert leaves(tree(data, file=name)) == {"train.lr": 1e-4, "train.on": "no", "n": 1}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.json", b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("p.json", b'{"a": NaN}', "not a finite number"),
        ("p.json", b'{"a": 1e999}', "not a finite number"),
        ("p.json", b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        ("p.json", b'{"a": 99999999999999999999}', "64 bits"),
        ("p.json", b"[" * 100_000, "not JSON"),
        ("p.json", b'{"a": ' * 70 + b"1" + b"}" * 70, "nesting"),
        ("p.json", b'{"a": \xff}', "not UTF-8"),
        ("p.json", b'{"a": ,}', "p.json:1:7: is not JSON"),
        ("p.json", b"[1]", "must be a mapping"),
        ("p.toml", b"a = 2026-11-20", "a date"),
        ("p.toml", b"a = inf", "not a finite number"),
        ("p.toml", b"a = 1\na = 2", "not TOML"),
        ("p.yaml", b"a: .nan", "not a finite number"),
        ("p.yaml", b"- 1", "must be a mapping"),
        ("p.yaml", b"a.b: 1\na: {b: 2}", "given twice"),
        ("p.yaml", b"a..b: 1", "empty key"),
        ("p.yaml", b"a: " + b"x" * (1 << 20), "at most"),
        ("p.json", b" " * (1 << 20) + b"1", "at most"),
    ],
)
def test_params_files_that_cannot_be_relied_on(name: str, data: bytes, message: str) -> None:
    """What readers would take differently, or not at all, is an error that names the file."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        tree(data, file=name)
    assert all(problem.file == name for problem in caught.value.problems)


def test_an_empty_json_object_is_no_parameters() -> None:
    """A file without keys is read."""
    assert tree(b"{}", file="p.json") == {}


scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8).filter(lambda text: text.isprintable())
    | st.sampled_from(
        ["no", "on", "014", "1e-4", "12:30:45", "2026-11-20", "~", "", "a\nb", "\t", '"', "\\", "#", "\x7f"]
    )
)
names = st.text("abc", min_size=1, max_size=4) | st.sampled_from(["a b", "no", "1", "é", '"'])
trees = st.dictionaries(
    names, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
)


@given(trees)
def test_every_reader_gets_back_what_was_dumped(values: dict[str, ParamValue]) -> None:
    """YAML 1.1, YAML 1.2, JSON and TOML readers see the same values, floats as floats and words as words."""
    wanted = json.dumps(values)
    assert json.dumps(json.loads(dump("p.json", values))) == wanted
    assert json.dumps(tree(dump("p.yaml", values).encode(), file="p.yaml")) == wanted
    assert json.dumps(yaml.safe_load(dump("p.yaml", values))) == wanted
    assert json.dumps(tomllib.loads(dump("p.toml", values))) == wanted


def test_a_dumped_file_is_short_and_plain() -> None:
    """What a stage finds can be read by a person."""
    assert dump("p.yaml", {"train": {"lr": 1e-05, "on": True}}) == '{"train": {"lr": 1.0e-05, "on": true}}\n'
    assert dump("p.toml", {"train": {"lr": 0.1}}) == '"train" = {"lr" = 0.1}\n'
