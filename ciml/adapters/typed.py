"""Typed values from marked nodes: one walk over nodes and types, which finds all problems at once.

The types are msgspec structs; nothing here knows a key. A reader for each type is made once and
then used for every node. A text is taken as it is written where text is wanted, so `3.10` stays
`3.10`; it is resolved by YAML's core schema where a number or a boolean is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from collections.abc import Mapping as Items
from functools import cache
from typing import Any, TypeVar, cast

from msgspec import inspect

from ciml.adapters.core_schema import AmbiguousNumberError
from ciml.adapters.mistakes import BAD, Mistake, Mistakes, mistaken, truth_hint
from ciml.adapters.yaml import Mapping, Node, Scalar, Sequence, plain, scalar
from ciml.core.errors import Problem
from ciml.core.findings import MAX_PROBLEMS, Findings, suggestion
from ciml.core.value import Value

MAX_SUGGESTIONS = 100
"""Unknown keys beyond these are only listed: a suggestion costs more than all else."""

T = TypeVar("T")


_Read = Callable[[Node, Mistakes], Any]


class _Reader(Value, frozen=True, kw_only=True):
    """How nodes of one type are read."""

    read: _Read
    wanted: str
    """What would be right: `a duration such as 10s`."""
    kind: str
    """`mapping`, `list`, `bool`, `int`, `float`, `str`, `literal`, `any` or `union`."""


def read(node: Node, type_: type[T], *, file: str) -> tuple[T | None, list[Problem], bool]:
    """The value that a node means as a `type_`, all problems, and whether the value can be relied on.

    Args:
        node: the document's root.
        type_: a msgspec struct.
        file: for the problems.

    Returns:
        The value (None where there is none), the problems in the order of the file, and True where they
        are unknown keys at most: then the value is all that was meant otherwise.
    """
    mistakes: Mistakes = []
    value = _reader_of(cast("Hashable", type_)).read(node, mistakes)
    problems = [
        Problem(
            message=mistake.message,
            file=file,
            line=mistake.node.line,
            column=mistake.node.column,
            key=".".join(reversed(mistake.path)) or None,
            hint=mistake.hint,
        )
        for mistake in mistakes[:MAX_PROBLEMS]
    ]
    return None if value is BAD else value, problems, all(mistake.unknown_key for mistake in mistakes)


@cache
def _reader_of(type_: Hashable) -> _Reader:
    return _reader(inspect.type_info(type_))


def _reader(info: inspect.Type, title: str | None = None, placeholders: bool = False) -> _Reader:
    """The reader for a type; `title` says what is wanted, `placeholders` whether `${{` may occur."""
    match info:
        case inspect.Metadata():
            title = (info.extra_json_schema or {}).get("title", title)
            return _reader(info.type, title, placeholders or bool((info.extra or {}).get("placeholders")))
        case inspect.StructType():
            return _struct(info)
        case inspect.DictType():
            return _dict(info)
        case inspect.ListType():
            return _list(info, title)
        case inspect.UnionType():
            return _union(info, placeholders)
        case inspect.LiteralType():
            return _literal(info)
        case inspect.StrType():
            return _text(info, title, placeholders)
        case inspect.IntType() | inspect.FloatType():
            return _number(info, title)
        case inspect.BoolType():
            return _bool()
        case inspect.AnyType():
            return _Reader(read=_any, wanted="a value", kind="any")
    raise TypeError(f"ciml.yaml has no values of type {info}")


def _inward(child: _Reader, node: Node, key: str, mistakes: Mistakes) -> Any:
    """A part's value; its mistakes get the part's key in front."""
    before = len(mistakes)
    value = child.read(node, mistakes)
    if len(mistakes) != before:
        for mistake in mistakes[before:]:
            mistake.path.append(key)
    return value


def _struct(info: inspect.StructType) -> _Reader:
    fields = {field.encode_name: (field.name, _reader(field.type)) for field in info.fields}
    required = [field.encode_name for field in info.fields if field.required]
    make = info.cls

    def read(node: Node, mistakes: Mistakes) -> Any:
        if not isinstance(node, Mapping):
            return mistaken(node, mistakes, "a mapping", f"its keys are {_listed(fields)}")
        values = {}
        for key, child in node.items.items():
            field = fields.get(key)
            if field is None:
                mistakes.append(_unknown(key, node, fields, suggest=len(mistakes) < MAX_SUGGESTIONS))
                continue
            value = _inward(field[1], child, key, mistakes)
            if value is not BAD:
                values[field[0]] = value
        whole = True
        for key in required:
            if fields[key][0] not in values:
                whole = False
                if key not in node.items:
                    mistakes.append(Mistake(node, f"needs the key '{key}'", f"add `{key}:{_only(fields[key][1])}`"))
        return make(**values) if whole else BAD

    return _Reader(read=read, wanted=f"a mapping with {_listed(fields)}", kind="mapping")


def _only(value: _Reader) -> str:
    """The value, after a space, where no other is allowed."""
    return f" {value.wanted}" if value.kind == "literal" and not value.wanted.startswith("one of ") else ""


def _listed(keys: Items[str, object]) -> str:
    return ", ".join(keys)


_ELSEWHERE = {"cmd": "run", "command": "run", "script": "run", "deps": "inputs", "dependencies": "inputs"}
"""What other tools call a key, where no likeness tells."""


def _translated(key: str, fields: Items[str, object]) -> str | None:
    word = _ELSEWHERE.get(key)
    return f"here it is '{word}'" if word in fields else None


def _unknown(key: str, node: Mapping, fields: Items[str, object], *, suggest: bool) -> Mistake:
    hint = (suggestion(key, fields) or _translated(key, fields)) if suggest else None
    mistake = Mistake(
        node.keys[key],
        f"unknown key '{key}'" + (f"; {hint}" if hint else ""),
        None if hint else f"keys here are {_listed(fields)}",
        unknown_key=True,
    )
    mistake.path.append(key)
    return mistake


def _dict(info: inspect.DictType) -> _Reader:
    child = _reader(info.value_type)

    def read(node: Node, mistakes: Mistakes) -> Any:
        if not isinstance(node, Mapping):
            return mistaken(node, mistakes, "a mapping")
        values = {key: _inward(child, item, key, mistakes) for key, item in node.items.items()}
        return {key: value for key, value in values.items() if value is not BAD}

    return _Reader(read=read, wanted="a mapping", kind="mapping")


def _list(info: inspect.ListType, title: str | None) -> _Reader:
    child = _reader(info.item_type)
    wanted = title or "a list"
    least = info.min_length or 0

    def read(node: Node, mistakes: Mistakes) -> Any:
        if not isinstance(node, Sequence):
            hint = f"write [{node.text}]" if isinstance(node, Scalar) and node.text else None
            return mistaken(node, mistakes, wanted, hint)
        if len(node.items) < least:
            mistakes.append(Mistake(node, f"expected {wanted}, found an empty one"))
            return BAD
        values = [_inward(child, item, str(index), mistakes) for index, item in enumerate(node.items)]
        return [value for value in values if value is not BAD]

    return _Reader(read=read, wanted=wanted, kind="list")


def _text(info: inspect.StrType, title: str | None, placeholders: bool) -> _Reader:
    pattern = re.compile(info.pattern) if info.pattern else None
    wanted = title or "text"
    least = info.min_length or 0

    def read(node: Node, mistakes: Mistakes) -> Any:
        if not isinstance(node, Scalar) or (node.plain and node.text in ("", "~", "null")):
            return mistaken(node, mistakes, wanted)
        text = node.text
        if len(text) < least or (pattern and not pattern.search(text)):
            return mistaken(node, mistakes, wanted)
        if not placeholders and "${{" in text:
            hint = "they may stand in run, env, inputs, outputs, metrics, plots, gate and when"
            mistakes.append(Mistake(node, "no placeholder may stand here", hint))
            return BAD
        return text

    return _Reader(read=read, wanted=wanted, kind="str")


def _resolved(node: Node, mistakes: Mistakes, wanted: str) -> Any:
    if not isinstance(node, Scalar):
        return mistaken(node, mistakes, wanted)
    try:
        return scalar(node)
    except AmbiguousNumberError as error:
        mistakes.append(Mistake(node, str(error), error.hint))
        return BAD


def _number(info: inspect.IntType | inspect.FloatType, title: str | None) -> _Reader:
    whole = isinstance(info, inspect.IntType)
    wanted = title or ("a whole number" if whole else "a number")
    low, high, above, below = info.ge, info.le, info.gt, info.lt

    def read(node: Node, mistakes: Mistakes) -> Any:
        value = _resolved(node, mistakes, wanted)
        if value is BAD:
            return BAD
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return mistaken(node, mistakes, wanted, "write it without quotes" if _is_quoted_number(node) else None)
        if (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        ):
            return mistaken(node, mistakes, wanted)
        return value if whole else float(value)

    return _Reader(read=read, wanted=wanted, kind="int" if whole else "float")


def _is_quoted_number(node: Node) -> bool:
    if not isinstance(node, Scalar) or node.plain:
        return False
    try:
        return isinstance(scalar(Scalar(node.line, node.column, node.text, True)), int | float)
    except AmbiguousNumberError:
        return False


def _bool() -> _Reader:
    def read(node: Node, mistakes: Mistakes) -> Any:
        value = _resolved(node, mistakes, "true or false")
        if value is BAD or isinstance(value, bool):
            return value
        return mistaken(node, mistakes, "true or false", truth_hint(node))

    return _Reader(read=read, wanted="true or false", kind="bool")


def _literal(info: inspect.LiteralType) -> _Reader:
    by_text = {str(value): value for value in info.values}
    wanted = f"one of {_listed(by_text)}" if len(by_text) > 1 else next(iter(by_text))

    def read(node: Node, mistakes: Mistakes) -> Any:
        if isinstance(node, Scalar) and node.text in by_text:
            return by_text[node.text]
        return mistaken(node, mistakes, wanted, suggestion(node.text, by_text) if isinstance(node, Scalar) else None)

    return _Reader(read=read, wanted=wanted, kind="literal")


def _any(node: Node, mistakes: Mistakes) -> Any:
    found = Findings("")
    value = plain(node, found)
    mistakes.extend(Mistake(node, problem.message, problem.hint) for problem in found.problems)
    return value


def _union(info: inspect.UnionType, placeholders: bool) -> _Reader:
    options = [_reader(option, placeholders=placeholders) for option in info.types]
    by_kind = {option.kind: option for option in options}
    texts = [option for option in options if option.kind in ("literal", "str")]
    numeric = by_kind.get("float") or by_kind.get("int")
    exact = by_kind.get("int") or numeric
    wanted = " or ".join(dict.fromkeys(option.wanted for option in options))

    def scalar_option(node: Scalar, mistakes: Mistakes) -> _Reader | None:
        """The one that fits the text's own type, so that its complaint is the one that helps."""
        if not numeric and "bool" not in by_kind:
            return _text_option(texts, node)
        value = _resolved(node, mistakes, wanted)
        if isinstance(value, bool) and "bool" in by_kind:
            return by_kind["bool"]
        if isinstance(value, int) and not isinstance(value, bool) and exact:
            return exact
        if isinstance(value, float) and numeric:
            return numeric
        return None if value is None or value is BAD else _text_option(texts, node)

    def read(node: Node, mistakes: Mistakes) -> Any:
        before = len(mistakes)
        match node:
            case Mapping():
                option = by_kind.get("mapping")
            case Sequence():
                option = by_kind.get("list")
            case Scalar():
                option = scalar_option(node, mistakes)
        if option:
            return option.read(node, mistakes)
        if len(mistakes) > before:
            return BAD
        return mistaken(node, mistakes, wanted, truth_hint(node) if "bool" in by_kind else None)

    return _Reader(read=read, wanted=wanted, kind="union")


def _text_option(texts: list[_Reader], node: Scalar) -> _Reader | None:
    """The first reader that takes the text; for a placeholder out of place the one that says so."""
    fits = (option for option in texts if option.read(node, []) is not BAD)
    return next(fits, texts[0] if texts and "${{" in node.text else None)
