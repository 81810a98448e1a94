from __future__ import annotations

import pytest

from ciml.adapters.documents import load
from ciml.core.errors import ConfigurationError
from ciml.core.pipeline import Compare, Pipeline, Place

TREE = """\
version: 1
stages:
  data: {run: x, outputs: [train.csv, test.csv]}
  train:
    run: python train.py --lr ${{ matrix.lr }} --seed ${{ matrix.seed }}
    inputs: [train.csv]
    outputs: [build/model, build/log.txt]
    matrix: {lr: [0.1, 1e-2], seed: [1, 2]}
    pick: {max: auc}
  convert: {run: x, inputs: [build/model/weights.bin], outputs: [model.onnx], needs: [train, data]}
  evaluate: {run: x, inputs: [model.onnx, test.csv], metrics: [metrics.json], needs: [convert]}
  report: {run: x, inputs: [metrics.json, build/model, build/log.txt], outputs: [report.html], needs: [train]}
models:
  m: {path: build/model, gate: [auc > 0.5, stages.evaluate.metrics.auc > 0.4], champion: {rescore: evaluate}}
"""


def pipeline(text: str) -> Pipeline:
    """The pipeline of a document without params files."""
    return load(text.encode(), file="ciml.yaml", read=lambda _: None)


def problems(text: str) -> str:
    """What is wrong with a document."""
    with pytest.raises(ConfigurationError) as caught:
        pipeline(text)
    assert all(problem.line for problem in caught.value.problems)
    return caught.value.message


def paths(read: Pipeline, stage: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A stage's inputs and outputs, each as the graph and as the stage knows it."""
    (found,) = [each for each in read.stages.values() if each.name == stage]

    def pairs(places: tuple[Place, ...]) -> list[tuple[str, str]]:
        return [(place.path, place.inside) for place in places]

    return pairs(found.inputs), pairs(found.outputs)


def test_instances_stand_before_their_pick() -> None:
    """The stages up to the one that writes the metric are fanned out; pick nodes bear the plain names."""
    names = list(pipeline(TREE).stages)
    marks = ["0.1-1", "0.1-2", "0.01-1", "0.01-2"]
    fanned = [
        name for stage in ("train", "convert", "evaluate") for name in [*(f"{stage}@{mark}" for mark in marks), stage]
    ]
    assert names == ["data", *fanned, "report"]


def test_instances_see_declared_paths_and_the_graph_sees_their_own() -> None:
    """An instance's outputs are marked for the graph; what reads them inside the fan reads the marked ones."""
    read = pipeline(TREE)
    assert paths(read, "train@0.01-2") == (
        [("train.csv", "train.csv")],
        [("build/model@0.01-2", "build/model"), ("build/log@0.01-2.txt", "build/log.txt")],
    )
    assert paths(read, "convert@0.1-1") == (
        [("build/model@0.1-1/weights.bin", "build/model/weights.bin")],
        [("model@0.1-1.onnx", "model.onnx")],
    )
    assert paths(read, "evaluate@0.1-1")[0] == [("model@0.1-1.onnx", "model.onnx"), ("test.csv", "test.csv")]
    assert paths(read, "report")[0] == [(path, path) for path in ("metrics.json", "build/model", "build/log.txt")]


def test_pick_nodes_share_the_rule() -> None:
    """Each pick node takes the instance whose evaluation wins, and holds the plain paths."""
    read = pipeline(TREE)
    picks = {name: stage for name, stage in read.stages.items() if stage.pick}
    assert sorted(picks) == ["convert", "evaluate", "train"]
    for name, node in picks.items():
        assert node.pick
        assert (node.pick.metric, node.pick.goal) == ("auc", "max")
        assert node.pick.candidates[1] == (f"{name}@0.1-2", "evaluate@0.1-2")
        assert (node.command.script, node.command.argv) == (None, None)
    assert paths(read, "train")[1] == [("build/model", "build/model"), ("build/log.txt", "build/log.txt")]
    assert [stage.metrics for name, stage in read.stages.items() if name == "evaluate"] == [("metrics.json",)]


def test_instances_hold_their_values() -> None:
    """The matrix's values reach the script as arguments, and the key as parameters."""
    (stage,) = [stage for name, stage in pipeline(TREE).stages.items() if name == "train@0.01-2"]
    assert stage.command.script == 'python train.py --lr "${CIML_ARG_1}" --seed "${CIML_ARG_2}"'
    assert stage.command.arguments == {"CIML_ARG_1": "0.01", "CIML_ARG_2": "2"}
    assert stage.params == {"matrix.lr": 0.01, "matrix.seed": 2}
    assert stage.template == "train"


def test_needs_follow_the_instance() -> None:
    """Within a fan `needs` means the same instance, from outside the pick."""
    needs = {name: stage.needs for name, stage in pipeline(TREE).stages.items()}
    assert [needs[name] for name in needs if name == "convert@0.1-2"] == [("train@0.1-2", "data")]
    assert [needs[name] for name in needs if name == "report"] == [("train",)]


def test_the_model_of_a_pick() -> None:
    """A model's path means the winner, and the fanned-out evaluation counts as downstream of it."""
    (model,) = pipeline(TREE).models.values()
    assert model.champion.compare is Compare.RESCORE
    (silent,) = pipeline(TREE.replace(", champion: {rescore: evaluate}", "")).models.values()
    assert silent.champion.rescore == "evaluate"


def test_placeholders_in_paths() -> None:
    """A path with every axis is its own; one with some is marked; the pick leaves both to the instances."""
    read = pipeline(
        """\
version: 1
stages:
  a:
    run: x
    matrix: {lr: [1, 2], kind: [u/v, w]}
    outputs: ["${{ matrix.lr }}/${{matrix.kind}}/m", "o/${{ matrix.lr }}.txt", plain]
    metrics: [m.json]
    pick: {min: loss}
  b: {run: x, inputs: [plain]}
"""
    )
    assert paths(read, "a@1-w")[1] == [
        ("1/w/m", "1/w/m"),
        ("o/1@1-w.txt", "o/1.txt"),
        ("plain@1-w", "plain"),
        ("m@1-w.json", "m.json"),
    ]
    assert next(iter(read.stages)) == "a@1-u_v"
    assert paths(read, "a")[1] == [("plain", "plain"), ("m.json", "m.json")]


BESIDE = """\
version: 1
stages:
  a: {run: x, outputs: [m.bin], matrix: {s: [1, 2]}}
  b: {run: x, INPUTS, outputs: [z]}
"""


def test_without_a_pick_instances_stand_beside_each_other() -> None:
    """Their paths may be read one by one or by a pattern; the plain one does not exist."""
    for given in ("inputs: [m@1.bin]", "inputs: [m@*.bin]", "needs: [a]"):
        assert list(pipeline(BESIDE.replace("INPUTS", given)).stages) == ["a@1", "a@2", "b"]
    assert "read m@1.bin, m@2.bin, … or a pattern" in problems(BESIDE.replace("INPUTS", "inputs: [m.bin]"))
    model = BESIDE.replace("INPUTS, ", "") + "models: {m: {path: m.bin}}\n"
    assert "none is picked" in problems(model)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pick: {max: auc}", "pick: {max: auc, min: auc}", "needs one of max and min"),
        ("pick: {max: auc}", "pick: {}", "needs one of max and min"),
        ("pick: {max: auc}", "pick: {max: stages.report.metrics.auc}", "stage report writes no metrics"),
        ("pick: {max: auc}", "pick: {max: stages.data.metrics.auc}", "stage data does not come after train"),
        ("outputs: [report.html]", "metrics: [report.json]", "evaluate and report write metrics"),
        ("metrics: [metrics.json]", "outputs: [metrics.json]", "no stage from train on writes metrics"),
        ("lr: [0.1, 1e-2]", "lr: [0.1, 0.1]", "names 0.1 twice"),
        ("seed: [1, 2]", f"seed: {list(range(6000))}", "12,000 instances"),
        ("matrix: {lr: [0.1, 1e-2], seed: [1, 2]}", "matrix: {}", "is empty"),
        ("matrix: {lr: [0.1, 1e-2], seed: [1, 2]}", "cache: true", "no matrix to pick from"),
        ("matrix.seed }}", "matrix.sed }}", "unknown matrix.sed"),
        ("inputs: [model.onnx,", "matrix: {k: [1]}, inputs: [model.onnx,", "has a matrix of its own"),
        ("inputs: [build/model/weights.bin]", "inputs: [build]", "reads build, which holds an output of train"),
        ("pick: {max: auc}", "pick: {max: auc}\n    isolation: none", "share paths in the work tree"),
        ("needs: [convert]", "when: stages.evaluate.metrics.auc > 1", "is fanned out with this stage"),
        ("outputs: [report.html]", "outputs: [build/model@0.1-1]", "is made by stage train too"),
    ],
)
def test_what_a_matrix_cannot_be(old: str, new: str, message: str) -> None:
    """Each mistake in a matrix is one located sentence."""
    assert old in TREE
    assert message in problems(TREE.replace(old, new))


def test_a_named_scorer_decides_where_two_write_metrics() -> None:
    """`stages.NAME.metrics.M` says whose metric is meant."""
    text = TREE.replace("outputs: [report.html]", "metrics: [report.json]")
    read = pipeline(text.replace("{max: auc}", "{max: stages.evaluate.metrics.auc}"))
    (node,) = [stage for name, stage in read.stages.items() if name == "train"]
    assert node.pick
    assert node.pick.metric == "auc"
    assert node.pick.candidates[0][1] == "evaluate@0.1-1"


def test_values_that_look_alike_get_names_of_their_own() -> None:
    """Instances never share a name, also not where case is ignored."""
    read = pipeline('version: 1\nstages: {a: {run: x, outputs: [o], matrix: {k: [A, a, "x/y", "x:y", true, "-"]}}}\n')
    assert list(read.stages) == ["a@A", "a@a+2", "a@x_y", "a@x_y+2", "a@true", "a@-"]
    outputs = [place.path for stage in read.stages.values() for place in stage.outputs]
    assert len({path.casefold() for path in outputs}) == 6


def test_a_folder_that_holds_outputs_is_on_the_way() -> None:
    """A stage that reads the folder or a pattern over the model's path counts as downstream of it."""
    for given in ("build", "build/*.bin", "build/m.bin", "."):
        text = f"""\
version: 1
stages:
  train: {{run: x, outputs: [build/m.bin]}}
  evaluate: {{run: x, inputs: ["{given}"], metrics: [e.json]}}
models: {{m: {{path: build/m.bin}}}}
"""
        (model,) = pipeline(text).models.values()
        assert (model.champion.rescore, given) == ("evaluate", given)
    (model,) = pipeline(text.replace('inputs: ["."]', "inputs: [buil, other/*]")).models.values()
    assert model.champion.rescore is None


def test_too_many_problems_end_the_search() -> None:
    """Thousands of mistakes are answered with the first two hundred, soon."""
    text = "version: 1\nstages:\n" + "".join(f"  s{index}: {{run: x, outputs: [../x]}}\n" for index in range(3000))
    assert problems(text).count("\n") == 199
