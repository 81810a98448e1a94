"""What of a commit must be done: which verdicts stand, which stages need a job, whose champion is scored again."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from ciml.app.plan import Prepared, plan, project_graph
from ciml.app.ports import Ledgers
from ciml.app.project import Project
from ciml.app.reads import stages_of
from ciml.app.standing import standing
from ciml.core.errors import CimlError
from ciml.core.ids import Digest, ModelName, StageName
from ciml.core.jobs import jobs, needed
from ciml.core.judged import Judged
from ciml.core.pipeline import Compare, Model
from ciml.core.plan import Action, Plan
from ciml.core.value import Value
from ciml.core.verdict import Status


class Choice(Value, frozen=True, kw_only=True):
    """What of a commit must be done."""

    planned: Plan
    settled: dict[ModelName, Judged]
    """Models for which nothing is left to do but to say so."""
    needed: tuple[StageName, ...]
    """Stages whose results somebody waits for, in order."""
    jobs: dict[str, list[StageName]]
    """Job -> its stages that may have to run."""
    rescore: tuple[Model, ...]
    """Models that are compared with a champion to be scored again."""


def choose(project: Project, prepared: Prepared, ledgers: Ledgers, *, registers: bool) -> Choice:
    """What must be done, as every job of a run finds it by itself.

    Args:
        project: where the store is.
        prepared: the graph of the commit, and its base.
        ledgers: which verdicts stand, and who is champion.
        registers: this run registers what passes.
    """
    graph = prepared.graph
    models = graph.pipeline.models
    stand = standing(prepared, project.store, ledgers)
    settled = {name: item for name, item in stand.items() if not registers or _closed(item, ledgers)}
    still = [model for name, model in models.items() if name not in settled]
    wanted = needed(
        graph,
        judged=frozenset().union(*(stages_of(model, graph) for model in still)),
        of_models=frozenset().union(*(stages_of(model, graph) for model in models.values())),
        before=_recipes_before(project, prepared),
    )
    planned = _only(wanted, plan(project, prepared))
    return Choice(
        planned=planned,
        settled=settled,
        needed=tuple(name for name in graph.order if name in wanted),
        jobs=jobs(graph, planned.stages, wanted),
        rescore=tuple(model for model in still if _is_rescored(model, ledgers)),
    )


def _only(wanted: Collection[StageName], planned: Plan) -> Plan:
    """The plan, in which a stage that nobody waits for is skipped whatever the store has lost of it."""
    why = "nobody waits for it: verdicts stand, or its recipe is the base's"
    stages = tuple(
        stage
        if stage.name in wanted or stage.action is Action.SKIP
        else msgspec.structs.replace(stage, action=Action.SKIP, reason=why)
        for stage in planned.stages
    )
    return msgspec.structs.replace(planned, stages=stages)


def _closed(item: Judged, ledgers: Ledgers) -> bool:
    """Whether a verdict that stands has all its consequences; a registration that was cut short has not."""
    return item.verdict.status is Status.REJECTED or item.recipe in ledgers.read(item.model.name).recipes


def _recipes_before(project: Project, prepared: Prepared) -> dict[StageName, Digest] | None:
    """The recipes at the base; None where they cannot be told."""
    if prepared.base is None:
        return None
    try:
        tree = project.history.commit_tree(prepared.base)
        return project_graph(project, tree, project.documents.pipeline(tree)).recipes
    except CimlError:
        return None


def _is_rescored(model: Model, ledgers: Ledgers) -> bool:
    if model.champion.compare is not Compare.RESCORE:
        return False
    try:
        return ledgers.read(model.name).champion is not None
    except CimlError:
        return False
