"""The gate's small language as values: what a text means, and the text again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import assert_never

from ciml.core.ids import StageName
from ciml.core.value import Value

KEYWORDS = frozenset({"and", "or", "not", "true", "false"})
HEADS = frozenset({"champion", "params", "stages"})
"""Names that begin with one of these and a dot are not metrics, unless quoted."""

PART = r"[\w@]+(?:[.-][\w@]+)*"
NAME = rf"(?!\d){PART}"
"""Dots and hyphens join: `latency-ms`, `val.loss`. Anything else stands in double quotes."""

_PLAIN_PART = re.compile(PART)
_PLAIN_NAME = re.compile(NAME)


class Operator(StrEnum):
    """What stands between two operands."""

    OR = "or"
    AND = "and"
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    UNEQUAL = "!="
    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    OVER = "/"


LOGIC = frozenset({Operator.OR, Operator.AND})
COMPARISONS = frozenset(
    {
        Operator.LESS,
        Operator.AT_MOST,
        Operator.GREATER,
        Operator.AT_LEAST,
        Operator.EQUAL,
        Operator.UNEQUAL,
    }
)

TIGHTNESS = {
    Operator.OR: 1,
    Operator.AND: 2,
    **dict.fromkeys(COMPARISONS, 4),
    Operator.PLUS: 5,
    Operator.MINUS: 5,
    Operator.TIMES: 6,
    Operator.OVER: 6,
}
"""How strongly each operator binds; `not` is 3, a sign is 7."""
NOT_TIGHTNESS = 3
SIGN_TIGHTNESS = 7


class Function(StrEnum):
    """What may be called."""

    ABS = "abs"
    MIN = "min"
    MAX = "max"


class Literal(Value, frozen=True, kw_only=True, tag="literal"):
    """`0.8`, `'prod'`, `true`. Numbers are not negative: a sign is a node of its own."""

    value: bool | float | str


class Metric(Value, frozen=True, kw_only=True, tag="metric"):
    """`auc`, `"val/loss"`: of the one stage that writes it."""

    name: str


class ChampionMetric(Value, frozen=True, kw_only=True, tag="champion"):
    """`champion.auc`"""

    name: str


class StageMetric(Value, frozen=True, kw_only=True, tag="stage"):
    """`stages.evaluate.metrics.auc`"""

    stage: StageName
    name: str


class Param(Value, frozen=True, kw_only=True, tag="param"):
    """`params.min-auc`"""

    name: str


Reference = Metric | ChampionMetric | StageMetric | Param


class Not(Value, frozen=True, kw_only=True, tag="not"):
    """`not x`"""

    operand: Expression


class Negative(Value, frozen=True, kw_only=True, tag="negative"):
    """`-x`"""

    operand: Expression


class Binary(Value, frozen=True, kw_only=True, tag="binary"):
    """`left operator right`"""

    operator: Operator
    left: Expression
    right: Expression


class Call(Value, frozen=True, kw_only=True, tag="call"):
    """`max(x, y)`"""

    function: Function
    arguments: tuple[Expression, ...]


Expression = Literal | Metric | ChampionMetric | StageMetric | Param | Not | Negative | Binary | Call


def show(expression: Expression) -> str:
    """The canonical text: it parses to the same expression, with no more parentheses than needed."""
    return _show(expression, 0)


def references(expression: Expression) -> Iterator[Reference]:
    """Everything the expression reads, from left to right."""
    match expression:
        case Literal():
            return
        case Metric() | ChampionMetric() | StageMetric() | Param():
            yield expression
        case Not(operand=operand) | Negative(operand=operand):
            yield from references(operand)
        case Binary(left=left, right=right):
            yield from references(left)
            yield from references(right)
        case Call(arguments=arguments):
            for argument in arguments:
                yield from references(argument)
        case _:
            assert_never(expression)


def literal(value: bool | float | str) -> str:
    """The text that stands for a value, for a placeholder's place in an expression."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            number = float(value)
            return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def quoted(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _metric(name: str) -> str:
    reserved = name in KEYWORDS or name.partition(".")[0] in HEADS
    return name if _PLAIN_NAME.fullmatch(name) and not reserved else quoted(name)


def _part(name: str) -> str:
    """What follows `champion.`, `params.`, `stages.` or `metrics.`"""
    return name if _PLAIN_PART.fullmatch(name) and "metrics" not in name.split(".") else quoted(name)


def _show(expression: Expression, tightness: int) -> str:
    """The text, in parentheses where it binds less strongly than its place demands."""
    match expression:
        case Literal(value=value):
            return literal(value)
        case Metric(name=name):
            return _metric(name)
        case ChampionMetric(name=name):
            return f"champion.{_part(name)}"
        case StageMetric(stage=stage, name=name):
            return f"stages.{_part(stage)}.metrics.{_part(name)}"
        case Param(name=name):
            return f"params.{_part(name)}"
        case Not(operand=operand):
            return _enclosed(f"not {_show(operand, NOT_TIGHTNESS)}", NOT_TIGHTNESS, tightness)
        case Negative(operand=operand):
            return _enclosed(f"-{_show(operand, SIGN_TIGHTNESS)}", SIGN_TIGHTNESS, tightness)
        case Binary(operator=operator, left=left, right=right):
            own = TIGHTNESS[operator]
            # Comparisons do not chain, so both their sides bind tighter; the others lean to the left.
            before = _show(left, own + (operator in COMPARISONS))
            return _enclosed(f"{before} {operator} {_show(right, own + 1)}", own, tightness)
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(_show(argument, 0) for argument in arguments)})"
        case _:
            assert_never(expression)


def _enclosed(text: str, own: int, demanded: int) -> str:
    return f"({text})" if own < demanded else text
