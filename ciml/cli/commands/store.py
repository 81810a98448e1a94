"""`ciml store`: sizes, integrity and collection of the content store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ciml.adapters.git.everywhere import all_heads, other_work_trees, remote_heads, stashes
from ciml.adapters.git.repository import Repository
from ciml.adapters.manifests import parse
from ciml.app.keep import manifests_of, roots
from ciml.app.ports import Tree
from ciml.cli.console import Console
from ciml.cli.group import Commands
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, journal, open_place, project_at
from ciml.core.errors import ConfigurationError, ExitCode, RepositoryError, UsageError
from ciml.core.ids import Digest, RepoPath, is_digest
from ciml.core.ledger import LedgerState
from ciml.core.manifest import Manifest, stands_for

if TYPE_CHECKING:
    from ciml.cli.storing import AnyStore

_DAY_S = 24 * 3600
_GRACE_S = {False: _DAY_S, True: 30 * _DAY_S}
"""Of the clone's own store, and of one that others use too, whose work this clone does not know."""


@click.group("store", cls=Commands)
def command() -> None:
    """Show, verify and collect the content store."""


_shared = click.option(
    "--shared", is_flag=True, help="The store that ciml.yaml names and others use too, not this clone's own."
)


def _store(place: Place, invocation: Invocation, *, shared: bool) -> AnyStore:
    """The clone's own store, or the one that is shared."""
    if not shared:
        return place.store
    project_at(place, invocation, {})
    if place.project_store is place.store:
        raise ConfigurationError("ciml.yaml names no store that others share", hint="store: s3://BUCKET/PREFIX")
    return place.project_store


@command.command("stats")
@_shared
@click.pass_obj
def stats(invocation: Invocation, shared: bool) -> int:
    """Show how much there is."""
    console = Console(invocation)
    with open_place(invocation) as place:
        found = _store(place, invocation, shared=shared).stats()
    console.document(found)
    console.columns(
        [
            ("objects", f"{found.objects:,}"),
            ("size", f"{found.size:,} bytes"),
            ("records", f"{found.records:,}"),
            ("quarantined", f"{found.quarantined:,}"),
        ]
    )
    return ExitCode.OK


@command.command("verify")
@click.option("--repair", is_flag=True, help="Take out what is damaged, so that it is made again.")
@_shared
@click.pass_obj
def verify(invocation: Invocation, repair: bool, shared: bool) -> int:
    """Hash every object and read every record."""
    console = Console(invocation)
    with open_place(invocation) as place:
        found = _store(place, invocation, shared=shared).verify(repair=repair)
    console.document(found)
    wrong = {"damaged": found.damaged, "unreadable": found.unreadable, "lost its objects": found.lost}
    console.line(f"{found.checked} objects hashed.")
    for what, names in wrong.items():
        for name in sorted(names):
            console.line(f"{what}: {name}")
    if not any(wrong.values()):
        return ExitCode.OK
    told = "Taken out; the stages that made them will run again."
    console.line(told if repair else "hint: `ciml store verify --repair` takes them out, and they are made again.")
    return ExitCode.OK if repair else ExitCode.INTEGRITY


@command.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    help="Seconds that new things are spared. Default: a day; 30 days with --shared.",
)
@_shared
@click.pass_obj
def gc(invocation: Invocation, dry_run: bool, grace: float | None, shared: bool) -> int:
    """Remove what no kept run, registered version or branch needs, in two rounds."""
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, {})
        store = _store(place, invocation, shared=shared)
        if shared:
            _require_all_branches(place)
        states = Registries(place, project.pipeline, invocation.environ).states_everywhere()
        with ExitStack() as opened:
            keep = roots(states, journal(place).runs(), _manifests(place, states, opened))
        found = store.gc(keep, grace_s=_GRACE_S[shared] if grace is None else grace, dry_run=dry_run)
    console.document(found)
    done = "Would remove" if dry_run else "Removed"
    console.line(f"{done} objects: {found.objects:,} ({found.size:,} bytes), records: {found.records:,}.")
    if found.marked:
        console.line(f"Set aside for the next round: {found.marked:,}.")
    return ExitCode.OK


def _require_all_branches(place: Place) -> None:
    """Refuse to decide about everybody's data where a branch of `origin` is not known."""
    if place.repository.remote_url() is None:
        return
    missing = [name for name, commit in remote_heads(place.repository) if not place.repository.holds(commit)]
    if missing:
        raise RepositoryError(
            f"origin's {missing[0]} is not in this clone, so what its manifests need cannot be known",
            hint="git fetch --unshallow origin '+refs/heads/*:refs/remotes/origin/*' (without --unshallow where the "
            "clone is whole), then run this again.",
        )


def _manifests(place: Place, states: Sequence[LedgerState], opened: ExitStack) -> Iterator[Manifest]:
    """The manifests of all work trees, branches, tags and stashes, and of the commits of registered versions."""
    repository = place.repository
    others = other_work_trees(repository)
    commits = {entry.commit for state in states for entry in state.versions.values()} | {head for _, head in others}
    named = {*all_heads(repository), *stashes(repository), *filter(None, commits)}
    trees: list[Tree] = [repository.commit_tree(commit) for commit in sorted(named) if repository.holds(commit)]
    if place.root is not None:
        trees.append(_uncommitted(repository))
    for folder, _ in others:
        if os.path.isdir(folder):
            trees.append(_uncommitted(opened.enter_context(Repository.open(folder, repository.git.env))))
    return manifests_of(trees, parse)


def _uncommitted(repository: Repository) -> Tree:
    """A work tree with the manifests that Git does not track yet."""
    tree = repository.work_tree()
    tree.admit(path for path in tree.untracked(RepoPath("")) if stands_for(path))
    return tree


@command.command("disown")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only the record of this key.")
@click.option("--before", metavar="TIME", help="Only records that were written before 2026-11-20T12:00Z, say.")
@click.pass_obj
def disown(invocation: Invocation, keys: tuple[str, ...], before: str | None) -> int:
    """Believe no record that is there now, so that every stage runs again; in a shared store, for everybody."""
    wrong = [key for key in keys if not is_digest(key)]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no key: 64 hex digits, as `ciml explain` shows them")
    if keys and before:
        raise UsageError("--key and --before are two ways to say which records: give one of them")
    wanted = [Digest(key) for key in keys] or None
    moment = _moment(before) if before else None
    with open_place(invocation) as place:
        project_at(place, invocation, {})
        for store in {id(store): store for store in (place.project_store, place.store)}.values():
            store.disown(wanted, before_s=moment)
    console = Console(invocation)
    console.document({"disowned": keys or "all", "before": before})
    told = f"the records from before {before}" if before else f"{len(keys) or 'all'} record{'s' * (len(keys) != 1)}"
    console.line(f"Disowned {told}.")
    return ExitCode.OK


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--before {text!r} is no time", hint="2026-11-20, or 2026-11-20T12:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
