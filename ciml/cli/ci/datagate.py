"""Checks on data in CI: made once, before any stage, and able to stop the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ciml.app.perform import unmade
from ciml.cli.aftermath import Aftermath
from ciml.cli.ci.call import Call
from ciml.cli.ci.closing import Closing
from ciml.cli.datachecking import data_verdicts
from ciml.cli.running import Running
from ciml.cli.runshow import show
from ciml.core.errors import ExitCode

if TYPE_CHECKING:
    from ciml.core.datachecks import DataVerdict


def check_data(call: Call) -> tuple[DataVerdict, ...]:
    """What the checks say; nothing is read where no stage is going to run."""
    if not call.choice.jobs:
        return ()
    return data_verdicts(call.place, call.project, call.registries, may_lack_champion=call.may_lack_champion)


def stopped(call: Call, running: Running, data: Sequence[DataVerdict]) -> ExitCode:
    """Tell everybody that no stage was run, and why."""
    made = unmade(call.prepared)
    closing = Closing(call, running)
    show(call.head_commit, made, {}, call.console, data=data)
    code = closing.of_rejection()
    closing.tell(made, code, data=data)
    trace = running.trace(call.prepared, {}, (), seconds=0.0)
    Aftermath(running).tell_of_data(data, trace)
    return code
