"""Which stages of a commit need a CI job, and in which batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ciml.core import dag
from ciml.core.ids import Digest, StageName
from ciml.core.plan import Action, Graph, PlannedStage


def needed(
    graph: Graph,
    *,
    judged: Iterable[StageName],
    of_models: Collection[StageName],
    before: Mapping[StageName, Digest] | None,
) -> frozenset[StageName]:
    """The stages whose results somebody waits for, with all that these come after.

    A model whose verdict stands needs nothing made again, whatever the store has lost meanwhile. A
    stage that no model depends on is wanted whenever its recipe is not the base's.

    Args:
        graph: the commit's.
        judged: the stages that models without a standing verdict use.
        of_models: the stages that any model uses.
        before: the recipes at the base; None where nothing is known of it.
    """
    apart = (
        name
        for name in graph.order
        if name not in of_models and (before is None or before.get(name) != graph.recipes[name])
    )
    always = (name for name in graph.order if graph.pipeline.stages[name].always)
    return dag.upstream(graph.waits, [*judged, *apart, *always])


def jobs(graph: Graph, planned: Sequence[PlannedStage], wanted: Collection[StageName]) -> dict[str, list[StageName]]:
    """Job -> its stages that may have to run, in order. A job is a stage as ciml.yaml names it.

    The choice among a matrix's instances runs no command, and needs no job.
    """
    found: dict[str, list[StageName]] = {}
    for stage in planned:
        declared = graph.pipeline.stages[stage.name]
        runs = stage.action in (Action.RUN, Action.MAYBE) and declared.pick is None
        if runs and stage.name in wanted:
            found.setdefault(declared.template, []).append(stage.name)
    return found
