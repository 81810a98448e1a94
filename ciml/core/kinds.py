"""What sort of value an expression has, whatever the metrics turn out to be."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from ciml.core.grammar import ExpressionError
from ciml.core.syntax import (
    COMPARISONS,
    LOGIC,
    Binary,
    Call,
    ChampionMetric,
    Expression,
    Literal,
    Metric,
    Negative,
    Not,
    Operator,
    Param,
    StageMetric,
    show,
)


class Kind(Enum):
    """The sort of a value; a parameter may be of any."""

    TRUTH = "a yes or no"
    NUMBER = "a number"
    TEXT = "a text"
    ANY = "a parameter"


def kind(expression: Expression, text: str) -> Kind:
    """The sort of the expression's value.

    Args:
        expression: what `text` means.
        text: shown in errors.

    Raises:
        ExpressionError: an operator meets operands that it can never take.
    """
    match expression:
        case Literal(value=value):
            return {bool: Kind.TRUTH, str: Kind.TEXT}.get(type(value), Kind.NUMBER)
        case Metric() | ChampionMetric() | StageMetric():
            return Kind.NUMBER
        case Param():
            return Kind.ANY
        case Not(operand=operand):
            return _demand(Kind.TRUTH, "not", (operand,), text)
        case Negative(operand=operand):
            return _demand(Kind.NUMBER, "-", (operand,), text)
        case Binary(operator=operator, left=left, right=right) if operator in LOGIC:
            return _demand(Kind.TRUTH, operator, (left, right), text)
        case Binary(operator=operator, left=left, right=right) if operator in COMPARISONS:
            return _comparison(operator, left, right, text)
        case Binary(operator=operator, left=left, right=right):
            return _demand(Kind.NUMBER, operator, (left, right), text)
        case Call(function=function, arguments=arguments):
            return _demand(Kind.NUMBER, function, arguments, text)
        case _:
            assert_never(expression)


def _demand(wanted: Kind, sign: str, operands: tuple[Expression, ...], text: str) -> Kind:
    """`wanted`, which is also what the operator makes of operands of that kind."""
    for operand in operands:
        found = kind(operand, text)
        if found not in (wanted, Kind.ANY):
            hint = f"compare it: {show(operand)} > 0" if found is Kind.NUMBER else None
            message = f"{sign} takes {wanted.value}, and {show(operand)} is {found.value}"
            raise ExpressionError(text, message, hint=hint)
    return wanted


def _comparison(operator: Operator, left: Expression, right: Expression, text: str) -> Kind:
    kinds = {kind(left, text), kind(right, text)} - {Kind.ANY}
    if len(kinds) > 1:
        pair = " and ".join(sorted(found.value for found in kinds))
        hint = "a name stands in double quotes, a text in single quotes" if Kind.TEXT in kinds else None
        raise ExpressionError(text, f"{operator} cannot compare {pair}", hint=hint)
    if kinds == {Kind.TRUTH} and operator not in (Operator.EQUAL, Operator.UNEQUAL):
        raise ExpressionError(text, f"{operator} has no meaning between a yes and a no", hint="there is == and !=")
    return Kind.TRUTH
