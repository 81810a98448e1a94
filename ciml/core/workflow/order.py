"""The jobs of a pipeline: a job for each stage as ciml.yaml names it, and what each waits for."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from ciml.core import dag
from ciml.core.ids import StageName
from ciml.core.inputs import DataInput
from ciml.core.pipeline import DeployTarget, Pipeline, Stage
from ciml.core.plan import Graph

OWN = frozenset({"plan", "rescore", "ciml", "record"})
"""Jobs that are no stage's."""

SETUP_MINUTES = 15
"""What a job may take besides its stages."""

LONGEST_MINUTES = 360
"""GitHub's own limit of a job on its machines."""

SETTLE_MINUTES = 60
"""What the last job may take."""

_MOST_MINUTES = 5 * 24 * 60
"""The same of a job on one's own."""
_JOB = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_ODD = re.compile(r"[^A-Za-z0-9_]+")


def job_names(pipeline: Pipeline) -> dict[str, str]:
    """Stage as ciml.yaml names it -> the id of its job.

    None has two hyphens in a row: artifacts are named for their job, and a number after two hyphens.
    """
    found: dict[str, str] = {}
    for name in declared(pipeline):
        wanted = name if _JOB.fullmatch(name) and not _clashes(name) else f"stage-{slug(name)}"
        taken = set(found.values())
        job, number = wanted, 2
        while job in taken:
            job, number = f"{wanted}-{number}", number + 1
        found[name] = job
    return found


def _clashes(name: str) -> bool:
    return name.lower() in OWN or name.lower().startswith(("deploy-", "stage-")) or "--" in name or name.endswith("-")


def declared(pipeline: Pipeline) -> dict[str, Stage]:
    """Stage as ciml.yaml names it -> itself, or the first of its instances."""
    found: dict[str, Stage] = {}
    for stage in pipeline.stages.values():
        if stage.pick is None:
            found.setdefault(stage.template, stage)
    return found


def waits(graph: Graph) -> dict[str, list[str]]:
    """Stage as ciml.yaml names it -> those that it comes after.

    What comes after a choice comes after the instances that it chose from.
    """
    stages = graph.pipeline.stages
    found: dict[str, dict[str, None]] = {}
    for name in graph.order:
        if stages[name].pick is not None:
            continue  # the choice runs in no job
        mine = found.setdefault(stages[name].template, {})
        for before in graph.waits[name]:
            for other in _behind(before, graph):
                if other != stages[name].template:
                    mine[other] = None
    return {name: list(before) for name, before in found.items()}


def _behind(name: StageName, graph: Graph) -> list[str]:
    """The stages behind a name: itself, or behind a choice those that it chooses from and the ones that score them."""
    stage = graph.pipeline.stages[name]
    if stage.pick is None:
        return [stage.template]
    return list(
        dict.fromkeys(graph.pipeline.stages[other].template for pair in stage.pick.candidates for other in pair)
    )


def last(names: Iterable[str], waits: Mapping[str, Collection[str]]) -> list[str]:
    """Of stages those that no other of them comes after: who waits for these has waited for all."""
    found = list(names)
    earlier = dag.upstream(waits, {before for name in found for before in waits[name]})
    return [name for name in found if name not in earlier]


def minutes(stage: Stage) -> int:
    """What its job may take, set-up and all attempts included."""
    if stage.timeout_s is None:
        return LONGEST_MINUTES
    return min(SETUP_MINUTES + math.ceil(stage.timeout_s * stage.retry.attempts / 60), _MOST_MINUTES)


def deploy_minutes(targets: Sequence[DeployTarget]) -> int:
    """What a job may take that deploys to these one by one: each deploys and smokes, and may go back."""
    return SETUP_MINUTES + math.ceil(sum(3 * target.timeout_s for target in targets) / 60)


def follow(targets: Iterable[DeployTarget]) -> bool:
    """Whether any is deployed to for the commit of a run; a release is for its tag's, which no job changes."""
    return any(target.after == "promotion" for target in targets)


def reads_s3(graph: Graph) -> frozenset[str]:
    """The stages, as ciml.yaml names them, that read data which comes from S3."""
    return frozenset(
        graph.pipeline.stages[name].template
        for name, inputs in graph.inputs.items()
        if any(isinstance(item, DataInput) and (item.source or "").startswith("s3://") for item in inputs)
    )


def slug(name: str) -> str:
    """The name with what no id of a job or artifact may hold replaced."""
    return _ODD.sub("-", name).strip("-")
