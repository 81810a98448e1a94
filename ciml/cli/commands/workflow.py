"""`ciml workflow`: write the GitHub workflow of this pipeline."""

from __future__ import annotations

import difflib
import os
import re

import click

from ciml.adapters import files
from ciml.adapters.tools import installed_from
from ciml.app.plan import project_graph
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.document import ACTION
from ciml.core.errors import ConfigurationError, ExitCode, ServiceError, UsageError
from ciml.core.pipeline import Pipeline
from ciml.core.workflow.generate import workflow
from ciml.core.workflow.limits import MOST_INPUTS, not_offered
from ciml.core.workflow.report import report_workflow
from ciml.core.workflow.steps import Settings

FOLDER = ".github/workflows"


@click.command("workflow")
@click.option("--check", is_flag=True, help="Write nothing; fail where a file is not what it would be.")
@click.option("--action", metavar="OWNER/REPO@SHA", help="The Action to pin; default: `action` in ciml.yaml.")
@click.pass_obj
def command(invocation: Invocation, check: bool, action: str | None) -> int:
    """Write .github/workflows/ciml.yml: a job for each stage, `needs` as in the pipeline.

    A second file, ciml-report.yml, publishes what a fork's pull request may not publish itself.
    """
    console = Console(invocation)
    with open_place(invocation) as place:
        root = place.work_tree()
        stale = stale_workflows(place, invocation, action)
        console.document({"stale": sorted(stale), "written": [] if check else sorted(stale)})
        if not stale:
            console.line("The workflow is as it should be.")
            return ExitCode.OK
        if not check:
            write(root, stale, console)
            return ExitCode.OK
        for path, made in stale.items():
            _show(path, _present(root, path) or "", made or "", console)
    raise ConfigurationError(f"{', '.join(sorted(stale))}: not what ciml.yaml asks for", hint="ciml workflow")


def check_action(action: str | None) -> None:
    """Check that an Action, where one is named, is named by its commit.

    Raises:
        UsageError: a tag or a branch could be made to mean another.
    """
    if action is not None and not re.match(ACTION, action):
        raise UsageError(f"{action!r} is no Action by its commit", hint="--action OWNER/REPOSITORY@<40 hex digits>")


def stale_workflows(place: Place, invocation: Invocation, action: str | None) -> dict[str, str | None]:
    """Path -> text of each workflow that is not what ciml.yaml asks for; None: there should be none.

    Raises:
        ConfigurationError: a CI job would lack the stages' packages, or no Action is known.
    """
    check_action(action)
    project = project_at(place, invocation, {})
    pipeline = project.pipeline
    if left_out := not_offered(pipeline):
        Console(invocation).warn(
            f"who starts the workflow by hand is not asked for {', '.join(left_out)}: "
            f"GitHub takes {MOST_INPUTS} inputs, named with letters, digits, - and _"
        )
    settings = Settings(action=action or _action(pipeline), default_branch=_default_branch(place))
    wanted = {
        f"{FOLDER}/ciml.yml": workflow(project_graph(project, project.tree, pipeline), settings),
        f"{FOLDER}/ciml-report.yml": report_workflow(settings) if pipeline.triggers.pull_requests else None,
    }
    return {path: made for path, made in wanted.items() if _present(place.work_tree(), path) != made}


def _action(pipeline: Pipeline) -> str:
    found = pipeline.action or installed_from()
    if found is None:
        raise ConfigurationError(
            "which Action the workflow is to use is not known",
            hint="Name it by its commit: `action: OWNER/REPOSITORY@<40 hex digits>` in ciml.yaml, or --action.",
        )
    return found


def _default_branch(place: Place) -> str:
    """What `origin` calls its default branch; `main` where nobody can say."""
    repository = place.repository
    if found := repository.default_branch():
        return found
    if repository.remote_url() is None:
        return repository.branch() or "main"
    try:
        return repository.remote_default()[0] or "main"
    except ServiceError:
        return "main"


def _present(root: str, path: str) -> str | None:
    try:
        with open(f"{root}/{path}", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def write(root: str, stale: dict[str, str | None], console: Console) -> None:
    """Put the workflows into the work tree, each whole or not at all."""
    for path, made in stale.items():
        target = f"{root}/{path}"
        try:
            if made is None:
                os.unlink(target)
            else:
                files.write_whole(target, made.encode())
        except OSError as error:
            raise files.outside(error, f"write {path}") from error
        console.line(f"{'removed' if made is None else 'wrote':<9} {path}")


def _show(path: str, before: str, after: str, console: Console) -> None:
    """The difference, as `diff -u` shows it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, f"{path} as it should be", lineterm="")
    for line in lines:
        console.line(line)
