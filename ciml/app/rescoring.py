"""Score a registered version again: its files in the candidate's place, by the candidate's code, on its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ciml.app.ports import FetchVersion
from ciml.app.reads import instance_of, maker_of
from ciml.app.run import Options, Outcome
from ciml.core import dag
from ciml.core.contest import Incomparable
from ciml.core.entries import Registration
from ciml.core.ids import StageName
from ciml.core.pipeline import Model
from ciml.core.plan import Graph, Known, State
from ciml.core.results import Failed, Output, Record

RESTORE = "keep the stage that the base's `champion` names, or change `champion` first, in a change of its own"
AGAIN = "look at what it printed, and run it again: a verdict like this one does not stand"

CarryOut = Callable[[Options, Mapping[StageName, State]], Outcome]
"""Carries the graph's stages out with some states given, outputs not placed."""


class Rescoring:
    """Scores registered versions with one graph.

    The stages from the model to its score have keys like any other: a version that was scored on this data
    by this code is not scored again.

    Args:
        graph: the candidate's commit, resolved.
        states: of the candidate's stages.
        fetch: brings a version's files into the store.
        carry_out: runs the stages that score.
    """

    def __init__(
        self, graph: Graph, states: Mapping[StageName, State], *, fetch: FetchVersion, carry_out: CarryOut
    ) -> None:
        self._graph = graph
        self._states = states
        self._fetch = fetch
        self._carry_out = carry_out

    def __call__(self, model: Model, registered: Registration) -> Mapping[StageName, State] | Incomparable:
        """The stages that scored the version, by plain name, or why it has no score on this data.

        Raises:
            CimlError: its files cannot be had, or are not what the ledger says.
        """
        target = model.champion.rescore
        assert target is not None, "compare: rescore names a stage"
        maker = maker_of(model, self._graph)
        version, content = str(registered.version), registered.artifact.digest
        if fault := self._fault(model, maker, target):
            return Incomparable(version=version, content=content, reason=fault, hint=RESTORE)
        self._fetch(model.name, registered)
        # After a pick, the version takes the place of the winner: the others have no part in it.
        made_by, scored_by = self._instance(maker, maker), self._instance(target, maker)
        after = self._between(made_by, scored_by)
        given = {name: state for name, state in self._states.items() if name not in after}
        given[made_by] = Known(key=content, record=self._record_with(registered.artifact, model, maker))
        outcome = self._carry_out(Options(targets=(scored_by,)), given)
        for name, result in outcome.results.items():
            if isinstance(result, Failed):
                reason = f"stage {name} failed on version {version}'s files: {result.reason}"
                return Incomparable(version=version, content=content, reason=reason, hint=AGAIN, lasting=False)
        return {self._plain(name, maker): outcome.states[name] for name in after if name in outcome.states}

    def _fault(self, model: Model, maker: StageName, target: StageName) -> str | None:
        """Why a stage cannot score the version: one that the base names and the head has changed, or lost."""
        stages, made = self._graph.pipeline.stages, self._graph.producers.find(model.path)
        if target not in stages:
            return f"stage {target}, which scores it again, is not in this pipeline"
        if made is None or made.part:
            return f"{model.path} is a part of what {maker} makes, and no output of its own"
        rule, maker_rule = stages[target].pick, stages[maker].pick
        if rule and maker_rule and len(rule.candidates) != len(maker_rule.candidates):
            return f"stage {target}, which scores it again, is fanned out apart from {maker}"
        if not self._between(self._instance(maker, maker), self._instance(target, maker)):
            return f"stage {target}, which scores it again, does not come after {maker}"
        return None

    def _between(self, made_by: StageName, scored_by: StageName) -> frozenset[StageName]:
        """The stages on every way from the model to its score, the maker left out."""
        waits = self._graph.waits
        return dag.downstream(waits, [made_by]) & dag.upstream(waits, [scored_by]) - {made_by}

    def _instance(self, name: StageName, maker: StageName) -> StageName:
        return instance_of(name, maker, self._graph, self._states)

    def _plain(self, instance: StageName, maker: StageName) -> StageName:
        """The plain name of an instance, as the gate knows it."""
        stages = self._graph.pipeline.stages
        return stages[instance].template if stages[maker].pick else instance

    def _record_with(self, artifact: Output, model: Model, maker: StageName) -> Record:
        """The maker's record with a version's files in the place of the candidate's."""
        state, made = self._states[maker], self._graph.producers.find(model.path)
        assert isinstance(state, Known), "the candidate's maker has ended"
        assert made is not None, f"{model.path} has no maker"
        assert not made.part, f"{model.path} is an output of its own, or the configuration would have been refused"
        outputs = tuple(
            msgspec.structs.replace(artifact, path=output.path) if output.path == made.output else output
            for output in state.record.outputs
        )
        return msgspec.structs.replace(state.record, outputs=outputs)
