from __future__ import annotations

import random

import pytest

from ciml.core.dag import CycleError, cycle, downstream, order, reverse, upstream


def test_order_keeps_the_file_s_where_it_may() -> None:
    """Without edges the order is the mapping's own; an edge moves only what it must."""
    assert order({"c": (), "a": (), "b": ()}) == ("c", "a", "b")
    assert order({"c": ("a",), "a": (), "b": ()}) == ("a", "c", "b")


def test_order_puts_every_node_after_what_it_comes_after() -> None:
    """On random graphs each node stands behind all of its edges' ends, once."""
    draw = random.Random(7)
    for _ in range(200):
        nodes = draw.sample(range(100), 30)
        edges = {node: draw.sample(nodes[:index], min(index, 3)) for index, node in enumerate(nodes)}
        shuffled = dict(draw.sample(list(edges.items()), len(edges)))
        made = order(shuffled)
        position = {node: index for index, node in enumerate(made)}
        assert sorted(made) == sorted(nodes)
        assert all(position[before] < position[node] for node, befores in edges.items() for before in befores)


def test_cycle_is_named() -> None:
    """A cycle is its nodes, the first one again at the end; without one there is None."""
    assert cycle({"a": ("b",), "b": ("c",), "c": ("b",)}) == ("b", "c", "b")
    assert cycle({"a": ("a",)}) == ("a", "a")
    assert cycle({"a": ("b",), "b": ()}) is None
    with pytest.raises(CycleError, match="a -> b -> a"):
        order({"a": ("b",), "b": ("a",)})


def test_closures() -> None:
    """Downstream goes with the work, upstream against it; both hold their starts."""
    edges = {"a": (), "b": ("a",), "c": ("b",), "d": ("a",), "e": ()}
    assert downstream(edges, ["b"]) == {"b", "c"}
    assert upstream(edges, ["c"]) == {"a", "b", "c"}
    assert reverse(edges) == {"a": ["b", "d"], "b": ["c"], "c": [], "d": [], "e": []}


def test_a_chain_of_fifty_thousand() -> None:
    """Depth is no limit, in either direction, nor is a cycle through all of it."""
    count = 50_000
    chain = {node: (node - 1,) if node else () for node in range(count)}
    backwards = dict(reversed(chain.items()))
    assert order(chain) == order(backwards) == tuple(range(count))
    assert len(downstream(chain, [0])) == count
    found = cycle({**chain, 0: (count - 1,)})
    assert found is not None
    assert len(found) == count + 1
