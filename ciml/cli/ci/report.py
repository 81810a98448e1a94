"""`ciml ci report`: publishes what another workflow's run wrote down, which is data and nothing more."""

from __future__ import annotations

import msgspec

from ciml.cli.ci.call import Call
from ciml.cli.ci.closing import publish
from ciml.core.errors import ConfigurationError, ExitCode, TrustError
from ciml.core.handover import SETTLED
from ciml.core.report import FORMAT, Report


def report(call: Call) -> ExitCode:
    """Publish the report of the run that this event is about.

    Whoever wrote it may have had no right to, so what it is about is asked of the forge: the number
    of a pull request counts only where that pull request's head is the commit that was run.

    Raises:
        TrustError: it speaks of a pull request whose head is another commit.
        ConfigurationError: there is none, or of a form that this ciml does not know.
    """
    found = call.taken.read("report", Report, of=SETTLED)
    if found is None:
        call.console.line("Nothing to report: the run handed no report on.")
        return ExitCode.OK
    if found.format != FORMAT:
        raise ConfigurationError(f"the report has the format {found.format!r}, which this ciml does not know")
    publish(call, _of_this_event(call, found), {})
    return ExitCode.OK


def _of_this_event(call: Call, found: Report) -> Report:
    """The report, about the commit and the run that the event names, whatever it says itself."""
    event, number = call.event, found.event.number
    if number is not None and call.forge is not None and call.forge.head_of(number) != event.head_sha:
        raise TrustError(
            f"the report speaks of pull request {number}, whose head is not the commit that was run",
            hint="A newer push has its own run, whose report follows.",
        )
    told = msgspec.structs.replace(
        found.event,
        head_sha=event.head_sha,
        repository=event.repository,
        run=event.reported or event.run,
        fork=True,
    )
    return msgspec.structs.replace(found, event=told)
