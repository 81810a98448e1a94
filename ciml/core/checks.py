"""One check of a gate: what it reads, how it comes out, how it is written.

Thresholds and tolerances hold at their limit; `beats` needs more than the limit. Numbers are
compared as the decimals they are written as (`ciml.core.evaluation.exact`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, assert_never

from ciml.core import metrics as measured
from ciml.core.contest import Candidate, Champion
from ciml.core.evaluation import Answer, evaluate, exact, param
from ciml.core.expression import names, parse
from ciml.core.grammar import ExpressionError
from ciml.core.ids import RepoPath, StageName
from ciml.core.metrics import Undefined
from ciml.core.pipeline import Check, ExpressionCheck, PairedCheck, ParamValue, PointCheck, ToleranceCheck
from ciml.core.syntax import COMPARISONS, Binary, ChampionMetric, Expression, Operator, references, show
from ciml.core.value import Value
from ciml.core.verdict import Difference, Shown, shown

if TYPE_CHECKING:
    # Imported where a paired check is judged: most gates have none, and random and its like are slow to import.
    from ciml.core.scores import Comparison, Scores

TOLERANCE_AT_ZERO = 1e-10
"""A share of zero is nothing: beside a champion that scores 0 this much is allowed.

Source: MLflow, MetricThreshold.min_relative_change.
"""
HIGHEST_CONFIDENCE = 0.9999


class Outcome(Value, frozen=True, kw_only=True):
    """How one check came out."""

    passed: bool
    left: Shown
    right: Shown
    detail: str
    difference: Difference | None = None
    """Of a metric, where a paired comparison was made."""


class Reads(Value, frozen=True, kw_only=True):
    """What a gate looks at."""

    stages: frozenset[StageName]
    """The stages whose metrics it reads."""
    scores: frozenset[RepoPath]
    params: frozenset[str]


class Contest:
    """Finds what a check names: the candidate's numbers, the champion's, parameters."""

    def __init__(self, candidate: Candidate, champion: Champion | None, params: Mapping[str, ParamValue]) -> None:
        self.candidate = candidate
        self.rival = champion
        self._params = params
        self._written = {stage: candidate.metrics[stage] for stage in candidate.writers if stage in candidate.metrics}

    def metric(self, name: str) -> float | Undefined:
        """The candidate's metric, of the one stage that writes it."""
        return measured.lookup(name, self._written)

    def champion(self, name: str) -> float | Undefined:
        """The champion's metric, of the stage that writes the candidate's where it has that stage."""
        if self.rival is None:
            return Undefined(reason="there is no champion")
        writers = [stage for stage, metrics in self._written.items() if name in metrics.values]
        same = len(writers) == 1 and writers[0] in self.rival.metrics
        stages = {writers[0]: self.rival.metrics[writers[0]]} if same else self.rival.metrics
        value = measured.lookup(name, stages)
        if isinstance(value, Undefined):
            return Undefined(reason=f"champion not comparable: its metrics: {value.reason}")
        return value

    def stage(self, stage: StageName, name: str) -> float | Undefined:
        """The metric of the candidate's run that a named stage wrote."""
        if stage not in self.candidate.metrics:
            return Undefined(reason=f"stage {stage} has no metrics")
        return measured.of_stage(name, self.candidate.metrics[stage])

    def param(self, name: str) -> ParamValue | Undefined:
        """The parameter's value in force."""
        return param(name, self._params)


def reads(checks: Sequence[Check], writers: Sequence[StageName]) -> Reads:
    """Everything that the checks look at.

    Args:
        checks: the gate.
        writers: the stages that write metrics among the model's maker and those downstream of it;
            a metric without a stage may be of any of them.
    """
    stages: set[StageName] = set()
    scores: set[RepoPath] = set()
    params: set[str] = set()
    for check in checks:
        if isinstance(check, PairedCheck):
            scores.add(check.scores)
        elif isinstance(check, ExpressionCheck):
            named = names(parse(check.expression))
            stages.update(stage for stage, _ in named.stages)
            stages.update(writers if named.metrics or named.champion else ())
            params |= named.params
        else:
            stages.update(writers)
    return Reads(stages=frozenset(stages), scores=frozenset(scores), params=frozenset(params))


def is_comparison(check: Check) -> bool:
    """Whether the check reads the champion."""
    if not isinstance(check, ExpressionCheck):
        return True
    try:
        return bool(names(parse(check.expression)).champion)
    except ExpressionError:
        return False


def describe(check: Check) -> str:
    """The check as a person would write it."""
    match check:
        case ExpressionCheck(expression=expression):
            return expression.strip()
        case PairedCheck(metric=metric, by=by, confidence=confidence, lower_is_better=lower):
            return f"{metric} beats champion{_by(by)} at {_percent(confidence)}{_direction(lower)}"
        case PointCheck(metric=metric, by=by, lower_is_better=lower):
            return f"{metric} beats champion{_by(by)}{_direction(lower)}"
        case ToleranceCheck(metric=metric, within=within, relative=relative, lower_is_better=lower):
            amount = _percent(within) if relative else shown(within)
            return f"{metric} within {amount} of champion{_direction(lower)}"
        case _:
            assert_never(check)


def judge_check(check: Check, contest: Contest) -> Outcome:
    """How the check comes out between the candidate and the champion (if it reads one)."""
    match check:
        case ExpressionCheck(expression=expression):
            try:
                return _question(parse(expression), contest)
            except ExpressionError as error:
                return _failed(error.message)
        case PairedCheck():
            return _paired(check, contest)
        case PointCheck(metric=metric, by=by, lower_is_better=lower):
            return _beats(metric, by, contest, lower_is_better=lower)
        case ToleranceCheck():
            return _tolerated(check, contest)
        case _:
            assert_never(check)


def judge_alone(check: Check, contest: Contest) -> Outcome:
    """How the candidate's part of a comparison comes out, where there is no champion to compare with.

    It passes where the candidate has what the comparison needs and every part of it that stands
    between `and`s and reads no champion holds.
    """
    match check:
        case ExpressionCheck(expression=expression):
            try:
                return _own_parts(parse(expression), contest)
            except ExpressionError as error:
                return _failed(error.message)
        case PairedCheck(scores=file):
            found = _scores(file, contest.candidate.scores, "candidate")
            return _failed(found.reason) if isinstance(found, Undefined) else _held(None)
        case PointCheck(metric=metric) | ToleranceCheck(metric=metric):
            value = contest.metric(metric)
            return _failed(value.reason) if isinstance(value, Undefined) else _held(value)
        case _:
            assert_never(check)


def own_parts(check: Check) -> tuple[Expression, ...]:
    """The parts of a check, between `and`s, that do not read the champion."""
    if not isinstance(check, ExpressionCheck):
        return ()
    try:
        parts = _conjuncts(parse(check.expression))
    except ExpressionError:
        return ()
    return tuple(part for part in parts if not names(part).champion)


def _question(expression: Expression, contest: Contest) -> Outcome:
    answer = evaluate(expression, contest)
    left = right = None
    plain = False
    if isinstance(expression, Binary) and expression.operator in COMPARISONS:
        left, right = _side(expression.left, contest), _side(expression.right, contest)
        plain = not any(isinstance(side, Binary) for side in (expression.left, expression.right))
    if isinstance(answer, Undefined):
        return Outcome(passed=False, left=left, right=right, detail=answer.reason)
    detail = "" if plain else _values(expression, contest)
    if not isinstance(answer, bool):
        detail = f"{_shown(answer)} is neither true nor false"
    return Outcome(passed=answer is True, left=left, right=right, detail=detail)


def _own_parts(expression: Expression, contest: Contest) -> Outcome:
    for reference in references(expression):
        value = evaluate(reference, contest)
        if not isinstance(reference, ChampionMetric) and isinstance(value, Undefined):
            return _failed(value.reason)
    for part in _conjuncts(expression):
        if not names(part).champion and not (outcome := _question(part, contest)).passed:
            return _failed(f"{show(part)} does not hold{': ' if outcome.detail else ''}{outcome.detail}")
    left = _side(expression.left, contest) if isinstance(expression, Binary) else None
    return _held(left)


def _conjuncts(expression: Expression) -> tuple[Expression, ...]:
    if isinstance(expression, Binary) and expression.operator is Operator.AND:
        return (*_conjuncts(expression.left), *_conjuncts(expression.right))
    return (expression,)


def _paired(check: PairedCheck, contest: Contest) -> Outcome:
    compared = _compared(check, contest)
    if isinstance(compared, Undefined):
        return _failed(compared.reason)
    interval = compared.interval
    passed = math.isfinite(interval.low) and math.isfinite(check.by) and interval.low > check.by
    detail = (
        f"gain {shown(interval.gain)}, {_percent(check.confidence)} interval [{shown(interval.low)}, "
        f"{shown(interval.high)}], {interval.examples} examples of which {interval.differing} tell the two apart"
    )
    if not passed:
        found = f"a gain of {shown(interval.detectable + max(check.by, 0.0))} would be found four times in five"
        detail = f"the lower end is not above {shown(check.by)}: {detail}; {found}"
    ends = interval.of_difference(lower_is_better=check.lower_is_better)
    told = Difference(metric=check.metric, low=ends[0], high=ends[1])
    return Outcome(passed=passed, left=compared.candidate, right=compared.champion, detail=detail, difference=told)


def _compared(check: PairedCheck, contest: Contest) -> Comparison | Undefined:
    if contest.rival is None:
        return Undefined(reason="there is no champion")
    if not 0 < check.confidence <= HIGHEST_CONFIDENCE:
        return Undefined(reason=f"a confidence of {check.confidence} is not between 0 and {HIGHEST_CONFIDENCE}")
    new = _scores(check.scores, contest.candidate.scores, "candidate")
    if isinstance(new, Undefined):
        return new
    old = _scores(check.scores, contest.rival.scores, "champion")
    if isinstance(old, Undefined):
        return Undefined(reason=f"champion not comparable: {old.reason}")
    from ciml.core.scores import compare

    return compare(check.metric, new, old, level=check.confidence, lower_is_better=check.lower_is_better)


def _scores(file: RepoPath, files: Mapping[RepoPath, bytes], side: str) -> Scores | Undefined:
    if file not in files:
        return Undefined(reason=f"the {side} has no {file}")
    from ciml.core.scores import parse as read_scores

    return read_scores(files[file], file)


def _beats(metric: str, by: float, contest: Contest, *, lower_is_better: bool) -> Outcome:
    sides = _both(metric, contest)
    if isinstance(sides, Outcome):
        return sides
    if not math.isfinite(by):
        return _failed(f"{by} is no amount to be better by")
    gain = _gain(*sides, lower_is_better=lower_is_better)
    return Outcome(passed=gain > exact(by), left=sides[0], right=sides[1], detail=f"gain {shown(float(gain))}")


def _tolerated(check: ToleranceCheck, contest: Contest) -> Outcome:
    sides = _both(check.metric, contest)
    if isinstance(sides, Outcome):
        return sides
    if not (math.isfinite(check.within) and check.within >= 0):
        return _failed(f"{check.within} is no tolerance")
    tolerance = exact(check.within)
    if check.relative:
        tolerance = tolerance * exact(sides[1]).copy_abs() if sides[1] else exact(TOLERANCE_AT_ZERO)
    gain = _gain(*sides, lower_is_better=check.lower_is_better)
    detail = f"gain {shown(float(gain))}, at least {shown(float(tolerance.copy_negate()))} is asked for"
    return Outcome(passed=gain >= tolerance.copy_negate(), left=sides[0], right=sides[1], detail=detail)


def _both(metric: str, contest: Contest) -> tuple[float, float] | Outcome:
    """The metric of the candidate and of the champion, or the failure that one is not there."""
    new, old = contest.metric(metric), contest.champion(metric)
    if isinstance(new, Undefined) or isinstance(old, Undefined):
        reasons = [side.reason for side in (new, old) if isinstance(side, Undefined)]
        left, right = (None if isinstance(side, Undefined) else side for side in (new, old))
        return Outcome(passed=False, left=left, right=right, detail="; ".join(reasons))
    return new, old


def _gain(new: float, old: float, *, lower_is_better: bool) -> Decimal:
    return exact(old) - exact(new) if lower_is_better else exact(new) - exact(old)


def _side(expression: Expression, contest: Contest) -> Shown:
    answer = evaluate(expression, contest)
    return None if isinstance(answer, Undefined) else _plain(answer)


def _values(expression: Expression, contest: Contest) -> str:
    """What every name in the expression stands for."""
    found = {show(reference): evaluate(reference, contest) for reference in references(expression)}
    return ", ".join(f"{name} = {_shown(answer)}" for name, answer in found.items())


def _plain(answer: bool | Decimal | str) -> bool | float | str:
    return float(answer) if isinstance(answer, Decimal) else answer


def _shown(answer: Answer) -> str:
    return answer.reason if isinstance(answer, Undefined) else shown(_plain(answer))


def _failed(detail: str) -> Outcome:
    return Outcome(passed=False, left=None, right=None, detail=detail)


def _held(left: Shown) -> Outcome:
    return Outcome(passed=True, left=left, right=None, detail="")


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"


def _by(by: float) -> str:
    return f" by more than {shown(by)}" if by else ""


def _direction(lower_is_better: bool) -> str:
    return ", lower is better" if lower_is_better else ""
