"""`ciml rollback`: make an earlier champion the champion again."""

from __future__ import annotations

import click

from ciml.app.promote import rollback
from ciml.cli.commands.promote import by_hand, show
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import open_place
from ciml.core.errors import ExitCode


@click.command("rollback")
@click.argument("model")
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Default: the champion before today's.")
@click.option("--reason", metavar="TEXT", default="", help="Why; the ledger keeps it with your name.")
@click.pass_obj
def command(invocation: Invocation, model: str, to: int | None, reason: str) -> int:
    """Make an earlier champion of MODEL the champion again."""
    console = Console(invocation)
    with open_place(invocation) as place:
        moved = rollback(by_hand(model, reason, place, invocation), to=to)
    show(moved, console)
    return ExitCode.OK
