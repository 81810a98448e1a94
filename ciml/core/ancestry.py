"""The graph of a lineage: what went into what, and how.

An edge leads from what was there before to what came of it, so `up` of a version is what made
it and `down` of a commit, a file or a manifest is what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from ciml.core.ids import CommitSha, ModelName
from ciml.core.value import Value

Fact = str | int | float | bool | None | Sequence["Fact"] | Mapping[str, "Fact"]


class Kind(StrEnum):
    """What a node of a lineage is."""

    COMMIT = "commit"
    CODE = "code"
    DATA = "data"
    PARAMS = "params"
    STAGE = "stage"
    ARTIFACT = "artifact"
    VERSION = "version"
    DEPLOYMENT = "deployment"


class Node(Value, frozen=True, kw_only=True):
    """One thing of a lineage."""

    id: str
    """Kind and identity: equal things of different runs are one node."""
    kind: Kind
    label: str
    """What a person calls it: a path, a stage, `churn/3`."""
    facts: dict[str, Fact] = {}


class Edge(Value, frozen=True, kw_only=True):
    """One thing went into another."""

    source: str
    target: str
    how: str
    """A clause from source to target: `read by`, `made`, `registered as`."""


class Ancestry(Value, frozen=True, kw_only=True):
    """Nodes and edges, each once, in the order in which they were met."""

    nodes: dict[str, Node] = {}
    edges: tuple[Edge, ...] = ()


def up(whole: Ancestry, starts: Iterable[str]) -> Ancestry:
    """The part of the graph that leads to the starts: what made them."""
    return _reach(whole, starts, lambda edge: (edge.target, edge.source))


def down(whole: Ancestry, starts: Iterable[str]) -> Ancestry:
    """The part of the graph that the starts lead to: what came of them."""
    return _reach(whole, starts, lambda edge: (edge.source, edge.target))


def union(first: Ancestry, second: Ancestry) -> Ancestry:
    """Both graphs as one."""
    return Ancestry(nodes=first.nodes | second.nodes, edges=tuple(dict.fromkeys((*first.edges, *second.edges))))


def _reach(whole: Ancestry, starts: Iterable[str], ends: Callable[[Edge], tuple[str, str]]) -> Ancestry:
    leaving: dict[str, list[Edge]] = {}
    for edge in whole.edges:
        leaving.setdefault(ends(edge)[0], []).append(edge)
    found = dict.fromkeys(starts)
    waiting = list(found)
    taken: set[Edge] = set()
    while waiting:
        for edge in leaving.get(waiting.pop(), ()):
            taken.add(edge)
            if (other := ends(edge)[1]) not in found:
                found[other] = None
                waiting.append(other)
    nodes = {name: node for name, node in whole.nodes.items() if name in found}
    return Ancestry(nodes=nodes, edges=tuple(edge for edge in whole.edges if edge in taken))


def version_id(model: ModelName, version: int) -> str:
    """The id of a version's node."""
    return f"version:{model}/{version}"


def commit_id(sha: CommitSha) -> str:
    """The id of a commit's node."""
    return f"commit:{sha}"
