"""`ciml ci`: reads what the CI service says has happened, and does what that allows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import click

from ciml.cli.ci.call import Asked, Call, open_call
from ciml.cli.invocation import Invocation, with_params
from ciml.core.errors import ExitCode, UsageError

PHASES = {
    "all": ("settle", "whole"),
    "plan": ("plan", "plan"),
    "stage": ("stage", "stage"),
    "rescore": ("stage", "rescore"),
    "settle": ("settle", "settle"),
    "deploy": ("deploy", "deploy"),
    "record": ("deploy", "record"),
    "report": ("report", "report"),
}
"""What one job of a workflow does -> module of `ciml.cli.ci` and function, imported when it is called."""

_NAMED = ("stage", "rescore", "deploy")
"""Phases that take names."""


@click.command("ci")
@click.argument("phase", type=click.Choice(list(PHASES)), default="all")
@click.argument("names", nargs=-1)
@click.option("--from", "taken", metavar="DIR", help="What other jobs handed on.")
@click.option("--to", "handed", metavar="DIR", help="Where this job hands on what it decided and made.")
@click.option("--event", metavar="NAME", help="What has happened, where no CI service says: push, pull-request, tag, …")
@click.option("--base", metavar="REF", help="Compare with this commit, whatever the event says.")
@click.option("--head", metavar="REF", help="The commit that the event is about; default: the one checked out.")
@with_params
@click.pass_obj
def command(
    invocation: Invocation,
    phase: str,
    names: tuple[str, ...],
    taken: str | None,
    handed: str | None,
    event: str | None,
    base: str | None,
    head: str | None,
    params: dict[str, str],
) -> int:
    """Read the CI event and do what it allows: plan, run, gate, register, promote, deploy, report.

    \b
    PHASE is what this job does of it:
      all      everything, in this one job (the default)
      plan     say what changed and which jobs must run
      stage    run the stages NAMES, or all that must run
      rescore  score the champions of the models NAMES again
      settle   judge, register, promote and report what other jobs made
      deploy   deploy to the environments NAMES
      record   write what was deployed into the ledger
      report   publish the report of another workflow's run
    """
    if names and phase not in _NAMED:
        raise UsageError(f"ciml ci {phase} takes no names", hint=f"Got {' '.join(names)!r}.")
    asked = Asked(words=names, taken=taken, handed=handed, event=event, base=base, head=head, params=params)
    module, function = PHASES[phase]
    carry_out: Callable[[Call], ExitCode] = getattr(import_module(f"ciml.cli.ci.{module}"), function)
    with open_call(invocation, asked, first=phase in ("all", "plan")) as call:
        return carry_out(call) or call.unsynced
