"""The values that `${…}` in dvc.yaml can name, and what becomes of each expression.

Source: https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#templating
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from ciml.core.declarations import text_of
from ciml.core.findings import suggestion
from ciml.core.ids import RepoPath
from ciml.core.params import leaves
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.shell import Quoting, quotings

_EXPRESSION = re.compile(r"(\\)?\$\{\s*([^{}]*?)\s*\}")
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_OURS = re.compile(r"\$\{\{ (params|matrix)\.([^{}]+) \}\}")
_OPEN = re.compile(r"(?<!\\)\$\{(?!\s*[\w-]+(?:\.[\w-]+|\[\d+\])*\s*\})[^}\n]*\}?")
_WORD = re.compile(r"[\w.,:/@%+=-]+")


def broken(text: str) -> Iterator[str]:
    """Whatever begins as an expression and is none."""
    return (found[0] for found in _OPEN.finditer(text))


class UnknownError(LookupError):
    """An expression names nothing; the text is the expression."""


class Values:
    """What `vars`, params.yaml and an item of a loop give.

    Args:
        tree: nested.
        files: params file -> its tree: a leaf of one is a parameter.
        inline: leaves that dvc.yaml itself gives, by dotted name; those that are used become parameters.
        admits: whether a file is a params file of ciml, which it is from then on.
    """

    def __init__(
        self,
        tree: Mapping[str, ParamValue],
        files: Mapping[RepoPath, Mapping[str, ParamValue]],
        inline: Mapping[str, Scalar],
        admits: Callable[[RepoPath], bool],
    ) -> None:
        self._tree = dict(tree)
        self._files = files
        self._inline = dict(inline)
        self.used: dict[str, Scalar] = {}
        """Inline leaves that a placeholder names."""
        self._admits = admits

    def over(
        self, more: Mapping[str, ParamValue], matrix: Mapping[str, str], names: Mapping[str, str] | None = None
    ) -> Scope:
        """These values with an item of a loop, and expressions that are ciml's matrix.

        Args:
            more: a stage's own values, over all others.
            matrix: expression -> name in the matrix.
            names: own value -> the name under which everybody knows it.
        """
        return Scope(self, {**self._tree, **more}, frozenset(more), dict(matrix), names or {})

    def in_file(self, name: str) -> bool:
        """Whether a params file says what the value is."""
        return any(value_at(tree, name) is not None for tree in self._files.values())

    def plain(self, text: str) -> str:
        """A text of ciml.yaml with the values in the place of parameters."""
        scope = self.over({}, {})
        return _OURS.sub(lambda found: text_of(scope.value(found[2])) if found[1] == "params" else found[0], text)

    def placeholder(self, name: str) -> str | None:
        """`params.NAME` where a leaf can be named so, else None."""
        for file, tree in self._files.items():
            if isinstance(value_at(tree, name), bool | int | float | str) and self._admits(file):
                return f"params.{name}"
        if name in self._inline:
            self.used[name] = self._inline[name]
            return f"params.{name}"
        return None


def value_at(tree: Mapping[str, ParamValue], name: str) -> ParamValue:
    """What a tree holds at a dotted name; None where that is nothing."""
    node: ParamValue = dict(tree)
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


class Scope:
    """The values of one stage, or of one item of a loop."""

    def __init__(
        self,
        values: Values,
        tree: Mapping[str, ParamValue],
        own: frozenset[str],
        matrix: Mapping[str, str],
        names: Mapping[str, str],
    ) -> None:
        self._values = values
        self._tree = tree
        self._own = own
        self._matrix = matrix
        self._names = names
        self.fixed: dict[str, None] = {}
        """Values of params files that a command holds as they are now."""

    def value(self, expression: str) -> ParamValue:
        """What an expression names. Raises UnknownError."""
        node: ParamValue = dict(self._tree)
        for key, index in _PART.findall(expression):
            if key and isinstance(node, dict) and key in node:
                node = node[key]
            elif index and isinstance(node, list) and int(index) < len(node):
                node = node[int(index)]
            else:
                raise UnknownError(expression)
        return node

    def knows(self, expression: str) -> bool:
        """Whether an expression names something."""
        try:
            self.value(expression)
        except UnknownError:
            return False
        return True

    def nearest(self, expression: str) -> str | None:
        """What an expression that names nothing may mean."""
        return suggestion(expression, leaves(dict(self._tree)))

    def resolved(self, value: ParamValue) -> ParamValue:
        """The value with every expression replaced; a text that is one expression may become any value."""
        match value:
            case str():
                whole = _EXPRESSION.fullmatch(value)
                return self.value(whole[2]) if whole and not whole[1] else self.literal(value)
            case list():
                return [self.resolved(item) for item in value]
            case dict():
                return {self.literal(key): self.resolved(item) for key, item in value.items()}
        return value

    def literal(self, text: str) -> str:
        """The text with the values themselves."""
        return _EXPRESSION.sub(lambda found: self._piece(found, by_name=False), text)

    def path(self, text: str) -> str:
        """The text with placeholders where a parameter or the matrix gives the value."""
        return _EXPRESSION.sub(lambda found: self._piece(found, by_name=True), text)

    def command(self, text: str) -> str:
        """A shell command with placeholders, and the values themselves where none may stand."""
        made = _EXPRESSION.sub(lambda found: self._piece(found, by_name=True, flags=True), text)
        found = list(_OURS.finditer(made))
        quoted = quotings(made, [match.start() for match in found])
        for match, quoting in zip(reversed(found), reversed(quoted), strict=True):
            if match[1] == "params" and self._must_stand(match[2], quoting):
                self._fix(match[2])
                made = made[: match.start()] + text_of(self.value(match[2])) + made[match.end() :]
        return made

    def _must_stand(self, name: str, quoting: Quoting | str) -> bool:
        """Whether the value itself must be in the command: where none may be named, or it is more than a word."""
        value = self.value(name)
        several = isinstance(value, str) and not _WORD.fullmatch(value)
        return isinstance(quoting, str) or (quoting is Quoting.NONE and several)

    def _fix(self, name: str) -> None:
        if self._values.in_file(name):
            self.fixed[name] = None

    def matrix_is_refused(self, command: str) -> bool:
        """Whether a command names the matrix where no placeholder may stand, so that values must stand there."""
        made = _EXPRESSION.sub(lambda found: self._piece(found, by_name=True, flags=True), command)
        found = list(_OURS.finditer(made))
        quoted = quotings(made, [match.start() for match in found])
        refused = [match for match, quoting in zip(found, quoted, strict=True) if isinstance(quoting, str)]
        return any(match[1] == "matrix" for match in refused)

    def expressions(self, text: str) -> list[str]:
        """What a text names in `${…}`."""
        return [found[2] for found in _EXPRESSION.finditer(text) if not found[1]]

    def _piece(self, found: re.Match[str], *, by_name: bool, flags: bool = False) -> str:
        if found[1]:
            return found[0][1:]
        name = found[2]
        if name in self._matrix:
            return f"${{{{ matrix.{self._matrix[name]} }}}}"
        value = self.value(name)
        if isinstance(value, dict) and flags:
            return " ".join(self._flags(name, value))
        known = self._known_as(name)
        if by_name and known and (place := self._values.placeholder(known)):
            return f"${{{{ {place} }}}}"
        return text_of(value)

    def _known_as(self, name: str) -> str | None:
        """The name under which everybody knows a value; None for the stage's own."""
        parts = re.match(r"([^.\[]+)(.*)", name, re.DOTALL)
        if parts is None or parts[1] not in self._own:
            return name
        return self._names[parts[1]] + parts[2] if parts[1] in self._names else None

    def _flags(self, name: str, tree: Mapping[str, ParamValue], prefix: str = "") -> list[str]:
        """A mapping as a command's options, as DVC writes them: `--lr 0.1`, `--verbose`, `--sizes 1 2`."""
        words: list[str] = []
        for key, value in tree.items():
            known = self._known_as(f"{name}.{key}")
            option = f"--{prefix}{key}"
            match value:
                case dict():
                    words += self._flags(f"{name}.{key}", value, f"{prefix}{key}.")
                case bool() | list():
                    words += [option, *map(_word, value)] if isinstance(value, list) else [option] if value else []
                    self._fix(known or "")
                case _:
                    place = self._values.placeholder(known) if known else None
                    words += [option, _quoted(place, value) if place else _word(value)]
        return words


def _quoted(place: str, value: ParamValue) -> str:
    """A placeholder; in quotes where its value is no plain word, so that it stays one word."""
    placeholder = f"${{{{ {place} }}}}"
    return placeholder if _WORD.fullmatch(text_of(value)) else f'"{placeholder}"'


def _word(value: ParamValue) -> str:
    """A value as one word of a shell."""
    text = text_of(value)
    return text if _WORD.fullmatch(text) else "'" + text.replace("'", "'\\''") + "'"
