"""Jobs of a matrix in batches: a run may have 256 of one job, and a stage may have more instances."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

LIMIT = 256
"""Jobs that one matrix may have."""

T = TypeVar("T")


def batches(items: Sequence[T], limit: int = LIMIT) -> tuple[tuple[T, ...], ...]:
    """The items in order, in at most `limit` batches of almost equal size, none of them empty."""
    count = min(limit, len(items))
    if not count:
        return ()
    size, longer = divmod(len(items), count)
    ends = [number * size + min(number, longer) for number in range(count + 1)]
    return tuple(tuple(items[start:end]) for start, end in pairwise(ends))
