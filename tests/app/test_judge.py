"""A run's models, judged against champions that stand in a ledger."""

from __future__ import annotations

import msgspec

from ciml.core.entries import Judgement
from ciml.core.verdict import Status
from tests.app.judging import CIML, FANNED, Planted, judged
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace


def test_equal_bytes_are_unchanged(space: Workspace) -> None:
    """A model whose bytes equal the champion's is not compared with itself."""
    planted = Planted(judged(space), metrics={"score": 9.0})
    space.repo.commit({"ciml.yaml": CIML.replace("cp size model", "cat size > model")})
    found = judged(space, planted)
    assert found.verdict.status is Status.UNCHANGED
    assert planted.fetched == []


def test_recorded_metrics_count_where_the_pipeline_says_so(space: Workspace) -> None:
    """`compare: recorded` takes the champion's word, whatever the data."""
    text = CIML.replace("{rescore: evaluate}", "{compare: recorded}")
    planted = Planted(judged(space), metrics={"score": 0.999})
    space.repo.commit({"ciml.yaml": text, "size": "0.6", "test": "2"})
    found = judged(space, planted)
    assert found.verdict.status is Status.REJECTED
    assert planted.fetched == []


def test_c092_recorded_metrics_of_other_data_are_not_comparable(space: Workspace) -> None:
    """Gate compares on different eval data digest than champion's -> not comparable: data differs."""
    text = CIML.replace("{rescore: evaluate}", "{compare: recorded-same-data}")
    space.repo.commit({"ciml.yaml": text})
    planted = Planted(judged(space), metrics={"score": 0.1})
    space.repo.commit({"size": "0.6"})
    assert judged(space, planted).verdict.status is Status.ACCEPTED
    space.repo.commit({"test": "2"})
    found = judged(space, planted)
    assert found.verdict.status is Status.REJECTED
    assert "test" in str(found.verdict)


def test_a_verdict_stands_while_nothing_it_depends_on_moved(space: Workspace) -> None:
    """What is in the ledger is said again: nothing runs, nothing is fetched."""
    planted = Planted(judged(space), metrics={})
    space.repo.commit({"size": "0.6"})
    first = judged(space, planted)
    assert first.artifact is not None
    judgement = Judgement(
        nonce="2",
        key=first.key,
        recipe=first.recipe,
        policy=first.policy,
        champion=first.champion,
        artifact=first.artifact.digest,
        verdict=first.verdict,
    )
    planted.state = msgspec.structs.replace(planted.state, verdicts={first.key: judgement})
    planted.fetched.clear()
    space.repo.commit({"README.md": "words"})
    again = judged(space, planted)
    assert (again.recorded, again.verdict, planted.fetched) == (True, first.verdict, [])
    space.repo.commit({"ciml.yaml": CIML.replace("score > champion.score", "score > champion.score + 0.05")})
    assert not judged(space, planted).recorded


def test_a_model_that_was_not_made_is_not_judged(space: Workspace) -> None:
    """Its maker failed, or did not take part."""
    space.repo.commit({"ciml.yaml": CIML.replace("cp size model", "exit 3")})
    found = judged(space)
    assert (found.verdict.status, found.artifact) == (Status.NOT_JUDGED, None)


# Under the policy of a base.


def test_c008_a_lowered_threshold_is_not_what_judges(repo: RepoBuilder) -> None:
    """Fork PR lowers gate threshold → policy read from BASE commit; exit 10; the stages have the head's value."""
    text = """\
version: 1
params: {least: %s}
stages:
  train:
    run: |
      printf '{"score": %%s}' "${{ params.least }}" > metrics.json
      cp metrics.json model
    outputs: [model]
    metrics: [metrics.json]
models:
  m: {path: model, gate: [score >= params.least, "score >= ${{ params.least }}"]}
"""
    base = repo.commit({"ciml.yaml": text % 0.8})
    repo.commit({"ciml.yaml": text % 0.1})
    space = Workspace(repo)
    found = judged(space, policy=base)
    assert found.verdict.status is Status.REJECTED
    assert [(finding.left, finding.right) for finding in found.verdict.findings] == [(0.1, 0.8), (0.1, 0.8)]
    assert found.policy_params == {"least": 0.8}
    assert judged(space).verdict.status is Status.ACCEPTED


def test_c008_a_gate_that_was_taken_out_judges_all_the_same(space: Workspace, repo: RepoBuilder) -> None:
    """Fork PR edits `ciml.yaml` → the base's gate rejects what it always rejected."""
    planted = Planted(judged(space), metrics={"score": 0.5})
    base = repo.head()
    repo.commit({"ciml.yaml": CIML.replace("gate: [score > champion.score], ", ""), "size": "0.4"})
    assert judged(space, planted, policy=base).verdict.status is Status.REJECTED


def test_c092_other_data_is_noticed_behind_a_matrix_too(repo: RepoBuilder) -> None:
    """Recorded metrics of other data are not compared: what counts is what the winner's evaluation was given."""
    policy = "{compare: recorded-same-data}"
    text = FANNED % ("matrix: {c: [1, 2]}\n    pick: {max: score}", "score > champion.score", policy)
    text = text.replace("cat model)", "cat model test | head -1)").replace("inputs: [model]", "inputs: [model, test]")
    repo.commit({"ciml.yaml": text, "size": "2", "test": "1"})
    space = Workspace(repo)
    planted = Planted(judged(space), metrics={"score": 4.0})
    repo.commit({"size": "3"})
    assert judged(space, planted).verdict.status is Status.ACCEPTED
    repo.commit({"test": "2"})
    found = judged(space, planted)
    assert found.verdict.status is Status.REJECTED
    assert "data differs from what it was judged on: test" in found.verdict.reason
