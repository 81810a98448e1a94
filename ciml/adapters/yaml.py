"""YAML as ciml reads it: marked nodes, and the plain values of YAML 1.2's core schema.

The text goes through libyaml event by event, so that depth, aliases and duplicate keys are checked
as they appear and nothing is expanded first. Only `true` and `false` are booleans, `1e-4` is a
number, `on` and `no` are words; there are no sexagesimals and no dates. A text that YAML 1.1 and
1.2 read as different numbers (`014`) is refused where a number is wanted.

Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn, cast

import yaml
from yaml._yaml import CParser

from ciml.adapters.core_schema import AmbiguousNumberError, resolved, short
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.findings import Findings, KeyPath
from ciml.core.pipeline import ParamValue
from ciml.core.value import Value

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000
"""After the expansion of aliases; a file of MAX_BYTES without aliases may hold more."""

# libyaml refuses most of these without a place.
_CONFLICT = re.compile("^<{7} .*^={7}$", re.MULTILINE | re.DOTALL)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Scalar(Value, frozen=True, gc=False):
    """A text with its place; `plain` when it stands without quotes and may be a number."""

    line: int
    column: int
    text: str
    plain: bool
    size: int = 1


class Sequence(Value, frozen=True):
    """A list with its place."""

    line: int
    column: int
    items: list[Node]
    size: int = 1
    """Nodes in all, aliases expanded."""


class Mapping(Value, frozen=True):
    """A mapping with its place; `keys` says where each key stands."""

    line: int
    column: int
    items: dict[str, Node]
    keys: dict[str, Scalar]
    size: int = 1


Node = Scalar | Sequence | Mapping


def scalar(node: Scalar) -> bool | int | float | str | None:
    """The value of a text by the core schema; in quotes it is text whatever it looks like.

    Raises:
        AmbiguousNumberError: a number that nobody can rely on.
    """
    return resolved(node.text) if node.plain else node.text


def compose(data: bytes, *, file: str) -> Node:
    """The one document in `data`, marked; aliases share their node.

    Raises:
        ConfigurationError: with line and column, for anything but one plain document in UTF-8: see the
            module's limits, and tags, merge keys, duplicate keys, aliases of what is not yet complete.
    """
    return _Composer(_decode(data, file), file).document()


def plain(node: Node, found: Findings, at: KeyPath = ()) -> ParamValue:
    """The values of a node by the core schema; numbers nobody can rely on are noted in `found`."""
    match node:
        case Scalar():
            try:
                return scalar(node)
            except AmbiguousNumberError as error:
                found.add(at, str(error), error.hint)
                return None
        case Sequence():
            return [plain(item, found, (*at, index)) for index, item in enumerate(node.items)]
        case Mapping():
            return {key: plain(value, found, (*at, key)) for key, value in node.items.items()}


class Places:
    """Where the parts of a document stand."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def __call__(self, path: KeyPath) -> tuple[int, int]:
        """Line and column, from 1: of a mapping's entry its key; of a part that is not there its parent."""
        node = self.root
        place = (node.line, node.column)
        for part in path:
            match node:
                case Mapping() if isinstance(part, str) and part in node.items:
                    key = node.keys[part]
                    place = (key.line, key.column)
                    node = node.items[part]
                case Sequence() if isinstance(part, int) and part < len(node.items):
                    node = node.items[part]
                    place = (node.line, node.column)
                case _:
                    break
        return place


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        _refuse(file, 1, 1, f"is {len(data):,} bytes; at most {MAX_BYTES:,} are read", "is this the right file?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(file, 1, 1, "is UTF-16", "save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8-sig", "replace")
        _refuse(file, line, len(before) + 1, f"byte 0x{data[error.start]:02x} is not UTF-8", "save it as UTF-8")
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        hint = 'write it escaped in double quotes: "\\x00"'
        _refuse(file, line, column, f"character U+{ord(bad.group()):04X} cannot stand in YAML", hint)
    return text


def _refuse(
    file: str, line: int, column: int, message: str, hint: str | None = None, key: str | None = None
) -> NoReturn:
    problem = Problem(message=message, file=file, line=line, column=column, key=key, hint=hint)
    raise ConfigurationError(problems=[problem])


def _start(event: yaml.Event) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Composer:
    """Makes nodes from events, one at a time and without recursion."""

    def __init__(self, text: str, file: str) -> None:
        self._events = _events(text, file)
        self._file = file
        self._anchors: dict[str, Node | None] = {}
        self._open: list[tuple[Sequence | Mapping, Scalar | None, str | None]] = []
        """Collections being filled: the node, for a mapping the key that waits for its value, its anchor."""
        self._duplicates: list[Problem] = []
        self._from_aliases = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            done: Node | None = None
            if isinstance(event, yaml.ScalarEvent):
                done = self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                done = self._alias(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self._end()
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._refuse(event, "a second document starts here", "keep one document in a file; remove this `---`")
            if done is not None:
                if self._open:
                    self._place(done)
                else:
                    root = done
        if self._duplicates:
            raise ConfigurationError(problems=self._duplicates)
        if root is None or (isinstance(root, Scalar) and root.plain and not root.text):
            hint = "`ciml init` writes a first one" if self._file == CONFIGURATION else None
            _refuse(self._file, 1, 1, "is empty", hint)
        return root

    def _refuse(self, event: yaml.Event, message: str, hint: str | None = None) -> NoReturn:
        keys = [key.text for _, key, _ in self._open if key]
        _refuse(self._file, *_start(event), message, hint, ".".join(keys) or None)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.tag is not None:
            self._refuse_tag(event)
        node = Scalar(*_start(event), event.value, event.implicit[0])
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = cast("str", event.anchor)
        if name not in self._anchors:
            self._refuse(event, f"alias *{name} has no anchor before it")
        node = self._anchors[name]
        if node is None:
            self._refuse(event, f"cycle: alias *{name} stands inside what it names")
        self._from_aliases += node.size
        if self._from_aliases > MAX_NODES:
            self._refuse(event, f"aliases expand to more than {MAX_NODES:,} nodes", "write out what is meant")
        return node

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            self._refuse_tag(event)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(event, f"nesting deeper than {MAX_DEPTH}")
        if self._open and isinstance(self._open[-1][0], Mapping) and self._open[-1][1] is None:
            self._refuse(event, "a key must be text", "quote it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        line, column = _start(event)
        node = (
            Mapping(line, column, {}, {}) if isinstance(event, yaml.MappingStartEvent) else Sequence(line, column, [])
        )
        self._open.append((node, None, event.anchor))

    def _end(self) -> Node:
        node, _, anchor = self._open.pop()
        if anchor is not None:
            # The size is known now, and only what has an anchor can be counted again.
            node = _sized(node)
            self._anchors[anchor] = node
        return node

    def _place(self, done: Node) -> None:
        """Put a complete node into the innermost open collection."""
        parent, key, anchor = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(done)
        elif key is None:
            self._open[-1] = (parent, self._key(parent, done), anchor)
        else:
            if key.text not in parent.items:
                parent.items[key.text] = done
                parent.keys[key.text] = key
            self._open[-1] = (parent, None, anchor)

    def _key(self, parent: Mapping, key: Node) -> Scalar:
        if not isinstance(key, Scalar):
            _refuse(self._file, key.line, key.column, "a key must be text", "quote it")
        if key.text == "<<" and key.plain:
            hint = "write the keys out, or put what all stages share under `defaults`"
            _refuse(self._file, key.line, key.column, "merge keys (<<) are not part of YAML 1.2", hint)
        if first := parent.keys.get(key.text):
            path = ".".join([*(outer.text for _, outer, _ in self._open if outer), key.text])
            message = f"duplicate key '{key.text}' line {key.line} (first line {first.line})"
            self._duplicates.append(
                Problem(message=message, file=self._file, line=key.line, column=key.column, key=path, hint="keep one")
            )
        return key

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> NoReturn:
        tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
        self._refuse(event, f"tag {short(tag)} is not allowed", "values here need no tags: remove it")


def _sized(node: Sequence | Mapping) -> Sequence | Mapping:
    children = node.items if isinstance(node, Sequence) else node.items.values()
    size = 1 + sum(_size(child) for child in children)
    if isinstance(node, Sequence):
        return Sequence(node.line, node.column, node.items, size)
    return Mapping(node.line, node.column, node.items, node.keys, size)


def _size(node: Node) -> int:
    """Nodes in all: counted for a collection without an anchor, remembered for one that has it."""
    if node.size > 1 or isinstance(node, Scalar):
        return node.size
    return _sized(node).size


def _events(text: str, file: str) -> Iterator[yaml.Event]:
    """libyaml's events; its errors as ours."""
    parser = CParser(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    except yaml.MarkedYAMLError as error:
        if found := _CONFLICT.search(text):
            line = text.count("\n", 0, found.start()) + 1
            _refuse(
                file, line, 1, "holds a conflict of Git's", f"`git checkout --ours {file}`, or --theirs, takes a side"
            )
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = " ".join(filter(None, (error.context, error.problem)))
        tab = "'\\t'" in problem or _tab_at(text, mark)
        hint = "indent with spaces" if tab else _HINTS.get(error.problem or "")
        refusal = Problem(message=f"is not YAML: {problem}", file=file, line=place[0], column=place[1], hint=hint)
        raise ConfigurationError(problems=[refusal]) from error
    except yaml.YAMLError as error:
        refusal = Problem(message=f"is not YAML: {error}", file=file, line=1, column=1)
        raise ConfigurationError(problems=[refusal]) from error


_HINTS = {
    "mapping values are not allowed in this context": (
        "a key's colon wants a space after it, here or on the line above; text that holds `: ` wants quotes"
    ),
    "did not find expected key": "keys of one mapping are indented alike: look at this line and the one above",
    "did not find expected '-' indicator": "items of one list are indented alike: look at this line and the one above",
    "did not find expected ',' or ']'": "a `[` is not closed, or a comma is missing",
    "did not find expected ',' or '}'": "a `{` is not closed, or a comma is missing",
}
"""What people mostly did where libyaml says this."""


def _tab_at(text: str, mark: yaml.Mark | None) -> bool:
    if mark is None:
        return False
    lines = text.split("\n", mark.line + 1)
    return mark.line < len(lines) and lines[mark.line].lstrip(" ").startswith("\t")
