"""`${{ params.x }}` and `${{ matrix.x }}`: what they become in a script, an argument, a path, an expression.

In a script a value never becomes part of the text: the placeholder becomes the expansion of an
environment variable, quoted so that the value is exactly one word. Where the shell's grammar does not
allow that, or would read the value as code, the placeholder is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ciml.core.declarations import text_of
from ciml.core.findings import Findings, KeyPath
from ciml.core.params import Params
from ciml.core.pipeline import Command, ParamValue, Scalar
from ciml.core.shell import Quoting, quotings
from ciml.core.syntax import literal

_OPEN = "${{"
_PLACEHOLDER = re.compile(r"\$\{\{\s*((?:params|matrix)\.[^\s{}]+)\s*\}\}")

Lookup = Callable[[str], ParamValue]
"""The value of `params.NAME` or `matrix.NAME`; raises PlaceholderError where there is none."""


class PlaceholderError(ValueError):
    """A placeholder that has no value, or stands where none may stand."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def note(self, found: Findings, at: KeyPath) -> None:
        """Note what is wrong with the text at `at`."""
        found.add(at, str(self), self.hint)


class UnknownParameterError(PlaceholderError):
    """A placeholder names a parameter that nothing gives."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"unknown parameter '{name}'", hint)
        self.name = name

    def note(self, found: Findings, at: KeyPath) -> None:
        """Note it where all params files could be read."""
        found.unknown(at, self.name, self.hint)


def lookup(params: Params, matrix: dict[str, Scalar] | None) -> Lookup:
    """The look-up for one stage, or one instance; outside a matrix `matrix` is None."""

    def value(name: str) -> ParamValue:
        kind, _, key = name.partition(".")
        if kind == "matrix":
            if matrix is None:
                raise PlaceholderError(f"matrix.{key} has no value here", "the stage has no `matrix`")
            if key not in matrix:
                raise PlaceholderError(f"unknown matrix.{key}", f"the matrix has {', '.join(matrix)}")
            return matrix[key]
        if key in params.values:
            return params.values[key]
        if subtree := params.select(key):
            raise PlaceholderError(
                f"params.{key} is a subtree", f"name one of its values: params.{next(iter(subtree))}"
            )
        raise UnknownParameterError(key, params.nearest(key))

    return value


def found(text: str) -> Iterator[re.Match[str]]:
    """Every placeholder of a text; group 1 is `params.NAME` or `matrix.NAME`.

    Raises:
        PlaceholderError: `${{` opens something else.
    """
    start = text.find(_OPEN)
    while start >= 0:
        match = _PLACEHOLDER.match(text, start)
        if match is None:
            shown = text[start : start + 40].split("}}", maxsplit=1)[0]
            raise PlaceholderError(
                f"'{shown}…' is no placeholder", "write ${{ params.NAME }} or ${{ matrix.NAME }}; nothing is computed"
            )
        yield match
        start = text.find(_OPEN, match.end())


def names(text: str) -> tuple[str, ...]:
    """`params.NAME` and `matrix.NAME` of every placeholder, by first appearance."""
    return tuple(dict.fromkeys(match[1] for match in found(text))) if _OPEN in text else ()


def _substituted(text: str, piece: Callable[[re.Match[str]], str]) -> str:
    pieces = []
    end = 0
    for match in found(text):
        pieces += [text[end : match.start()], piece(match)]
        end = match.end()
    return "".join([*pieces, text[end:]])


def replaced(text: str, value: Lookup, *, keep_matrix: bool = False) -> str:
    """The text with each placeholder replaced by its value's text: for argv, env and paths.

    Args:
        text: what `ciml.yaml` says.
        value: the values.
        keep_matrix: leave `${{ matrix.NAME }}`, spelled just so, for an instance to replace.
    """
    if _OPEN not in text:
        return text

    def piece(match: re.Match[str]) -> str:
        name = match[1]
        return f"${{{{ {name} }}}}" if keep_matrix and name.startswith("matrix.") else text_of(value(name))

    return _substituted(text, piece)


def in_expression(text: str, value: Lookup) -> str:
    """The expression with each placeholder replaced by a literal: a number bare, a string quoted.

    Raises:
        PlaceholderError: also where the value is a list, a mapping or null.
    """
    if _OPEN not in text:
        return text

    def piece(match: re.Match[str]) -> str:
        item = value(match[1])
        if not isinstance(item, bool | int | float | str):
            raise PlaceholderError(f"{match[1]} is {text_of(item)}, which an expression cannot hold")
        before, after = text[: match.start()], text[match.end() :]
        if before.count("'") % 2 and after.count("'") % 2:
            raise PlaceholderError(
                "no placeholder may stand in quotes here", "remove the quotes: text is quoted anyway"
            )
        return literal(item)

    return _substituted(text, piece)


def script(text: str, value: Lookup) -> Command:
    """The command for a script: placeholders are expansions of CIML_ARG_1, CIML_ARG_2, … by first appearance.

    Raises:
        PlaceholderError: also for a placeholder in single quotes, a here-document, backquotes, arithmetic,
            `${…}`, or a text that another program reads as a script.
    """
    matches = list(found(text))
    if not matches:
        return Command(script=text)
    variables: dict[str, str] = {}
    arguments: dict[str, str] = {}
    pieces = []
    end = 0
    for match, quoting in zip(matches, quotings(text, [match.start() for match in matches]), strict=True):
        name = match[1]
        if isinstance(quoting, str):
            hint = 'put it in double quotes, or into a variable first: VALUE=${{ … }}, then "$VALUE"'
            raise PlaceholderError(
                f"{match[0]} stands {quoting}, where its value could become part of the script", hint
            )
        variable = variables.setdefault(name, f"CIML_ARG_{len(variables) + 1}")
        arguments[variable] = text_of(value(name))
        expansion = f"${{{variable}}}"
        pieces += [text[end : match.start()], expansion if quoting is Quoting.DOUBLE else f'"{expansion}"']
        end = match.end()
    return Command(script="".join([*pieces, text[end:]]), arguments=arguments)


def argv(items: list[str], value: Lookup) -> Command:
    """The command for an argv list: a placeholder is replaced inside its one argument."""
    return Command(argv=tuple(replaced(item, value) for item in items))
