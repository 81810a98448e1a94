"""Data that arrived at its source becomes a commit, or a pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ciml.app.data import Dump, Parse, clashes_of, readable
from ciml.app.faults import Faults
from ciml.app.ports import Store, Tree
from ciml.app.source import Listings, Source, is_listed, pinned, update_from_source
from ciml.app.tabling import Tables, facts_of, known_facts
from ciml.core.amounts import bytes_text
from ciml.core.arrival import Arrival, arrival, markdown, message, table_shift, title
from ciml.core.errors import CimlError, RaceError, RepositoryError, TrustError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.listing import Fetch
from ciml.core.manifest import Manifest
from ciml.core.results import Output
from ciml.core.tablefacts import Facts, NoTable
from ciml.core.value import Value

_ROUNDS = 5
"""How often a commit is made anew when the branch moves in between."""


class Outcome(Protocol):
    """What became of a push."""

    @property
    def pushed(self) -> str:
        """`done`, `lost` (the branch has moved meanwhile) or `refused`."""
        ...

    @property
    def said(self) -> str:
        """What the remote said."""
        ...


class Branches(Protocol):
    """The branches of the remote, or of a clone that has none."""

    def tip(self, branch: str) -> CommitSha | None:
        """The commit that a branch is at, which is in the clone from now on."""
        ...

    def commit(self, parent: CommitSha, files: Mapping[RepoPath, bytes], text: str) -> CommitSha:
        """A new commit on top of another, in which these files are so."""
        ...

    def push(self, new: CommitSha, branch: str, *, expected: CommitSha | None, replace: bool = False) -> Outcome:
        """Let a branch be at a commit, if it is still where it was read."""
        ...

    def follow(self, new: CommitSha, branch: str, expected: CommitSha | None) -> bool:
        """Whether the work tree, which had the branch at `expected` checked out, is at the new commit now."""
        ...


class Means(Value, frozen=True, kw_only=True):
    """What a sync works with."""

    source: Callable[[Manifest], Source]
    store: Store
    listings: Listings
    bring: Callable[[Manifest], Output]
    """What a manifest stands for, whose bytes are in the store from now on."""
    share: Callable[[Manifest], None]
    """Lets others have what tells of a manifest's files, where there is a shared store."""
    fetch: Fetch
    parse: Parse
    dump: Dump
    tables: Tables | None
    """None: tables are not read."""
    largest: int | None = None
    """Bytes of data up to which its tables are read; None: all are."""
    faults: Faults = msgspec.field(default_factory=Faults)
    """Takes what is wrong with single manifests and sources."""


class Found(Value, frozen=True, kw_only=True):
    """A manifest as it must be now, and what arrived for it."""

    manifest: Manifest
    arrival: Arrival


class Synced(Value, frozen=True, kw_only=True):
    """What came of a sync."""

    branch: str
    base: CommitSha | None
    """What was looked at; None in the work tree."""
    commit: CommitSha | None = None
    """The new commit; None where nothing arrived."""
    followed: bool = False
    """The work tree is at the new commit."""
    page: str = ""
    """Of the pull request."""
    arrivals: tuple[Arrival, ...] = ()


def arrived(tree: Tree, means: Means, wanted: Sequence[RepoPath] = ()) -> list[Found]:
    """What arrived for the manifests of a tree that have a source; nothing is written but listings.

    A manifest that cannot be read is a fault and does not stop the others, nor does a source that cannot be
    reached, does not let us, has nothing any more, or is written to all the time.
    """
    means.faults.forget()
    found = []
    for manifest in readable(tree, means.parse, wanted, means.faults):
        if manifest.source is None or manifest.md5 is not None:
            continue
        with means.faults.of(manifest.file):
            now, told = _now(manifest, means)
            if _is_news(manifest, now, means.fetch):
                if clashing := clashes_of(now.output, means.fetch):
                    told = _noted(told, clashing.text)
                found.append(Found(manifest=now, arrival=_with_table(told, manifest, now, means)))
    return found


def _now(manifest: Manifest, means: Means) -> tuple[Manifest, Arrival]:
    """The manifest of what is at its source now, and how that differs from before."""
    source = means.source(manifest)
    if not is_listed(manifest, means.fetch):
        # Nobody has the listing of before: all is asked for anew, and only the totals can be compared.
        now = update_from_source(manifest.path, manifest, source, means.listings, means.fetch, anew=True).manifest
        note = "the listing of before is in no store that this clone can reach: everything was asked for anew"
        return now, msgspec.structs.replace(arrival(manifest, now, None), note=note)
    update = update_from_source(manifest.path, manifest, source, means.listings, means.fetch)
    return update.manifest, arrival(manifest, update.manifest, update.diff.files, update.diff.changes)


def _is_news(before: Manifest, after: Manifest, fetch: Fetch) -> bool:
    """Whether a manifest must be written anew.

    Objects that were written again with the same bytes are no news where the bucket keeps versions. Where it
    does not, what the manifest pins is gone, though the bytes are there.
    """
    if before == after:
        return False
    return before.digest != after.digest or any(item.version is None for item in pinned(after, fetch))


def _with_table(told: Arrival, before: Manifest, after: Manifest, means: Means) -> Arrival:
    """The same with rows, columns and shifts, where it is a table; that it cannot be read is no reason to stop."""
    if means.tables is None:
        return told
    if means.largest is not None and after.size > means.largest and known_facts(after.output, means.tables) is None:
        return _noted(told, f"its table was not read: {bytes_text(after.size)} are much to fetch (--tables does it)")
    try:
        now = _facts(after, means, means.tables)
        if isinstance(now, NoTable):
            return _noted(told, now.reason)
        try:
            then: Facts | None = _facts(before, means, means.tables)
        except CimlError as error:
            then = None
            told = _noted(told, f"the table is not compared with before: {error.message}")
        return msgspec.structs.replace(told, table=table_shift(then, now))
    except CimlError as error:
        return _noted(told, f"its table was not read: {error.message}")


def _noted(told: Arrival, note: str) -> Arrival:
    return msgspec.structs.replace(told, note="; ".join(filter(None, (told.note, note))))


def _facts(manifest: Manifest, means: Means, tables: Tables) -> Facts:
    return facts_of(means.bring(manifest), means.store, tables)


def files_of(found: Sequence[Found], dump: Dump) -> dict[RepoPath, bytes]:
    """The manifests to be written."""
    return {item.manifest.file: dump(item.manifest) for item in found}


def commit_arrivals(
    branch: str, branches: Branches, tree_of: Callable[[CommitSha], Tree], means: Means, wanted: Sequence[RepoPath] = ()
) -> Synced:
    """Data that arrived as a commit on a branch, pushed only on top of what was looked at.

    Where somebody else was first, everything is looked at anew: two at once make one commit.

    Raises:
        RefusedError: the branch does not take pushes.
        RaceError: the branch moves all the time.
        RepositoryError: there is no such branch.
    """
    for _ in range(_ROUNDS):
        base, found = _looked(branch, branches, tree_of, means, wanted)
        if not found:
            return Synced(branch=branch, base=base)
        _share(found, means)
        new = branches.commit(base, files_of(found, means.dump), message([item.arrival for item in found]))
        outcome = branches.push(new, branch, expected=base)
        if outcome.pushed == "done":
            followed = branches.follow(new, branch, base)
            arrivals = tuple(item.arrival for item in found)
            return Synced(branch=branch, base=base, commit=new, followed=followed, arrivals=arrivals)
        if outcome.pushed == "refused":
            raise RefusedError(
                f"{branch} takes no push: {outcome.said}",
                hint="--pull-request proposes the commit instead; or let whoever syncs push this branch.",
            )
    raise RaceError(f"{branch} moved {_ROUNDS} times while data was looked at")


class RefusedError(TrustError):
    """A branch does not take pushes from whoever syncs."""


def propose_arrivals(
    branch: str,
    branches: Branches,
    tree_of: Callable[[CommitSha], Tree],
    means: Means,
    open_page: Callable[[str, str, str], str],
    wanted: Sequence[RepoPath] = (),
) -> Synced:
    """Data that arrived as a pull request to a branch: one, brought up to date by every sync until it is merged.

    Args:
        branch: where it is to be merged.
        branches: of the remote.
        tree_of: the files of a commit.
        means: what the sync works with.
        open_page: branch, title, body -> the pull request's page.
        wanted: only these paths, or all.

    Raises:
        RaceError: the pull request's branch moves all the time.
        RefusedError: it does not take pushes either.
        ServiceError: it cannot be opened.
    """
    own = f"ciml/data/{branch}"
    for _ in range(_ROUNDS):
        base, found = _looked(branch, branches, tree_of, means, wanted)
        if not found:
            return Synced(branch=own, base=base)
        _share(found, means)
        arrivals = [item.arrival for item in found]
        files = files_of(found, means.dump)
        there = branches.tip(own)
        if there is None or not _is_proposed(there, base, files, tree_of):
            new = branches.commit(base, files, message(arrivals))
            outcome = branches.push(new, own, expected=there, replace=True)
            if outcome.pushed == "lost":
                continue
            if outcome.pushed == "refused":
                raise RefusedError(f"{own} takes no push: {outcome.said}", hint="Let whoever syncs push this branch.")
            there = new
        page = open_page(own, title(arrivals), markdown(arrivals))
        return Synced(branch=own, base=base, commit=there, page=page, arrivals=tuple(arrivals))
    raise RaceError(f"{own} moved {_ROUNDS} times while data was looked at")


def _is_proposed(
    there: CommitSha, base: CommitSha, files: Mapping[RepoPath, bytes], tree_of: Callable[[CommitSha], Tree]
) -> bool:
    """Whether a branch proposes just these files on top of just this base."""
    proposed, below = tree_of(there), tree_of(base)
    left, right = (
        {entry.path: entry.oid for entry in tree.files(RepoPath(""), modules=False) if entry.path not in files}
        for tree in (proposed, below)
    )
    return left == right and all(proposed.read(path) == data for path, data in files.items())


def _looked(
    branch: str,
    branches: Branches,
    tree_of: Callable[[CommitSha], Tree],
    means: Means,
    wanted: Sequence[RepoPath],
) -> tuple[CommitSha, list[Found]]:
    base = branches.tip(branch)
    if base is None:
        raise RepositoryError(f"there is no branch {branch} to commit to", hint="--branch names another one.")
    return base, arrived(tree_of(base), means, wanted)


def _share(found: Sequence[Found], means: Means) -> None:
    """Durable, and for everybody, before a commit names it."""
    means.store.flush()
    for item in found:
        means.share(item.manifest)


def texts(synced: Synced, *, partly: bool = False) -> Iterator[str]:
    """What became of it, in a sentence or two; `partly`: not all sources could be asked."""
    if synced.commit is None and not synced.arrivals:
        yield "Nothing arrived elsewhere." if partly else "Nothing arrived."
    elif synced.page:
        yield f"Proposed as {synced.commit} on {synced.branch}: {synced.page}"
    elif synced.commit:
        yield f"Committed as {synced.commit[:10]} on {synced.branch}."
        if not synced.followed:
            yield "hint: git pull brings it here."
