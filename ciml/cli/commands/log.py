"""`ciml log`: commits with what ciml knows of them."""

from __future__ import annotations

import click

from ciml.adapters.manifests import parse
from ciml.app.log import log, with_data
from ciml.cli.console import Console
from ciml.cli.datashow import move_text
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import journal, open_place, project_at
from ciml.core.amounts import some_of
from ciml.core.errors import ExitCode
from ciml.core.history import LogEvent, LogRow
from ciml.core.lineage import one_line, shown

_METRICS = 3
"""So many are named on a line; `--json` has all."""


@click.command("log")
@click.argument("revision", default="HEAD")
@click.option(
    "-n", "limit", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="How many commits."
)
@click.pass_obj
def command(invocation: Invocation, revision: str, limit: int) -> int:
    """Show commits up to REVISION with their data, model versions, metrics, verdicts and deployments."""
    console = Console(invocation)
    with open_place(invocation) as place:
        registries = Registries(place, project_at(place, invocation, {}).pipeline, invocation.environ)
        rows = log(
            registries.states(),
            commits=place.repository,
            journal=journal(place),
            limit=limit,
            revision=revision,
        )
        rows = with_data(rows, place.repository, parse)
    console.document({"commits": rows})
    for row in rows:
        _show(row, console)
    return ExitCode.OK


def _show(row: LogRow, console: Console) -> None:
    console.line(f"{row.commit.sha[:10]}  {one_line(row.commit.subject)}")
    for move in row.data:
        console.line(f"    data {move_text(move)}")
    told: list[dict[str, float]] = []
    cells = []
    for event in row.events:
        # A registration has the metrics of its verdict: once a commit is enough.
        cells.append(_event(event, "" if event.metrics in told else _metrics(event)))
        told.append(event.metrics)
    console.columns(cells)


def _metrics(event: LogEvent) -> str:
    listed = [f"{name} {shown(value)}" for name, value in event.metrics.items()]
    return some_of(listed, _METRICS)


def _event(event: LogEvent, metrics: str) -> tuple[str, ...]:
    name = f"{event.model}/{event.version}" if event.version is not None else event.model
    what = f"{event.what} {event.verdict or event.environment}".strip()
    return ("   ", what, name, one_line(event.reason), metrics)
