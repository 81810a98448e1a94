"""Recipes and keys: what moves them, and what does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core import key as keys
from ciml.core.ids import Digest, GitOid, ModelName, RepoPath, StageName
from ciml.core.inputs import DataInput, Input, ProducedInput, TrackedInput
from ciml.core.key import Runtime, digest
from ciml.core.pipeline import Command, ExpressionCheck, PickRule, Place, Resources, Retry, Stage
from ciml.core.results import Output

PREPARE, TRAIN = StageName("prepare"), StageName("train")
HERE = Runtime(python=None, requirements=None, platform="linux-x86_64")


def place(path: str, inside: str | None = None) -> Place:
    return Place(path=RepoPath(path), inside=RepoPath(inside or path))


def tracked(path: str, oid: str = "a" * 40, mode: int = 0o100644) -> TrackedInput:
    return TrackedInput(inside=RepoPath(path), path=RepoPath(path), mode=mode, oid=GitOid(oid))


STAGE = Stage(
    name=TRAIN,
    template=TRAIN,
    command=Command(script="python train.py"),
    outputs=(place("build/model"), place("build/metrics.json")),
    metrics=(RepoPath("build/metrics.json"),),
    params={"train.lr": 0.1},
    env={"SEED": "1"},
)
DATA = DataInput(
    inside=RepoPath("data"),
    path=RepoPath("data"),
    manifest=RepoPath("data.manifest.yaml"),
    digest=Digest("d" * 64),
    size=1,
    directory=True,
)
TABLE = ProducedInput(inside=RepoPath("table.csv"), stage=PREPARE, output=RepoPath("table.csv"))
INPUTS: tuple[Input, ...] = (tracked("train.py"), DATA, TABLE)
UPSTREAM = {PREPARE: Digest("1" * 64)}


def recipe(stage: Stage = STAGE, inputs: tuple[Input, ...] = INPUTS, runtime: Runtime = HERE) -> Digest:
    return keys.recipe(stage, inputs, runtime, UPSTREAM)


def made(digest_: str = "b" * 64, *, executable: bool = False) -> dict[tuple[StageName, str, str], Output]:
    output = Output(path=RepoPath("table.csv"), digest=Digest(digest_), size=1, executable=executable)
    return {(PREPARE, "table.csv", ""): output}


def key(stage: Stage = STAGE, runtime: Runtime = HERE, table: str = "b" * 64) -> Digest:
    return keys.key(stage, INPUTS, runtime, made(table))


def but(stage: Stage, **changed: Any) -> Stage:
    return msgspec.structs.replace(stage, **changed)


def test_a_digest_is_fixed_for_ever() -> None:
    """A stored key means the same to a later ciml: these digests never change."""
    parts = ("a", 1, 1.5, None, True, ["x"], {"b": 1, "a": 2})
    assert digest("ciml/test/1", *parts) == "1895a623ae529bc038bf28c310d907d88b765925a979cd6fd2e75d397af3b2f6"
    assert digest("ciml/test/1", "\udce9") == "b0f50947be4c0930f0f1a1110eca02b8a9d089d64bda0bffbc5adb0efc01e26f"


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _exact(value: object) -> str:
    """A text that is equal for equal values of equal types."""
    match value:
        case dict():
            return "{" + ",".join(f"{name!r}:{_exact(value[name])}" for name in sorted(value)) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_exact, value)) + "]"
        case float():
            return f"float {value!r}"
    return f"{type(value).__name__} {value!r}"


@given(_PLAIN, _PLAIN)
def test_a_digest_is_injective(one: object, other: object) -> None:
    """Two lists have one digest only when they are the same list, types included."""
    assert (digest("t", one) == digest("t", other)) == (_exact(one) == _exact(other))


def test_numbers_that_look_alike_differ() -> None:
    """1, 1.0, True and "1" are four values, and so are the two ways to split "ab"."""
    assert len({digest("t", value) for value in (1, 1.0, True, "1")}) == 4
    assert digest("t", "a", "b") != digest("t", "ab")
    assert digest("t", "x") != digest("u", "x")


def test_a_string_that_is_not_utf8_has_its_own_digest() -> None:
    """Surrogates, which stand for bytes of a path, meet no Unicode string and no list that spells them out."""
    values = ["\udce9", "\udcea", "é", "dce9", ["text", "edb3a9"], {"bytes": "e9"}]
    assert len({digest("t", value) for value in values}) == len(values)
    assert digest("t", {"a": "\udce9"}) != digest("t", {"a": "\udcea"})
    assert digest("t", tracked("\udce9")) != digest("t", tracked("\udcea"))


@pytest.mark.parametrize(
    "changed",
    [
        {"command": Command(script="python train.py ")},
        {"command": Command(argv=("python", "train.py"))},
        {"command": Command(script="python train.py", arguments={"CIML_1": "x"})},
        {"params": {"train.lr": 0.2}},
        {"params": {"train.lr": 0.1, "train.depth": 3}},
        {"params_files": {RepoPath("params.yaml"): {"train": {"lr": 0.1}}}},
        {"env": {"SEED": "2"}},
        {"image": "python:3.11"},
        {"workdir": RepoPath("src")},
        {"outputs": (place("build/other"), place("build/metrics.json"))},
        {"metrics": ()},
        {"when": "accuracy > 0.5"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_a_stage_declares_moves_its_recipe(changed: dict[str, Any]) -> None:
    """Command, parameters and their files, environment, image, folder, outputs, metrics, condition."""
    assert recipe(but(STAGE, **changed)) != recipe()


@pytest.mark.parametrize(
    "changed",
    [
        {"name": StageName("fit"), "template": StageName("fit")},
        {"description": "words"},
        {"resources": Resources(cpus=4, memory=1 << 30)},
        {"retry": Retry(attempts=3)},
        {"timeout_s": 5.0},
        {"pass_env": ("TOKEN",)},
        {"secrets": ("PASSWORD",)},
        {"needs": (PREPARE,)},
        {"runs_on": ("gpu",)},
        {"checkpoint": RepoPath("build/checkpoint")},
        {"plots": (RepoPath("build/metrics.json"),)},
        {"line": 12},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_no_part_of_the_result_moves_nothing(changed: dict[str, Any]) -> None:
    """Name, words, limits, names of secrets, order and labels leave recipe and key as they are."""
    assert recipe(but(STAGE, **changed)) == recipe()
    assert key(but(STAGE, **changed)) == key()


@pytest.mark.parametrize(
    "inputs",
    [
        (tracked("train.py", "b" * 40), DATA, TABLE),
        (tracked("train.py", mode=0o100755), DATA, TABLE),
        (tracked("fit.py"), DATA, TABLE),
        (tracked("train.py"), DATA),
        (tracked("train.py"), msgspec.structs.replace(DATA, digest=Digest("e" * 64)), TABLE),
        (tracked("train.py"), DATA, msgspec.structs.replace(TABLE, part=RepoPath("x"))),
    ],
    ids=["bytes", "mode", "path", "fewer", "data", "part"],
)
def test_every_input_moves_the_recipe(inputs: tuple[Input, ...]) -> None:
    """An input's bytes, mode and path, data behind a manifest, and the part that is read of an output."""
    assert recipe(inputs=inputs) != recipe()


def test_the_order_of_inputs_does_not_count() -> None:
    """Inputs are a set: rearranging them in ciml.yaml runs nothing."""
    assert recipe(inputs=INPUTS[::-1]) == recipe()


def test_the_platform_is_part_of_keys_and_not_of_recipes() -> None:
    """A commit asks the same of every machine; a worker's result counts on its own platform."""
    other = Runtime(python=None, requirements=None, platform="darwin-arm64")
    assert recipe(runtime=other) == recipe()
    assert key(runtime=other) != key()
    anywhere = but(STAGE, any_platform=True)
    assert key(anywhere, other) == key(anywhere)


def test_the_environment_is_part_of_both() -> None:
    """Another Python, or another requirements file, asks for another result."""
    for other in (
        Runtime(python="3.12", requirements=None, platform=HERE.platform),
        Runtime(python=None, requirements="c" * 40, platform=HERE.platform),
    ):
        assert recipe(runtime=other) != recipe()
        assert key(runtime=other) != key()


def test_a_recipe_follows_upstream_recipes_and_a_key_upstream_bytes() -> None:
    """Early cut-off: another recipe upstream that makes the same bytes leaves the key as it is."""
    elsewhere = keys.recipe(STAGE, INPUTS, HERE, {PREPARE: Digest("2" * 64)})
    assert elsewhere != recipe()
    assert key(table="c" * 64) != key()


def test_an_output_that_became_executable_is_another_input() -> None:
    """The mode of a file that a stage made is part of what the next one reads."""
    assert keys.key(STAGE, INPUTS, HERE, made(executable=True)) != key()


def test_an_instance_and_an_equal_plain_stage_share_a_key() -> None:
    """What the stage sees counts, not where the graph keeps its outputs."""
    instance = but(
        STAGE,
        name=StageName("train@1"),
        outputs=(place("build/model@1", "build/model"), place("build/metrics@1.json", "build/metrics.json")),
        metrics=(RepoPath("build/metrics@1.json"),),
    )
    assert key(instance) == key()
    assert recipe(instance) == recipe()


def test_a_pick_covers_its_instances_and_its_rule() -> None:
    """Another instance, metric or direction is another recipe; so is another order, which decides ties."""
    one, two = StageName("train@1"), StageName("train@2")
    upstream = {one: Digest("1" * 64), two: Digest("2" * 64)}

    def of(*candidates: tuple[StageName, StageName], metric: str = "auc", goal: Any = "max") -> Digest:
        stage = Stage(
            name=TRAIN,
            template=TRAIN,
            pick=PickRule(metric=metric, goal=goal, candidates=candidates),
            outputs=STAGE.outputs,
        )
        return keys.recipe(stage, (), HERE, upstream)

    both = ((one, one), (two, two))
    assert len({of(*both), of(both[0]), of(*both[::-1]), of(*both, metric="loss"), of(*both, goal="min")}) == 5


def test_a_condition_depends_on_the_stages_it_reads() -> None:
    """`when` on another stage's metrics moves with that stage's recipe."""
    stage = but(STAGE, when="stages.prepare.metrics.rows > 10")
    one = keys.recipe(stage, (), HERE, {PREPARE: Digest("1" * 64)}, [PREPARE])
    other = keys.recipe(stage, (), HERE, {PREPARE: Digest("2" * 64)}, [PREPARE])
    assert one != other


def test_a_models_recipe_is_its_name_and_its_makers_recipe() -> None:
    """Two models made by one stage are registered apart."""
    assert keys.model_recipe(ModelName("a"), Digest("1" * 64)) != keys.model_recipe(ModelName("b"), Digest("1" * 64))


def test_a_verdict_belongs_to_all_four() -> None:
    """Model, stages read, policy and champion: where one differs, it is judged anew."""
    d = [Digest(character * 64) for character in "1234"]
    verdicts = {
        keys.verdict(d[0], {TRAIN: d[1]}, d[2], None),
        keys.verdict(d[3], {TRAIN: d[1]}, d[2], None),
        keys.verdict(d[0], {TRAIN: d[3]}, d[2], None),
        keys.verdict(d[0], {TRAIN: d[1]}, d[3], None),
        keys.verdict(d[0], {TRAIN: d[1]}, d[2], "4" * 64),
    }
    assert len(verdicts) == 5
    loose, strict = (ExpressionCheck(expression=f"auc >= {limit}") for limit in ("0.8", "0.9"))
    assert keys.policy([loose], "auto") != keys.policy([strict], "auto") != keys.policy([strict], "manual")


_PRINTED = """
from ciml.core.key import digest
print(digest("t", {"b": 1, "a": [1.5, "\\u0131I", None]}))
"""


def test_c106_the_same_digest_under_any_locale_and_hash_seed() -> None:
    """TZ, LANG=tr_TR, PYTHONHASHSEED varying, HOME unset -> same keys."""
    root = str(Path(__file__).parents[2])
    found = {
        subprocess.run(
            [sys.executable, "-c", _PRINTED],
            env={"PYTHONPATH": root, **extra},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for extra in (
            {"PYTHONHASHSEED": "0", "HOME": "/root"},
            {"PYTHONHASHSEED": "4711", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham"},
        )
    }
    assert len(found) == 1
