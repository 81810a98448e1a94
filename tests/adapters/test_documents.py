from __future__ import annotations

import json
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
