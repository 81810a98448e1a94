"""What a commit's recipe made, as far as the store has it: no stage is run."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.app.plan import Prepared
from ciml.app.reads import maker_of, stages_of
from ciml.core.errors import RepositoryError
from ciml.core.ids import StageName
from ciml.core.pipeline import Model
from ciml.core.plan import Pending, State, decide


def stored(prepared: Prepared) -> dict[StageName, State]:
    """The state of every stage, by the records that are there."""
    evidence = prepared.evidence.anywhere()
    states: dict[StageName, State] = {}
    for name in prepared.graph.order:
        states[name] = decide(name, prepared.graph, states, evidence, why=lambda name: "").state
    return states


def require(prepared: Prepared, states: Mapping[StageName, State], model: Model) -> None:
    """Check that all is known that the model's gate may read.

    Raises:
        RepositoryError: a stage's results are not here.
    """
    graph = prepared.graph
    maker = maker_of(model, graph)
    for name in stages_of(model, graph):
        stage = graph.pipeline.stages[name]
        asked = (name == maker or stage.metrics) and not stage.always and stage.when is None
        if asked and not stage.reusable:
            why = "isolation: none" if stage.cache else "cache: false"
            raise RepositoryError(
                f"stage {name} says {why}, so its results serve one run alone and {model.name} cannot be registered",
                hint="The stages that make and score a model run in isolation, and keep what they make.",
            )
        if asked and isinstance(states[name], Pending):
            raise RepositoryError(
                f"the results of stage {name} at this commit are not here, so {model.name} cannot be judged",
                hint="ciml run",
            )
