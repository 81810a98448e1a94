"""What is decided for one stage, from what is known of those before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import pytest

from ciml.core import key as keys
from ciml.core.expression import evaluate_condition
from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.inputs import Input, ProducedInput, TrackedInput
from ciml.core.key import Runtime
from ciml.core.metrics import Metrics
from ciml.core.pipeline import Command, PickRule, Pipeline, Place, Stage
from ciml.core.plan import Action, Decision, Graph, Known, LeftOut, Pending, State, decide, plan_stages
from ciml.core.producers import Producers
from ciml.core.results import Output, Record

PREPARE, TRAIN, REPORT = StageName("prepare"), StageName("train"), StageName("report")
METRICS = RepoPath("m.json")


def place(path: str, inside: str | None = None) -> Place:
    return Place(path=RepoPath(path), inside=RepoPath(inside or path))


def stage(name: str, *outputs: str, **settings: Any) -> Stage:
    return Stage(
        name=StageName(name),
        template=StageName(name),
        command=Command(script=f"make {name}"),
        outputs=tuple(map(place, outputs)),
        **settings,
    )


def reads(stage: str, output: str, part: str = "") -> ProducedInput:
    return ProducedInput(inside=RepoPath(output), stage=StageName(stage), output=RepoPath(output), part=part)


def code(path: str, oid: str = "a") -> TrackedInput:
    return TrackedInput(inside=RepoPath(path), path=RepoPath(path), mode=0o100644, oid=GitOid(oid * 40))


def graph(stages: Mapping[str, tuple[Stage, tuple[Input, ...]]], **conditions: tuple[str, ...]) -> Graph:
    """Stages in order, with what they read."""
    named = {StageName(name): both for name, both in stages.items()}
    return Graph(
        pipeline=Pipeline(stages={name: stage for name, (stage, _) in named.items()}),
        order=tuple(named),
        inputs={name: inputs for name, (_, inputs) in named.items()},
        conditions={StageName(name): tuple(map(StageName, read)) for name, read in conditions.items()},
        waits={},
        recipes={name: keys.digest("test", name) for name in named},
        runtime=Runtime(python=None, requirements=None, platform="any"),
        producers=Producers(stage for stage, _ in named.values()),
    )


def output(path: str, content: str = "0") -> Output:
    return Output(path=RepoPath(path), digest=Digest((content * 64)[:64]), size=1)


class Facts:
    """Evidence that a test lays down."""

    def __init__(self, *, everything: Record | None = None, in_place: bool = True) -> None:
        self.records: dict[Digest, Record] = {}
        self.asked: list[Digest] = []
        self._everything = everything
        self._in_place = in_place

    def record(self, key: Digest) -> Record | None:
        self.asked.append(key)
        return self.records.get(key, self._everything)

    def part(self, output: Output, part: str) -> Output:
        return msgspec.structs.replace(output, digest=keys.digest("part", output.digest, part))

    def in_place(self, stage: Stage, record: Record) -> bool:
        return self._in_place

    def holds(self, condition: str, metrics: Mapping[StageName, Metrics]) -> bool | str:
        return evaluate_condition(condition, metrics, {})


def record(*outputs: Output, metrics: dict[str, float] | None = None, problems: dict[str, str] | None = None) -> Record:
    values = {METRICS: Metrics(values=metrics or {}, problems=problems or {})} if metrics or problems else {}
    return Record(
        key=Digest("k"), recipe=Digest("r"), stage=TRAIN, outputs=outputs, metrics=values, platform="any", started=""
    )


def known(*outputs: Output, metrics: dict[str, float] | None = None, key: str = "k") -> Known:
    return Known(key=Digest(key), record=record(*outputs, metrics=metrics))


def decided(
    name: str,
    where: Graph,
    states: Mapping[str, State],
    facts: Facts,
    *,
    why: str = "",
    force: bool = False,
) -> Decision:
    given = {StageName(other): state for other, state in states.items()}
    return decide(StageName(name), where, given, facts, why=lambda _: why, force=force)


ALONE = graph({"train": (stage("train", "model"), (code("train.py"),))})


def test_no_record_is_a_run_with_its_reason() -> None:
    """What changed, where something is known to have; else that there is no record."""
    assert decided("train", ALONE, {}, Facts(), why="train.py changed").reason == "train.py changed"
    found = decided("train", ALONE, {}, Facts())
    assert (found.action, found.reason, found.state) == (Action.RUN, "no record of these inputs", Pending())
    assert found.key is not None


def test_a_record_whose_outputs_are_in_place_is_a_skip() -> None:
    """Nothing to do, and the stages after it know its outputs."""
    made = record(output("model"))
    found = decided("train", ALONE, {}, Facts(everything=made), why="train.py changed")
    assert (found.action, found.reason) == (Action.SKIP, "up to date")
    assert isinstance(found.state, Known)
    assert found.state.record == made


def test_a_record_whose_outputs_are_not_in_place_is_a_restore() -> None:
    """The bytes come from the store, and nothing runs."""
    found = decided("train", ALONE, {}, Facts(everything=record(output("model")), in_place=False))
    assert (found.action, found.reason) == (Action.RESTORE, "its outputs are stored, and not in the work tree")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"always": True}, "finally: runs whatever happened"),
        ({"cache": False}, "cache: false"),
        ({"isolated": False}, "isolation: none, so its record serves one run"),
    ],
)
def test_what_runs_although_there_is_a_record(settings: dict[str, bool], reason: str) -> None:
    """`finally`, `cache: false` and `isolation: none` run every time, and say so."""
    where = graph({"train": (stage("train", "model", **settings), ())})
    found = decided("train", where, {}, Facts(everything=record(output("model"))))
    assert (found.action, found.reason) == (Action.RUN, reason)


def test_force() -> None:
    """A forced stage runs although there is a record."""
    found = decided("train", ALONE, {}, Facts(everything=record(output("model"))), force=True)
    assert (found.action, found.reason) == (Action.RUN, "forced")


CHAIN = graph(
    {
        "prepare": (stage("prepare", "table"), ()),
        "train": (stage("train", "model"), (reads("prepare", "table"),)),
        "report": (stage("report", "page"), (reads("train", "model"),)),
    }
)


def test_a_stage_after_one_that_must_run_is_a_maybe() -> None:
    """Its key is not known, and the reason names what it waits for, after what changed for itself."""
    found = decided("train", CHAIN, {"prepare": Pending()}, Facts(), why="train.py changed")
    assert (found.action, found.key, found.state) == (Action.MAYBE, None, Pending())
    assert found.reason == "train.py changed; waits for prepare"


def test_a_maybe_names_one_and_counts_the_others() -> None:
    """A stage that waits for three names the first."""
    inputs = tuple(reads(name, name) for name in "abc")
    where = graph({**{name: (stage(name, name), ()) for name in "abc"}, "z": (stage("z", "z"), inputs)})
    found = decided("z", where, dict.fromkeys("abc", Pending()), Facts())
    assert found.reason == "waits for a and 2 more"


def test_early_cut_off() -> None:
    """Equal bytes upstream are an equal key, whatever made them: the stage is not run again."""
    facts = Facts()
    first = decided("train", CHAIN, {"prepare": known(output("table"), key="1")}, facts)
    assert first.key is not None
    facts.records[first.key] = record(output("model"))
    again = decided("train", CHAIN, {"prepare": known(output("table"), key="2")}, facts)
    assert (again.action, again.key) == (Action.SKIP, first.key)
    other = decided("train", CHAIN, {"prepare": known(output("table", "f"))}, facts)
    assert other.action is Action.RUN


def test_a_part_of_an_output_is_what_the_key_holds() -> None:
    """A stage that reads one file of a directory does not depend on the others."""
    where = graph({"prepare": (stage("prepare", "d"), ()), "train": (stage("train"), (reads("prepare", "d", "x"),))})
    whole = graph({"prepare": (stage("prepare", "d"), ()), "train": (stage("train"), (reads("prepare", "d"),))})
    states = {"prepare": known(output("d"))}
    assert decided("train", where, states, Facts()).key != decided("train", whole, states, Facts()).key


def test_readers_of_a_stage_that_was_left_out_are_left_out() -> None:
    """Also those that read them, all the way down; a stage that still waits does not hide it."""
    out = LeftOut(reason="when is false: x")
    found = decided("train", CHAIN, {"prepare": out}, Facts())
    assert (found.action, found.reason) == (Action.SKIP, "prepare was left out")
    assert isinstance(found.state, LeftOut)
    both = graph(
        {
            "a": (stage("a", "a"), ()),
            "b": (stage("b", "b"), ()),
            "c": (stage("c"), (reads("a", "a"), reads("b", "b"))),
        }
    )
    assert decided("c", both, {"a": Pending(), "b": out}, Facts()).action is Action.SKIP


CONDITIONAL = graph(
    {
        "train": (stage("train", "model", "m.json"), ()),
        "report": (stage("report", "page", when="stages.train.metrics.auc > 0.5"), ()),
    },
    report=("train",),
)


@pytest.mark.parametrize(("auc", "action"), [(0.6, Action.RUN), (0.4, Action.SKIP)])
def test_a_condition_decides_when_its_metrics_are_known(auc: float, action: Action) -> None:
    """`when` on metrics is evaluated once the stage that writes them is known."""
    found = decided("report", CONDITIONAL, {"train": known(metrics={"auc": auc})}, Facts())
    assert found.action is action
    if action is Action.SKIP:
        assert found.reason == "when is false: stages.train.metrics.auc > 0.5"
        assert isinstance(found.state, LeftOut)


def test_a_condition_is_a_maybe_while_its_metrics_are_not_known() -> None:
    """A plan cannot know what a stage will measure."""
    assert decided("report", CONDITIONAL, {"train": Pending()}, Facts()).action is Action.MAYBE


def test_a_condition_without_a_value_leaves_the_stage_out_and_says_why() -> None:
    """A metric that is not there is not false in silence."""
    found = decided("report", CONDITIONAL, {"train": known(metrics={"f1": 1.0})}, Facts())
    assert found.action is Action.SKIP
    assert "auc" in found.reason
    assert not found.reason.startswith("when is false")


# Picks.


def pick(goal: Literal["max", "min"], *values: Metrics) -> tuple[Graph, dict[str, State]]:
    names = [StageName(f"train@{number}") for number in range(len(values))]
    rule = PickRule(metric="auc", goal=goal, candidates=tuple((name, name) for name in names))
    instances: dict[str, tuple[Stage, tuple[Input, ...]]] = {
        name: (
            Stage(
                name=name,
                template=TRAIN,
                outputs=(place(f"model@{number}", "model"), place(f"m@{number}.json", "m.json")),
            ),
            (),
        )
        for number, name in enumerate(names)
    }
    node = Stage(name=TRAIN, template=TRAIN, pick=rule, outputs=(place("model"), place("m.json")))
    states: dict[str, State] = {
        name: Known(
            key=Digest(f"{number}"),
            record=msgspec.structs.replace(
                record(output("model", str(number)), output("m.json", str(number)), output("own", "f")),
                metrics={METRICS: metrics},
                stage=name,
            ),
        )
        for number, (name, metrics) in enumerate(zip(names, values, strict=True))
    }
    return graph({**instances, "train": (node, ())}), states


def numbers(*values: float) -> list[Metrics]:
    return [Metrics(values={"auc": value}) for value in values]


@pytest.mark.parametrize(
    ("goal", "values", "winner"),
    [
        ("max", (0.1, 0.3, 0.2), "train@1"),
        ("min", (0.3, 0.1, 0.2), "train@1"),
        ("max", (0.3, 0.3, 0.1), "train@0"),
        ("min", (0.2, 0.1, 0.1), "train@1"),
        ("max", (-0.0, 0.0), "train@0"),
        ("max", (-1e308, 1e308), "train@1"),
    ],
)
def test_a_pick_takes_the_best_and_of_equals_the_first(
    goal: Literal["max", "min"], values: tuple[float, ...], winner: str
) -> None:
    """`max` and `min`; ties go to the first."""
    where, states = pick(goal, *numbers(*values))
    assert decided("train", where, states, Facts()).reason == f"picks {winner}"


@pytest.mark.parametrize("goal", ["max", "min"])
def test_nan_loses(goal: Literal["max", "min"]) -> None:
    """An instance without a finite number is never picked, whichever way is better."""
    broken = [Metrics(problems={"auc": "is not finite"}), Metrics(), Metrics(values={"auc": float("nan")})]
    where, states = pick(goal, *broken, *numbers(0.1))
    assert decided("train", where, states, Facts()).reason == "picks train@3"


def test_a_pick_of_nothing_leaves_the_plain_name_out() -> None:
    """No instance has a number: no winner, and its readers are left out."""
    where, states = pick("max", Metrics(), Metrics())
    found = decided("train", where, states, Facts())
    assert (found.action, found.reason) == (Action.SKIP, "no instance has a finite auc")
    assert isinstance(found.state, LeftOut)


def test_the_winners_outputs_take_the_plain_names() -> None:
    """The pick's record is the winner's, with the outputs that the pick has, and its own key."""
    where, states = pick("max", *numbers(0.1, 0.3))
    found = decided("train", where, states, Facts(in_place=False))
    assert found.action is Action.RESTORE
    assert isinstance(found.state, Known)
    assert [made.path for made in found.state.record.outputs] == ["model", "m.json"]
    assert found.state.record.outputs[0] == output("model", "1")
    assert found.state.record.stage == "train@1"
    assert found.key == found.state.record.key not in {Digest("0"), Digest("1")}


def test_a_pick_waits_for_all_its_instances() -> None:
    """The best is not known before the last has ended."""
    where, states = pick("max", *numbers(0.1, 0.3))
    assert decided("train", where, {**states, "train@0": Pending()}, Facts()).action is Action.MAYBE


# Whole plans.


def test_a_plan_decides_in_order_and_only_what_is_wanted() -> None:
    """What is downstream of a run is a maybe; other stages are not looked at."""
    facts = Facts()
    planned = plan_stages(CHAIN, facts, why=lambda name: "", wanted=[PREPARE, TRAIN])
    assert [(stage.name, stage.action) for stage in planned] == [("prepare", "run"), ("train", "maybe")]
    assert len(facts.asked) == 1


def test_a_forced_stage_makes_its_readers_maybe() -> None:
    """Nothing is known of what a forced stage will make."""
    facts = Facts(everything=record(output("table"), output("model")))
    planned = plan_stages(CHAIN, facts, why=lambda name: "", force=frozenset({TRAIN}))
    assert [stage.action for stage in planned] == ["skip", "run", "maybe"]
