"""The work order: all that a worker needs to run one stage, and nothing else.

It is JSON and self-contained. A worker needs a store and `ciml exec ORDER`: no Git, no
ciml.yaml, no registry. Laptop, CI job, Ray task and SageMaker job carry out the same value.
"""

from __future__ import annotations

from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.pipeline import ParamValue, Place, Resources, Retry
from ciml.core.value import Value

FORMAT = "ciml/order/1"


class OrderInput(Value, frozen=True, kw_only=True):
    """Bytes that must be in the stage's directory before it starts."""

    inside: RepoPath
    digest: Digest
    """Of the file's bytes, or of the directory's listing (`ciml.core.listing`)."""
    size: int
    directory: bool = False
    executable: bool = False
    link: str | None = None
    """The text of a symbolic link, which then is all there is to it."""
    copy: bool = True
    """Code is copied; large data may be linked read-only and is checked after the stage."""


class OrderEnvironment(Value, frozen=True, kw_only=True):
    """The virtual environment the stage runs in."""

    python: str
    requirements: Digest | None
    """Of the requirements file's bytes, in the store."""


class WorkOrder(Value, frozen=True, kw_only=True):
    """One stage, ready to run."""

    format: str = FORMAT
    stage: StageName
    recipe: Digest
    key: Digest
    script: str | None = None
    """For `bash -euo pipefail`; exactly one of script and argv is set."""
    argv: tuple[str, ...] | None = None
    env: dict[str, str] = {}
    """The stage's `env` and the placeholders' values."""
    pass_env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    """Names only; the worker has the values."""
    workdir: RepoPath = RepoPath("")
    inputs: tuple[OrderInput, ...] = ()
    params: dict[str, ParamValue] = {}
    """Nested as in the files; written to the JSON file that CIML_PARAMS names."""
    params_files: dict[RepoPath, str] = {}
    """Path in the stage's directory -> text."""
    outputs: tuple[Place, ...] = ()
    metrics: tuple[RepoPath, ...] = ()
    """Those of `outputs`, by `path`, that hold metrics."""
    environment: OrderEnvironment | None = None
    platform: str
    """What the key says of the platform; `any` when it is left out."""
    checkpoint: RepoPath | None = None
    timeout_s: float | None = None
    retry: Retry = Retry()
    resources: Resources = Resources()
    cache: bool = True
    fresh: bool = False
    """Run although there is a record (`--force`); the first record stands all the same."""
    isolated: bool = True
    """When false the stage runs in `work_tree`, and its record serves this run alone."""
