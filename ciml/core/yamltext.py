"""Plain values as YAML that people like to read: block style, comments, and quotes only where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ciml.core.value import Value

_PLAIN = re.compile(r"[A-Za-z_./$][A-Za-z0-9_./@$ *{}()'\[\],|&!=<>-]*")
_MEANS_MORE = re.compile(r"(?i)(?:y|n|yes|no|on|off|true|false|null|~|\d.*)|.*(?::\s| #).*|.*[\s:]|[*&!|>%@`].*")
_WIDTH = 110
"""Characters of a line, beyond which a list is written with an item a line."""


class Noted(Value, frozen=True, kw_only=True):
    """A scalar with a comment after it."""

    value: str | int | float | bool
    note: str


class Folded(Value, frozen=True, kw_only=True):
    """A long text in lines that YAML joins with a space."""

    lines: tuple[str, ...]


class Block(Value, frozen=True, kw_only=True):
    """A text as it stands, line by line."""

    text: str


class Remarked(Value, frozen=True, kw_only=True):
    """An entry with comment lines above it."""

    node: Node
    remarks: tuple[str, ...]


class Tagged(Value, frozen=True, kw_only=True):
    """A text with a tag before it, such as CloudFormation's `!Sub`."""

    tag: str
    value: str


Scalar = str | int | float | bool | None
Node = Scalar | Noted | Remarked | Tagged | Folded | Block | Mapping[str, "Node"] | Sequence["Node"]


def text(document: Mapping[str, Node], *, blank_before: frozenset[str] = frozenset()) -> str:
    """The document; before top-level keys, and before entries of those in `blank_before`, a line is left blank."""
    out: list[str] = []
    for key, node in document.items():
        if out:
            out.append("")
        if key in blank_before and isinstance(node, Mapping):
            out.append(f"{_key(key)}:")
            for number, (name, entry) in enumerate(node.items()):
                out += [*([""] if number else []), *_entry(name, entry, 1)]
        else:
            out += _entry(key, node, 0)
    return "\n".join(out) + "\n"


def _entry(key: str, node: Node, depth: int) -> list[str]:
    pad = "  " * depth
    head = f"{pad}{_key(key)}:"
    if node is None:
        return [head]
    if isinstance(node, Remarked):
        return [*(f"{pad}# {remark}" for remark in node.remarks), *_entry(key, node.node, depth)]
    if isinstance(node, Block):
        return [f"{head} |", *(f"{pad}  {line}".rstrip() for line in node.text.rstrip("\n").split("\n"))]
    if isinstance(node, Folded):
        return [f"{head} >-", *(f"{pad}  {line}" for line in node.lines)]
    if isinstance(node, Mapping):
        if not node:
            return [f"{head} {{}}"]
        return [head, *(line for name, entry in node.items() for line in _entry(name, entry, depth + 1))]
    if isinstance(node, Sequence) and not isinstance(node, str):
        return _list(head, node, depth)
    return [f"{head} {scalar(node)}"]


def _list(head: str, node: Sequence[Node], depth: int) -> list[str]:
    if all(not isinstance(item, Mapping | Folded | list | tuple) for item in node):
        flow = f"{head} [{', '.join(scalar(item, flow=True) for item in node)}]"  # type: ignore[arg-type]
        if len(flow) <= _WIDTH:
            return [flow]
    return [head, *(line for item in node for line in _item(item, depth + 1))]


def _item(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if not isinstance(node, Mapping):
        yield f"{pad}- {scalar(node)}"  # type: ignore[arg-type]
        return
    lines = [line for name, entry in node.items() for line in _entry(name, entry, depth + 1)]
    yield f"{pad}- {lines[0].strip()}"
    yield from lines[1:]


def scalar(node: Scalar | Noted | Tagged, *, flow: bool = False) -> str:
    """One value, quoted where it would mean something else."""
    match node:
        case Noted(value=value, note=note):
            return f"{scalar(value)} # {note}"
        case Tagged(tag=tag, value=value):
            return f"!{tag} {scalar(value, flow=flow)}"
        case None:
            return "null"
        case bool():
            return "true" if node else "false"
        case int() | float():
            return repr(node)
    special = flow and re.search(r"[,\[\]{}]", node)
    plain = _PLAIN.fullmatch(node) and not _MEANS_MORE.fullmatch(node) and not special
    return node if plain else json.dumps(node, ensure_ascii=False)


def _key(key: str) -> str:
    # GitHub reads `on` as a word, whatever YAML 1.1 makes of it.
    return key if key == "on" or (_PLAIN.fullmatch(key) and not _MEANS_MORE.fullmatch(key)) else json.dumps(key)
