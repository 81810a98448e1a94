from __future__ import annotations

import msgspec
import pytest

from ciml.core.ancestry import commit_id, down, version_id
from ciml.core.descent import ancestry
from ciml.core.history import history
from tests.story import CHURN, DEEPER, FIRST, RUNS, TWIN, WORDS, changed, ledger, output

PAST = history([ledger()], [WORDS, TWIN, DEEPER, FIRST])
GRAPH = ancestry(RUNS, PAST, [TWIN])
SECOND = version_id(CHURN, 2)


def test_each_node_and_edge_is_there_once_and_every_edge_has_its_ends() -> None:
    """Runs that share files share nodes; recording a run twice changes nothing."""
    for graph in (GRAPH, ancestry([*RUNS, *RUNS], PAST, [TWIN])):
        assert graph == GRAPH
        assert len(set(graph.edges)) == len(graph.edges)
        assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= graph.nodes.keys()


def test_a_run_of_the_same_recipe_with_other_bytes_did_not_make_the_version() -> None:
    """A stage that is not deterministic made other bytes: they lead to no version."""
    model = msgspec.structs.replace(RUNS[1].models[0], artifact=output(RUNS[1].models[0].path, "ff"))
    graph = ancestry([changed(RUNS[1], models=(model,))], PAST)

    assert not [edge for edge in graph.edges if edge.how == "registered as"]


def test_a_dirty_tree_does_not_say_that_the_commit_holds_the_file() -> None:
    """The record of an edited work tree leads to its commit by words that do not vouch for it."""
    graph = ancestry([changed(RUNS[0], dirty=True)], PAST)

    assert "holds" not in {edge.how for edge in graph.edges}
    assert "holds, or held before an edit" in {edge.how for edge in graph.edges}


def test_a_commit_that_nothing_mentions_can_be_in_the_graph() -> None:
    """A question about a commit without any run has an answer: that there is nothing."""
    graph = ancestry([], history([]), [WORDS], also=[WORDS.sha])

    assert [node.facts["subject"] for node in graph.nodes.values()] == ["Explain it in the README"]
    assert down(graph, [commit_id(WORDS.sha)]) == graph


@pytest.mark.parametrize("verdict", ["rejected", "not-judged"])
def test_a_rejection_is_not_where_an_accepted_version_comes_from(verdict: str) -> None:
    """The same model scored by something that is broken later: it neither asked for the version nor judged it."""
    model = msgspec.structs.replace(RUNS[1].models[0], verdict=verdict)
    broken = changed(RUNS[1], models=(model,))
    assert "judged by" in {edge.how for edge in ancestry([RUNS[1]], PAST).edges}
    assert "judged by" not in {edge.how for edge in ancestry([broken], PAST).edges}


def test_a_model_that_was_let_through_once_is_not_called_rejected() -> None:
    """Another gate's rejection of the same bytes, before or after, does not hide why there is a version of them."""
    rejected = changed(RUNS[1], models=(msgspec.structs.replace(RUNS[1].models[0], verdict="rejected"),))
    for runs in ((RUNS[1], rejected), (rejected, RUNS[1])):
        told = [node.facts["verdict"] for node in ancestry(runs, PAST).nodes.values() if "verdict" in node.facts]
        assert set(told) == {"accepted"}


def test_a_trial_in_an_edited_work_tree_is_not_where_a_version_comes_from() -> None:
    """What was tried and never committed neither asked for a version of the same bytes nor judged it."""
    hows = {edge.how for edge in ancestry([changed(RUNS[1], dirty=True)], PAST).edges}
    assert "registered as" in hows
    assert "judged by" not in hows


def test_an_overridden_rejection_leads_to_the_version() -> None:
    """What a person let through at a commit was judged there."""
    rejected = msgspec.structs.replace(RUNS[1].models[0], verdict="rejected")
    let = tuple(msgspec.structs.replace(line, verdict="rejected, overridden") for line in PAST.versions)
    past = msgspec.structs.replace(PAST, versions=let)

    assert "judged by" in {edge.how for edge in ancestry([changed(RUNS[1], models=(rejected,))], past).edges}
