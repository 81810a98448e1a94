"""`ciml data`: data that manifests in Git stand for."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ciml.adapters.manifests import dump
from ciml.app import data as cases
from ciml.cli.console import Console
from ciml.cli.datashow import bytes_text, difference_lines, files_text, status_line
from ciml.cli.invocation import Invocation
from ciml.cli.supplying import Supplying
from ciml.cli.wiring import open_place
from ciml.core.dataset import DataState
from ciml.core.errors import ExitCode
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest


@click.group("data")
def command() -> None:
    """Add, compare, fetch and share data that a manifest in Git stands for.

    A manifest is a few lines beside the data: its digest, its size, and where it comes from. It is committed,
    and the data is not.
    """


@command.command("add")
@click.argument("paths", nargs=-1, required=True)
@click.pass_obj
def add(invocation: Invocation, paths: tuple[str, ...]) -> int:
    """Take PATHS into the store, write a manifest beside each, and let Git ignore the data."""
    console = Console(invocation)
    done = []
    with open_place(invocation) as place:
        at = Supplying(place, invocation, console)
        outputs = at.outputs()
        for text in paths:
            path = at.path(text)
            cases.may_add(path, at.tree, at.data, outputs)
            done.append(cases.add(path, at.data, dump, place.store))
    console.document({"data": done})
    for item in done:
        console.line(f"{item.path}: {files_text(item.files)}, {bytes_text(item.size)} -> {item.manifest}")
    _what_to_commit(done, console)
    return ExitCode.OK


@command.command("status")
@click.argument("paths", nargs=-1)
@click.pass_obj
def status(invocation: Invocation, paths: tuple[str, ...]) -> int:
    """Show which data is as its manifest says, edited, or not here."""
    console = Console(invocation)
    with open_place(invocation) as place:
        at = Supplying(place, invocation, console)
        found = [cases.status(item, at.data, place.store, at.supply.listing) for item in at.manifests(paths)]
    console.document({"data": found})
    console.columns([status_line(item) for item in found])
    if not found:
        console.line("No data here: `ciml data add PATH` writes a manifest.")
    edited = [item.path for item in found if item.state is DataState.EDITED]
    if edited:
        console.line(f"hint: `ciml data update {' '.join(edited)}` takes it as it is now.")
    return ExitCode.OK


@command.command("update")
@click.argument("paths", nargs=-1)
@click.pass_obj
def update(invocation: Invocation, paths: tuple[str, ...]) -> int:
    """Write manifests anew from what lies on disk; all data that is here, or just PATHS."""
    console = Console(invocation)
    with open_place(invocation) as place:
        at = Supplying(place, invocation, console)
        found = at.manifests(paths)
        done = [cases.update(item, at.data, dump, place.store) for item in found if paths or at.data.here(item.path)]
    console.document({"data": done})
    for item in done:
        size = f"{files_text(item.files)}, {bytes_text(item.size)}"
        console.line(f"{item.path}: {size} -> {item.manifest}" if item.changed else f"{item.path}: up to date")
    _what_to_commit([item for item in done if item.changed], console)
    return ExitCode.OK


@command.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B", required=False)
@click.argument("path", metavar="[PATH]", required=False)
@click.pass_obj
def diff(invocation: Invocation, before: str, after: str | None, path: str | None) -> int:
    """Show the data files that differ between the commits A and B, or A and the work tree."""
    console = Console(invocation)
    with open_place(invocation) as place:
        at = Supplying(place, invocation, console)
        repository = place.repository
        old = _by_path(at.manifests(tree=repository.commit_tree(repository.resolve(before))))
        new = _by_path(at.manifests(tree=repository.commit_tree(repository.resolve(after)) if after else at.tree))
        wanted = [at.path(path)] if path else sorted({*old, *new})
        found = [cases.difference(name, old.get(name), new.get(name), at.supply.listing) for name in wanted]
        found = [item for item in found if item.before != item.after]
    console.document({"before": before, "after": after, "data": found})
    for item in found:
        for line in difference_lines(item, verbose=console.verbose):
            console.line(line)
    if not found:
        console.line("No data differs.")
    return ExitCode.OK


def _by_path(manifests: Sequence[Manifest]) -> dict[RepoPath, Manifest]:
    return {manifest.path: manifest for manifest in manifests}


def _what_to_commit(done: Sequence[cases.Written], console: Console) -> None:
    """Say what Git has to be told."""
    files = sorted({file for item in done for file in (item.manifest, item.ignored_in) if file})
    if files:
        console.line(f"To commit it: git add {' '.join(files)}")
