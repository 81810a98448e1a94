"""From text to expression: the tokens and the grammar of the gate's small language.

    condition  := condition 'or' condition | condition 'and' condition | 'not' condition
                | sum ('<' | '<=' | '>' | '>=' | '==' | '!=') sum
    sum        := sum ('+' | '-' | '*' | '/') sum | '-' sum
                | number | 'text' | true | false | reference | function '(' sum, ... ')' | '(' condition ')'
    reference  := auc | "val/loss" | champion.auc | params.min-auc | stages.evaluate.metrics.auc

A hyphen between two letters belongs to the name, so a subtraction stands between spaces.
"""

from __future__ import annotations

import math
import re

from ciml.core.errors import ConfigurationError
from ciml.core.ids import StageName
from ciml.core.syntax import (
    COMPARISONS,
    HEADS,
    NAME,
    NOT_TIGHTNESS,
    PART,
    SIGN_TIGHTNESS,
    TIGHTNESS,
    Binary,
    Call,
    ChampionMetric,
    Expression,
    Function,
    Literal,
    Metric,
    Negative,
    Not,
    Operator,
    Param,
    StageMetric,
)
from ciml.core.value import Value

MAX_LENGTH = 2_000
"""Characters."""
MAX_TOKENS = 200
MAX_DEPTH = 32

_QUOTED = r'"(?:[^"]|"")*"'
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>(?:{NAME}|{_QUOTED})(?:\.{_QUOTED}(?:\.{PART})?)*)
    |(?P<operator><=|>=|==|!=|[<>+*/-])
    |(?P<mark>[(),])""",
    re.VERBOSE,
)
_FOREIGN = {
    "=": "write == for equality",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "%": "write a share as a number, 10% is 0.1",
    '"': "the double quote is never closed",
    "'": "the single quote is never closed",
    "$": "a placeholder is ${{ params.NAME }}",
}


class ExpressionError(ConfigurationError):
    """A text is not an expression of the gate's language."""

    def __init__(self, text: str, message: str, *, offset: int | None = None, hint: str | None = None) -> None:
        self.column = None if offset is None else offset + 1
        """From 1, in the expression; None where the whole of it is meant."""
        if offset is None:
            super().__init__(f"{message}: {text}", hint=hint)
        else:
            place = f"at column {self.column} of: {text[:offset]}⟪here⟫{text[offset:]}"
            super().__init__(f"{message}, {place}", hint=hint)


class _Token(Value, frozen=True, kw_only=True):
    kind: str
    text: str
    offset: int


def read(text: str) -> Expression:
    """The expression that `text` spells, of whatever kind.

    Raises:
        ExpressionError: it spells none, or is longer or deeper than anyone would write by hand.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{text[:40]}...", f"{len(text)} characters are too many (at most {MAX_LENGTH})")
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    """The tokens, with an empty one at the end."""
    tokens: list[_Token] = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None or match.lastgroup is None:
            raise ExpressionError(
                text, f"{text[offset]!r} means nothing", offset=offset, hint=_FOREIGN.get(text[offset])
            )
        if match.lastgroup != "space":
            tokens.append(_Token(kind=match.lastgroup, text=match.group(), offset=offset))
        offset = match.end()
    if len(tokens) > MAX_TOKENS:
        raise ExpressionError(text, f"more than {MAX_TOKENS} words and signs", offset=tokens[MAX_TOKENS].offset)
    return [*tokens, _Token(kind="end", text="", offset=len(text))]


class _Parser:
    """Precedence climbing (Pratt): each operator takes operands that bind tighter than itself."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._expression(0)
        token = self._tokens[self._next]
        if token.kind != "end":
            raise self._error(token, f"{token.text!r} stands where an operator or the end should be")
        return expression

    def _expression(self, tightness: int) -> Expression:
        """As much as binds tighter than `tightness`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._tokens[self._next], f"nested deeper than {MAX_DEPTH}")
        left = self._operand()
        while (operator := self._operator()) is not None and TIGHTNESS[operator] > tightness:
            sign = self._take()
            left = Binary(operator=operator, left=left, right=self._expression(TIGHTNESS[operator]))
            if operator in COMPARISONS and self._operator() in COMPARISONS:
                hint = "write two: 0 < x and x < 1"
                raise self._error(self._tokens[self._next], f"a second comparison after {sign.text!r}", hint=hint)
        self._depth -= 1
        return left

    def _operator(self) -> Operator | None:
        """The operator that comes next, if one does."""
        token = self._tokens[self._next]
        if token.kind == "operator" or (token.kind == "name" and token.text in ("and", "or")):
            return Operator(token.text)
        return None

    def _operand(self) -> Expression:
        token = self._take()
        match token.kind, token.text:
            case "number", _:
                return self._number(token)
            case "text", quoted:
                return Literal(value=quoted[1:-1].replace("''", "'"))
            case "name", "true" | "false":
                return Literal(value=token.text == "true")
            case "name", "not":
                return Not(operand=self._expression(NOT_TIGHTNESS - 1))
            case "name", "and" | "or":
                raise self._error(token, f"{token.text!r} has nothing before it")
            case "name", _ if self._tokens[self._next].text == "(":
                return self._call(token)
            case "name", _:
                return self._reference(token)
            case "operator", "-":
                return Negative(operand=self._expression(SIGN_TIGHTNESS - 1))
            case "mark", "(":
                inside = self._expression(0)
                self._expect(")")
                return inside
            case _:
                found = repr(token.text) if token.text else "the end"
                raise self._error(token, f"{found} stands where a value should be")

    def _number(self, token: _Token) -> Literal:
        after = self._tokens[self._next]
        value = float(token.text)
        if after.kind in ("name", "number") and after.offset == token.offset + len(token.text):
            hint = "a name that begins with a digit stands in double quotes"
            raise self._error(token, f"{token.text + after.text!r} is not a number", hint=hint)
        if not math.isfinite(value):
            raise self._error(token, f"{token.text} is larger than any number")
        return Literal(value=value)

    def _call(self, name: _Token) -> Call:
        if name.text not in tuple(Function):
            raise self._error(name, f"there is no function {name.text!r}", hint="there are abs, min and max")
        function = Function(name.text)
        self._expect("(")
        arguments = [self._expression(0)]
        while self._tokens[self._next].text == ",":
            self._take()
            arguments.append(self._expression(0))
        self._expect(")")
        if function is Function.ABS and len(arguments) != 1:
            raise self._error(name, f"abs takes one value, not {len(arguments)}")
        if function is not Function.ABS and len(arguments) < 2:
            raise self._error(name, f"{function} takes two values or more")
        return Call(function=function, arguments=tuple(arguments))

    def _reference(self, token: _Token) -> Expression:
        parts = _parts(token.text)
        names = [_unquoted(part) for part in parts]
        if not all(names):
            raise self._error(token, "a name is empty")
        if parts[0] not in HEADS:
            return Metric(name=".".join(names))
        if parts[0] == "stages":
            return self._stage_metric(token, parts, names)
        if len(parts) == 1:
            raise self._error(token, f"{parts[0]} needs a name", hint=f"{parts[0]}.NAME")
        rest = ".".join(names[1:])
        return ChampionMetric(name=rest) if parts[0] == "champion" else Param(name=rest)

    def _stage_metric(self, token: _Token, parts: list[str], names: list[str]) -> StageMetric:
        where = parts.index("metrics", 2) if "metrics" in parts[2:] else len(parts)
        stage, name = ".".join(names[1:where]), ".".join(names[where + 1 :])
        if not stage or not name:
            raise self._error(token, f"{token.text!r} names no metric", hint="stages.NAME.metrics.METRIC")
        return StageMetric(stage=StageName(stage), name=name)

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token.text != mark:
            found = repr(token.text) if token.text else "the end"
            raise self._error(token, f"{found} stands where {mark!r} should be")

    def _error(self, token: _Token, message: str, *, hint: str | None = None) -> ExpressionError:
        return ExpressionError(self._text, message, offset=token.offset, hint=hint)


def _parts(name: str) -> list[str]:
    """The parts of a dotted name, quotes kept: `champion."val/loss"` has two."""
    return re.findall(rf"{_QUOTED}|[^.\"]+", name)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
