"""`ciml plan`: what changed and which stages would run."""

from __future__ import annotations

import shlex

import click

from ciml.app.plan import Prepared, how_taken, plan, prepare
from ciml.app.project import Project
from ciml.cli import receipt
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.unshared import planned
from ciml.cli.wiring import open_place, project_at
from ciml.core.amounts import some_of
from ciml.core.changes import ChangeSet
from ciml.core.errors import ExitCode
from ciml.core.ids import StageName, is_no_commit
from ciml.core.plan import Action, Plan


@click.command("plan")
@click.argument("stages", nargs=-1)
@click.option("--base", metavar="REF", help="Compare with this commit; default: HEAD when dirty, else the last run.")
@click.option("--head", metavar="REF", help="Plan this commit, which need not be checked out; default: the work tree.")
@click.option("--force", is_flag=True, help="Plan as if there were no records.")
@with_params
@click.pass_obj
def command(
    invocation: Invocation,
    stages: tuple[str, ...],
    base: str | None,
    head: str | None,
    force: bool,
    params: dict[str, str],
) -> int:
    """Show what changed and which STAGES would run, with the reason for each.

    Needs no data and no checkout: recipes come from Git alone.
    """
    console = Console(invocation)
    if head is not None and is_no_commit(head):
        gone = ChangeSet(reason="there is no commit: the branch is deleted")
        show(Plan(base=None, head=None, dirty=False, changes=gone, stages=()), console)
        return ExitCode.OK
    with open_place(invocation) as place:
        project = project_at(place, invocation, params, head=head)
        for warning in project.pipeline.warnings:
            console.warn(warning)
        targets = [StageName(name) for name in stages]

        def look(project: Project) -> tuple[Prepared, Plan]:
            prepared = prepare(project, base=base)
            return prepared, plan(project, prepared, targets=targets, force=force)

        served, (prepared, made) = planned(project, place.store, console, look)
        for item in prepared.edited:
            console.warn(
                f"{item.stood_for} is not what its manifest says: before a run, "
                f"`ciml data pull {shlex.quote(item.stood_for)}` gets what it says; {how_taken(item)}"
            )
        show(made, console)
        # What is said of edited data depends on where the user stands, and a receipt holds for all folders.
        if made.nothing_to_do and served is project and not prepared.edited:
            receipt.keep(place, project, prepared, invocation, console, 0)
    return ExitCode.OK


def document(made: Plan) -> dict[str, object]:
    """The plan as `--json` prints it."""
    return {
        "base": made.base,
        "head": made.head,
        "dirty": made.dirty,
        "changes": changes_document(made.changes),
        "stages": made.stages,
    }


def changes_document(changes: ChangeSet) -> dict[str, object]:
    """A change set as `--json` prints it."""
    return {"code": changes.code, "data": changes.data, "params": changes.params, "reason": changes.reason}


def show(made: Plan, console: Console) -> None:
    """Print a plan: what changed, then a line a stage; one line when there is nothing to do."""
    console.document(document(made))
    if not made.stages:
        console.line(f"Nothing to do: {made.changes.reason}.")
        return
    if made.nothing_to_do:
        left_out = sum(stage.key is None for stage in made.stages)
        counts = [(len(made.stages) - left_out, "up to date"), (left_out, "left out")]
        console.line(f"Nothing to do: {', '.join(f'{count} {word}' for count, word in counts if count)}.")
        return
    for line in _changed(made.changes):
        console.line(line)
    shown = [stage for stage in made.stages if stage.action is not Action.SKIP or console.verbose]
    console.columns([(stage.action, stage.name, stage.reason) for stage in shown])
    if hidden := len(made.stages) - len(shown):
        console.line(f"{hidden} more {'is' if hidden == 1 else 'are'} up to date or left out (-v shows all).")


def _changed(changes: ChangeSet) -> list[str]:
    if changes.reason:
        return [f"Everything counts as changed: {changes.reason}."]
    parts = {"code": changes.code, "data": changes.data, "params": changes.params}
    return [f"Changed {kind}: {some_of(names, 8)}" for kind, names in parts.items() if names]
