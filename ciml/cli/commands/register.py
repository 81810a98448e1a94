"""`ciml register`: register what passed the gate."""

from __future__ import annotations

import click

from ciml.app.plan import prepare
from ciml.app.register import Registered
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.registering import Registering
from ciml.cli.running import Running
from ciml.cli.runshow import show_verdict
from ciml.cli.wiring import open_place, project_at
from ciml.core.errors import ExitCode, RejectedError, UsageError


@click.command("register")
@click.argument("model", required=False)
@click.option("--override", is_flag=True, help="Register although the gate did not let it through.")
@click.option("--reason", metavar="TEXT", default="", help="Why; the ledger keeps it with your name.")
@with_params
@click.pass_obj
def command(invocation: Invocation, model: str | None, override: bool, reason: str, params: dict[str, str]) -> int:
    """Register what passed the gate, exactly once, and promote it; no stage is run.

    The candidate is what HEAD's recipe made. MODEL limits it to one.
    """
    if override and not reason.strip():
        raise UsageError("an override needs a reason", hint="--override --reason TEXT")
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, params)
        running, prepared = Running(place, project, invocation, console), prepare(project)
        registering = Registering(running, prepared)
        if refusal := running.refusal(prepared):
            raise refusal
        models = registering.models(model)
        found = [(item, registering.known(item)) for item in models]
        known = [version for _, version in found if version]
        judged, run = registering.judged([item for item, version in found if not version], anew=False)
        outcomes = [registering.register(item, run, override=reason if override else None) for item in judged]
    for version in known:
        _show(version, console)
    registered = [*known, *(outcome for outcome in outcomes if isinstance(outcome, Registered))]
    console.document({"models": [_document(outcome) for outcome in registered]})
    for item, outcome in zip(judged, outcomes, strict=True):
        if isinstance(outcome, Registered):
            _show(outcome, console)
        else:
            show_verdict(item, console)
        if isinstance(outcome, RejectedError):
            console.failure(outcome)
    rejected = any(isinstance(outcome, RejectedError) for outcome in outcomes)
    return ExitCode.REJECTED if rejected else ExitCode.OK


def _document(outcome: Registered) -> dict[str, object]:
    return {
        "name": outcome.name,
        "version": outcome.version,
        "created": outcome.created,
        "promoted": outcome.promoted,
        "uri": outcome.uri,
    }


def _show(outcome: Registered, console: Console) -> None:
    done = "registered as" if outcome.created else "is already"
    promoted = ", now the champion" if outcome.promoted else ""
    console.line(f"{outcome.name} {done} version {outcome.version}{promoted} ({outcome.uri})")
    for note in outcome.notes:
        console.line(f"note: {note}")
