"""`ciml diff`: code, data, parameters and metrics between two commits or versions."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ciml.adapters.manifests import parse
from ciml.app.diff import Records, TablesOf, diff
from ciml.app.ports import Store
from ciml.app.supply import Supply
from ciml.cli.console import Console
from ciml.cli.datashow import difference_lines
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries, Traces
from ciml.cli.supplying import supply_of
from ciml.cli.wiring import Documents, Place, journal, open_place, project_at
from ciml.core.comparison import Comparison, MetricChange, Side
from ciml.core.errors import ExitCode
from ciml.core.lineage import one_line, shown

_SHOWN = 20
"""Files and parameters that are named without `-v`."""


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="HEAD")
@click.option("--tables", is_flag=True, help="Say rows and columns, too; the tables that differ are fetched and read.")
@click.pass_obj
def command(invocation: Invocation, before: str, after: str, tables: bool) -> int:
    """Show what differs between A and B: code, data, parameters and metrics.

    Each is a commit, a version (churn/3) or an alias (churn@champion). B is HEAD where it is not named.
    """
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, {})
        supply = supply_of(place, invocation, project.store)
        registries = Registries(place, project.pipeline, invocation.environ)
        found = diff(
            before,
            after,
            repository=place.repository,
            documents=Documents(place.index, profile=None, params={}),
            parse=parse,
            fetch=supply.listing,
            bring=supply.bring,
            records=Records(
                states=tuple(registries.states()),
                aliases={model.name: model.champion.alias for model in project.pipeline.models.values()},
                journal=journal(place),
                registered=Traces(registries),
            ),
            tables=_tables(place, supply, project.store) if tables else None,
        )
    console.document(found)
    for line in _lines(found, verbose=console.verbose):
        console.line(line)
    return ExitCode.OK


def _tables(place: Place, supply: Supply, store: Store) -> TablesOf:
    from ciml.app.tablediff import table_difference

    read = place.tables()
    return lambda before, after: table_difference(before, after, supply, store, read)


def _lines(found: Comparison, *, verbose: bool) -> Iterator[str]:
    yield f"A  {_side(found.before)}"
    yield f"B  {_side(found.after)}"
    for note in found.notes:
        yield f"note: {note}"
    if not (found.code or found.data or found.params or any(item.before != item.after for item in found.metrics)):
        yield "Nothing differs."
        return
    marks = {"added": "+", "removed": "-", "changed": "~"}
    yield from _part("code", [f"{marks[change.how]} {change.path}" for change in found.code], verbose=verbose)
    if found.data:
        yield "data"
        for item in found.data:
            yield from (f"  {line}" for line in difference_lines(item, verbose=verbose))
    yield from _part("params", [f"{name} {how}" for name, how in found.params.items()], verbose=verbose)
    yield from _part("metrics", [_metric(change, found) for change in found.metrics], verbose=True)


def _side(side: Side) -> str:
    version = f"{side.model}/{side.version}"
    named = f"{version}, " if side.version is not None and side.name != version else ""
    return f"{side.name}: {named}{side.commit[:10]} {one_line(side.subject)}"


def _part(title: str, items: list[str], *, verbose: bool) -> Iterator[str]:
    if items:
        yield title
        kept = items if verbose else items[:_SHOWN]
        yield from (f"  {item}" for item in kept)
        if len(items) > len(kept):
            yield f"  and {len(items) - len(kept)} more (-v shows all)"


def _metric(change: MetricChange, found: Comparison) -> str:
    models = {item.model for item in found.metrics}
    name = change.metric if len(models) == 1 else f"{change.model}: {change.metric}"
    before, after = ("–" if value is None else shown(value) for value in (change.before, change.after))
    if change.before is None or change.after is None:
        return f"{name} {before} -> {after}"
    return f"{name} {before} -> {after} ({change.after - change.before:+.4g})"
