"""`ciml run`: run what is not up to date, and judge the models."""

from __future__ import annotations

import os

import click

from ciml.app.perform import Performance, perform, unmade
from ciml.app.plan import prepare, refuse_edited
from ciml.app.run import Options
from ciml.cli import receipt
from ciml.cli.aftermath import Aftermath
from ciml.cli.console import Console, Live
from ciml.cli.datachecking import all_let_through, data_verdicts, stages_read_it
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.running import Running
from ciml.cli.runshow import show
from ciml.cli.signals import interruptible
from ciml.cli.wiring import open_place, project_at
from ciml.core.errors import ExitCode
from ciml.core.ids import StageName
from ciml.core.results import Failed, exit_code_of
from ciml.core.verdict import Status


@click.command("run")
@click.argument("stages", nargs=-1)
@click.option(
    "--jobs",
    "-j",
    metavar="N",
    type=click.IntRange(min=1),
    default=os.cpu_count,
    help="Stages at once; default: the processors.",
)
@click.option("--force", is_flag=True, help="Run although there is a record.")
@click.option("--keep-going", "-k", is_flag=True, help="After a failure, go on with what does not depend on it.")
@click.option("--base", metavar="REF", help="Compare with this commit; default: as `plan` does.")
@with_params
@click.pass_obj
def command(
    invocation: Invocation,
    stages: tuple[str, ...],
    jobs: int,
    force: bool,
    keep_going: bool,
    base: str | None,
    params: dict[str, str],
) -> int:
    """Run what is not up to date, in parallel, and judge the models.

    STAGES limits the run to these and what they need.
    """
    console = Console(invocation)
    options = Options(targets=tuple(StageName(name) for name in stages), force=force, keep_going=keep_going)
    with open_place(invocation) as place, interruptible():
        place.work_tree()
        project = project_at(place, invocation, params)
        for warning in project.pipeline.warnings:
            console.warn(warning)
        prepared = prepare(project, base=base)
        run = Running(place, project, invocation, console, jobs=jobs)
        refuse_edited(prepared)
        data = data_verdicts(place, project, run.registries)
        if not all_let_through(data):
            show(project.tree.commit, unmade(prepared), {}, console, data=data)
            trace = run.trace(prepared, {}, (), seconds=0.0)
            Aftermath(run).tell_of_data(data, trace)
            return ExitCode.REJECTED
        with Live(console, len(prepared.graph.order)) as live:
            made = perform(project, prepared, run.means(live), options)
        recorded = run.record(made)
        show(project.tree.commit, made, run.registries.versions(made.judged), console, data=data)
        for path in sorted(project.tree.converted):
            console.warn(f"{path} differs from the commit by its line ends or a filter: stages are given Git's bytes")
        code = exit_code(made)
        if not made.idle or any(not judged.recorded for judged in made.judged):
            Aftermath(run).settle(made, recorded)
        settled = all(judged.recorded or judged.artifact is None for judged in made.judged)
        if made.idle and settled and stages_read_it(project, prepared.graph):
            receipt.keep(place, project, prepared, invocation, console, code)
    return code


def exit_code(made: Performance) -> ExitCode:
    """What the run's outcome means to a shell."""
    failed = [result for result in made.results.values() if isinstance(result, Failed)]
    if failed:
        return exit_code_of(failed)
    rejected = any(judged.verdict.status is Status.REJECTED and not judged.recorded for judged in made.judged)
    return ExitCode.REJECTED if rejected else ExitCode.OK
