"""Order, cycles and closures of a graph. All of it is linear in nodes and edges, and never recursive:
a chain of five thousand stages is ordinary.

`edges` says for every node what it comes after; a node that stands only on the right is known too.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


class CycleError(ValueError):
    """The graph has no order; `nodes` is one cycle, its first node repeated at the end."""

    def __init__(self, nodes: tuple[object, ...]) -> None:
        super().__init__(" -> ".join(str(node) for node in nodes))
        self.nodes = nodes


def order(edges: Mapping[Node, Collection[Node]]) -> tuple[Node, ...]:
    """All nodes, each after what it comes after; the mapping's own order wherever that allows it.

    Raises:
        CycleError: there is no such order.
    """
    done: dict[Node, None] = {}
    active: dict[Node, None] = {}
    for start in edges:
        stack = [] if start in done else [(start, iter(edges[start]))]
        active.update((node, None) for node, _ in stack)
        while stack:
            node, rest = stack[-1]
            waiting = next((before for before in rest if before not in done), None)
            if waiting is None:
                stack.pop()
                del active[node]
                done[node] = None
            elif waiting in active:
                trail = list(active)
                raise CycleError((*trail[trail.index(waiting) :], waiting))
            else:
                active[waiting] = None
                stack.append((waiting, iter(edges.get(waiting, ()))))
    return tuple(done)


def cycle(edges: Mapping[Node, Collection[Node]]) -> tuple[Node, ...] | None:
    """One cycle, its first node repeated at the end, or None: `a` comes after `b`, that after `a`."""
    try:
        order(edges)
    except CycleError as error:
        found: tuple[Node, ...] = error.nodes  # type: ignore[assignment]  # its nodes are this graph's
        return found
    return None


def downstream(edges: Mapping[Node, Collection[Node]], starts: Iterable[Node]) -> frozenset[Node]:
    """The starts and all nodes that come after one of them, directly or not."""
    return upstream(reverse(edges), starts)


def upstream(edges: Mapping[Node, Collection[Node]], starts: Iterable[Node]) -> frozenset[Node]:
    """The starts and all nodes that one of them comes after, directly or not."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for before in edges.get(waiting.pop(), ()):
            if before not in found:
                found.add(before)
                waiting.append(before)
    return frozenset(found)


def reverse(edges: Mapping[Node, Collection[Node]]) -> dict[Node, list[Node]]:
    """The same graph the other way round: for every node what comes after it."""
    turned: dict[Node, list[Node]] = {node: [] for node in edges}
    for node, befores in edges.items():
        for before in befores:
            turned.setdefault(before, []).append(node)
    return turned
