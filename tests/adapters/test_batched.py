from __future__ import annotations

import pytest

from ciml.adapters.batched import batched


@pytest.mark.parametrize(
    ("count", "batches"), [(0, []), (2, [[0, 1]]), (3, [[0, 1, 2]]), (7, [[0, 1, 2], [3, 4, 5], [6]])]
)
def test_batches(count: int, batches: list[list[int]]) -> None:
    """All items in order; the last batch may have fewer, and none is empty."""
    assert list(batched(range(count), 3)) == batches


def test_items_are_taken_as_they_are_needed() -> None:
    """Nothing behind a batch is asked for before the next one is."""
    items = iter(range(9))
    assert next(batched(items, 3)) == [0, 1, 2]
    assert next(items) == 3
