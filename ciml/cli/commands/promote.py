"""`ciml promote`: make a registered version the champion."""

from __future__ import annotations

import click

from ciml.app.promote import ByHand, Moved, promote
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.errors import ExitCode


@click.command("promote")
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--reason", metavar="TEXT", default="", help="Why; needed where the gate has not let it through.")
@click.pass_obj
def command(invocation: Invocation, model: str, version: int, reason: str) -> int:
    """Make VERSION of MODEL the champion, by a person's word."""
    console = Console(invocation)
    with open_place(invocation) as place:
        moved = promote(version, by_hand(model, reason, place, invocation))
    show(moved, console)
    return ExitCode.OK


def by_hand(model: str, reason: str, place: Place, invocation: Invocation) -> ByHand:
    """The word of whoever calls, on a model by name."""
    registries = Registries(place, project_at(place, invocation, {}).pipeline, invocation.environ)
    known = registries.model(model)
    return ByHand(
        author=registries.person(),
        ledger=registries.ledger(known.name),
        registry=registries.registry,
        alias=known.champion.alias,
        reason=reason,
    )


def show(moved: Moved, console: Console) -> None:
    """Print who is champion now."""
    console.document(moved)
    before = f", in the place of version {moved.previous}" if moved.previous and moved.moved else ""
    word = "is now" if moved.moved else "was already"
    console.line(f"{moved.name} version {moved.version} {word} the champion{before}")
