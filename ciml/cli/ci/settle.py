"""`ciml ci settle` and `ciml ci` alone: what a commit's results lead to, with other jobs' results or with one's own."""

from __future__ import annotations

import msgspec

from ciml.app.perform import Means, Performance, perform, unmade
from ciml.app.run import Options
from ciml.cli.ci.call import Call
from ciml.cli.ci.closing import Closing
from ciml.cli.ci.datagate import check_data, stopped
from ciml.cli.ci.deploy import deploy_here, order, promotion, release, tell
from ciml.cli.ci.extras import require_extras
from ciml.cli.ci.handover import Relayed
from ciml.cli.ci.plan import nothing
from ciml.cli.ci.stage import guarded
from ciml.cli.console import Live
from ciml.cli.datachecking import all_let_through
from ciml.cli.signals import interruptible
from ciml.core.errors import CimlError, ExitCode, RaceError
from ciml.core.event import MAIN
from ciml.core.handover import PLANNED, HandedPlan
from ciml.core.report import DeploymentLine
from ciml.core.results import record_of

_ROUNDS = 3
"""How often models are judged when the champion moves in between."""


def settle(call: Call) -> ExitCode:
    """End a run of many jobs: recompute, admit, judge, register, promote, tell. No stage is run."""
    if call.rights.deploys == "release":
        return _released(call, here=False)
    if not call.rights.runs:
        return nothing(call)
    require_extras(call)
    running = call.run()
    plan = call.taken.read("plan", HandedPlan, of=PLANNED)
    if plan is not None and not all_let_through(plan.data):
        return stopped(call, running, plan.data)
    relayed = Relayed(call)
    with Live(call.console, 0) as live, interruptible():
        means = relayed.instead(running.means(live))
        made = _made(call, means, settling=True)
        _admit(call, made)
        return Closing(call, running, _ordered).close(made)


def whole(call: Call) -> ExitCode:
    """Everything that the event allows, in this one job."""
    if call.rights.deploys == "release":
        return _released(call, here=True)
    if not call.rights.runs:
        return nothing(call)
    require_extras(call)
    running = call.run()
    data = check_data(call)
    if not all_let_through(data):
        return stopped(call, running, data)
    stages = call.prepared.graph.pipeline.stages.values()
    with Live(call.console, len(call.choice.needed)) as live, interruptible():
        for attempt in range(1, _ROUNDS + 1):
            with guarded(call, {secret for stage in stages for secret in stage.secrets}):
                means = msgspec.structs.replace(running.means(live), may_lack_champion=call.may_lack_champion)
                made = _made(call, means, settling=False)
            _admit(call, made)
            try:
                return Closing(call, running, _deployed).close(made, last=attempt == _ROUNDS)
            except RaceError as error:
                if attempt == _ROUNDS:
                    raise
                call.console.warn(f"{error.message}; it is judged again")
                call.registries.forget()
    raise AssertionError("the last round returns or raises")


def _admit(call: Call, made: Performance) -> None:
    """Let the records of this run be everybody's: those whose keys this job has computed, and no others."""
    if not call.rights.admits:
        return
    stages = made.prepared.graph.pipeline.stages
    records = [
        record
        for name, result in made.results.items()
        if (record := record_of(result)) is not None and stages[name].pick is None and stages[name].reusable
    ]
    call.project.store.admit(records, to=MAIN)


def _ordered(call: Call) -> tuple[ExitCode, tuple[DeploymentLine, ...]]:
    return ExitCode.OK, order(call, promotion(call))


def _deployed(call: Call) -> tuple[ExitCode, tuple[DeploymentLine, ...]]:
    return deploy_here(call, promotion(call))


def _released(call: Call, *, here: bool) -> ExitCode:
    """What a release tag asks for, ordered of other jobs or deployed here; nothing is trained."""
    try:
        rollouts = release(call)
        code, lines = deploy_here(call, rollouts) if here else (ExitCode.OK, order(call, rollouts))
    except CimlError as error:
        tell(call, (), error.code, error=error.message)
        raise
    tell(call, lines, code)
    return code


def _made(call: Call, means: Means, *, settling: bool) -> Performance:
    """What the commit's stages made and what the gates say of it."""
    prepared = call.prepared.anywhere() if settling else call.prepared
    if call.choice.needed:
        return perform(call.project, prepared, means, Options(targets=call.choice.needed, keep_going=settling))
    return unmade(prepared, tuple(call.choice.settled.values()))
