"""Champions that are scored again, on the data of a run and by its code."""

from __future__ import annotations

import pytest

from ciml.core.verdict import Status
from tests.app.judging import CIML, FANNED, Planted, judged
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace


@pytest.mark.parametrize("lie", [0.0, 0.501, 0.999, -1e9, 1e9])
@pytest.mark.parametrize(("size", "status"), [("0.6", Status.ACCEPTED), ("0.4", Status.REJECTED)])
def test_a_champion_whose_recorded_metrics_lie_does_not_move_the_verdict(
    space: Workspace, lie: float, size: str, status: Status
) -> None:
    """The champion is scored again on this data by this code; what was once written about it is not asked."""
    planted = Planted(judged(space), metrics={"score": lie})
    space.repo.commit({"size": size})
    found = judged(space, planted)
    assert found.verdict.status is status
    assert found.verdict.champion is not None
    assert found.verdict.champion.metrics == {"score": 0.51}
    assert planted.fetched == [1]


def test_a_champion_is_scored_on_the_candidates_data(space: Workspace) -> None:
    """New test data counts for both, also where the recorded score came from the old."""
    planted = Planted(judged(space), metrics={"score": 0.51})
    space.repo.commit({"size": "0.6", "test": "7"})
    found = judged(space, planted)
    assert found.verdict.metrics == {"score": 0.67}
    assert found.verdict.champion is not None
    assert found.verdict.champion.metrics == {"score": 0.57}


def test_rescoring_leaves_the_work_tree_alone(space: Workspace) -> None:
    """The outputs in the work tree are the candidate's."""
    planted = Planted(judged(space), metrics={})
    space.repo.commit({"size": "0.6"})
    judged(space, planted)
    assert space.read("model") == "0.6"
    assert "0.61" in space.read("metrics.json")
    assert "0.61" in space.read("page")


def test_a_champion_that_cannot_be_scored_is_a_rejection_with_its_reason(space: Workspace) -> None:
    """A stage that fails on the champion's files: not comparable, never a pass."""
    planted = Planted(judged(space), metrics={"score": 0.0})
    space.repo.commit({"size": "0.6", "ciml.yaml": CIML.replace("V=$(cat", "grep -q 0.6 model; V=$(cat")})
    found = judged(space, planted)
    assert found.verdict.status is Status.REJECTED
    assert "stage evaluate failed on version 1's files" in str(found.verdict)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("  evaluate:\n", "  other:\n", "stage evaluate, which scores it again, is not in this pipeline"),
        ("inputs: [model, test]", "inputs: [size, test]", "does not come after train"),
        ("m: {path: model, ", "m: {path: metrics.json, ", "does not come after evaluate"),
        ("outputs: [model]}", "outputs: [model]}\n  second: {run: cp size b, inputs: [size], outputs: [b]}", ""),
    ],
)
def test_a_head_without_the_stage_that_scores_the_champion_is_rejected(
    space: Workspace, repo: RepoBuilder, old: str, new: str, reason: str
) -> None:
    """It is compared with nothing, and says what is missing; what was merely added is no hindrance."""
    planted = Planted(judged(space), metrics={"score": 0.5})
    base = repo.head()
    lax = CIML.replace("gate: [score > champion.score], champion: {rescore: evaluate}", "gate: [score >= 0]")
    text = lax.replace(old, new).replace("cat model test", "cat size test" if "size, test" in new else "cat model test")
    repo.commit({"ciml.yaml": text, "size": "0.6"})
    found = judged(space, planted, policy=base)
    if not reason:
        assert found.verdict.status is Status.ACCEPTED
        return
    assert found.verdict.status is Status.REJECTED
    assert reason in found.verdict.reason
    assert planted.fetched == []


def test_a_model_that_became_a_part_of_an_output_is_rejected(space: Workspace, repo: RepoBuilder) -> None:
    """The champion's files cannot take its place."""
    planted = Planted(judged(space), metrics={"score": 0.5})
    base = repo.head()
    text = CIML.replace("cp size model", "mkdir model && cp size model/bin").replace("path: model", "path: model/bin")
    text = text.replace("cat model test", "cat model/bin test").replace(
        "champion: {rescore: evaluate}", "promote: auto"
    )
    repo.commit({"ciml.yaml": text, "size": "0.6"})
    found = judged(space, planted, policy=base)
    assert found.verdict.status is Status.REJECTED
    assert "no output of its own" in found.verdict.reason


RESCORED = ("score > champion.score", "{rescore: evaluate}")


@pytest.mark.parametrize(
    ("before", "after", "champion"),
    [
        ("matrix: {c: [1, 2]}\n    pick: {max: score}", "matrix: {c: [1, 2, 3]}\n    pick: {max: score}", 4.0),
        ("matrix: {c: [1]}\n    pick: {max: score}", "env: {C: x}", 2.0),
    ],
)
def test_a_head_that_fans_out_otherwise_is_compared_all_the_same(
    repo: RepoBuilder, before: str, after: str, champion: float
) -> None:
    """The base's policy names a stage, and the head's stage of that name scores the champion."""
    base = repo.commit({"ciml.yaml": FANNED % (before, *RESCORED), "size": "2"})
    space = Workspace(repo)
    planted = Planted(judged(space), metrics={"score": 4.0})
    text = FANNED % (after, "score >= 0", "{rescore: evaluate}")
    repo.commit({"ciml.yaml": text.replace("${{ matrix.c }}", "5") if "env" in after else text, "size": "3"})
    found = judged(space, planted, policy=base)
    assert found.verdict.status is Status.ACCEPTED
    assert found.verdict.champion is not None
    assert found.verdict.champion.metrics["score"] == champion
