from __future__ import annotations

from ciml.core.ancestry import Ancestry, Kind, down, up, version_id
from ciml.core.descent import ancestry
from ciml.core.history import history
from tests.story import CHURN, DEEPER, FIRST, RUNS, TWIN, WORDS, ledger

PAST = history([ledger()], [WORDS, TWIN, DEEPER, FIRST])
GRAPH = ancestry(RUNS, PAST, [TWIN])
SECOND = version_id(CHURN, 2)


def labels(graph: Ancestry, kind: Kind) -> list[str]:
    return sorted(node.label for node in graph.nodes.values() if node.kind is kind)


def test_up_of_a_version_is_what_made_it() -> None:
    """Its commits, data, parameters and code, and no other version's parameters or stages."""
    graph = up(GRAPH, [SECOND])

    assert labels(graph, Kind.VERSION) == ["churn/2"]
    assert labels(graph, Kind.STAGE) == ["evaluate", "prepare", "train"]
    assert labels(graph, Kind.PARAMS) == ["train.depth = 5, train.lr = 0.1"]
    assert labels(graph, Kind.DATA) == ["data/raw"]
    assert labels(graph, Kind.CODE) == ["src/evaluate.py", "src/layers.py", "src/prepare.py", "src/train.py"]
    assert labels(graph, Kind.DEPLOYMENT) == []
    assert {DEEPER.sha[:7], TWIN.sha[:7]} <= set(labels(graph, Kind.COMMIT))


def test_down_of_data_is_what_came_of_it() -> None:
    """Every version that was trained on it, where they serve, and no commit."""
    data = next(node.id for node in GRAPH.nodes.values() if node.kind is Kind.DATA)
    graph = down(GRAPH, [data])

    assert labels(graph, Kind.VERSION) == ["churn/1", "churn/2"]
    assert labels(graph, Kind.DEPLOYMENT) == ["production", "production"]
    assert labels(graph, Kind.COMMIT) == []
