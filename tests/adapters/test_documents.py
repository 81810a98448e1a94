from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml

from ciml.adapters.documents import document, load
from ciml.core.document import schema
from ciml.core.errors import ConfigurationError
from ciml.core.pipeline import (
    ChampionPolicy,
    Compare,
    ExpressionCheck,
    PairedCheck,
    Pipeline,
    Place,
    Resources,
    Retry,
    ToleranceCheck,
)

FULL = (Path(__file__).parent / "documents" / "full.yaml").read_bytes()
SMALL = b"""\
version: 1
stages:
  train: {run: python train.py, inputs: [train.py, data.csv], outputs: [model.pkl], metrics: [metrics.json]}
models:
  churn: {path: model.pkl, gate: [accuracy > champion.accuracy]}
"""
PARAMS = b"train:\n  lr: 0.1\n  epochs: 10\n  layers: [64, 32]\nname: 3.10\nseed: 1\n"


def pipeline(text: str | bytes, *, profile: str | None = None, **overrides: str) -> Pipeline:
    """The pipeline of a document; `lr` as a keyword is the override of `train.lr`."""
    data = text.encode() if isinstance(text, str) else text
    given = {name.replace("__", ".").replace("_", "-"): value for name, value in overrides.items()}
    return load(data, file="ciml.yaml", read={"params.yaml": PARAMS}.get, overrides=given, profile=profile)


def problems(text: str | bytes, *, profile: str | None = None, **overrides: str) -> list[str]:
    """What is wrong with a document, as a user sees it."""
    with pytest.raises(ConfigurationError) as caught:
        pipeline(text, profile=profile, **overrides)
    assert all(problem.line is not None and problem.column is not None for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_contract_example_becomes_a_pipeline() -> None:
    """The full example reads into concrete values: units, defaults, params, gate, champion and targets."""
    read = pipeline(FULL)

    prepare, train, evaluate = read.stages.values()
    assert prepare.command.script == 'python src/prepare.py --split "${CIML_ARG_1}"'
    assert prepare.command.arguments == {"CIML_ARG_1": "0.2"}
    assert prepare.params == {"split": 0.2}
    assert [place.path for place in prepare.inputs] == ["requirements.txt", "src/prepare.py", "data/raw"]
    assert prepare.timeout_s == 3600
    assert train.resources == Resources(cpus=2, memory=4 << 30, gpus=0)
    assert train.retry == Retry(attempts=3, interval_s=10, backoff=2, when=(137, "timeout"))
    assert train.params == {"train.lr": 0.1, "train.epochs": 10, "train.layers": [64, 32]}
    assert train.params_files == {"params.yaml": {"train": {"lr": 0.1, "epochs": 10, "layers": [64, 32]}}}
    assert evaluate.metrics == ("build/metrics.json",)
    assert Place(path=evaluate.metrics[0], inside=evaluate.metrics[0]) in evaluate.outputs
    (churn,) = read.models.values()
    assert churn.champion == ChampionPolicy(compare=Compare.RESCORE, rescore=evaluate.name)
    assert churn.gate[0] == ExpressionCheck(expression="auc >= 0.8")
    assert isinstance(churn.gate[2], PairedCheck)
    assert churn.gate[3] == ToleranceCheck(metric="latency-ms", within=0.1, lower_is_better=True)
    assert [target.name for target in churn.deploy] == ["staging", "production"]
    assert read.store == "s3://acme-ml/ciml"


def test_smallest_example() -> None:
    """The smallest useful file: recorded comparison, automatic promotion, lines kept."""
    read = pipeline(SMALL)
    (churn,) = read.models.values()
    assert churn.champion.compare is Compare.RECORDED_SAME_DATA
    assert churn.promote == "auto"
    assert [stage.line for stage in read.stages.values()] == [3]


@pytest.mark.parametrize("text", [FULL, SMALL])
def test_schema_accepts_the_examples(text: bytes) -> None:
    """The JSON Schema is draft 2020-12 and accepts what the reader accepts."""
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.Draft202012Validator(json.loads(json.dumps(made))).validate(yaml.safe_load(text))


def test_every_key_has_a_description() -> None:
    """Editors show a line for each key: the schema has one everywhere."""
    definitions = schema()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition["properties"].items()
        if not value.get("description")
    ]
    assert silent == []


def test_pipeline_survives_msgpack() -> None:
    """A pipeline written with msgpack and read back is equal."""
    read = pipeline(FULL)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=Pipeline) == read


def test_document_keeps_what_only_ci_needs() -> None:
    """Triggers, data checks and the Action's pin are read and typed."""
    read = document(FULL, file="ciml.yaml")
    assert read.data["data/raw"].columns["age"].nulls == "1%"
    assert isinstance(read.triggers, msgspec.Struct)


def stage_text(**keys: str) -> str:
    """A document with one stage `a`, each key's text as given."""
    given = {"run": "x", **{name.replace("_", "-"): text for name, text in keys.items()}}
    return "version: 1\nstages:\n  a:\n" + "".join(f"    {key}: {text}\n" for key, text in given.items())


def test_c085_unknown_keys_come_with_a_suggestion() -> None:
    """A misspelt key is an error wherever it stands, with the key that was meant."""
    text = SMALL.replace(b"gate:", b"gaet:").replace(b"outputs:", b"output:") + b"trigers: {}\n"
    found = problems(text)
    assert any("models.churn.gaet: unknown key 'gaet'; did you mean 'gate'?" in line for line in found)
    assert any("stages.train.output: unknown key 'output'; did you mean 'outputs'?" in line for line in found)
    assert any("unknown key 'trigers'; did you mean 'triggers'?" in line for line in found)


def test_keys_of_other_tools_are_translated() -> None:
    """Whoever writes DVC's words is told those of this file."""
    found = problems("version: 1\nstages:\n  a: {cmd: x, deps: [a.py]}\n")
    assert "stages.a.cmd: unknown key 'cmd'; here it is 'run'" in found[0]
    assert "stages.a.deps: unknown key 'deps'; here it is 'inputs'" in found[1]


def test_unknown_keys_do_not_hide_other_problems() -> None:
    """What is wrong with paths is told together with an unknown key."""
    found = problems(stage_text(outputs="[../x]", inpust="[y]"))
    assert len(found) == 2


def test_all_type_errors_at_once() -> None:
    """Every wrong value is listed with line, column, key path and what would be right."""
    found = problems(
        """\
version: 2
environment: {python: 2.7}
params: {x: 014, y: ~, z: {type: flot}}
stages:
  a: {run: [], inputs: x.py, timeout: 60, cache: no, resources: {cpus: "2", memory: 4G}, needs: [1, {}]}
  b: {retry: {attempts: 0, when: [x, 300]}}
  c: {run: x, image: "${{ params.x }}", sagemaker: {a: .inf}}
models: {m: {path: "", gate: [{metric: x, within: 10, by: 10%}], deploy: {s: {after: promotionn}}}}
triggers: {pull-request: {require: acepted}, push: yes}
"""
    )
    keys = [line.split(": ")[0].split(":")[1] + " " + line.split(" ")[1].rstrip(":") for line in found]
    assert keys == [
        "1 version",
        "2 environment.python",
        "3 params.x",
        "3 params.y",
        "3 params.z.type",
        "5 stages.a.run",
        "5 stages.a.inputs",
        "5 stages.a.timeout",
        "5 stages.a.cache",
        "5 stages.a.resources.cpus",
        "5 stages.a.resources.memory",
        "5 stages.a.needs.1",
        "6 stages.b.retry.attempts",
        "6 stages.b.retry.when.0",
        "6 stages.b.retry.when.1",
        "6 stages.b",
        "7 stages.c.image",
        "7 stages.c.sagemaker.a",
        "8 models.m.path",
        "8 models.m.gate.0.by",
        "8 models.m.deploy.s.after",
        "9 triggers.pull-request.require",
        "9 triggers.push",
    ]
    assert "expected a duration such as 500ms, 10s, 5m, 2h or 1d, found 60" in found[7]
    assert "did you mean 'float'?" in found[4]
    assert "write true" in found[22]


def test_c077_text_is_taken_as_written() -> None:
    """Where text is wanted, `3.10`, `no`, `014` and a date are the text that was written."""
    read = pipeline(
        "version: 1\nenvironment: {python: 3.10}\nstages: {a: {run: x, env: {A: no, B: 014, C: 2026-11-20, D: 1e3}}}\n"
    )
    assert read.environment
    assert read.environment.python == "3.10"
    (a,) = read.stages.values()
    assert a.env == {"A": "no", "B": "014", "C": "2026-11-20", "D": "1e3"}


BAD_PATHS = [
    "../x", "/abs", "a/../../b", "a/../b", "~", "~/x", 'C:\\x', "C:/x", "\\\\srv\\x", "a\\..\\b", "CON", "con",
    "x/nul.txt", "a.", "a /b", "a ", "", ".", "./", ".git/hooks/pre-commit", ".GIT/x", "a/.git/x",
    ".github/workflows/x.yml", ".GitHub/Workflows/x.yml", "a:b", "a\tb", "a\u202eb", "x" * 256, "a?b", "COM1", "a|b",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("key", ["outputs", "metrics", "plots"])
def test_c096_paths_a_stage_may_not_write(key: str, path: str) -> None:
    """A path outside the repository, in .git or the workflows, or that not every system can write, is an error."""
    found = problems(stage_text(**{key: f"[{json.dumps(path)}]"}))
    assert found[0].startswith(f"ciml.yaml:5:{len(key) + 8}: stages.a.{key}.0: path")


@pytest.mark.parametrize("path", ["../x", "/abs", "a/../../b", "~", "C:\\x", "\\\\srv\\x", "", ".git/config"])
def test_c096_inputs_stay_inside(path: str) -> None:
    """An input outside the repository is an error too, as are a working directory and a checkpoint."""
    text = json.dumps(path)
    for key, value in (("inputs", f"[{text}]"), ("workdir", text), ("checkpoint", text)):
        assert any(f"stages.a.{key}" in line for line in problems(stage_text(**{key: value})))


def test_paths_are_normalised() -> None:
    """`./a`, `a//b` and `a/` name `a` and `a/b`; the root may be an input."""
    (a,) = pipeline(stage_text(inputs="[./a, a//b, d/, .]", outputs="[./o/]")).stages.values()
    assert [place.path for place in a.inputs] == ["a", "a/b", "d", ""]
    assert [place.path for place in a.outputs] == ["o"]


TWO = "version: 1\nstages:\n  a: {{run: x, outputs: [{0}]}}\n  b: {{run: x, outputs: [{1}]}}\n"


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("m", "m", "m is made by stage a too"),
        ("m", "m/x", "m/x lies inside m of stage a"),
        ("m/x/y", "m", "m holds m/x/y of stage a"),
        ("m", "./m/", "m is made by stage a too"),
    ],
)
def test_c101_the_same_or_nested_outputs(one: str, other: str, message: str) -> None:
    """Two stages that make the same path, or one inside the other's, are an error."""
    (found,) = problems(TWO.format(one, other))
    assert found.startswith("ciml.yaml:4:")
    assert message in found


@pytest.mark.parametrize(("one", "other"), [("Model", "model"), ("é", "É"), ("A/x", "a"), ("caf\u00e9", "cafe\u0301")])
def test_c054_outputs_that_collide_where_case_is_ignored(one: str, other: str) -> None:
    """Outputs that differ only in case, or in how an accent is spelt, are an error; inputs are not."""
    assert "this stage" not in problems(TWO.format(one, other))[0]
    (a,) = pipeline(stage_text(inputs=f"[{one}, {other}]")).stages.values()
    assert len(a.inputs) == 2


@pytest.mark.parametrize(("one", "other"), [("Model", "model"), ("caf\u00e9", "cafe\u0301")])
def test_c054_c055_inputs_that_look_alike_are_warned_of(one: str, other: str) -> None:
    """`Case` and `case`, NFC and NFD as inputs: both are read, and a notice names them; one input twice is none."""
    (warning,) = pipeline(TWO.format("m", "n").replace("run: x", f"run: x, inputs: [{one}, {other}, z]")).warnings
    assert ascii(one) in warning and ascii(other) in warning
    assert "where case and spelling are ignored" in warning


def test_metrics_may_be_named_as_outputs_too() -> None:
    """A path under `outputs` and under `metrics` is one output."""
    (a,) = pipeline(stage_text(outputs="[m.json, x]", metrics="[m.json]")).stages.values()
    assert [place.path for place in a.outputs] == ["m.json", "x"]
    assert "this stage" in problems(stage_text(outputs="[m]", metrics="[m/m.json]"))[0]


def test_c101_a_cycle_is_printed() -> None:
    """A cycle by paths and `needs` is an error that names the way round."""
    text = """\
version: 1
stages:
  a: {run: x, inputs: [c.out/part], outputs: [a.out]}
  b: {run: x, inputs: [a.out], outputs: [b.out]}
  c: {run: x, needs: [b], outputs: [c.out]}
"""
    (found,) = problems(text)
    assert "cycle: a -> b -> c -> a" in found
    assert "cycle: a -> a" in problems(stage_text(inputs="[o]", outputs="[o]"))[0]


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "a@b", "ü", "a..b", "x.lock", "a" * 129, ""])
def test_names_reach_branches_and_paths(name: str) -> None:
    """A stage or a model whose name could not be a branch, a URL's part or a path is an error."""
    assert "the name" in problems(f"version: 1\nstages: {{{json.dumps(name)}: {{run: x}}}}\n")[0]


def test_c023_control_or_bidi_character_in_a_name() -> None:
    """A name that does not look like what it is is an error that says so."""
    text = SMALL.decode().replace("churn:", '"ch\\u202eurn":')
    assert "control or bidi character" in problems(text)[0]


def test_c091_a_loss_without_direction_is_warned_of() -> None:
    """A metric named like a loss or an error without `lower-is-better: true` draws a warning that names the key."""
    text = SMALL.replace(
        b"[accuracy > champion.accuracy]", b"[{metric: val-loss, beats: champion}, {metric: auc, beats: champion}]"
    )
    (warning,) = pipeline(text).warnings
    assert warning.startswith("models.churn.gate.0: val-loss")
    assert pipeline(text.replace(b"beats: champion}", b"beats: champion, lower-is-better: true}")).warnings == ()


def test_defaults_are_merged_under_every_stage() -> None:
    """Lists are joined, mappings merged, all else is the stage's own where it says it."""
    read = pipeline(
        """\
version: 1
defaults: {inputs: [r.txt], env: {A: 1, B: 1}, timeout: 1h, resources: {cpus: 2, gpus: 1}, runs-on: [x], secrets: [S]}
stages:
  a: {run: x, inputs: [a.py, r.txt], env: {B: 2}, resources: {gpus: 0}, runs-on: y, secrets: [T]}
  b: {run: x, timeout: 5m, retry: {attempts: 2}}
"""
    )
    a, b = read.stages.values()
    assert [place.path for place in a.inputs] == ["r.txt", "a.py"]
    assert a.env == {"A": "1", "B": "2"}
    assert a.resources == Resources(cpus=2, gpus=0)
    assert (a.runs_on, a.secrets, a.timeout_s) == (("y",), ("S", "T"), 3600)
    assert (b.runs_on, b.timeout_s, b.retry.attempts) == (("x",), 300, 2)


@pytest.mark.parametrize("name", ["a'b", "a\nb", 'a"b', "a/b", "a b", "é", "-a", "a" * 129, ""])
def test_c139_names_of_models_are_plain(name: str) -> None:
    """MLflow takes quotes and line ends in a name, and asks for them in a filter: ciml takes neither."""
    text = f"version: 1\nstages: {{a: {{run: x, outputs: [m]}}}}\nmodels: {{{json.dumps(name)}: {{path: m}}}}\n"
    assert any(line.startswith("ciml.yaml:3:") and "models" in line for line in problems(text)), problems(text)


def test_models_are_checked_against_the_stages() -> None:
    """A path nobody makes, a rescore that is not downstream, and unknown stages are errors with suggestions."""
    text = """\
version: 1
stages:
  train: {run: x, inputs: [t.py], outputs: [model.pkl, train.json]}
  side: {run: x, metrics: [side.json]}
  evaluate: {run: x, inputs: [model.pkl], metrics: [m.json]}
models:
  a: {path: model.pk, gate: [auc > 0.5]}
  b: {path: model.pkl, gate: [stages.evaluat.metrics.a > 1, stages.train.metrics.a > 1], champion: {rescore: side}}
  c: {path: model.pkl, gate: [auc >, "${{ params.x }} > 1", auc], champion: {rescore: evaluat}}
  d: {path: model.pkl, gate: [{metric: a, beats: champion, confidence: .9}, {metric: a}, {metric: a, within: 1, by: 1}]}
  e: {path: model.pkl, deploy: {prod: {after: release}, two: {after: release, run: x, lambda: y}}}
"""
    found = "\n".join(problems(text))
    for part in (
        "models.a.path: no stage makes model.pk (did you mean 'model.pkl'?)",
        "models.b.gate.0: unknown stage 'evaluat' (did you mean 'evaluate'?)",
        "models.b.gate.1: stage train writes no metrics",
        "models.b.champion.rescore: stage side is not downstream of model.pkl (stages downstream are evaluate)",
        "models.c.gate.0:",
        "models.c.gate.1: unknown parameter 'x'",
        "models.c.gate.2: this is a number",
        "models.c.champion.rescore: unknown stage 'evaluat'",
        "models.d.gate.0: needs `scores` too",
        "models.d.gate.1: needs one of `beats` and `within`",
        "models.d.gate.2.by: by belongs to `beats`",
        "models.e.deploy.prod: needs one of run, lambda and sagemaker, found none",
        "models.e.deploy.two: needs one of run, lambda and sagemaker, found run and lambda",
    ):
        assert part in found


def test_champion_where_the_document_is_silent() -> None:
    """Rescored where exactly one stage downstream of the path writes metrics; no gate: a person promotes."""
    text = """\
version: 1
stages:
  train: {run: x, outputs: [model, train.json]}
  convert: {run: x, inputs: [model/weights], outputs: [model.onnx]}
  evaluate: {run: x, inputs: [model.onnx], metrics: [m.json]}
  other: {run: x, inputs: [train.json], metrics: [o.json]}
models:
  m: {path: model}
"""
    (m,) = pipeline(text).models.values()
    assert m.champion == ChampionPolicy(compare=Compare.RESCORE, rescore=m.champion.rescore)
    assert m.champion.rescore == "evaluate"
    assert m.promote == "manual"
    (m,) = pipeline(text.replace("inputs: [train.json]", "inputs: [model]")).models.values()
    assert m.champion.compare is Compare.RECORDED_SAME_DATA


def test_params_of_a_stage() -> None:
    """`params`, placeholders, `when` and the file itself name parameters; the stage's file holds just those."""
    text = """\
version: 1
params: {who: {type: string, default: x}}
params-files: [params.yaml]
stages:
  a: {run: "x ${{ params.train.lr }} ${{ params.who }}", when: params.seed > 0}
  b: {run: x, inputs: [params.yaml]}
  c: {run: x, params: [train.lr, nam]}
"""
    assert "stages.c.params.1: unknown parameter 'nam' (did you mean 'name'?)" in problems(text)[0]
    a, b, _ = pipeline(text.replace(", nam]", "]")).stages.values()
    assert a.params == {"train.lr": 0.1, "who": "x", "seed": 1}
    assert a.params_files == {"params.yaml": {"train": {"lr": 0.1}, "seed": 1}}
    train = {"lr": 0.1, "epochs": 10, "layers": [64, 32]}
    assert b.params_files == {"params.yaml": {"train": train, "name": 3.1, "seed": 1}}
    assert b.inputs == ()


def test_values_at_run_time() -> None:
    """-P wins over the profile, that over the default; each is checked against the declaration."""
    assert pipeline(FULL, profile="prod").params["min-auc"] == 0.85
    assert pipeline(FULL, profile="prod", min_auc="0.9").params["min-auc"] == 0.9
    read = pipeline(FULL, train__lr="5e-2", train__layers="[1]")
    assert read.params["train.lr"] == 0.05
    assert [stage.params.get("train.layers") for stage in read.stages.values()] == [None, [1], None]
    assert "above the maximum 1" in problems(FULL, min_auc="1.5")[0]
    assert "is none of ml.m5.xlarge, ml.g5.xlarge" in problems(FULL, instance="t2")[0]
    assert "not a finite number" in problems(FULL, train__lr="nan")[0]
    assert "-P train.lrr: unknown parameter 'train.lrr' (did you mean 'train.lr'?)" in problems(FULL, train__lrr="1")[0]
    assert "needs the key 'version' (add `version: 1`)" in problems("stages: {a: {run: x}}\n")[0]
    bare = "version: 1\nstages: {a: {run: x}}\n"
    assert "unknown profile 'prod' (ciml.yaml has no `profiles`)" in problems(bare, profile="prod")[0]
    assert "unknown profile 'prd' (did you mean 'prod'?)" in problems(FULL, profile="prd")[0]


def test_run_time_values_of_a_file_need_isolation() -> None:
    """-P on a params file's key is an error for a stage that reads the file in the work tree."""
    text = "version: 1\nparams-files: [params.yaml]\nstages: {a: {run: x, params: [seed], isolation: none}}\n"
    assert pipeline(text).params["seed"] == 1
    assert "isolation: none" in problems(text, seed="2")[0]


def test_environment_variables_are_names() -> None:
    """`env`, `pass-env` and `secrets` name variables, none of them ciml's own."""
    text = stage_text(env="{A B: 1, CIML_PARAMS: 2}", pass_env="[1X]", secrets='["A=B"]')
    assert len(problems(text)) == 4


def test_when_reads_named_stages() -> None:
    """`when` is parsed at once: an unknown stage, one without metrics, and nonsense are located errors."""
    head = "version: 1\nstages:\n  a: {run: x, metrics: [m.json]}\n  b: {run: x, when: "
    (_, b) = pipeline(head + "stages.a.metrics.auc > 0.5}\n").stages.values()
    assert b.when == "stages.a.metrics.auc > 0.5"
    for when in ("stages.c.metrics.auc > 1", "stages.b.metrics.auc > 1", "auc > 1", "import os", "champion.auc > 1"):
        assert problems(f"{head}{when}}}\n")[0].startswith("ciml.yaml:4:15: stages.b.when")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("store", "s4://bucket", "does not start with s3://"),
        ("store", "relative/folder", "is neither an s3:// address nor an absolute path"),
        ("store", "s3://A B/x", "which no bucket can be called"),
        ("ledger", "s3://A B/x", "which no bucket can be called"),
        ("ledger", "/a/folder", "does not start with s3://"),
        ("triggers", "{data: [s3://bucket/new/, nowhere]}", "does not start with s3://"),
        ("registry", '"::"', "'::' is not an MLflow tracking URI"),
        ("registry", '""', "is not an MLflow tracking URI"),
        (
            "registry",
            "htps://u:pw@mlflow.example",
            "'htps://mlflow.example' is not an MLflow tracking URI (did you mean",
        ),
        ("registry", "mlflow.example:5000", "(https://HOST, or a database"),
        ("registry", "https:mlflow.example", "names no host (https://HOST[:PORT])"),
        ("registry", '"http://"', "names no host"),
    ],
)
def test_addresses_are_checked_where_they_stand(key: str, value: str, message: str) -> None:
    """An address that is none is told with its line and column, as everything else that is wrong."""
    [problem] = problems(f"{stage_text()}\n{key}: {value}\n")

    line = f"{stage_text()}\n".count("\n") + 1
    assert re.match(rf"ciml\.yaml:{line}:\d+: {key}", problem), problem
    assert message in problem


@pytest.mark.parametrize(
    "registry",
    [
        "http://[::1]:5000",
        "sqlite:////srv/m.db",
        "postgresql+psycopg2://u@h/m",
        "databricks",
        "arn:aws:x",
        "/srv/mlruns",
    ],
)
def test_registries_that_there_can_be(registry: str) -> None:
    """A server, a database by any of its drivers, a workspace, a folder: whether it answers is not asked here."""
    assert pipeline(f"{stage_text()}\nregistry: {registry}\n").registry == registry


@pytest.mark.parametrize("store", ["local", "/srv/store", "s3://bucket/prefix"])
def test_stores_that_there_can_be(store: str) -> None:
    """The clone's own, a folder, a bucket."""
    assert pipeline(f"{stage_text()}\nstore: {store}\n").store == store


def test_a_params_file_that_is_missing_is_told_once() -> None:
    """Not again for each name that it would have given: in `params`, a placeholder, a gate, a profile, with -P."""
    text = """
version: 1
params-files: [nope.yaml]
profiles: {p: {params: {train.lr: 3}}}
stages:
  train: {run: "echo ${{ params.train.lr }}", params: [train], outputs: [m.txt], metrics: [m.json]}
models:
  m: {path: m.txt, gate: ["auc > ${{ params.least }}"]}
"""
    overrides = {"train.depth": "3"}
    assert problems(text, profile="p", **overrides) == [
        "ciml.yaml:3:16: params-files.0: nope.yaml is not in the repository (create it, or remove it here)"
    ]
