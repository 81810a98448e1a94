from __future__ import annotations

import msgspec

from ciml.core.ancestry import commit_id, down, union, up, version_id
from ciml.core.descent import ancestry
from ciml.core.drawing import as_json, as_mermaid, as_text
from ciml.core.history import history
from tests.story import CHURN, DEEPER, FIRST, RUNS, TWIN, WORDS, changed, ledger

PAST = history([ledger()], [WORDS, TWIN, DEEPER, FIRST])
GRAPH = ancestry(RUNS[1:2], PAST, [TWIN])
SECOND = version_id(CHURN, 2)


def text(start: str) -> str:
    return "\n".join(as_text(up(GRAPH, [start]), down(GRAPH, [start]), [start]))


def test_a_version_as_text() -> None:
    """What is champion, from which commit, data, parameters and code, and where it serves: on one screen."""
    assert (
        text(SECOND)
        == """\
churn/2  champion  accepted  accuracy 0.94  2026-11-21T02:31:02Z
  made from
    ├─ build/model  sha256:2e2e2e2e2e2e  12.3 kB in 3 files  accepted as churn
    │  └─ stage train  ran  12.3 s  linux-x86_64-3.11
    │     ├─ build/train.csv  sha256:7ab17ab17ab1  12.3 kB
    │     │  └─ stage prepare  ran  12.3 s  linux-x86_64-3.11
    │     │     ├─ data data/raw  sha256:da7ada7ada7a  3.4 MB  https://bucket.example/raw/  in b2b2b2b
    │     │     └─ code src/prepare.py  0101010  in b2b2b2b
    │     ├─ params train.depth = 5, train.lr = 0.1
    │     ├─ code src/train.py  0202020  in b2b2b2b
    │     └─ code src/layers.py  0303030  imported  in b2b2b2b
    ├─ stage evaluate  ran  12.3 s  linux-x86_64-3.11  accuracy 0.94
    │  ├─ build/model  sha256:2e2e2e2e2e2e  12.3 kB in 3 files  accepted as churn  (see above)
    │  ├─ build/train.csv  sha256:7ab17ab17ab1  12.3 kB  (see above)
    │  └─ code src/evaluate.py  0404040  in b2b2b2b
    ├─ commit b2b2b2b  2026-11-18T11:06:40Z  Ann  Train deeper
    └─ commit c3c3c3c  2026-11-18T11:06:40Z  Ann  Train deeper, on another branch
  led to
    └─ deployment production  v2.0  serving"""
    )


def test_a_stage_that_was_up_to_date_ran_once() -> None:
    """What a later run found up to date is shown as what made the version, with its time; what never ran is not."""
    stages = tuple(msgspec.structs.replace(stage, result="skipped") for stage in RUNS[1].stages)
    graph = ancestry([changed(RUNS[1], stages=stages)], PAST, [TWIN])
    assert "stage train  ran  12.3 s" in "\n".join(as_text(up(graph, [SECOND]), down(graph, [SECOND]), [SECOND]))
    left_out = tuple(msgspec.structs.replace(stage, record=None) for stage in stages)
    name = next(name for name in ancestry([changed(RUNS[1], stages=left_out)], PAST).nodes if name.startswith("stage:"))
    graph = ancestry([changed(RUNS[1], stages=left_out)], PAST)
    assert as_text(up(graph, [name]), down(graph, [name]), [name])[0].endswith("  skipped")


def test_a_commit_is_named_once_beside_a_file() -> None:
    """Also where a run of its edited work tree read the file besides."""
    graph = ancestry([RUNS[1], changed(RUNS[1], dirty=True)], PAST, [TWIN])
    lines = as_text(up(graph, [SECOND]), down(graph, [SECOND]), [SECOND])
    assert "code src/train.py  0202020  in b2b2b2b" in "\n".join(lines)
    assert not any("b2b2b2b, b2b2b2b" in line for line in lines)


def test_a_commit_as_text() -> None:
    """What a commit led to: its files have no lines of their own, the stages say what they read of it."""
    shown = text(commit_id(DEEPER.sha))

    assert "stage prepare  ran  12.3 s  linux-x86_64-3.11  reads src/prepare.py, data/raw" in shown
    assert "churn/2  champion" in shown
    assert "code src/" not in shown


def test_nothing_is_said_to_be_nothing() -> None:
    """A start without neighbours is not an empty answer."""
    alone = ancestry([], history([]), [WORDS], also=[WORDS.sha])
    start = commit_id(WORDS.sha)

    assert as_text(alone, alone, [start])[1] == "  nothing else is recorded of it"


def test_json_has_the_stable_fields() -> None:
    """Nodes have id and kind, edges have from, to and how; every edge's ends are nodes."""
    graph = as_json(union(up(GRAPH, [SECOND]), down(GRAPH, [SECOND])))
    nodes, edges = graph["nodes"], graph["edges"]
    assert isinstance(nodes, list)
    assert isinstance(edges, list)
    ids = {node["id"] for node in nodes}

    assert {"commit", "code", "data", "params", "stage", "artifact", "version", "deployment"} == {
        node["kind"] for node in nodes
    }
    assert all(edge.keys() == {"from", "to", "how"} and {edge["from"], edge["to"]} <= ids for edge in edges)


def test_mermaid_draws_every_node_and_edge() -> None:
    """A line for each node, for each edge, and for the style of each kind there is."""
    graph = union(up(GRAPH, [SECOND]), down(GRAPH, [SECOND]))
    lines = as_mermaid(graph).splitlines()

    assert lines[0] == "flowchart LR"
    assert sum("-->" in line for line in lines) == len(graph.edges)
    assert sum("]:::" in line for line in lines) == len(graph.nodes)
    assert '["version churn/2"]:::version' in as_mermaid(graph)
    assert '["params train.depth #61; 5, train.lr #61; 0.1"]' in as_mermaid(graph)
