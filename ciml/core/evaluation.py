"""What an expression says of given metrics and parameters.

Numbers are computed as the decimals they are written as, so that 0.7 + 0.1 is 0.8 and a
metric that equals its limit is at the limit. Evaluation is total: where an operand is missing
or not finite the answer is `Undefined`, and so is everything computed from it, `not` included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Protocol, TypeVar, assert_never

from ciml.core.ids import StageName
from ciml.core.metrics import Metrics, Undefined, of_stage
from ciml.core.pipeline import ParamValue
from ciml.core.syntax import (
    COMPARISONS,
    LOGIC,
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
    show,
)

_Ordered = TypeVar("_Ordered", Decimal, str)

Answer = bool | Decimal | str | Undefined

# More digits than two doubles of like size need; traps off: `_finite` looks at every result.
_ARITHMETIC = Context(prec=60, traps=[])


class Lookup(Protocol):
    """Where an expression's names get their values."""

    def metric(self, name: str) -> float | Undefined:
        """A metric that no stage is named for."""
        ...

    def champion(self, name: str) -> float | Undefined:
        """The champion's metric."""
        ...

    def stage(self, stage: StageName, name: str) -> float | Undefined:
        """A metric of the stage that is named."""
        ...

    def param(self, name: str) -> ParamValue | Undefined:
        """The value in force."""
        ...


def evaluate(expression: Expression, lookup: Lookup) -> Answer:
    """The value of the expression, or why it has none. Never raises.

    `and` and `or` look at both sides: an undefined one makes the whole undefined.
    """
    match expression:
        case Literal(value=value):
            return exact(value) if isinstance(value, float) else value
        case Metric(name=name):
            return _known(lookup.metric(name), name)
        case ChampionMetric(name=name):
            return _known(lookup.champion(name), f"champion.{name}")
        case StageMetric(stage=stage, name=name):
            return _known(lookup.stage(stage, name), show(expression))
        case Param(name=name):
            return _known(lookup.param(name), f"params.{name}")
        case Not(operand=operand):
            truth = evaluate(operand, lookup)
            return not truth if isinstance(truth, bool) else _mismatch("not", truth)
        case Negative(operand=operand):
            number = evaluate(operand, lookup)
            return number.copy_negate() if isinstance(number, Decimal) else _mismatch("-", number)
        case Binary(operator=operator, left=left, right=right):
            return _binary(operator, evaluate(left, lookup), evaluate(right, lookup))
        case Call(function=function, arguments=arguments):
            return _call(function, [evaluate(argument, lookup) for argument in arguments])
        case _:
            assert_never(expression)


def holds(condition: Expression, metrics: Mapping[StageName, Metrics], params: Mapping[str, ParamValue]) -> bool | str:
    """Whether a condition holds, or one clause on why that cannot be said."""
    answer = evaluate(condition, _Known(metrics, params))
    match answer:
        case bool():
            return answer
        case Undefined(reason=reason):
            return reason
        case _:
            return f"{answer} is neither true nor false"


class _Known:
    """Finds the metrics of stages that have ended; a condition reads no others."""

    def __init__(self, metrics: Mapping[StageName, Metrics], params: Mapping[str, ParamValue]) -> None:
        self._metrics = metrics
        self._params = params

    def metric(self, name: str) -> float | Undefined:
        return Undefined(reason=f"no stage is named for {name}")

    def champion(self, name: str) -> float | Undefined:
        return Undefined(reason=f"a condition cannot read champion.{name}")

    def stage(self, stage: StageName, name: str) -> float | Undefined:
        if stage not in self._metrics:
            return Undefined(reason=f"stage {stage} has no metrics")
        return of_stage(name, self._metrics[stage])

    def param(self, name: str) -> ParamValue | Undefined:
        return param(name, self._params)


def param(name: str, params: Mapping[str, ParamValue]) -> ParamValue | Undefined:
    """The value in force, or that there is none."""
    return params[name] if name in params else Undefined(reason=f"there is no parameter {name}")


def exact(number: float) -> Decimal:
    """The decimal that a finite double is written as: 0.1, not the binary fraction beside it."""
    return Decimal(repr(number + 0.0))


def _known(value: object, name: str) -> Answer:
    match value:
        case Undefined() | bool() | str():
            return value
        case int() | float():
            return _double(value, name)
        case None:
            return Undefined(reason=f"{name} is null")
        case _:
            return Undefined(reason=f"{name} is neither a number, a text, true nor false")


def _double(value: int | float, name: str) -> Answer:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return exact(number) if math.isfinite(number) else Undefined(reason=f"{name} is not finite")


def _binary(operator: Operator, left: Answer, right: Answer) -> Answer:
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return _why(left, right)
    if isinstance(left, bool) and isinstance(right, bool) and operator in LOGIC:
        return (left and right) if operator is Operator.AND else (left or right)
    if isinstance(left, bool) or isinstance(right, bool):
        return _equality(operator, left, right)
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return _compared(operator, left, right) if operator in COMPARISONS else _computed(operator, left, right)
    if isinstance(left, str) and isinstance(right, str) and operator in COMPARISONS:
        return _compared(operator, left, right)
    return _mismatch(operator, left, right)


def _equality(operator: Operator, left: Answer, right: Answer) -> Answer:
    """Truths can be equal or not; there is no order among them."""
    if isinstance(left, bool) and isinstance(right, bool) and operator in (Operator.EQUAL, Operator.UNEQUAL):
        return (left is right) is (operator is Operator.EQUAL)
    return _mismatch(operator, left, right)


def _compared(operator: Operator, left: _Ordered, right: _Ordered) -> bool:
    match operator:
        case Operator.LESS:
            return left < right
        case Operator.AT_MOST:
            return left <= right
        case Operator.GREATER:
            return left > right
        case Operator.AT_LEAST:
            return left >= right
        case Operator.EQUAL:
            return left == right
        case _:
            return left != right


def _computed(operator: Operator, left: Decimal, right: Decimal) -> Answer:
    match operator:
        case Operator.PLUS:
            return _finite(_ARITHMETIC.add(left, right))
        case Operator.MINUS:
            return _finite(_ARITHMETIC.subtract(left, right))
        case Operator.TIMES:
            return _finite(_ARITHMETIC.multiply(left, right))
        case Operator.OVER if right == 0:
            return Undefined(reason="division by zero")
        case Operator.OVER:
            return _finite(_ARITHMETIC.divide(left, right))
        case _:
            return _mismatch(operator, left, right)


def _call(function: Function, arguments: list[Answer]) -> Answer:
    numbers = [argument for argument in arguments if isinstance(argument, Decimal)]
    if len(numbers) < len(arguments):
        return _mismatch(function, *arguments)
    match function:
        case Function.ABS:
            return numbers[0].copy_abs()
        case Function.MIN:
            return min(numbers)
        case Function.MAX:
            return max(numbers)
        case _:
            assert_never(function)


def _finite(number: Decimal) -> Answer:
    """The number, unless no double is as large."""
    return number if math.isfinite(float(number)) else Undefined(reason="a result is too large for a number")


def _why(*operands: Answer) -> Undefined:
    """All reasons of the operands that have no value, each once."""
    reasons = dict.fromkeys(operand.reason for operand in operands if isinstance(operand, Undefined))
    return Undefined(reason="; ".join(reasons))


def _mismatch(sign: str, *operands: Answer) -> Undefined:
    if any(isinstance(operand, Undefined) for operand in operands):
        return _why(*operands)
    return Undefined(reason=f"{sign} cannot take {' and '.join(repr(_plain(operand)) for operand in operands)}")


def _plain(answer: Answer) -> object:
    return float(answer) if isinstance(answer, Decimal) else answer
