"""`ciml store`: sizes, integrity and collection of the content store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ciml.adapters.git.everywhere import all_heads
from ciml.adapters.manifests import parse
from ciml.adapters.stores.garbage import Warden
from ciml.app.keep import manifests_of, roots
from ciml.app.ports import Tree
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, journal, open_place, project_at
from ciml.core.errors import ExitCode, UsageError
from ciml.core.ids import Digest, RepoPath, is_digest
from ciml.core.ledger import LedgerState
from ciml.core.manifest import Manifest, stands_for

_DAY_S = 24 * 3600


@click.group("store")
def command() -> None:
    """Show, verify and collect the content store."""


@command.command("stats")
@click.pass_obj
def stats(invocation: Invocation) -> int:
    """Show how much there is."""
    console = Console(invocation)
    with open_place(invocation) as place:
        found = Warden(place.store.root).stats()
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
@click.pass_obj
def verify(invocation: Invocation, repair: bool) -> int:
    """Hash every object and read every record."""
    console = Console(invocation)
    with open_place(invocation) as place:
        found = Warden(place.store.root).verify(repair=repair)
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
@click.option("--grace", type=click.FloatRange(min=0), default=_DAY_S, help="Seconds that new things are spared.")
@click.pass_obj
def gc(invocation: Invocation, dry_run: bool, grace: float) -> int:
    """Remove what no kept run, registered version or branch needs, in two rounds."""
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, {})
        registries = Registries(place, project.pipeline, invocation.environ)
        states = registries.states()
        keep = roots(states, journal(place).runs(), _manifests(place, states))
        found = Warden(place.store.root).collect(keep, grace_s=grace, dry_run=dry_run)
    console.document(found)
    done = "Would remove" if dry_run else "Removed"
    console.line(f"{done} objects: {found.objects:,} ({found.size:,} bytes), records: {found.records:,}.")
    if found.marked:
        console.line(f"Set aside for the next round: {found.marked:,}.")
    return ExitCode.OK


def _manifests(place: Place, states: Sequence[LedgerState]) -> Iterator[Manifest]:
    """The manifests of the work tree, of all branches and tags, and of the commits of registered versions."""
    repository = place.repository
    commits = {entry.commit for state in states for entry in state.versions.values()}
    known = [commit for commit in {*all_heads(repository), *filter(None, commits)} if repository.holds(commit)]
    trees: list[Tree] = [repository.commit_tree(commit) for commit in sorted(known)]
    if place.root is not None:
        tree = repository.work_tree()
        tree.admit(path for path in tree.untracked(RepoPath("")) if stands_for(path))
        trees.append(tree)
    return manifests_of(trees, parse)


@command.command("disown")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only the record of this key.")
@click.pass_obj
def disown(invocation: Invocation, keys: tuple[str, ...]) -> int:
    """Believe no record that is there now, so that every stage runs again."""
    wrong = [key for key in keys if not is_digest(key)]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no key: 64 hex digits, as `ciml explain` shows them")
    with open_place(invocation) as place:
        place.store.disown([Digest(key) for key in keys] or None)
    console = Console(invocation)
    console.document({"disowned": keys or "all"})
    console.line(f"Disowned {len(keys) or 'all'} {'record' if len(keys) == 1 else 'records'}.")
    return ExitCode.OK
