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


def dump(path: str, params: Mapping[str, ParamValue]) -> str:
    """The text of a params file that holds `params`, in the form that its suffix names."""
    match path.rpartition(".")[2].lower():
        case "json":
            import json

            return json.dumps(params, indent=2) + "\n"
        case "toml":
            import tomli_w

            return tomli_w.dumps(params)
        case _:
            import yaml

            return yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True)
