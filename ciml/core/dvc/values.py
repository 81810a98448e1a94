"""The values that `${…}` in dvc.yaml can name, and what becomes of each expression.

Source: https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#templating
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ciml.core.declarations import text_of
from ciml.core.ids import RepoPath
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.shell import quotings

_EXPRESSION = re.compile(r"(\\)?\$\{\s*([^{}]*?)\s*\}")
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_OURS = re.compile(r"\$\{\{ (params|matrix)\.[^{}]+ \}\}")

Tell = Callable[[str], None]
"""Notes what is not carried over, or not as it was."""


class UnknownError(LookupError):
    """An expression names nothing; the text is the expression."""


class Values:
    """What `vars`, params.yaml and an item of a loop give.

    Args:
        tree: nested.
        files: params file -> its tree: a leaf of one is a parameter.
        inline: leaves that dvc.yaml itself gives, by dotted name; those that are used become parameters.
    """

    def __init__(
        self,
        tree: Mapping[str, ParamValue],
        files: Mapping[RepoPath, Mapping[str, ParamValue]],
        inline: Mapping[str, Scalar],
    ) -> None:
        self._tree = dict(tree)
        self._files = files
        self._inline = dict(inline)
        self.used: dict[str, Scalar] = {}
        """Inline leaves that a placeholder names."""
        self.named: dict[RepoPath, None] = {}
        """Params files that a placeholder names."""

    def over(self, more: Mapping[str, ParamValue], matrix: Mapping[str, str]) -> Scope:
        """These values with an item of a loop, and expressions that are ciml's matrix."""
        return Scope(self, {**self._tree, **more}, frozenset(more), dict(matrix))

    def placeholder(self, name: str) -> str | None:
        """`params.NAME` where a leaf can be named so, else None."""
        for file, tree in self._files.items():
            if _leaf(tree, name.split(".")):
                self.named[file] = None
                return f"params.{name}"
        if name in self._inline:
            self.used[name] = self._inline[name]
            return f"params.{name}"
        return None


def _leaf(tree: Mapping[str, ParamValue], parts: list[str]) -> bool:
    node: ParamValue = dict(tree)
    for part in parts:
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return isinstance(node, bool | int | float | str)


class Scope:
    """The values of one stage, or of one item of a loop."""

    def __init__(
        self, values: Values, tree: Mapping[str, ParamValue], own: frozenset[str], matrix: Mapping[str, str]
    ) -> None:
        self._values = values
        self._tree = tree
        self._own = own
        self._matrix = matrix

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
            if isinstance(quoting, str) and match[1] == "params":
                name = match[0][len("${{ params.") : -len(" }}")]
                made = made[: match.start()] + text_of(self.value(name)) + made[match.end() :]
        return made

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
        if (
            by_name
            and name.partition(".")[0].partition("[")[0] not in self._own
            and (place := self._values.placeholder(name))
        ):
            return f"${{{{ {place} }}}}"
        return text_of(value)

    def _flags(self, name: str, tree: Mapping[str, ParamValue], prefix: str = "") -> list[str]:
        """A mapping as a command's options, as DVC writes them: `--lr 0.1`, `--verbose`, `--sizes 1 2`."""
        words: list[str] = []
        for key, value in tree.items():
            match value:
                case dict():
                    words += self._flags(f"{name}.{key}", value, f"{prefix}{key}.")
                case True:
                    words.append(f"--{prefix}{key}")
                case False:
                    pass
                case list():
                    words += [f"--{prefix}{key}", *(_word(item) for item in value)]
                case _:
                    own = name.partition(".")[0].partition("[")[0] in self._own
                    place = None if own else self._values.placeholder(f"{name}.{key}")
                    words += [f"--{prefix}{key}", f"${{{{ {place} }}}}" if place else _word(value)]
        return words


def _word(value: ParamValue) -> str:
    """A value as one word of a shell."""
    text = text_of(value)
    return text if re.fullmatch(r"[\w.,:/@%+=-]+", text) else "'" + text.replace("'", "'\\''") + "'"
