"""Many items in batches, as `itertools.batched` of Python 3.12 gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same items in order, `size` at a time; the last batch may have fewer. They are taken as they are needed."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
