"""`ciml ci plan`: the first job, which says what the others are to do and runs no code of the repository."""

from __future__ import annotations

import json

from ciml.cli.ci.call import Call
from ciml.cli.ci.closing import publish_outputs
from ciml.cli.ci.datagate import check_data
from ciml.cli.commands.plan import show
from ciml.cli.datachecking import all_let_through
from ciml.cli.runshow import show_data
from ciml.core.batches import batches
from ciml.core.errors import CimlError, ExitCode, MissingExtraError
from ciml.core.handover import HandedPlan
from ciml.core.ids import ModelName


def plan(call: Call) -> ExitCode:
    """Decide which jobs run, and bring what they will need of the registry."""
    if not call.rights.runs:
        return nothing(call)
    show(call.choice.planned, call.console)
    data = check_data(call)
    show_data(data, call.console)
    stopped = not all_let_through(data)
    jobs = {} if stopped else call.choice.jobs
    champions = () if stopped else tuple(_bring(call))
    handed = HandedPlan(
        head=call.head_commit,
        base=call.prepared.base,
        jobs={job: tuple(" ".join(batch) for batch in batches(names)) for job, names in jobs.items()},
        rescore=champions,
        data=data,
    )
    hand_over(call, handed)
    for notice in call.notices:
        call.console.warn(notice)
    return ExitCode.OK


def hand_over(call: Call, plan: HandedPlan) -> None:
    """Leave the plan for the other jobs, and say it in the job's outputs."""
    path = call.handed.write("", "plan", plan) if call.handed is not None else ""
    publish_outputs(
        call,
        {
            "head": call.head_commit or "",
            "changed": str(bool(plan.jobs)).lower(),
            "stages": json.dumps(plan.jobs, separators=(",", ":")),
            "rescore": json.dumps(list(plan.rescore)),
            "plan": path,
        },
    )


def nothing(call: Call) -> ExitCode:
    """The end of a call whose event runs no stage, which says so to the other jobs too."""
    for sentence in call.notices or ["Nothing to do: the event runs no stage."]:
        call.console.line(sentence)
    hand_over(call, HandedPlan(head=call.event.head, base=None, jobs={}))
    return ExitCode.OK


def _bring(call: Call) -> list[ModelName]:
    """The models whose champion's files are handed on, so that a job without a registry can score them again."""
    found = []
    for model in call.choice.rescore:
        champion = call.registries.read(model.name).champion
        assert champion is not None, "a model is rescored against its champion"
        registration = call.registries.read(model.name).versions[champion.version]
        try:
            call.registries.fetch(model.name, registration)
        except MissingExtraError:
            raise
        except CimlError as error:
            if call.rights.registers:
                raise
            call.notices.append(f"{model.name} will not be judged: its champion cannot be read here: {error.message}")
            continue
        if call.handed is not None:
            call.handed.export([registration.artifact], call.place.store)
        found.append(model.name)
    return found
