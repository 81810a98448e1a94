"""Which stages of a graph a model and its gate have to do with."""

from __future__ import annotations

import msgspec

from ciml.core import checks, dag
from ciml.core.ids import StageName
from ciml.core.pipeline import Model
from ciml.core.plan import Graph
from ciml.core.producers import Producers


def maker_of(model: Model, producers: Producers) -> StageName:
    """The stage that makes the model's path."""
    maker = producers.maker(model.path)
    assert maker is not None, f"{model.path} has no maker"
    return maker


def writers(graph: Graph, maker: StageName) -> tuple[StageName, ...]:
    """The stages with metrics among the maker and those downstream of it."""
    stages = graph.pipeline.stages
    after = dag.downstream(graph.waits, [maker])
    if rule := stages[maker].pick:
        # What was fanned out with it is chosen beside it: the plain names of all are the winner's.
        fanned = dag.downstream(graph.waits, [candidate for candidate, _ in rule.candidates])
        after = after.union(name for name in fanned if stages[name].pick)
    return tuple(name for name in graph.order if name in after and stages[name].metrics)


def gate_reads(graph: Graph, model: Model, producers: Producers) -> checks.Reads:
    """Everything that the gate looks at, the makers of scores among the stages."""
    read = checks.reads(model.gate, writers(graph, maker_of(model, producers)))
    makers = [made for path in read.scores if (made := producers.maker(path))]
    return msgspec.structs.replace(read, stages=read.stages.union(makers))


def used_stages(graph: Graph, model: Model, producers: Producers) -> tuple[StageName, ...]:
    """The stages whose results the model or its gate uses, directly or not, in order."""
    read = gate_reads(graph, model, producers).stages
    involved = dag.upstream(graph.waits, [maker_of(model, producers), *(name for name in read if name in graph.waits)])
    return tuple(name for name in graph.order if name in involved)
