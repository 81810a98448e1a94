"""`ciml explain`: the parts of a stage's keys."""

from __future__ import annotations

import click

from ciml.app.explain import Explanation, explain
from ciml.app.plan import prepare
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.unshared import planned
from ciml.cli.wiring import journal, open_place, project_at
from ciml.core.errors import ExitCode
from ciml.core.explanation import Part
from ciml.core.ids import StageName


@click.command("explain")
@click.argument("stage")
@with_params
@click.pass_obj
def command(invocation: Invocation, stage: str, params: dict[str, str]) -> int:
    """Show the parts of STAGE's keys, and which differ from the last run."""
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, params)
        runs = journal(place)
        last = runs.last_run()
        traced = runs.run(last.id) if last else None
        _, found = planned(
            project, place.store, console, lambda one: explain(one, prepare(one), StageName(stage), traced)
        )
    console.document(found)
    _show(found, console)
    return ExitCode.OK


def _show(found: Explanation, console: Console) -> None:
    planned = found.planned
    console.line(f"{planned.name}: {planned.action} – {planned.reason}")
    console.line(f"recipe  {planned.recipe}{_was(planned.recipe, found.last_recipe)}")
    console.line(f"key     {planned.key or 'not known before the stages before it have run'}")
    console.line()
    console.columns([_row(part) for part in found.parts])
    if found.last_run is None:
        console.line("No run here has had this stage: there is nothing to compare with.")
    elif any(part.differs for part in found.parts):
        console.line(f"* differs from the last run ({found.last_run})")
    elif found.last_recipe not in (None, planned.recipe):
        console.line(f"What the stages before it are asked for differs from the last run ({found.last_run}).")
    else:
        console.line(f"Nothing differs from the last run ({found.last_run}).")


def _was(now: str, before: str | None) -> str:
    return "" if before in (None, now) else f"  was {before}"


def _row(part: Part) -> tuple[str, ...]:
    before = f"was {_one_line(part.before)}" if part.before is not None else ""
    return ("*" if part.differs else "", part.kind, part.name, _one_line(part.value), before)


def _one_line(text: str) -> str:
    return "; ".join(text.split("\n"))
