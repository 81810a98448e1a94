"""A lineage for people and for machines: text, JSON, Mermaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ciml.core import mermaid
from ciml.core.amounts import bytes_text, some_of
from ciml.core.ancestry import Ancestry, Edge, Fact, Kind, Node
from ciml.core.lineage import shown

_STYLES = {
    "commit": "fill:#eeeeee,stroke:#666666,color:#222222",
    "code": "fill:#e8f0fe,stroke:#3367d6,color:#222222",
    "data": "fill:#e6f4ea,stroke:#188038,color:#222222",
    "params": "fill:#fef7e0,stroke:#b06000,color:#222222",
    "stage": "fill:#ffffff,stroke:#222222,color:#222222",
    "artifact": "fill:#f3e8fd,stroke:#8430ce,color:#222222",
    "version": "fill:#fce8e6,stroke:#c5221f,color:#222222",
    "deployment": "fill:#e4f7fb,stroke:#007b83,color:#222222",
}

_ORDER = (
    Kind.ARTIFACT,
    Kind.STAGE,
    Kind.VERSION,
    Kind.DEPLOYMENT,
    Kind.PARAMS,
    Kind.DATA,
    Kind.CODE,
    Kind.COMMIT,
)


def as_json(graph: Ancestry) -> dict[str, object]:
    """`{"nodes": [{"id", "kind", "label", …}], "edges": [{"from", "to", "how"}]}`."""
    return {
        "nodes": [
            {"id": node.id, "kind": node.kind, "label": node.label, **node.facts} for node in graph.nodes.values()
        ],
        "edges": [{"from": edge.source, "to": edge.target, "how": edge.how} for edge in graph.edges],
    }


def as_mermaid(graph: Ancestry) -> str:
    """A flowchart that GitHub draws."""
    nodes = {node.id: (f"{node.kind} {node.label}", str(node.kind)) for node in graph.nodes.values()}
    edges = [(edge.source, edge.target, edge.how) for edge in graph.edges]
    used = {node.kind for node in graph.nodes.values()}
    return mermaid.flowchart(nodes, edges, {kind: style for kind, style in _STYLES.items() if kind in used})


def as_text(made_from: Ancestry, led_to: Ancestry, starts: Sequence[str]) -> list[str]:
    """Each start with what made it and what came of it, as two trees.

    Args:
        made_from: the graph up from the starts.
        led_to: the graph down from the starts.
        starts: ids of nodes of both.
    """
    lines: list[str] = []
    for start in starts:
        node = made_from.nodes[start]
        lines += [*([""] if lines else []), *_title(node)]
        up = list(_Tree(made_from, lambda edge: (edge.target, edge.source)).below(start))
        down = list(_Tree(led_to, lambda edge: (edge.source, edge.target)).below(start))
        lines += ["  made from", *(f"    {line}" for line in up)] if up else []
        lines += ["  led to", *(f"    {line}" for line in down)] if down else []
        if node.kind is Kind.DATA and not down:
            holding = [made_from.nodes[edge.source] for edge in made_from.edges if edge.target == start]
            lines += [f"  in {' '.join(_title(commit))}" for commit in holding] or ["  in no commit"]
            lines.append("  no model was trained on it")
        elif not up and not down:
            lines.append("  nothing else is recorded of it")
    return lines


class _Tree:
    """Walks a graph in one direction; what was shown is named again and not shown again."""

    def __init__(self, graph: Ancestry, ends: Callable[[Edge], tuple[str, str]]) -> None:
        self._graph = graph
        self._upwards = ends(Edge(source="s", target="t", how=""))[0] == "t"
        self._next: dict[str, list[str]] = {}
        for edge in graph.edges:
            near, far = ends(edge)
            self._next.setdefault(near, []).append(far)
        self._shown: set[str] = set()

    def below(self, name: str) -> Iterator[str]:
        """The lines of the tree below a node."""
        children = self._children(name)
        for place, (child, through) in enumerate(children):
            last = place == len(children) - 1
            again = child in self._shown and bool(self._children(child))
            self._shown.add(child)
            via = f"  reads {', '.join(through)}" if through else ""
            yield f"{'└─' if last else '├─'} {self._line(child)}{via}{'  (see above)' if again else ''}"
            if not again:
                yield from (f"{'   ' if last else '│  '}{line}" for line in self.below(child))

    def _children(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        """What comes next, with the inputs it is reached through where they need no line of their own."""
        kind = self._graph.nodes[name].kind
        direct = [self._graph.nodes[other] for other in dict.fromkeys(self._next.get(name, ()))]
        if self._upwards and kind in (Kind.CODE, Kind.DATA, Kind.PARAMS):
            direct = [node for node in direct if node.kind is not Kind.COMMIT]  # on the node's own line
        through: dict[str, list[str]] = {}
        if not self._upwards and kind is Kind.COMMIT:
            for node in direct:
                if node.kind in (Kind.CODE, Kind.DATA):
                    for other in self._next.get(node.id, ()):
                        through.setdefault(other, []).append(node.label)
            direct = [node for node in direct if node.kind not in (Kind.CODE, Kind.DATA)]
            direct += [self._graph.nodes[other] for other in through]
        direct.sort(key=lambda node: _ORDER.index(node.kind))
        return [(node.id, tuple(through.get(node.id, ()))) for node in direct]

    def _line(self, name: str) -> str:
        node = self._graph.nodes[name]
        line = "  ".join(part for part in (_what(node), *_details(node)) if part)
        if self._upwards and node.kind in (Kind.CODE, Kind.DATA):
            commits = dict.fromkeys(self._graph.nodes[other].label for other in self._next.get(name, ()))
            line += f"  in {some_of(list(commits), 3)}" if commits else ""
        return line


def _title(node: Node) -> list[str]:
    return ["  ".join(part for part in (_what(node), *_details(node)) if part)]


def _what(node: Node) -> str:
    match node.kind:
        case Kind.VERSION | Kind.ARTIFACT:
            return node.label
        case _:
            return f"{node.kind} {node.label}"


def _details(node: Node) -> tuple[str, ...]:
    facts = node.facts
    match node.kind:
        case Kind.COMMIT:
            return (_fact(facts, "time"), _fact(facts, "author"), _fact(facts, "subject"))
        case Kind.CODE:
            # By which file depends on the stage, and a file that several stages read is one node.
            because = "imported" if facts.get("because") else ""
            return (_fact(facts, "oid")[:7], because)
        case Kind.DATA:
            return (_digest(facts), _size(facts), _fact(facts, "source"))
        case Kind.STAGE:
            return (_result(facts), _seconds(facts), _fact(facts, "platform"), _metrics(facts))
        case Kind.ARTIFACT:
            return (_digest(facts), _size(facts), _verdict(facts))
        case Kind.VERSION:
            aliases = ", ".join(str(alias) for alias in _sequence(facts.get("aliases")))
            return (aliases, _fact(facts, "verdict"), _metrics(facts), _fact(facts, "at"))
        case Kind.DEPLOYMENT:
            serving = "serving" if facts.get("current") else ""
            return (_fact(facts, "reference"), _fact(facts, "at"), serving)
        case Kind.PARAMS:
            return ()


def _fact(facts: Mapping[str, Fact], name: str) -> str:
    return str(facts.get(name, ""))


def _digest(facts: Mapping[str, Fact]) -> str:
    return f"sha256:{_fact(facts, 'digest')[:12]}"


def _verdict(facts: Mapping[str, Fact]) -> str:
    return f"{facts['verdict']} as {facts['model']}" if facts.get("verdict") else ""


def _result(facts: Mapping[str, Fact]) -> str:
    """What became of a stage. Where it took time it ran, though the run that was recorded last found it up to date."""
    result = _fact(facts, "result")
    return "ran" if result in ("skipped", "restored") and _seconds(facts) else result


def _seconds(facts: Mapping[str, Fact]) -> str:
    seconds = facts.get("seconds")
    return f"{seconds:.1f} s" if isinstance(seconds, float) else ""


def _size(facts: Mapping[str, Fact]) -> str:
    size = facts.get("size")
    if not isinstance(size, int):
        return ""
    files = facts.get("files")
    many = f" in {files} files" if isinstance(files, int) and files != 1 else ""
    return f"{bytes_text(size)}{many}"


def _metrics(facts: Mapping[str, Fact]) -> str:
    metrics = _mapping(facts.get("metrics"))
    listed = [f"{name} {shown(value)}" for name, value in metrics.items()]
    return some_of(listed, 4)


def _mapping(fact: Fact) -> Mapping[str, Fact]:
    return fact if isinstance(fact, Mapping) else {}


def _sequence(fact: Fact) -> Sequence[Fact]:
    return fact if isinstance(fact, Sequence) and not isinstance(fact, str) else ()
