"""Judge the models of a run: each candidate against its champion, scored on the same data by the same code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from ciml.app.ports import Store
from ciml.app.precedent import own_judgement, recorded, stands
from ciml.app.reads import gate_reads, maker_of, recipe_of, used_stages, writers
from ciml.app.run import Options, Outcome
from ciml.core import checks, dag, gate
from ciml.core import key as keys
from ciml.core.contest import Candidate, Champion, Incomparable, NoChampion, Rival
from ciml.core.entries import Registration
from ciml.core.errors import ServiceError, TrustError
from ciml.core.ids import Digest, ModelName, RepoPath, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput, is_code
from ciml.core.judged import Judged
from ciml.core.ledger import LedgerState
from ciml.core.metrics import Metrics, combine
from ciml.core.pipeline import Compare, Model
from ciml.core.plan import Evidence, Graph, Known, LeftOut, Pending, State, made_inputs, output_of
from ciml.core.results import Failed, Output, Record
from ciml.core.verdict import Status


class Fetch(Protocol):
    """Brings a registered version's files."""

    def __call__(self, model: ModelName, registration: Registration) -> None:
        """Put the files of a model's version into the store, verified by their digest.

        Raises:
            CimlError: they cannot be had, or are not what the ledger says.
        """
        ...


RESTORE = "keep the stage that the base's `champion` names, or change `champion` first, in a change of its own"

Rescore = Callable[[Graph, Options, Mapping[StageName, State]], Outcome]
"""Carries stages out with some states given, outputs not placed."""


class Judging:
    """Judges the models of one graph.

    Args:
        graph: the candidate's commit, resolved.
        states: of the run's stages.
        evidence: for parts of directories.
        store: bytes of scores and champions.
        rescore: runs the evaluation once more, with the champion in the candidate's place.
        fetch: brings a champion's files into the store.
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
        fetch: Fetch,
        ready: Callable[[Model], None] = lambda model: None,
        may_lack_champion: bool = False,
    ) -> None:
        self._graph = graph
        self._states = states
        self._evidence = evidence
        self._store = store
        self._rescore = rescore
        self._fetch = fetch
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
        maker = maker_of(model, self._graph)
        read = gate_reads(model, self._graph)
        values = {name: self._params.get(name) for name in read.params}
        judged = Judged(
            model=model,
            recipe=recipe_of(model, self._graph),
            key=Digest(""),
            policy=keys.policy([*model.gate, model.champion, values], model.promote),
            policy_params=values,
            artifact=self._artifact(model, maker),
            verdict=gate.not_judged(model.name, self._absence(maker)),
            champion=ledger.champion_identity,
            data=self._data({maker, *read.stages}, of_model=False, maker=maker),
            stages=used_stages(model, self._graph),
        )
        recipes = {name: self._graph.recipes[name] for name in read.stages if name in self._graph.recipes}
        key = keys.verdict(judged.recipe, recipes, judged.policy, judged.champion)
        judged = msgspec.structs.replace(judged, key=key)
        if not anew and (before := ledger.verdicts.get(key)) and stands(before, judged, ledger):
            return recorded(judged, before)
        own = own_judgement(judged, ledger) if not anew else None
        if own and own.key == keys.verdict(judged.recipe, recipes, judged.policy, own.champion):
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
        stages = {self._instance(maker, name) for name in stages & self._graph.waits.keys()}
        maker = self._instance(maker, maker)
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
        return self._rescored(model, maker, registered, champion, scores)

    def _rescored(
        self,
        model: Model,
        maker: StageName,
        registered: Registration,
        champion: Champion,
        scores: frozenset[RepoPath],
    ) -> Rival:
        """The champion's score on the candidate's data, by the candidate's code."""
        target = model.champion.rescore
        assert target is not None, "compare: rescore names a stage"
        if fault := self._rescore_fault(model, maker, target):
            return Incomparable(version=champion.version, content=champion.content, reason=fault, hint=RESTORE)
        self._fetch(model.name, registered)
        state = self._states[maker]
        assert isinstance(state, Known), "the candidate's maker has ended"
        # After a pick, the champion takes the place of the winner: the others have no part in it.
        made_by, scored_by = self._instance(maker, maker), self._instance(maker, target)
        after = self._between(made_by, scored_by)
        given = {name: other for name, other in self._states.items() if name not in after}
        given[made_by] = Known(
            key=registered.artifact.digest, record=self._with_champion(model, state.record, registered.artifact)
        )
        outcome = self._rescore(self._graph, Options(targets=(scored_by,)), given)
        for name, result in outcome.results.items():
            if isinstance(result, Failed):
                reason = f"stage {name} failed on version {champion.version}'s files: {result.reason}"
                return Incomparable(version=champion.version, content=champion.content, reason=reason, lasting=False)
        states = {self._plain(maker, name): outcome.states[name] for name in after if name in outcome.states}
        return msgspec.structs.replace(
            champion, metrics=_metrics(states), scores=self._scores(scores, {**self._states, **states})
        )

    def _rescore_fault(self, model: Model, maker: StageName, target: StageName) -> str | None:
        """Why a stage cannot score the champion: one that the base names and the head has changed, or lost."""
        stages, made = self._graph.pipeline.stages, self._graph.producers.find(model.path)
        if target not in stages:
            return f"stage {target}, which scores it again, is not in this pipeline"
        if made is None or made.part:
            return f"{model.path} is a part of what {maker} makes, and no output of its own"
        rule, maker_rule = stages[target].pick, stages[maker].pick
        if rule and maker_rule and len(rule.candidates) != len(maker_rule.candidates):
            return f"stage {target}, which scores it again, is fanned out apart from {maker}"
        if not self._between(self._instance(maker, maker), self._instance(maker, target)):
            return f"stage {target}, which scores it again, does not come after {maker}"
        return None

    def _between(self, made_by: StageName, scored_by: StageName) -> frozenset[StageName]:
        """The stages on every way from the model to its score, the maker left out."""
        waits = self._graph.waits
        return dag.downstream(waits, [made_by]) & dag.upstream(waits, [scored_by]) - {made_by}

    def _instance(self, maker: StageName, name: StageName) -> StageName:
        """The instance that a pick took for `name`; `name` itself where it was not fanned out."""
        stages = self._graph.pipeline.stages
        rule, maker_rule, state = stages[name].pick, stages[maker].pick, self._states.get(maker)
        if rule is None or maker_rule is None or not isinstance(state, Known):
            return name
        winners = [candidate for candidate, _ in maker_rule.candidates]
        if len(winners) != len(rule.candidates):
            return name
        return rule.candidates[winners.index(state.record.stage)][0]

    def _plain(self, maker: StageName, instance: StageName) -> StageName:
        """The plain name of an instance, as the gate knows it."""
        template = self._graph.pipeline.stages[instance].template
        return template if self._graph.pipeline.stages[maker].pick else instance

    def _with_champion(self, model: Model, record: Record, champion: Output) -> Record:
        """The maker's record with the champion's files in the place of the candidate's."""
        made = self._graph.producers.find(model.path)
        assert made is not None, f"{model.path} has no maker"
        assert not made.part, f"{model.path} is an output of its own, or the configuration would have been refused"
        outputs = tuple(
            msgspec.structs.replace(champion, path=output.path) if output.path == made.output else output
            for output in record.outputs
        )
        return msgspec.structs.replace(record, outputs=outputs)


def _metrics(states: Mapping[StageName, State]) -> dict[StageName, Metrics]:
    """The metrics of every stage that has some, all files of a stage together."""
    return {
        name: combine(state.record.metrics)
        for name, state in states.items()
        if isinstance(state, Known) and state.record.metrics
    }
