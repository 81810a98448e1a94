"""Paired comparison of two models on the same examples.

Everything is a pure function of the data: the generator is seeded with their digest, and only
`random()` is drawn from it, whose sequence Python keeps the same from version to version.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import accumulate, repeat
from operator import itemgetter
from random import Random
from statistics import NormalDist

from ciml.core.metrics import Undefined
from ciml.core.value import Value

MIN_EXAMPLES = 20
MIN_DIFFERING = 6
"""Of examples on which the two models differ. Five can agree by chance once in 16 times (both ways)."""
MAX_CELLS = 2_000
"""Examples beyond this number are pooled before they are drawn."""
MAX_RANKED = 5_000
"""Up to this many examples the AUC is ranked anew in every draw."""
MIN_DRAWS = 2_000
MAX_DRAWS = 20_000

_NORMAL = NormalDist()
_POWER = _NORMAL.inv_cdf(0.8)


class Interval(Value, frozen=True, kw_only=True):
    """How much better the candidate is, with what is uncertain about it."""

    gain: float
    """Positive where the candidate is better, in the metric's unit."""
    low: float
    high: float
    level: float
    """Two-sided coverage, in (0, 1)."""
    examples: int
    differing: int
    """Examples on which the two differ; for the AUC, in the class that has fewer of them."""
    detectable: float
    """The gain that data like these would show four times in five."""

    def of_difference(self, *, lower_is_better: bool) -> tuple[float, float]:
        """The ends for the candidate's metric less the champion's, which is a loss where less is better."""
        return (-self.high, -self.low) if lower_is_better else (self.low, self.high)


def mean_gain(differences: Sequence[float], *, level: float) -> Interval | Undefined:
    """Interval for the mean of paired differences, by bootstrap.

    Pairs are drawn together, so an example's difficulty cancels. Beyond `MAX_CELLS` the examples
    are dealt at random into that many cells of equal size and whole cells are drawn: their
    totals are as independent as the examples were.

    Args:
        differences: one per example, positive where the candidate is better, finite, shape (n,).
        level: two-sided coverage, in (0, 1).

    Source: Efron & Tibshirani (1993), ch. 13, percentile interval; for the ends, `_tails`.
    """
    return _mean_gain(differences, _nonzero(differences), level=level)


def auc_gain(
    positive: Sequence[bool], candidate: Sequence[float], champion: Sequence[float], *, level: float
) -> Interval | Undefined:
    """Interval for the difference of two areas under the ROC curve, by bootstrap.

    Positives and negatives are drawn apart, so every draw has both, and both models are ranked
    anew on the same draw. Beyond `MAX_RANKED` examples the difference is taken to first order in
    each example (its placement values), which is a mean again.

    Args:
        positive: the label, shape (n,).
        candidate: score per example, higher means more likely positive, finite, shape (n,).
        champion: the same examples in the same order, shape (n,).
        level: two-sided coverage, in (0, 1).

    Source: DeLong, DeLong & Clarke-Pearson (1988) for placement values; the rest as `mean_gain`.
    """
    count = len(positive)
    ones = sum(positive)
    zeros = count - ones
    if ones in (0, count):
        return Undefined(reason="auc needs examples of both labels")
    new, old = _Ranking(positive, candidate), _Ranking(positive, champion)
    of_ones = [a - b for a, b in zip(new.placed_ones(), old.placed_ones(), strict=True)]
    of_zeros = [a - b for a, b in zip(new.placed_zeros(), old.placed_zeros(), strict=True)]
    gain = math.fsum(of_ones) / ones
    differing = min(_nonzero(of_ones), _nonzero(of_zeros))
    if count > MAX_RANKED:
        share = ones / count
        first_order = [gain + (value - gain) / share for value in of_ones]
        first_order += [gain + (value - gain) / (1 - share) for value in of_zeros]
        return _mean_gain(first_order, differing, level=level)
    influences = [(value - gain) / ones for value in of_ones] + [(value - gain) / zeros for value in of_zeros]
    tails = _tails(level, count, differing, _acceleration(influences))
    if isinstance(tails, Undefined):
        return tails
    random = _generator([*positive, *candidate, *champion]).random

    def draw() -> float:
        drawn = [int(random() * ones) for _ in repeat(None, ones)]
        weights = [0] * zeros
        for _ in repeat(None, zeros):
            weights[int(random() * zeros)] += 1
        return new.area(drawn, weights) - old.area(drawn, weights)

    return _interval(gain, draw, tails, level=level, examples=count, differing=differing)


def auc(positive: Sequence[bool], scores: Sequence[float]) -> float:
    """The area under the ROC curve; a tie counts half. Both labels must occur."""
    placed = _Ranking(positive, scores).placed_ones()
    return math.fsum(placed) / len(placed)


def _mean_gain(differences: Sequence[float], differing: int, *, level: float) -> Interval | Undefined:
    count = len(differences)
    generator = _generator(differences)
    cells = _cells(differences, generator)
    tails = _tails(level, count, min(differing, len(cells)), _acceleration(cells))
    if isinstance(tails, Undefined):
        return tails
    apart = [total for total in cells if total != 0] or [0.0]
    size = len(apart)
    occurring = _binomial(len(cells), size / len(cells))
    random = generator.random

    def draw() -> float:
        # Cells without a difference add nothing: how many others are drawn is binomial, and those are drawn.
        times = bisect_right(occurring, random())
        return sum([apart[int(random() * size)] for _ in repeat(None, times)]) / count

    return _interval(math.fsum(differences) / count, draw, tails, level=level, examples=count, differing=differing)


class _Ranking:
    """One model's scores of positives among its scores of negatives; a tie counts half."""

    def __init__(self, positive: Sequence[bool], scores: Sequence[float]) -> None:
        self._ones = [score for label, score in zip(positive, scores, strict=True) if label]
        self._zeros = [score for label, score in zip(positive, scores, strict=True) if not label]
        order = sorted(range(len(self._zeros)), key=self._zeros.__getitem__)
        # itemgetter of one index returns the item itself, of several a tuple: repeat the first.
        self._in_order = itemgetter(*order, order[0])
        ascending = [self._zeros[index] for index in order]
        self._below = [bisect_left(ascending, score) for score in self._ones]
        self._up_to = [bisect_right(ascending, score) for score in self._ones]

    def placed_ones(self) -> list[float]:
        """For each positive, the share of negatives below it."""
        return [(a + b) / (2 * len(self._zeros)) for a, b in zip(self._below, self._up_to, strict=True)]

    def placed_zeros(self) -> list[float]:
        """For each negative, the share of positives above it."""
        ascending = sorted(self._ones)
        count = len(ascending)
        return [
            1 - (bisect_left(ascending, score) + bisect_right(ascending, score)) / (2 * count) for score in self._zeros
        ]

    def area(self, drawn: Sequence[int], weights: Sequence[int]) -> float:
        """The AUC of a resample: positives by index, how often each negative was drawn."""
        at = list(accumulate(self._in_order(weights), initial=0)).__getitem__
        twice: int = sum(map(at, map(self._below.__getitem__, drawn)))
        twice += sum(map(at, map(self._up_to.__getitem__, drawn)))
        return twice / (2 * len(self._ones) * len(self._zeros))


def _cells(differences: Sequence[float], generator: Random) -> Sequence[float]:
    """The differences, or their totals over at most `MAX_CELLS` random groups of equal size."""
    if len(differences) <= MAX_CELLS:
        return differences
    lots = [generator.random() for _ in differences]
    order = sorted(range(len(differences)), key=lots.__getitem__)
    return [math.fsum(differences[index] for index in order[cell::MAX_CELLS]) for cell in range(MAX_CELLS)]


def _binomial(trials: int, share: float) -> list[float]:
    """For each number of successes, the probability of no more than that."""
    if share == 1:
        return [0.0] * trials + [1.0]
    ways = math.lgamma(trials + 1)
    chances = (
        math.exp(
            ways
            - math.lgamma(hits + 1)
            - math.lgamma(trials - hits + 1)
            + hits * math.log(share)
            + (trials - hits) * math.log1p(-share)
        )
        for hits in range(trials)
    )
    # The last is certain, whatever the roundings add up to.
    return [*accumulate(chances), 1.0]


def _nonzero(values: Sequence[float]) -> int:
    return sum(value != 0 for value in values)


def _interval(
    gain: float, draw: Callable[[], float], tails: tuple[float, float], *, level: float, examples: int, differing: int
) -> Interval:
    """The interval that leaves out the shares `tails` of the draws below and above."""
    draws = min(max(MIN_DRAWS, math.ceil(20 / min(tails))), MAX_DRAWS)
    drawn = sorted(draw() for _ in range(draws))
    below, above = (int(tail * (draws + 1)) for tail in tails)
    mean = math.fsum(drawn) / draws
    spread = math.sqrt(math.fsum((value - mean) * (value - mean) for value in drawn) / draws)
    # Sums of decimals miss zero by a rounding: an end that is zero must not count as above it.
    digits = 12 - math.ceil(math.log10(max(abs(drawn[0]), abs(drawn[-1])) or 1))
    return Interval(
        gain=round(gain, digits),
        low=round(drawn[below - 1], digits),
        high=round(drawn[-above], digits),
        level=level,
        examples=examples,
        differing=differing,
        detectable=spread * (_POWER - _NORMAL.inv_cdf(tails[0])),
    )


def _tails(level: float, examples: int, differing: int, acceleration: float) -> tuple[float, float] | Undefined:
    """The shares of draws to leave out below and above the interval, or why there is none.

    The plain percentile interval is too short for few examples, as if z stood for Student's t
    and n for n - 1; the shares are lowered by just that. Examples on which the two do not differ
    say nothing on which is better, so they are not counted. Where the differences are skewed the
    end on the longer side moves outwards once more, as in the BCa interval; the other end stays:
    a promotion should not rest on a correction.

    Source: Hesterberg (2015), "What teachers should know about the bootstrap", expanded percentile;
    Efron (1987), "Better bootstrap confidence intervals", with z0 = a as for a mean.
    """
    if examples < MIN_EXAMPLES:
        return Undefined(reason=f"too few examples: {examples}, at least {MIN_EXAMPLES} are needed")
    if differing == 0:
        return Undefined(reason=f"the two models do not differ on any of {examples} examples")
    if differing < MIN_DIFFERING:
        apart = f"{differing} of {examples}, at least {MIN_DIFFERING} must"
        return Undefined(reason=f"too few examples tell the two apart: {apart}")
    depth = _student(level, differing - 1) * math.sqrt(differing / (differing - 1))
    below, above = _skewed(depth, -acceleration), _skewed(depth, acceleration)
    if min(below, above) * (MAX_DRAWS + 1) < 1:
        return Undefined(reason=f"{differing} examples that tell the two apart cannot support a confidence of {level}")
    return below, above


def _skewed(depth: float, skew: float) -> float:
    """The share beyond `depth` standard deviations, lowered where the tail is the longer one."""
    if skew <= 0:
        return _NORMAL.cdf(-depth)
    reach = depth + skew
    return _NORMAL.cdf(-skew - reach / (1 - skew * reach)) if skew * reach < 1 else 0.0


def _acceleration(influences: Sequence[float]) -> float:
    """Efron's a: a sixth of the skewness of the statistic, from what each example adds to it."""
    mean = math.fsum(influences) / max(len(influences), 1)
    largest = max((abs(value - mean) for value in influences), default=0.0) or 1.0
    scaled = [(value - mean) / largest for value in influences]
    squares = math.fsum(value * value for value in scaled)
    return math.fsum(value * value * value for value in scaled) / (6 * squares**1.5) if squares else 0.0


def _student(level: float, freedom: int) -> float:
    """Student's t that leaves (1 - level) / 2 above it, for at least five degrees of freedom.

    Source: Abramowitz & Stegun 26.7.5; within 0.003 of the exact value at level 0.95.
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _generator(data: Sequence[float]) -> Random:
    """A generator whose seed is the digest of the data."""
    text = ",".join(map(repr, data))
    return Random(int.from_bytes(sha256(text.encode()).digest(), "big"))
