"""What `ciml.yaml` asks for, once it is read, checked, resolved and expanded.

Everything here is concrete: profiles and run-time values are merged, placeholders are gone,
a matrix is a stage per instance and a pick node. `ciml.core.document` is what the user
writes; this is what the rest of ciml works with.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from ciml.core.ids import ModelName, RepoPath, StageName
from ciml.core.value import Value

Scalar = bool | int | float | str
if TYPE_CHECKING:
    ParamValue = Scalar | None | list["ParamValue"] | dict[str, "ParamValue"]
else:
    # msgspec reads no recursive unions; plain values need no more than that.
    ParamValue = Any


class Place(Value, frozen=True, kw_only=True):
    """A path as the graph and the work tree know it, and as the stage itself sees it.

    They differ only for instances of a matrix, whose script writes `build/model` while the
    graph knows `build/model@0.1-1`.
    """

    path: RepoPath
    inside: RepoPath


class Command(Value, frozen=True, kw_only=True):
    """What a stage runs: exactly one of the two forms is set."""

    script: str | None = None
    """For `bash -euo pipefail`; every placeholder has become an expansion of one of `arguments`."""
    argv: tuple[str, ...] | None = None
    """Without a shell; a placeholder is an item, or a part of one, already replaced by its value."""
    arguments: dict[str, str] = {}
    """Environment variables that carry the placeholders' values to `script`."""


class Resources(Value, frozen=True, kw_only=True):
    """What one stage occupies while it runs."""

    cpus: float = 1.0
    memory: int = 0
    """Bytes; 0 when not stated."""
    gpus: int = 0


class Retry(Value, frozen=True, kw_only=True):
    """When and how often a failed stage is tried again."""

    attempts: int = 1
    """Tries in all, the first one included."""
    interval_s: float = 0.0
    backoff: float = 1.0
    """The interval is multiplied by this after every try."""
    when: tuple[int | Literal["timeout"], ...] = ()
    """Exit codes (128 + signal for a killed process) and `timeout`; empty means any failure."""


class PickRule(Value, frozen=True, kw_only=True):
    """How a pick node chooses one instance of a matrix."""

    metric: str
    goal: Literal["max", "min"]
    candidates: tuple[tuple[StageName, StageName], ...]
    """(instance whose outputs may be taken, instance that writes the metric), in matrix order."""


class Environment(Value, frozen=True, kw_only=True):
    """The Python environment that ciml makes for stages."""

    python: str
    """`3.11` or `3.11.7`."""
    requirements: RepoPath | None = None


class Stage(Value, frozen=True, kw_only=True):
    """One node of the pipeline: a command, or the pick that ends a matrix."""

    name: StageName
    template: StageName
    """The name in `ciml.yaml`; differs from `name` for an instance of a matrix."""
    command: Command = Command()
    pick: PickRule | None = None
    """Set on the pick node, which runs no command."""
    inputs: tuple[Place, ...] = ()
    """Files, directories and globs as declared, placeholders replaced."""
    outputs: tuple[Place, ...] = ()
    """All of them; metrics and plots are outputs too and stand here as well."""
    metrics: tuple[RepoPath, ...] = ()
    """Those of `outputs` that hold metrics, by their `path`."""
    plots: tuple[RepoPath, ...] = ()
    params: dict[str, ParamValue] = {}
    """Every parameter that the stage names, by dotted path, leaf by leaf, with the value in force.
    An instance's matrix values are here as `matrix.NAME`."""
    params_files: dict[RepoPath, dict[str, ParamValue]] = {}
    """For each params file the stage sees: the tree it will find there."""
    env: dict[str, str] = {}
    pass_env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    when: str | None = None
    """A condition in the gate's language."""
    needs: tuple[StageName, ...] = ()
    always: bool = False
    """`finally: true`."""
    resources: Resources = Resources()
    timeout_s: float | None = None
    retry: Retry = Retry()
    checkpoint: RepoPath | None = None
    runs_on: tuple[str, ...] = ()
    image: str | None = None
    workdir: RepoPath = RepoPath("")
    cache: bool = True
    any_platform: bool = False
    isolated: bool = True
    sagemaker: dict[str, ParamValue] = {}
    description: str = ""
    line: int | None = None
    """Where `ciml.yaml` declares it, from 1."""

    @property
    def reusable(self) -> bool:
        """Whether later runs may use what it made; else its record serves one run, or none is kept."""
        return self.cache and self.isolated and not self.always


class ExpressionCheck(Value, frozen=True, kw_only=True, tag="expression"):
    """`auc >= 0.8`, `auc > champion.auc + 0.002`."""

    expression: str


class PairedCheck(Value, frozen=True, kw_only=True, tag="paired"):
    """The candidate beats the champion, example by example, with a stated confidence."""

    metric: str
    confidence: float
    scores: RepoPath
    by: float = 0.0
    lower_is_better: bool = False


class PointCheck(Value, frozen=True, kw_only=True, tag="point"):
    """The candidate's metric beats the champion's by more than `by`; no interval."""

    metric: str
    by: float = 0.0
    lower_is_better: bool = False


class ToleranceCheck(Value, frozen=True, kw_only=True, tag="tolerance"):
    """The candidate's metric is not worse than the champion's by more than a tolerance."""

    metric: str
    within: float
    """A share of |champion| when `relative`, else in the metric's unit."""
    relative: bool = True
    lower_is_better: bool = False


Check = ExpressionCheck | PairedCheck | PointCheck | ToleranceCheck


class Compare(StrEnum):
    """How the champion's side of a comparison is found."""

    RESCORE = "rescore"
    RECORDED_SAME_DATA = "recorded-same-data"
    RECORDED = "recorded"


class ChampionPolicy(Value, frozen=True, kw_only=True):
    """Whom a candidate is compared with, and how."""

    alias: str = "champion"
    compare: Compare = Compare.RECORDED_SAME_DATA
    rescore: StageName | None = None
    """The stage whose metrics are made again with the champion's files; set iff compare is RESCORE."""


class DeployTarget(Value, frozen=True, kw_only=True):
    """One environment that a model is deployed to."""

    name: str
    after: Literal["promotion", "release"]
    run: str | None = None
    lambda_function: str | None = None
    sagemaker_endpoint: str | None = None
    smoke: str | None = None
    timeout_s: float = 3600.0
    """Of the deployment, and again of the smoke test."""
    secrets: tuple[str, ...] = ()
    """Names of variables that hold secrets of the target."""
    runs_on: tuple[str, ...] = ()
    approval: bool = False
    """Another person than who began the run must approve."""


class Release(Value, frozen=True, kw_only=True):
    """What `triggers.release` says."""

    tags: tuple[str, ...] = ()
    """Patterns of tags; empty when not said."""
    wait_s: float = 0.0
    """How long a tag waits for its commit's own run."""


class Triggers(Value, frozen=True, kw_only=True):
    """What starts the workflow."""

    pushes: bool = True
    branches: tuple[str, ...] | None = None
    """GitHub's patterns; None: the default branch."""
    pull_requests: bool = True
    require: Literal["ran", "accepted"] = "ran"
    """What a pull request's required check demands."""
    tags: tuple[str, ...] = ("v*",)
    """Patterns of release tags; none: no tag releases anything."""
    schedules: tuple[str, ...] = ()
    """In cron's form, UTC."""
    data: tuple[str, ...] = ()
    """S3 prefixes whose arrivals start a run."""


class ColumnRule(Value, frozen=True, kw_only=True):
    """What a column of data must hold."""

    name: str
    type: Literal["int", "float", "string", "bool"] | None = None
    least: float | None = None
    greatest: float | None = None
    allowed: tuple[Scalar, ...] | None = None
    """The only values."""
    nulls: float | None = None
    """The greatest share of rows without a value."""


class DataRules(Value, frozen=True, kw_only=True):
    """What the data at a path must be before any stage runs."""

    path: RepoPath
    min_rows: int | None = None
    max_rows: int | None = None
    rows_change: float | None = None
    """How far their number may be from that of the champion's data, as a share of it."""
    columns: tuple[ColumnRule, ...] = ()
    max_psi: float | None = None
    """Of any numeric column, against the champion's data."""
    may_drift: tuple[str, ...] = ()
    """Columns of which that is not asked."""

    @property
    def compare(self) -> bool:
        """Whether they read the champion's data."""
        return self.rows_change is not None or self.max_psi is not None


class Parameter(Value, frozen=True, kw_only=True):
    """A declared parameter, as a form asks for it."""

    name: str
    default: Scalar | None = None
    """None: it must be given."""
    boolean: bool = False
    allowed: tuple[Scalar, ...] = ()
    """The only values that are allowed; empty: any of its type."""
    help: str = ""


class Model(Value, frozen=True, kw_only=True):
    """A model: where its files are made, what lets it through, where it goes."""

    name: ModelName
    path: RepoPath
    gate: tuple[Check, ...] = ()
    champion: ChampionPolicy = ChampionPolicy()
    promote: Literal["auto", "manual"] = "auto"
    deploy: tuple[DeployTarget, ...] = ()
    line: int | None = None


class Pipeline(Value, frozen=True, kw_only=True):
    """A whole `ciml.yaml`, concrete."""

    stages: dict[StageName, Stage]
    """In the order of the file, instances before their pick node."""
    models: dict[ModelName, Model] = {}
    environment: Environment | None = None
    params: dict[str, ParamValue] = {}
    """All declared parameters and all leaves of params files, with the values in force."""
    policy_params: dict[str, ParamValue] | None = None
    """What gates read instead of `params`, where they are the base's and the stages another's; None: `params`."""
    params_files: tuple[RepoPath, ...] = ()
    store: str | None = None
    registry: str | None = None
    ledger: str | None = None
    reuse: Literal["none", "pull-request"] = "none"
    signers: RepoPath | None = None
    release: Release = Release()
    triggers: Triggers = Triggers()
    data: tuple[DataRules, ...] = ()
    """What is asked of data before any stage runs."""
    data_lines: dict[RepoPath, int] = {}
    """Where that stands in this pipeline's ciml.yaml, whosever rules they are."""
    action: str | None = None
    """The Action that a generated workflow pins: `owner/repository@` and 40 hex digits."""
    parameters: tuple[Parameter, ...] = ()
    """As they are declared, in the order of the file."""
    alerts: tuple[Literal["rejected", "failed", "deploy-failed"], ...] = ("rejected", "failed", "deploy-failed")
    on_rejection: Literal["fail", "pass"] = "fail"
    link: Literal["copy", "hard"] = "copy"
    """`hard`: outputs in the work tree are links into the store."""
    warnings: tuple[str, ...] = ()
    """What is allowed and still worth a word, one sentence each."""
