"""The commands of ciml: each is a module that is imported when it is called, and not before."""

from __future__ import annotations

import os
from importlib import import_module

import click

from ciml import __version__
from ciml.cli.invocation import Invocation
from ciml.core.errors import RepositoryError

COMMANDS = {
    "init": "Write ciml.yaml and a small working project.",
    "validate": "Check ciml.yaml and the manifests.",
    "plan": "Show what changed and which stages would run, with the reason for each.",
    "run": "Run what is not up to date, in parallel, and judge the models.",
    "gate": "Judge again what this commit's recipe made.",
    "register": "Register what passed the gate and promote it; runs no stage.",
    "promote": "Make a registered version the champion.",
    "rollback": "Make an earlier champion the champion again.",
    "deploy": "Deploy what a release tag names, verified, smoke-tested and recorded.",
    "status": "Show what is champion, from which commit, since when, and any drift.",
    "ci": "Read the CI event and do what it allows.",
    "workflow": "Write the GitHub workflow: one job for each stage.",
    "trigger": "Let data that arrives in S3 start the workflow.",
    "explain": "Show the parts of a stage's keys, and which differ from the last run.",
    "lineage": "Show what made a version, a file or a commit, and what was made from it.",
    "log": "Show commits with their model versions, metrics and verdicts.",
    "diff": "Show what differs between two commits or versions: code, data, parameters, metrics.",
    "exec": "Run one stage from a work order.",
    "data": "Add, compare, fetch and share data that a manifest in Git stands for.",
    "store": "Show, verify and collect the content store.",
    "demo": "Build a real repository in a temporary place and walk it.",
    "doctor": "Check what is missing here.",
    "schema": "Print the JSON Schema of ciml.yaml.",
}
"""Every command with its one line of help, in the order of a day's work."""


class Commands(click.Group):
    """A group that lists its commands in the order of a day's work, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, as they were written down."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, of.get_short_help_str(limit=200)) for name, of in self.commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or a usage error with the nearest name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error
            raise


class LazyGroup(Commands):
    """A group whose commands are modules of `ciml.cli.commands`, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ciml.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "directory", metavar="DIR", default=".", help="Run as if started in DIR.")
@click.option("--profile", metavar="NAME", help="Use this profile of ciml.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr.")
@click.option("-v", "--verbose", count=True, help="Say more.")
@click.option("-q", "--quiet", count=True, help="Say less.")
@click.version_option(__version__, message="ciml %(version)s")
@click.pass_context
def cli(ctx: click.Context, directory: str, profile: str | None, as_json: bool, verbose: int, quiet: int) -> None:
    """A Git repository as the control plane of a machine-learning model."""
    ctx.obj = Invocation(
        arguments=ctx.obj,
        directory=_absolute(directory),
        profile=profile,
        json=as_json,
        verbosity=verbose - quiet,
        environ=dict(os.environ),
    )


def _absolute(directory: str) -> str:
    try:
        return os.path.abspath(directory)
    except FileNotFoundError as error:
        raise RepositoryError(
            "the working directory does not exist any more", hint="Go to one that does, or name one with -C."
        ) from error
