"""What the user writes: every key of `ciml.yaml`, once.

The reader, the errors and the JSON Schema are all made from these definitions. A key that is not
given is UNSET, so that `defaults` and profiles can tell silence from a value. `title` in a type's
Meta is what an error says would be right; `placeholders` marks the text in which `${{ … }}` may stand.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ciml.core.units import DURATION, SHARE, SIZE
from ciml.core.value import Value


def _about(description: str) -> Meta:
    return Meta(description=description)


Scalar = bool | int | float | str
Duration = Annotated[str, Meta(pattern=DURATION, title="a duration such as 500ms, 10s, 5m, 2h or 1d")]
Size = Annotated[str, Meta(pattern=SIZE, title="a size such as 512MiB or 4GiB")]
Share = Annotated[str, Meta(pattern=SHARE, title="a share such as 10%")]
Text = Annotated[str, Meta(extra={"placeholders": True})]
Placeholder = Annotated[
    str, Meta(pattern=r"^\$\{\{.*\}\}$", title="a placeholder such as ${{ params.x }}", extra={"placeholders": True})
]
Path = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1, title="a whole number from 1")]
ACTION = r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$"
"""An Action that is pinned by its commit."""


class Keys(Value, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A mapping of `ciml.yaml`; its keys are the fields' names in kebab-case."""


class EnvironmentKeys(Keys, frozen=True, kw_only=True):
    """The Python environment that ciml makes for stages."""

    python: Annotated[
        str,
        Meta(pattern=r"^3\.[0-9]+(\.[0-9]+)?$", title='a Python version such as "3.11"', description="Its Python."),
    ]
    requirements: Annotated[Path | UnsetType, _about("A requirements file, best with exact versions.")] = UNSET


class ParamKeys(Keys, frozen=True, kw_only=True):
    """A typed parameter."""

    type: Annotated[
        Literal["float", "int", "string", "bool", "data"], _about("`data` names a path that has a manifest.")
    ]
    default: Annotated[Scalar | UnsetType, _about("The value where nothing else is said.")] = UNSET
    min: Annotated[float | UnsetType, _about("The least value that is allowed.")] = UNSET
    max: Annotated[float | UnsetType, _about("The greatest value that is allowed.")] = UNSET
    enum: Annotated[list[Scalar] | UnsetType, _about("The only values that are allowed.")] = UNSET
    help: Annotated[str, _about("One line for whoever sets it.")] = ""


class ProfileKeys(Keys, frozen=True, kw_only=True):
    """Values that `--profile NAME` brings."""

    params: Annotated[dict[str, Scalar], _about("Values of parameters, by dotted name.")] = {}


class ResourcesKeys(Keys, frozen=True, kw_only=True):
    """What one stage occupies while it runs."""

    cpus: Annotated[
        Annotated[float, Meta(gt=0, title="a number above 0")] | UnsetType, _about("Processors; 1 when not said.")
    ] = UNSET
    memory: Annotated[Size | UnsetType, _about("Main memory.")] = UNSET
    gpus: Annotated[
        Annotated[int, Meta(ge=0, title="a whole number from 0")] | UnsetType,
        _about("GPUs; CUDA_VISIBLE_DEVICES is set to as many."),
    ] = UNSET


class RetryKeys(Keys, frozen=True, kw_only=True):
    """When and how often a failed stage is tried again."""

    attempts: Annotated[Positive | UnsetType, _about("Tries in all, the first one included.")] = UNSET
    interval: Annotated[Duration | UnsetType, _about("The wait before the second try.")] = UNSET
    backoff: Annotated[
        Annotated[float, Meta(ge=1, title="a number from 1")] | UnsetType,
        _about("What the interval is multiplied by after every try."),
    ] = UNSET
    when: Annotated[
        list[Annotated[int, Meta(ge=1, le=255, title="an exit code from 1 to 255")] | Literal["timeout"]] | UnsetType,
        _about("Exit codes and `timeout`; any failure when not said."),
    ] = UNSET


class PickKeys(Keys, frozen=True, kw_only=True):
    """Which instance of a matrix wins: exactly one of the two."""

    max: Annotated[str | UnsetType, _about("The metric whose greatest value wins.")] = UNSET
    min: Annotated[str | UnsetType, _about("The metric whose least value wins.")] = UNSET


class DefaultsKeys(Keys, frozen=True, kw_only=True):
    """Merged under every stage: lists are joined, mappings merged, all else is a stage's own where it says it."""

    inputs: Annotated[
        list[Text] | UnsetType, _about("Files, directories, globs, paths with a manifest, other stages' outputs.")
    ] = UNSET
    params: Annotated[list[str] | UnsetType, _about("Parameters, and whole subtrees of params-files.")] = UNSET
    env: Annotated[dict[str, Text] | UnsetType, _about("Environment variables with values, part of the key.")] = UNSET
    pass_env: Annotated[list[str] | UnsetType, _about("Names of variables handed through, not part of the key.")] = (
        UNSET
    )
    secrets: Annotated[list[str] | UnsetType, _about("Names of variables handed through and masked.")] = UNSET
    resources: Annotated[ResourcesKeys | UnsetType, _about("What the stage occupies while it runs.")] = UNSET
    timeout: Annotated[Duration | UnsetType, _about("After this the stage is ended and has failed.")] = UNSET
    retry: Annotated[RetryKeys | UnsetType, _about("When and how often a failed stage is tried again.")] = UNSET
    runs_on: Annotated[str | list[str] | UnsetType, _about("Labels of the CI job that runs the stage.")] = UNSET
    image: Annotated[
        str | UnsetType, _about("Container image of its CI job, part of the key; elsewhere no container is used.")
    ] = UNSET
    workdir: Annotated[Path | UnsetType, _about("The directory that the command starts in.")] = UNSET
    cache: Annotated[bool | UnsetType, _about("false: the stage runs every time.")] = UNSET
    platform: Annotated[
        Literal["any"] | UnsetType, _about("any: outputs are the same on every system and architecture.")
    ] = UNSET
    isolation: Annotated[
        Literal["directory", "none"] | UnsetType, _about("none: the stage runs in the work tree itself.")
    ] = UNSET
    sagemaker: Annotated[dict[str, Any] | UnsetType, _about("Native settings of a SageMaker step.")] = UNSET


class StageKeys(DefaultsKeys, frozen=True, kw_only=True):
    """One stage."""

    run: Annotated[
        Text | Annotated[list[Text], Meta(min_length=1, title="a list with at least the program")],
        _about("Text for `bash -euo pipefail`, or a list: argv, without a shell."),
    ]
    outputs: Annotated[list[Text], _about("Files and directories that the stage makes.")] = []
    metrics: Annotated[list[Text], _about("Outputs that hold numbers.")] = []
    plots: Annotated[list[Text], _about("Outputs that can be drawn.")] = []
    when: Annotated[Text | UnsetType, _about("A condition: the stage is skipped where it is false.")] = UNSET
    matrix: Annotated[
        dict[str, Annotated[list[Scalar], Meta(min_length=1, title="a list with at least one value")]] | UnsetType,
        _about("Names with lists of values: one instance of the stage for every combination."),
    ] = UNSET
    pick: Annotated[PickKeys | UnsetType, _about("The instance that wins the matrix.")] = UNSET
    needs: Annotated[list[str], _about("Stages that come first, without a file between.")] = []
    always: Annotated[bool, _about("true: runs whatever happened, and is never cached.")] = msgspec.field(
        default=False, name="finally"
    )
    checkpoint: Annotated[Path | UnsetType, _about("Survives attempts and cancelled runs; never in a key.")] = UNSET
    description: Annotated[str, _about("One line for the reader.")] = ""


class CheckKeys(Keys, frozen=True, kw_only=True):
    """A comparison with the champion."""

    metric: Annotated[str, _about("The metric that is compared.")]
    beats: Annotated[Literal["champion"] | UnsetType, _about("The candidate must be better.")] = UNSET
    confidence: Annotated[
        Annotated[float, Meta(gt=0, lt=1, title="a number between 0 and 1")] | Placeholder | UnsetType,
        _about("Of the interval of the paired difference."),
    ] = UNSET
    scores: Annotated[Path | UnsetType, _about("CSV of a score, or label and prediction, for each example id.")] = UNSET
    by: Annotated[float | Placeholder | UnsetType, _about("By more than this; 0 when not said.")] = UNSET
    within: Annotated[
        Share | Annotated[float, Meta(ge=0)] | Placeholder | UnsetType, _about("Not worse by more than this.")
    ] = UNSET
    of: Annotated[Literal["champion"] | UnsetType, _about("Whom `within` speaks of.")] = UNSET
    lower_is_better: Annotated[bool, _about("true for losses, errors and latencies.")] = False


class ChampionKeys(Keys, frozen=True, kw_only=True):
    """Whom a candidate is compared with, and how."""

    alias: Annotated[str, _about("The registry's alias of the version promoted last.")] = "champion"
    rescore: Annotated[str | UnsetType, _about("The stage that scores the champion again, on this data.")] = UNSET
    compare: Annotated[
        Literal["recorded-same-data", "recorded"] | UnsetType, _about("Use the champion's recorded metrics instead.")
    ] = UNSET


class DeployKeys(Keys, frozen=True, kw_only=True):
    """One environment that a model is deployed to: exactly one of run, lambda and sagemaker."""

    after: Annotated[Literal["promotion", "release"], _about("What moves this environment.")]
    run: Annotated[str | UnsetType, _about("A command that deploys.")] = UNSET
    function: Annotated[str | UnsetType, _about("An AWS Lambda function that deploys.")] = msgspec.field(
        default=UNSET, name="lambda"
    )
    sagemaker: Annotated[str | UnsetType, _about("A SageMaker endpoint.")] = UNSET
    smoke: Annotated[str | UnsetType, _about("A command that must succeed on what was deployed.")] = UNSET
    timeout: Annotated[Duration | UnsetType, _about("Of deployment and smoke each; 1h when not said.")] = UNSET
    secrets: Annotated[list[str], _about("Secrets of the environment that its CI job gets, masked.")] = []
    runs_on: Annotated[str | list[str] | UnsetType, _about("Labels of the CI job that deploys.")] = UNSET
    approval: Annotated[
        Literal["required"] | UnsetType, _about("On GitHub another person than who began the run must approve.")
    ] = UNSET


class ModelKeys(Keys, frozen=True, kw_only=True):
    """A model: where its files are made, what lets it through, where it goes."""

    path: Annotated[Path, _about("The file or directory that is registered.")]
    gate: Annotated[list[Text | CheckKeys], _about("All must hold; every check is reported.")] = []
    champion: Annotated[ChampionKeys, _about("Whom a candidate is compared with.")] = ChampionKeys()
    promote: Annotated[
        Literal["auto", "manual"] | UnsetType, _about("manual: registered, and waiting for `ciml promote`.")
    ] = UNSET
    deploy: Annotated[dict[str, DeployKeys], _about("Environments, by name.")] = {}


class PushKeys(Keys, frozen=True, kw_only=True):
    """Pushes that start the workflow."""

    branches: Annotated[list[str], _about("Branches, GitHub's patterns allowed.")]


class PullRequestKeys(Keys, frozen=True, kw_only=True):
    """What a pull request's required check demands."""

    require: Annotated[
        Literal["ran", "accepted"] | bool, _about("accepted: red when the gate rejects; true is `ran`.")
    ] = "ran"


class ReleaseKeys(Keys, frozen=True, kw_only=True):
    """Tags that release a model."""

    tags: Annotated[list[str] | UnsetType, _about("v* and MODEL@v* when not said.")] = UNSET
    wait: Annotated[Duration | UnsetType, _about("For the commit's own run, where the tag comes first.")] = UNSET


class TriggersKeys(Keys, frozen=True, kw_only=True):
    """What starts the workflow that `ciml workflow` writes."""

    push: Annotated[bool | PushKeys | UnsetType, _about("The default branch when not said.")] = UNSET
    pull_request: Annotated[bool | PullRequestKeys | UnsetType, _about("Pull requests.")] = UNSET
    release: Annotated[bool | ReleaseKeys | UnsetType, _about("Release tags.")] = UNSET
    schedule: Annotated[str | list[str] | UnsetType, _about("Times in cron's form, UTC.")] = UNSET
    data: Annotated[list[str] | UnsetType, _about("S3 prefixes whose arrivals start a run.")] = UNSET


class RowsKeys(Keys, frozen=True, kw_only=True):
    """How many rows there must be."""

    min: Annotated[int | UnsetType, _about("At least.")] = UNSET
    max: Annotated[int | UnsetType, _about("At most.")] = UNSET
    change: Annotated[Share | UnsetType, _about("How far from the number that the champion was trained on.")] = UNSET


class ColumnKeys(Keys, frozen=True, kw_only=True):
    """What a column must hold."""

    type: Annotated[Literal["int", "float", "string", "bool"] | UnsetType, _about("Of every value.")] = UNSET
    min: Annotated[float | UnsetType, _about("The least value.")] = UNSET
    max: Annotated[float | UnsetType, _about("The greatest value.")] = UNSET
    enum: Annotated[list[Scalar] | UnsetType, _about("The only values.")] = UNSET
    nulls: Annotated[Share | UnsetType, _about("The greatest share of missing values.")] = UNSET


class DriftKeys(Keys, frozen=True, kw_only=True):
    """How far the data may have moved from what the champion was trained on."""

    max_psi: Annotated[
        Annotated[float, Meta(ge=0)] | UnsetType, _about("Population stability index, of any numeric column.")
    ] = UNSET
    ignore: Annotated[list[str], _about("Columns that move by nature: row numbers, times.")] = []


class DataKeys(Keys, frozen=True, kw_only=True):
    """Checks on the data behind a manifest, before any stage runs."""

    rows: Annotated[RowsKeys | UnsetType, _about("Their number.")] = UNSET
    columns: Annotated[dict[str, ColumnKeys], _about("By name.")] = {}
    drift: Annotated[DriftKeys | UnsetType, _about("Against the data that the champion was trained on.")] = UNSET


class TrustKeys(Keys, frozen=True, kw_only=True):
    """Whose results and signatures count."""

    reuse: Annotated[Literal["none", "pull-request"], _about("Whose records a push may use.")] = "none"
    signers: Annotated[Path | UnsetType, _about("Allowed signers of release tags and provenance.")] = UNSET


class Document(Keys, frozen=True, kw_only=True):
    """A whole `ciml.yaml`."""

    version: Annotated[Literal[1], _about("Of this format.")]
    environment: Annotated[EnvironmentKeys | UnsetType, _about("Made for stages, everywhere alike.")] = UNSET
    params: Annotated[dict[str, Scalar | ParamKeys], _about("Typed parameters, set with -P NAME=VALUE.")] = {}
    params_files: Annotated[list[Path], _about("YAML, JSON or TOML files whose leaves are parameters.")] = []
    profiles: Annotated[dict[str, ProfileKeys], _about("Sets of values, chosen with --profile NAME.")] = {}
    defaults: Annotated[DefaultsKeys, _about("Merged under every stage.")] = DefaultsKeys()
    stages: Annotated[dict[str, StageKeys], _about("The stages, by name.")]
    models: Annotated[dict[str, ModelKeys], _about("The models, by name.")] = {}
    triggers: Annotated[TriggersKeys, _about("What starts the workflow.")] = TriggersKeys()
    data: Annotated[dict[str, DataKeys], _about("Checks on manifests, by path.")] = {}
    store: Annotated[str | UnsetType, _about("s3://BUCKET/PREFIX, or a directory.")] = UNSET
    registry: Annotated[str | UnsetType, _about("An MLflow tracking URI.")] = UNSET
    ledger: Annotated[str | UnsetType, _about("s3://BUCKET/PREFIX where Git cannot be pushed.")] = UNSET
    trust: Annotated[TrustKeys, _about("Whose results and signatures count.")] = TrustKeys()
    alerts: Annotated[
        list[Literal["rejected", "failed", "deploy-failed"]] | UnsetType,
        _about("What is sent to CIML_ALERT_URLS; all three when not said."),
    ] = UNSET
    on_rejection: Annotated[Literal["fail", "pass"], _about("The CI run's colour after a rejected push.")] = "fail"
    action: Annotated[
        Annotated[str, Meta(pattern=ACTION, title="OWNER/REPOSITORY@ and 40 hex digits")] | UnsetType,
        _about("The Action that `ciml workflow` pins."),
    ] = UNSET
    link: Annotated[Literal["copy", "hard"], _about("hard: outputs in the work tree are links into the store.")] = (
        "copy"
    )


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `ciml.yaml`, for editors and `ciml schema`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ciml.yaml",
        **msgspec.json.schema(Document),
    }
