"""Which stages of a commit need a job."""

from __future__ import annotations

from ciml.core import key as keys
from ciml.core.ids import StageName
from ciml.core.jobs import jobs, needed
from ciml.core.key import Runtime
from ciml.core.pipeline import PickRule, Pipeline, Stage
from ciml.core.plan import Action, Graph, PlannedStage
from ciml.core.producers import Producers

PREPARE, TRAIN, EVALUATE, REPORT, NOTIFY = map(StageName, ("prepare", "train", "evaluate", "report", "notify"))


def graph(*, always: tuple[StageName, ...] = ()) -> Graph:
    """prepare -> train -> evaluate, prepare -> report, and notify apart."""
    waits = {PREPARE: (), TRAIN: (PREPARE,), EVALUATE: (TRAIN,), REPORT: (PREPARE,), NOTIFY: ()}
    stages = {name: Stage(name=name, template=name, always=name in always) for name in waits}
    return Graph(
        pipeline=Pipeline(stages=stages),
        order=tuple(waits),
        inputs={},
        conditions={},
        waits=waits,
        recipes={name: keys.digest("test", name) for name in waits},
        runtime=Runtime(python=None, requirements=None, platform="any"),
        producers=Producers(stages.values()),
    )


MODEL = frozenset({PREPARE, TRAIN, EVALUATE})


def test_what_a_model_without_a_verdict_uses_is_needed() -> None:
    """All the stages of a model that must be judged, and what they come after."""
    found = needed(graph(), judged={EVALUATE}, of_models=MODEL, before=graph().recipes)
    assert found == MODEL


def test_a_model_whose_verdict_stands_needs_nothing() -> None:
    """Nothing is made again for it, though its stages have no records."""
    assert needed(graph(), judged=(), of_models=MODEL, before=graph().recipes) == frozenset()


def test_a_stage_apart_is_needed_when_its_recipe_is_new() -> None:
    """What no model depends on is compared with the base; without a base everything is new."""
    before = graph().recipes
    changed = {**before, REPORT: keys.digest("test", "another")}
    assert needed(graph(), judged=(), of_models=MODEL, before=changed) == {REPORT, PREPARE}
    assert needed(graph(), judged=(), of_models=MODEL, before=None) == {REPORT, PREPARE, NOTIFY}


def test_a_finally_stage_is_always_needed() -> None:
    """It runs whatever happened."""
    assert NOTIFY in needed(graph(always=(NOTIFY,)), judged=(), of_models=MODEL, before=graph().recipes)


def planned(name: str, action: Action) -> PlannedStage:
    return PlannedStage(name=StageName(name), action=action, reason="", recipe=keys.digest("r", name), key=None)


def test_instances_of_a_matrix_share_a_job_and_the_pick_has_none() -> None:
    """A job is a stage as ciml.yaml names it; choosing the winner runs no command."""
    names = [StageName(f"train@{number}") for number in (1, 2)]
    stages = {name: Stage(name=name, template=TRAIN) for name in names}
    rule = PickRule(metric="auc", goal="max", candidates=tuple((name, name) for name in names))
    stages[TRAIN] = Stage(name=TRAIN, template=TRAIN, pick=rule)
    stages[PREPARE] = Stage(name=PREPARE, template=PREPARE)
    made = Graph(
        pipeline=Pipeline(stages=stages),
        order=tuple(stages),
        inputs={},
        conditions={},
        waits={},
        recipes={},
        runtime=Runtime(python=None, requirements=None, platform="any"),
        producers=Producers(stages.values()),
    )
    lines = [
        planned("train@1", Action.RUN),
        planned("train@2", Action.MAYBE),
        planned("train", Action.MAYBE),
        planned("prepare", Action.SKIP),
    ]
    assert jobs(made, lines, stages) == {"train": names}
    assert jobs(made, lines, [names[0]]) == {"train": [names[0]]}
