"""Which stages of a graph a model and its gate have to do with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ciml.core import checks, dag
from ciml.core.ids import Digest, StageName
from ciml.core.key import model_recipe
from ciml.core.pipeline import Model
from ciml.core.plan import Graph, Known, State


def maker_of(model: Model, graph: Graph) -> StageName:
    """The stage that makes the model's path."""
    maker = graph.producers.maker(model.path)
    assert maker is not None, f"{model.path} has no maker"
    return maker


def recipe_of(model: Model, graph: Graph) -> Digest:
    """What a commit asks for under a model's name."""
    return model_recipe(model.name, graph.recipes[maker_of(model, graph)])


def stages_of(model: Model, graph: Graph) -> frozenset[StageName]:
    """The stages that a model or its score may come from: its maker, all downstream of it, and what these need."""
    return dag.upstream(graph.waits, dag.downstream(graph.waits, [maker_of(model, graph)]))


def writers(graph: Graph, maker: StageName) -> tuple[StageName, ...]:
    """The stages with metrics among the maker and those downstream of it."""
    stages = graph.pipeline.stages
    after = dag.downstream(graph.waits, [maker])
    if rule := stages[maker].pick:
        # What was fanned out with it is chosen beside it: the plain names of all are the winner's.
        fanned = dag.downstream(graph.waits, [candidate for candidate, _ in rule.candidates])
        after = after.union(name for name in fanned if stages[name].pick)
    return tuple(name for name in graph.order if name in after and stages[name].metrics)


def gate_reads(model: Model, graph: Graph) -> checks.Reads:
    """Everything that the gate looks at, the makers of scores among the stages."""
    read = checks.reads(model.gate, writers(graph, maker_of(model, graph)))
    makers = [made for path in read.scores if (made := graph.producers.maker(path))]
    return msgspec.structs.replace(read, stages=read.stages.union(makers))


def used_stages(model: Model, graph: Graph) -> tuple[StageName, ...]:
    """The stages whose results the model or its gate uses, directly or not, in order."""
    read = gate_reads(model, graph).stages
    involved = dag.upstream(graph.waits, [maker_of(model, graph), *(name for name in read if name in graph.waits)])
    return tuple(name for name in graph.order if name in involved)


def instance_of(name: StageName, maker: StageName, graph: Graph, states: Mapping[StageName, State]) -> StageName:
    """The instance of a stage that the pick of a model's maker took; the stage itself where it was not fanned out."""
    stages, state = graph.pipeline.stages, states.get(maker)
    rule, maker_rule = stages[name].pick, stages[maker].pick
    if rule is None or maker_rule is None or not isinstance(state, Known):
        return name
    winners = [candidate for candidate, _ in maker_rule.candidates]
    if len(winners) != len(rule.candidates):
        return name
    return rule.candidates[winners.index(state.record.stage)][0]
