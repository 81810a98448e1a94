"""Params files as trees: YAML, JSON and TOML, by their suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ciml.adapters.yaml import MAX_BYTES, MAX_DEPTH, Places, compose, plain
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.findings import Findings, nowhere
from ciml.core.pipeline import ParamValue


def tree(data: bytes, *, file: str) -> dict[str, ParamValue]:
    """What a params file holds; every leaf is a parameter.

    Raises:
        ConfigurationError: it cannot be read, is no mapping, or a value or a key is not one that every
            reader takes alike: not finite, beyond 64 bits, a date, a key that is given twice.
    """
    readers: dict[str, Callable[[bytes, str], tuple[ParamValue, Findings]]] = {"json": _json, "toml": _toml}
    value, found = readers.get(file.rpartition(".")[2].lower(), _yaml)(data, file)
    if not isinstance(value, dict):
        found.add((), "must be a mapping: each key names a parameter", "write NAME: VALUE")
        value = {}
    seen: set[str] = set()
    for path in _paths(value):
        if path in seen:
            found.add(tuple(path.split(".")), f"{path} is given twice, nested and with dots", "keep one")
        elif not all(path.split(".")):
            found.add((), f"'{path}' has an empty key", "every part of a parameter's name needs a letter or digit")
        seen.add(path)
    found.stop_if_any()
    return value


def _paths(value: dict[str, ParamValue], prefix: str = "") -> Iterator[str]:
    """The dotted path of every leaf, as often as it is given."""
    for key, child in value.items():
        if isinstance(child, dict) and child:
            yield from _paths(child, f"{prefix}{key}.")
        else:
            yield prefix + key


def dump(file: str, values: Mapping[str, ParamValue]) -> str:
    """The text of a params file, the same for the same values, which every reader of its format takes alike.

    YAML is written as JSON, whose numbers and quoted texts YAML 1.1 and 1.2 read alike; for YAML 1.1 a
    number with an exponent needs a point. No library is imported for it: it is done before every stage.
    """
    if file.lower().endswith(".toml"):
        return "".join(f"{_text(key)} = {_dumped(value, ' = ')}\n" for key, value in values.items())
    return f"{_dumped(dict(values), ': ')}\n"


def _dumped(value: ParamValue, colon: str) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_text(key)}{colon}{_dumped(item, colon)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(_dumped(item, colon) for item in value) + "]"
        case float():
            digits, exponent, power = repr(value).partition("e")
            return digits if not exponent else f"{digits if '.' in digits else f'{digits}.0'}e{power}"
    return _text(value)


def _text(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _yaml(data: bytes, file: str) -> tuple[ParamValue, Findings]:
    root = compose(data, file=file)
    found = Findings(file, Places(root))
    return plain(root, found), found


def _json(data: bytes, file: str) -> tuple[ParamValue, Findings]:
    import json

    found = Findings(file, nowhere)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            twice = next(key for key, _ in items if [name for name, _ in items].count(key) > 1)
            found.add((), f"duplicate key '{twice}'", "keep one")
        return made

    try:
        value = json.loads(_limited(data, file), object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise _refusal(file, f"is not JSON: {error.msg}", error.lineno, error.colno) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(file, f"is not JSON: {str(error)[:200]}") from error
    _check(value, found)
    return value, found


def _toml(data: bytes, file: str) -> tuple[ParamValue, Findings]:
    import tomllib

    found = Findings(file, nowhere)
    try:
        value = tomllib.loads(_limited(data, file))
    except (ValueError, RecursionError) as error:
        raise _refusal(file, f"is not TOML: {str(error)[:200]}") from error
    _check(value, found)
    return value, found


def _limited(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise _refusal(file, f"is {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refusal(file, f"byte 0x{data[error.start]:02x} is not UTF-8", line) from error


def _refusal(file: str, message: str, line: int = 1, column: int | None = None) -> ConfigurationError:
    return ConfigurationError(problems=[Problem(message=message, file=file, line=line, column=column)])


def _check(value: Any, found: Findings, at: tuple[str | int, ...] = ()) -> None:
    """Note what YAML would not have let in either."""
    if len(at) > MAX_DEPTH:
        found.add(at, f"nesting deeper than {MAX_DEPTH}")
        return
    match value:
        case dict():
            for key, child in value.items():
                _check(child, found, (*at, key))
        case list():
            for index, child in enumerate(value):
                _check(child, found, (*at, index))
        case float() if value - value != 0:
            found.add(at, f"{value} is not a finite number")
        case int() if not -(2**63) <= value < 2**63:
            found.add(at, "the number does not fit into 64 bits", "write it as text, or as 1.0e30")
        case None | bool() | str() | int() | float():
            pass
        case _:
            found.add(at, f"{value} is a date or a time, which a parameter cannot be", "write it as text")
