"""Judge the models of a run: each candidate against its champion, scored on the same data by the same code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ciml.app.ports import Store
from ciml.app.precedent import own_judgement, recorded, stands
from ciml.app.reads import gate_reads, instance_of, maker_of, recipe_of, used_stages, writers
from ciml.core import checks, dag, gate
from ciml.core import key as keys
from ciml.core.contest import Candidate, Champion, Incomparable, NoChampion, Rival
from ciml.core.entries import Registration
from ciml.core.errors import ServiceError, TrustError
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput, is_code
from ciml.core.judged import Judged
from ciml.core.ledger import LedgerState
from ciml.core.metrics import Metrics, combine
from ciml.core.pipeline import Compare, Model
from ciml.core.plan import Evidence, Graph, Known, LeftOut, Pending, State, made_inputs, output_of
from ciml.core.results import Output
from ciml.core.verdict import Status

Rescore = Callable[[Model, Registration], Mapping[StageName, State] | Incomparable]
"""The stages that score a registered version on this run's data, by plain name, or why none does."""


class Judging:
    """Judges the models of one graph.

    Args:
        graph: the candidate's commit, resolved.
        states: of the run's stages.
        evidence: for parts of directories.
        store: bytes of scores and champions.
        rescore: scores the champion with the candidate's code.
        ready: raises, where a model is to be judged anew and what its gate reads is not all there.
        may_lack_champion: a champion that cannot be read here leaves the model not judged.
    """

    def __init__(
        self,
        graph: Graph,
        states: Mapping[StageName, State],
        evidence: Evidence,
        store: Store,
        *,
        rescore: Rescore,
        ready: Callable[[Model], None] = lambda model: None,
        may_lack_champion: bool = False,
    ) -> None:
        self._graph = graph
        self._states = states
        self._evidence = evidence
        self._store = store
        self._rescore = rescore
        self._ready = ready
        self._may_lack_champion = may_lack_champion
        whose = graph.pipeline.policy_params
        self._params = graph.pipeline.params if whose is None else whose

    def judge(self, model: Model, ledger: LedgerState, *, anew: bool = False) -> Judged:
        """What the gate says of what this run made, or what it said before of the same.

        Args:
            model: the model.
            ledger: its history; empty where there is none.
            anew: judge although the verdict is recorded.
        """
        maker, read = maker_of(model, self._graph), gate_reads(model, self._graph)
        judged = self._unjudged(model, maker, read, ledger.champion_identity)
        if not anew and (before := ledger.verdicts.get(judged.key)) and stands(before, judged, ledger):
            return recorded(judged, before)
        own = own_judgement(judged, ledger) if not anew else None
        if own and own.key == self._key(judged.recipe, read, judged.policy, own.champion):
            return recorded(judged, own)  # nothing that it was judged by has changed since
        self._ready(model)
        if judged.artifact is None:
            return judged
        if missing := self._missing(read.stages):
            reason = f"its gate reads what {missing} makes, which failed or took no part in this run"
            return msgspec.structs.replace(judged, verdict=gate.not_judged(model.name, reason))
        candidate = self._candidate(judged, maker, read)
        try:
            rival = self._rival(judged, maker, ledger, candidate, read.scores)
        except (ServiceError, TrustError) as error:
            if not self._may_lack_champion:
                raise
            reason = f"the champion cannot be read here: {error.message}"
            return msgspec.structs.replace(judged, verdict=gate.not_judged(model.name, reason), lasting=False)
        verdict = gate.judge(model, candidate, rival, self._params)
        if own and verdict.status is Status.UNCHANGED:
            return recorded(judged, own)
        lasting = not isinstance(rival, Incomparable) or rival.lasting
        return msgspec.structs.replace(judged, verdict=verdict, lasting=lasting)

    # What is judged.

    def _unjudged(self, model: Model, maker: StageName, read: checks.Reads, champion: Digest | None) -> Judged:
        values = {name: self._params.get(name) for name in read.params}
        recipe = recipe_of(model, self._graph)
        policy = keys.policy([*model.gate, model.champion, values], model.promote)
        return Judged(
            model=model,
            recipe=recipe,
            key=self._key(recipe, read, policy, champion),
            policy=policy,
            policy_params=values,
            artifact=self._artifact(model, maker),
            verdict=gate.not_judged(model.name, self._absence(maker)),
            champion=champion,
            data=self._data({maker, *read.stages}, of_model=False, maker=maker),
            stages=used_stages(model, self._graph),
        )

    def _key(self, recipe: Digest, read: checks.Reads, policy: Digest, champion: Digest | None) -> Digest:
        recipes = {name: self._graph.recipes[name] for name in read.stages if name in self._graph.recipes}
        return keys.verdict(recipe, recipes, policy, champion)

    def _artifact(self, model: Model, maker: StageName) -> Output | None:
        state = self._states.get(maker)
        if not isinstance(state, Known):
            return None
        made = self._graph.producers.find(model.path)
        assert made is not None, f"{model.path} has no maker"
        whole = output_of(state.record, made.output)
        found = self._evidence.part(whole, made.part) if made.part else whole
        return msgspec.structs.replace(found, path=model.path)

    def _absence(self, maker: StageName) -> str:
        """Why there is no candidate, for when there is none."""
        state = self._states.get(maker)
        return (
            state.reason
            if isinstance(state, LeftOut)
            else f"stage {maker}, which makes it, did not end well in this run"
        )

    def _missing(self, read: frozenset[StageName]) -> StageName | None:
        """A stage that the gate reads and that has yet to end well: a verdict now would be on nothing, for ever."""
        waited = (name for name in self._graph.order if name in read)
        return next((name for name in waited if isinstance(self._states.get(name), Pending | None)), None)

    def _candidate(self, judged: Judged, maker: StageName, read: checks.Reads) -> Candidate:
        assert judged.artifact is not None, "a candidate has an artifact"
        return Candidate(
            content=judged.artifact.digest,
            metrics=_metrics(self._states),
            writers=writers(self._graph, maker),
            scores=self._scores(read.scores, self._states),
            data=self._data(set(read.stages), of_model=True, maker=maker),
        )

    def _scores(self, paths: frozenset[RepoPath], states: Mapping[StageName, State]) -> dict[RepoPath, bytes]:
        found: dict[RepoPath, bytes] = {}
        for path in paths:
            made = self._graph.producers.find(path)
            state = states.get(made.stage) if made else None
            if made and isinstance(state, Known):
                whole = output_of(state.record, made.output)
                found[path] = self._store.read(
                    self._evidence.part(whole, made.part).digest if made.part else whole.digest
                )
        return found

    def _data(self, stages: set[StageName], *, of_model: bool, maker: StageName) -> dict[RepoPath, Digest]:
        """What stages were given that is neither code nor made from the model, by path.

        Args:
            stages: those that are asked about, and all between them and the maker.
            of_model: leave out what the maker and those downstream of it made.
            maker: of the model.
        """
        # The choice among instances reads nothing: the winner did.
        stages = {instance_of(name, maker, self._graph, self._states) for name in stages & self._graph.waits.keys()}
        maker = instance_of(maker, maker, self._graph, self._states)
        after = dag.downstream(self._graph.waits, [maker])
        between = {name for name in dag.upstream(self._graph.waits, stages) if name in after}
        asked = (between - {maker} | (stages & {maker})) if of_model else {*between, maker}
        found: dict[RepoPath, Digest] = {}
        for name in asked | stages:
            known = {other: state for other, state in self._states.items() if isinstance(state, Known)}
            inputs = [
                item
                for item in self._graph.inputs[name]
                if not isinstance(item, ProducedInput) or (item.stage in known and item.stage not in after)
            ]
            made = made_inputs(inputs, known, self._evidence)
            for item in inputs:
                match item:
                    case DataInput():
                        found[item.path] = item.digest
                    case ProducedInput():
                        found[item.inside] = made[item.stage, item.output, item.part].digest
                    case TrackedInput() if item.because is None and not is_code(item.path):
                        found[item.path] = keys.digest("ciml/tracked/1", item.mode, item.oid)
        return found

    # Whom it is compared with.

    def _rival(
        self,
        judged: Judged,
        maker: StageName,
        ledger: LedgerState,
        candidate: Candidate,
        scores: frozenset[RepoPath],
    ) -> Rival:
        if ledger.champion is None:
            return NoChampion()
        model = judged.model
        version = ledger.champion.version
        registered = ledger.versions[version]
        champion = Champion(
            version=str(version),
            content=registered.artifact.digest,
            metrics={maker: Metrics(values=registered.metrics)},
            # What only trains a model may differ: the two are compared on what scores them.
            data={
                path: digest
                for path, digest in registered.data.items()
                if path in candidate.data or path not in judged.data
            },
        )
        same = registered.artifact.digest == candidate.content
        if same or model.champion.compare is not Compare.RESCORE:
            return champion
        states = self._rescore(model, registered)
        if isinstance(states, Incomparable):
            return states
        return msgspec.structs.replace(
            champion, metrics=_metrics(states), scores=self._scores(scores, {**self._states, **states})
        )


def _metrics(states: Mapping[StageName, State]) -> dict[StageName, Metrics]:
    """The metrics of every stage that has some, all files of a stage together."""
    return {
        name: combine(state.record.metrics)
        for name, state in states.items()
        if isinstance(state, Known) and state.record.metrics
    }
