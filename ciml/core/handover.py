"""What one CI job hands on to the next: plans, outcomes of stages, records.

A job that runs a stage has no right to write anywhere but here, so nothing in these values is
believed for being here: keys are recomputed by whoever reads them, bytes are known by digest.
"""

from __future__ import annotations

from ciml.core.datachecks import DataVerdict
from ciml.core.ids import CommitSha, Digest, ModelName, StageName
from ciml.core.results import StageResult
from ciml.core.value import Value

OUTCOME = "ciml/outcome/1"
PLAN = "ciml/plan/1"

PLANNED = "ciml-plan"
"""Artifact of the job that plans. Which artifact something came in is the one thing that its job cannot choose."""
RESCORED = "ciml-rescore"
SETTLED = "ciml-settled"
ALL_STAGES = "ciml-stage-all"
"""Of a job that runs all stages."""
_STAGE = "ciml-stage-"
_RECEIPT = "ciml-receipt-"


def is_artifact(name: str) -> bool:
    """Whether a workflow of ciml gives an artifact this name."""
    return name in (PLANNED, RESCORED, SETTLED) or name.startswith((_STAGE, _RECEIPT))


def may_tell_of_stage(artifact: str, job: str | None) -> bool:
    """Whether an artifact comes from a stage's own job; "" is what a CI service brought without saying whence."""
    return artifact in ("", ALL_STAGES) or (job is not None and artifact.startswith(f"{_STAGE}{job}--"))


def may_tell_of_deployment(artifact: str, environment: str) -> bool:
    """Whether an artifact comes from an environment's own job, which is named for it or has a number.

    Args:
        artifact: its name, "" as above.
        environment: its name, as ids of jobs have it.
    """
    told = artifact.removeprefix(_RECEIPT)
    return not artifact or (told != artifact and (told == environment or told.isdecimal()))


class StageOutcome(Value, frozen=True, kw_only=True):
    """What became of one stage in the job that ran it."""

    format: str = OUTCOME
    stage: StageName
    key: Digest | None = None
    """That the job computed; None where the stage never had its inputs."""
    result: StageResult


class HandedPlan(Value, frozen=True, kw_only=True):
    """What the first job decided for the others. They trust it for nothing but which of them run."""

    format: str = PLAN
    head: CommitSha | None
    base: CommitSha | None
    jobs: dict[str, tuple[str, ...]]
    """Job -> its batches, each a list of stages between spaces; a job without work is absent."""
    rescore: tuple[ModelName, ...] = ()
    """Models whose champion is to be scored again."""
    data: tuple[DataVerdict, ...] = ()
    """What the checks on data said; where one did not hold, no job runs."""
