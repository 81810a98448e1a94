"""`ciml data`: data that manifests in Git stand for."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from ciml.adapters.manifests import dump
from ciml.app import data as cases
from ciml.app.datadiff import difference
from ciml.app.faults import Faults
from ciml.app.source import is_listed, source_changes, update_from_source
from ciml.cli.console import Console
from ciml.cli.datashow import difference_lines, hints, show_faults, status_line
from ciml.cli.group import Commands
from ciml.cli.invocation import Invocation
from ciml.cli.moving import Moving
from ciml.cli.supplying import Supplying
from ciml.cli.wiring import Place, open_place, read_manifest
from ciml.core.amounts import bytes_text, files_text, some_of
from ciml.core.dataset import DataDifference, DataStatus
from ciml.core.errors import ConfigurationError, ExitCode, UsageError
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest
from ciml.core.s3 import S3Address, s3_address


@click.group("data", cls=Commands)
def command() -> None:
    """Add, compare, fetch and share data that a manifest in Git stands for.

    A manifest is a few lines beside the data: its digest, its size, and where it comes from. It is committed,
    and the data is not.
    """


@command.command("add")
@click.argument("paths", nargs=-1, required=True)
@click.option("--to", metavar="PATH", help="Where data from S3 is to lie; default: the last part of its address.")
@click.pass_obj
def add(invocation: Invocation, paths: tuple[str, ...], to: str | None) -> int:
    """Take PATHS into the store, write a manifest beside each, and let Git ignore the data.

    A path may be s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all that lies below: nothing is fetched then, and
    the manifest pins the objects' versions.
    """
    if to is not None and (len(paths) > 1 or not _is_address(paths[0])):
        raise UsageError("--to says where data from one s3:// address is to lie")
    console = Console(invocation)
    done = []
    with open_place(invocation) as place, Moving("reading") as meter:
        at = Supplying(place, invocation, meter)
        outputs = at.outputs()
        for text in paths:
            address = s3_address(text) if _is_address(text) else None
            path = at.path(to or _last_part(address) if address else text)
            cases.may_add(path, at.tree, at.data, outputs)
            done.append(_from_source(address, path, at) if address else cases.add(path, at.data, dump, at.store))
        _warn_of_clashes(done, at, console)
    console.document({"data": done})
    for item in done:
        size = f"{files_text(item.files)}, {bytes_text(item.size)}"
        console.line(f"{item.path}: {size} -> {item.manifest}{'' if item.changed else ' (up to date)'}")
    if meter.size:
        console.line(f"S3 has no SHA-256 of {files_text(meter.objects)}: {bytes_text(meter.size)} were read once.")
    _what_to_commit([item for item in done if item.changed or item.ignored_in], at, console)
    return ExitCode.OK


def _is_address(text: str) -> bool:
    return "://" in text


def _last_part(address: S3Address) -> str:
    return address.key.rstrip("/").rpartition("/")[2] or address.bucket


def _from_source(address: S3Address, path: RepoPath, at: Supplying) -> cases.Written:
    if at.data.here(path):
        raise ConfigurationError(
            f"something lies at {path} already", hint="Move it away, or name another path with --to."
        )
    new = update_from_source(path, None, at.source(address), at.store, at.supply.listing).manifest
    at.store.flush()
    changed = at.data.write(new.file, dump(new))
    return cases.written(new, changed=changed, ignored_in=at.data.ignore(path))


@command.command("status")
@click.argument("paths", nargs=-1)
@click.option("--remote", is_flag=True, help="Ask sources in S3 and the shared store, too; nothing is fetched.")
@click.pass_obj
def status(invocation: Invocation, paths: tuple[str, ...], remote: bool) -> int:
    """Show which data is as its manifest says, edited, or not here."""
    console, faults = Console(invocation), Faults()
    with open_place(invocation) as place:
        at = Supplying(place, invocation)
        found = []
        for item in at.manifests(paths, faults):
            with faults.of(item.file):
                found.append(cases.status(item, at.data, at.supply))
                if remote:
                    found[-1] = _with_remote(found[-1], item, at)
    console.document({"data": found, "faults": faults.found})
    console.columns([status_line(item) for item in found])
    if not found and not faults.found:
        console.line("No data here: `ciml data add PATH` writes a manifest.")
    for hint in hints(found, at.words):
        console.line(f"hint: {hint}")
    return show_faults(faults, console)


def _with_remote(found: DataStatus, manifest: Manifest, at: Supplying) -> DataStatus:
    """The same with how its source and the shared store stand."""
    at_source = None
    if manifest.source:
        at_source = source_changes(manifest, at.source(s3_address(manifest.source)), at.supply.listing).files
    return msgspec.structs.replace(found, at_source=at_source, shared=at.sharing.is_shared(manifest))


@command.command("update")
@click.argument("paths", nargs=-1)
@click.pass_obj
def update(invocation: Invocation, paths: tuple[str, ...]) -> int:
    """Write manifests anew, from S3 where the data comes from there, else from disk; all of them, or just PATHS."""
    console, faults = Console(invocation), Faults()
    done = []
    with open_place(invocation) as place, Moving("reading") as meter:
        at = Supplying(place, invocation, meter)
        for item in at.manifests(paths, faults):
            with faults.of(item.file):
                if written := _updated(item, at, console, named=bool(paths)):
                    done.append(written)
        _warn_of_clashes(done, at, console)
    console.document({"data": done, "faults": faults.found})
    for written in done:
        size = f"{files_text(written.files)}, {bytes_text(written.size)}"
        told = f"{size} -> {written.manifest}" if written.changed else "up to date"
        console.line(f"{written.path}: {told}")
    _what_to_commit([written for written in done if written.changed], at, console)
    return show_faults(faults, console)


def _updated(manifest: Manifest, at: Supplying, console: Console, *, named: bool) -> cases.Written | None:
    """What became of a manifest; None of one that nobody named, and that there is nothing to update from."""
    if manifest.md5 is not None:
        if named:
            raise ConfigurationError(f"{manifest.file} is DVC's", hint=f"dvc add {manifest.path}")
        return None
    if manifest.source:
        return _resourced(manifest, at, console)
    return cases.update(manifest, at.data, dump, at.store) if named or at.data.here(manifest.path) else None


def _resourced(manifest: Manifest, at: Supplying, console: Console) -> cases.Written:
    """What its source made of a manifest."""
    anew = not is_listed(manifest, at.supply.listing)
    if anew:
        console.warn(f"{manifest.path}: the listing of before cannot be had here: everything is asked for anew")
    source = at.source(s3_address(manifest.source or ""))
    new = update_from_source(manifest.path, manifest, source, at.store, at.supply.listing, anew=anew).manifest
    if new == manifest:
        return cases.written(manifest, changed=False)
    at.store.flush()
    at.data.write(new.file, dump(new))
    return cases.written(new, changed=True)


@command.command("pull")
@click.argument("paths", nargs=-1)
@click.option("--force", is_flag=True, help="Replace data that was edited here.")
@click.pass_obj
def pull(invocation: Invocation, paths: tuple[str, ...], force: bool) -> int:
    """Put data where its manifest says: from the store, the shared store, S3, or a cache of DVC's.

    It is verified, and appears all at once. A call that was ended goes on where it was.
    """
    console, faults = Console(invocation), Faults()
    done = []
    with open_place(invocation) as place, Moving("pulling") as meter:
        at = Supplying(place, invocation, meter)
        for item in at.manifests(paths, faults):
            with faults.of(item.file):
                done.append((item, cases.pull(item, at.data, at.supply, force=force)))
    told = [{"path": item.path, "manifest": item.file, "placed": placed} for item, placed in done]
    console.document({"data": told, "bytes": meter.size, "faults": faults.found})
    for item, placed in done:
        size = f"{files_text(item.files)}, {bytes_text(item.size)}"
        console.line(f"{item.path}: {size}" if placed else f"{item.path}: up to date")
    if meter.size:
        console.line(f"fetched {bytes_text(meter.size)}")
    return show_faults(faults, console)


@command.command("push")
@click.argument("paths", nargs=-1)
@click.pass_obj
def push(invocation: Invocation, paths: tuple[str, ...]) -> int:
    """Let others have data: send what the shared store has not yet; all that is here, or just PATHS."""
    console, faults = Console(invocation), Faults()
    done = []
    with open_place(invocation) as place, Moving("pushing") as meter:
        at = Supplying(place, invocation, meter)
        for item in at.manifests(paths, faults):
            if item.md5 is None:
                with faults.of(item.file):
                    done.append((item, at.sharing.push(item, needed=bool(paths))))
    told = [{"path": item.path, "manifest": item.file, "pushed": pushed} for item, pushed in done]
    console.document({"data": told, "objects": meter.objects, "bytes": meter.size, "faults": faults.found})
    moved = f"{meter.objects:,} new objects, {bytes_text(meter.size)}" if meter.objects else "nothing new"
    whose = ", ".join(item.path for item, pushed in done if pushed) or ("listings" if meter.objects else "no data")
    if done or not faults.found:
        console.line(f"{whose}: {moved}")
    for item in (item for item, pushed in done if not pushed):
        console.line(f"{item.path}: not here" + (f", and its bytes stay in {item.source}" if item.source else ""))
    return show_faults(faults, console)


@command.command("sync")
@click.argument("paths", nargs=-1)
@click.option(
    "--commit", is_flag=True, help="Commit it on the branch and push it; a pull request where that is refused."
)
@click.option(
    "--pull-request", is_flag=True, help="Propose it: one pull request, brought up to date until it is merged."
)
@click.option("--branch", metavar="NAME", help="Of the remote; default: the one that is checked out.")
@click.option(
    "--tables/--no-tables", default=None, help="Read tables, for rows, columns and shifts; default: up to 1 GB."
)
@click.pass_obj
def sync(
    invocation: Invocation,
    paths: tuple[str, ...],
    commit: bool,
    pull_request: bool,
    branch: str | None,
    tables: bool | None,
) -> int:
    """Look for data that arrived or changed in S3, and turn it into a commit or a pull request.

    Only what changed since the manifests were written is asked for. Without --commit and --pull-request the
    manifests are written here, and nothing is committed.
    """
    from ciml.cli.syncing import Wanted
    from ciml.cli.syncing import sync as synced

    if commit and pull_request:
        raise UsageError("--commit and --pull-request are two ways", hint="Choose one.")
    return synced(
        invocation, Wanted(paths=paths, commit=commit, pull_request=pull_request, branch=branch, tables=tables)
    )


@command.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@click.argument("path", metavar="[PATH]", required=False)
@click.option("--tables", is_flag=True, help="Say rows and columns, too; the tables that differ are fetched and read.")
@click.pass_obj
def diff(invocation: Invocation, before: str, after: str | None, path: str | None, tables: bool) -> int:
    """Show the data files that differ between the commits A and B, or A and the work tree's manifests."""
    console = Console(invocation)
    with open_place(invocation) as place:
        at = Supplying(place, invocation)
        repository = place.repository
        sides = [
            repository.commit_tree(repository.resolve(commit)) if commit else at.tree for commit in (before, after)
        ]
        files = [cases.manifest_files(side) for side in sides]
        wanted = cases.chosen({*files[0], *files[1]}, [at.path(path)] if path else [])
        old, new = (
            {
                name: read_manifest(place.index, side.read(those[name]) or b"", those[name])
                for name in wanted
                if name in those
            }
            for side, those in zip(sides, files, strict=True)
        )
        found = [difference(name, old.get(name), new.get(name), at.supply.listing, at.supply.bring) for name in wanted]
        found = [item for item in found if item.before != item.after]
        here = [item for item in new.values() if after is None and item.md5 is None]
        edited = [item.path for item in here if at.data.is_edited(item.path, item.digest)]
        if tables:
            found = [_with_table(item, old.get(item.path), new.get(item.path), at, place) for item in found]
    console.document({"before": before, "after": after, "data": found})
    for item in found:
        for line in difference_lines(item, verbose=console.verbose):
            console.line(line)
    if not found:
        console.line("No data differs.")
    if edited:
        console.warn(f"{some_of(edited, 3)}: edited on disk, which no manifest says yet: `ciml data update`")
    return ExitCode.OK


def _with_table(
    item: DataDifference, before: Manifest | None, after: Manifest | None, at: Supplying, place: Place
) -> DataDifference:
    from ciml.app.tablediff import table_difference

    return msgspec.structs.replace(item, table=table_difference(before, after, at.supply, at.store, place.tables()))


def _warn_of_clashes(done: Sequence[cases.Written], at: Supplying, console: Console) -> None:
    """Say which names of new versions not every file system can tell apart."""
    for item in done:
        if item.changed and (found := cases.clashes_of(item, at.supply.listing)):
            console.warn(f"{item.path}: {found.text}")


def _what_to_commit(done: Sequence[cases.Written], at: Supplying, console: Console) -> None:
    """Say what Git has to be told."""
    files = sorted({file for item in done for file in (item.manifest, item.ignored_in) if file})
    if files:
        console.line(f"To commit it: git add {at.words(files)}")
