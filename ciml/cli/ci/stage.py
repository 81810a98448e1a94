"""`ciml ci stage` and `ciml ci rescore`: the jobs that run the repository's code, and may do nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from ciml.adapters.ci.runner import Guard, Runner
from ciml.app.perform import Performance, perform
from ciml.app.plan import wanted_stages
from ciml.app.ports import FetchVersion
from ciml.app.relay import Seen, outcome
from ciml.app.run import Options
from ciml.cli.ci.call import Call
from ciml.cli.ci.handover import Relayed, hand_on
from ciml.cli.console import Live
from ciml.cli.signals import interruptible
from ciml.core.entries import Registration
from ciml.core.errors import ExitCode, ServiceError, TrustError, UsageError
from ciml.core.event import stage_refusal
from ciml.core.findings import suggestion
from ciml.core.handover import PLANNED, HandedPlan, StageOutcome
from ciml.core.ids import ModelName, StageName
from ciml.core.results import Failed, exit_code_of


def stage(call: Call) -> ExitCode:
    """Run the stages that were named, or all that must run, and hand on what they made."""
    if refusal := stage_refusal(call.event):
        raise refusal
    graph = call.prepared.graph
    names = tuple(StageName(word) for word in call.asked.words) or _planned(call)
    if not names:
        call.console.line("Nothing to run.")
        return ExitCode.OK
    wanted_stages(graph, names)
    relayed = Relayed(call)
    with guarded(call, {secret for name in names for secret in graph.pipeline.stages[name].secrets}):
        running = call.run()
        with Live(call.console, len(names)) as live, interruptible():
            means = relayed.instead(running.means(live), runs=names)
            options = Options(targets=names, keep_going=True)
            made = perform(call.project, call.prepared.anywhere(), means, options, models={})
    outcomes: dict[str, StageOutcome] = {name: _outcome(name, made) for name in names}
    hand_on(call, "results", outcomes)
    return exit_code_of([item.result for item in outcomes.values() if isinstance(item.result, Failed)])


def _planned(call: Call) -> tuple[StageName, ...]:
    """All stages that must run: as the job that planned says, which may know a better base than this one can find."""
    plan = call.taken.read("plan", HandedPlan, of=PLANNED)
    if plan is None:
        return tuple(name for batch in call.choice.jobs.values() for name in batch)
    return tuple(StageName(name) for batches in plan.jobs.values() for batch in batches for name in batch.split())


def _outcome(name: StageName, made: Performance) -> StageOutcome:
    decision = made.decisions.get(name)
    return outcome(name, decision.key if decision else None, made.results[name])


def rescore(call: Call) -> ExitCode:
    """Score the champions of the named models again, on this commit's data by its code, and hand the records on.

    Raises:
        CimlError: a champion's files cannot be had: the job that plans hands them on, or asks for no such job.
    """
    if refusal := stage_refusal(call.event):
        raise refusal
    models = call.project.pipeline.models
    unknown = next((word for word in call.asked.words if word not in models), None)
    if unknown is not None:
        raise UsageError(f"there is no model {unknown!r} in ciml.yaml", hint=suggestion(unknown, models))
    plan = call.taken.read("plan", HandedPlan, of=PLANNED)
    names = call.asked.words or (plan.rescore if plan else None)
    chosen = {model.name: model for model in call.choice.rescore if names is None or model.name in names}
    if not chosen:
        call.console.line("No champion is to be scored again.")
        return ExitCode.OK
    relayed = Relayed(call)
    with guarded(call, {name for item in call.prepared.graph.pipeline.stages.values() for name in item.secrets}):
        running = call.run()
        with Live(call.console, 0) as live, interruptible():
            means = relayed.instead(running.means(live), rescores=True)
            seen = Seen(means.rescoring)
            means = msgspec.structs.replace(means, rescoring=seen, fetch=_champion(call), may_lack_champion=False)
            options = Options(targets=call.choice.needed, keep_going=True)
            perform(call.project, call.prepared.anywhere(), means, options, models=chosen)
    hand_on(call, "rescored", {str(item.key): item for item in seen.outcomes if item.key})
    return ExitCode.OK


def _champion(call: Call) -> FetchVersion:
    """Brings a champion's files, which the job that plans hands on to those that may not ask the registry."""

    def fetch(model: ModelName, registration: Registration) -> None:
        try:
            call.registries.fetch(model, registration)
        except (ServiceError, TrustError) as error:
            what = f"{model} version {registration.version} is to be scored again, and no job handed its files on"
            raise ServiceError(
                f"{what}: {error.message}", hint="This job needs what `ciml ci plan` hands on."
            ) from error

    return fetch


@contextmanager
def guarded(call: Call, secrets: Iterable[str]) -> Iterator[None]:
    """Inside, stages run: their secrets are masked, and what they told the runner behind ciml's back is undone.

    Raises:
        TrustError: on leaving, where they told it something.
    """
    Runner(call.invocation.environ).mask(sorted(secrets))
    guard = Guard(call.invocation.environ)
    try:
        yield
    finally:
        grown = guard.undone()
    if grown:
        raise TrustError(
            f"a stage wrote to the runner's files behind ciml's back: {', '.join(grown)}; it was undone",
            hint="A stage has outputs; it sets no variables, paths or outputs of the job.",
        )
