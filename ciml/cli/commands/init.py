"""`ciml init`: a small working project to start from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.core.errors import ExitCode, RepositoryError, UsageError


@click.command("init")
@click.option(
    "--template", "name", metavar="NAME", default="sklearn", show_default=True, help="Which project to write."
)
@click.option("--action", metavar="OWNER/REPO@SHA", help="Write a GitHub workflow as well, which uses this Action.")
@click.option("--from", "other", metavar="FILE", help="Convert this dvc.yaml, and say what is not carried over.")
@click.pass_obj
def command(invocation: Invocation, name: str, action: str | None, other: str | None) -> int:
    """Write ciml.yaml and a small working project here; no file of yours is replaced.

    Where there is no Git repository yet, one is made. The workflow is written where the Action is known: by
    --action, or since ciml was installed from a commit on GitHub.
    """
    if other is not None:
        from ciml.cli.converting import convert

        if action is not None:
            raise UsageError("--action does not go with --from", hint="Then: ciml workflow --action OWNER/REPO@SHA")
        return convert(invocation, other)
    from ciml.adapters import templates
    from ciml.adapters.git.command import Git
    from ciml.adapters.tools import installed_from
    from ciml.cli.commands.workflow import check_action

    check_action(action)
    target = Path(invocation.directory)
    _refuse_below_a_root(target, invocation)
    console = Console(invocation)
    written = templates.write(name, target)
    git = Git(str(target), invocation.environ)
    new = git.ask("rev-parse", "--git-dir").code != 0
    if new:
        git.run("init", "--quiet", "--initial-branch=main")
    console.document({"template": name, "created": written.created, "extended": written.extended, "git": new})
    for path in written.created:
        console.line(f"wrote     {path}")
    for path in written.extended:
        console.line(f"extended  {path}")
    if new:
        console.line("made      a Git repository")
    known = action or installed_from()
    if known:
        _add_workflow(target, invocation, known, console)
    console.line()
    console.line("Next:")
    if not target.samefile(os.getcwd()):
        console.line(f"  cd {os.path.relpath(target)}")
    console.line("  pip install -r requirements.txt")
    console.line("  git add --all && git commit -m 'A first model'")
    console.line("  ciml run")
    if not known:
        console.line("  ciml workflow --action OWNER/REPOSITORY@COMMIT   # on GitHub: the ciml that your team uses")
    return ExitCode.OK


def _refuse_below_a_root(target: Path, invocation: Invocation) -> None:
    """Raises RepositoryError where the target is inside a work tree and not its root: ciml.yaml would not be read."""
    from ciml.adapters.git.command import Git

    there = next(folder for folder in (target, *target.parents) if folder.is_dir())
    answer = Git(str(there), invocation.environ).ask("rev-parse", "--show-toplevel")
    root = os.fsdecode(answer.out).rstrip("\n")
    if answer.code == 0 and root and not (there == target and target.samefile(root)):
        raise RepositoryError(
            f"{target.resolve()} lies inside the Git repository {root}; ciml.yaml belongs at a repository's root, "
            "so nothing was written",
            hint="Choose a folder outside it, or make this one a repository of its own: "
            f"git init {shlex.quote(str(target))}",
        )


def _add_workflow(target: Path, invocation: Invocation, action: str, console: Console) -> None:
    """Name the Action and the stages' packages in ciml.yaml, and write the workflow that follows from it."""
    from ciml.cli.commands.workflow import stale_workflows, write
    from ciml.cli.wiring import open_place

    lines = (
        f"action: {action}  # what `ciml workflow` pins",
        'environment: {python: "3.11", requirements: requirements.txt}  # made for stages, everywhere alike',
    )
    file = target / "ciml.yaml"
    text = file.read_text(encoding="utf-8")
    if "\nenvironment:" not in text:
        file.write_text(text.replace("version: 1\n", "\n".join(("version: 1", *lines, "")), 1), encoding="utf-8")
    with open_place(invocation) as place:
        write(str(target), stale_workflows(place, invocation, action), console)
