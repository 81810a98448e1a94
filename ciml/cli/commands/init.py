"""`ciml init`: a small working project to start from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ciml.cli.console import Console
from ciml.cli.invocation import Invocation


@click.command("init")
@click.option(
    "--template", "name", metavar="NAME", default="sklearn", show_default=True, help="Which project to write."
)
@click.pass_obj
def command(invocation: Invocation, name: str) -> int:
    """Write ciml.yaml and a small working project here; no file of yours is replaced.

    Where there is no Git repository yet, one is made.
    """
    from ciml.adapters import templates
    from ciml.adapters.git.command import Git

    target = Path(invocation.directory)
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
    console.line()
    console.line("Next:")
    if not target.samefile(os.getcwd()):
        console.line(f"  cd {os.path.relpath(target)}")
    console.line("  pip install -r requirements.txt")
    console.line("  git add --all && git commit -m 'A first model'")
    console.line("  ciml run")
    return 0
