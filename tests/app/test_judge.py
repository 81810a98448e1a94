"""A run's models, judged against champions that stand in a ledger."""

from __future__ import annotations

import msgspec
import pytest

from ciml.core.entries import Judgement, Registration
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.judged import Judged
from ciml.core.ledger import Champion, LedgerState
from ciml.core.verdict import Status
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

M = ModelName("m")
CIML = """\
version: 1
stages:
  train: {run: cp size model, inputs: [size], outputs: [model]}
  evaluate:
    run: |
      V=$(cat model test)
      echo "{\\"score\\": $V}" > metrics.json
    inputs: [model, test]
    metrics: [metrics.json]
  report: {run: cp metrics.json page, inputs: [metrics.json], outputs: [page]}
models:
  m: {path: model, gate: [score > champion.score], champion: {rescore: evaluate}}
"""


class Planted:
    """A ledger that a test has written: one champion, and what is said of it."""

    def __init__(
        self, champion: Judged, *, metrics: dict[str, float], data: dict[RepoPath, Digest] | None = None
    ) -> None:
        assert champion.artifact is not None
        self.fetched: list[int] = []
        identity = Digest("c" * 64)
        registration = Registration(
            version=1,
            recipe=champion.recipe,
            artifact=champion.artifact,
            run="run",
            row="row",
            nonce="1",
            created=1,
            metrics=metrics,
            data=champion.data if data is None else data,
        )
        self.state = LedgerState(
            model=M,
            versions={1: registration},
            identities={1: identity},
            recipes={champion.recipe: 1},
            champion=Champion(gen=1, version=1, identity=identity, since=""),
        )

    def read(self, model: ModelName) -> LedgerState:
        return self.state

    def fetch(self, model: ModelName, registration: Registration) -> None:
        self.fetched.append(registration.version)


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    repo.commit({"ciml.yaml": CIML, "size": "0.5", "test": "1"})
    return Workspace(repo)


def judged(space: Workspace, ledgers: Planted | None = None, *, policy: str | None = None) -> Judged:
    """What the gate says of a run of what is committed."""
    [found] = space.run(ledgers=ledgers, policy=policy).judged
    return found


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


FANNED = """\
version: 1
stages:
  train:
    run: echo "$(cat size) * ${{ matrix.c }}" | bc > model
    inputs: [size]
    outputs: [model]
    %s
  evaluate:
    run: |
      printf '{"score": %%s, "of": 1}' "$(cat model)" > metrics.json
    inputs: [model]
    metrics: [metrics.json]
models:
  m: {path: model, gate: [%s], champion: %s}
"""
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
