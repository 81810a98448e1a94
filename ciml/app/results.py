"""What a commit's recipe made, as far as the store has it: no stage is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ciml.app.plan import Prepared
from ciml.core import dag
from ciml.core.errors import RepositoryError
from ciml.core.ids import StageName
from ciml.core.pipeline import Model
from ciml.core.plan import Known, State, decide
from ciml.core.producers import Producers


def stored(prepared: Prepared) -> dict[StageName, State]:
    """The state of every stage, by the records that are there."""
    evidence = prepared.evidence.anywhere()
    states: dict[StageName, State] = {}
    for name in prepared.graph.order:
        states[name] = decide(name, prepared.graph, states, evidence, why=lambda name: "").state
    return states


def require(prepared: Prepared, states: Mapping[StageName, State], models: Iterable[Model]) -> None:
    """Nothing, once all that the models' gates may read is known.

    Raises:
        RepositoryError: a stage's results are not here.
    """
    graph = prepared.graph
    producers = Producers(graph.pipeline.stages.values())
    for model in models:
        maker = producers.maker(model.path)
        assert maker is not None, f"{model.path} has no maker"
        after = dag.downstream(graph.waits, [maker])
        for name in dag.upstream(graph.waits, after):
            stage = graph.pipeline.stages[name]
            asked = name == maker or bool(stage.metrics)
            if asked and not isinstance(states[name], Known) and not stage.always and stage.when is None:
                raise RepositoryError(
                    f"the results of stage {name} at this commit are not here, so {model.name} cannot be judged",
                    hint="ciml run",
                )
