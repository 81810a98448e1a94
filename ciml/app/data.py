"""Data behind manifests: taken in, looked at, brought up to date, compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from ciml.app.ports import Store, Tree
from ciml.core import listing
from ciml.core.dataset import DataDifference, DataState, DataStatus, FileChange, Tally
from ciml.core.errors import ConfigurationError, IntegrityError, RepositoryError, ServiceError, UsageError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Change, Entry
from ciml.core.manifest import Manifest, manifest_of, manifest_paths, stands_for
from ciml.core.paths import folders, inside_fault, output_fault
from ciml.core.results import Output

MAX_CHANGES = 1000
"""Files that a difference names; it counts all."""


class DataFiles(Protocol):
    """The data of one work tree."""

    def here(self, path: RepoPath) -> bool:
        """Whether anything lies at a path."""
        ...

    def look(self, path: RepoPath) -> Output:
        """What lies at a path; only what moved since the last time is read. Of a directory the listing is stored."""
        ...

    def take_in(self, path: RepoPath) -> Output:
        """What lies at a path, whose bytes are in the store from now on."""
        ...

    def place(self, output: Output) -> None:
        """Put an output of the store at its path, verified, all or nothing."""
        ...

    def tracked(self, path: RepoPath) -> bool:
        """Whether Git tracks anything at or below a path."""
        ...

    def ignored_by(self, file: RepoPath) -> str | None:
        """The rule by which Git ignores a file, if it does."""
        ...

    def ignore(self, path: RepoPath) -> RepoPath | None:
        """The `.gitignore` that now has a line for a path; None where one had a rule for it."""
        ...

    def write(self, file: RepoPath, data: bytes) -> None:
        """Write a small file, all or nothing."""
        ...


Fetch = Callable[[Digest], bytes]
"""An object of a listing, from wherever it can be had; ServiceError where it cannot."""

Parse = Callable[[bytes, RepoPath], Manifest]
Dump = Callable[[Manifest], bytes]


# Which data there is.


def manifests(tree: Tree, parse: Parse, wanted: Sequence[RepoPath] = ()) -> list[Manifest]:
    """The manifests of a tree, sorted by path; only those that stand for `wanted`, or lie below, where some are named.

    Raises:
        ConfigurationError: one of them cannot be read.
        UsageError: nothing stands for a path that is named.
    """
    standing = {path: file for file in sorted(all_files(tree)) if (path := stands_for(file)) is not None}
    chosen = {path: file for path, file in standing.items() if not wanted or _is_wanted(path, wanted)}
    for path in wanted:
        if not any(_is_wanted(found, [path]) for found in chosen):
            raise _no_manifest(path, standing)
    return [parse(tree.read(file) or b"", file) for _, file in sorted(chosen.items())]


def all_files(tree: Tree) -> set[RepoPath]:
    """The files that Git tracks, and those that it would."""
    return {entry.path for entry in tree.files(RepoPath(""))} | set(tree.untracked(RepoPath("")))


def _is_wanted(path: RepoPath, wanted: Sequence[RepoPath]) -> bool:
    return not {path, *folders(path), RepoPath("")}.isdisjoint(wanted)


def _no_manifest(path: RepoPath, standing: Iterable[RepoPath]) -> UsageError:
    above = next((found for found in standing if path.startswith(f"{found}/")), None)
    if above:
        return UsageError(f"{path} is a part of {above}, which has one manifest", hint=f"Name {above}.")
    return UsageError(f"no manifest stands for {path}", hint=f"`ciml data add {path}` writes one.")


# Adding.


def may_add(path: RepoPath, tree: Tree, data: DataFiles, outputs: Iterable[RepoPath]) -> None:
    """Refuse a path that cannot have a manifest.

    Raises:
        ConfigurationError: it leaves the repository, has characters that not every system can write, is an
            output, or overlaps other data.
        RepositoryError: Git tracks it, or would ignore its manifest.
    """
    if fault := inside_fault(path) or output_fault(path):
        raise ConfigurationError(f"{path!r} {fault}")
    for output in outputs:
        if _overlap(path, output):
            raise ConfigurationError(
                f"{path} overlaps {output}, which a stage writes", hint="Data that a stage makes needs no manifest."
            )
    own, pointer = manifest_paths(path)
    for file in sorted(all_files(tree)):
        other = stands_for(file)
        if file == pointer:
            raise ConfigurationError(f"{pointer} stands for {path} already", hint=f"git rm {pointer}, then add it.")
        if other is not None and other != path and _overlap(path, other):
            raise ConfigurationError(f"{path} overlaps {other}, which {file} stands for")
    if data.tracked(path):
        raise RepositoryError(
            f"Git tracks {path}, so it needs no manifest", hint=f"To take it out of Git: git rm -r --cached {path}"
        )
    if rule := data.ignored_by(own):
        raise RepositoryError(
            f"{own} would be ignored by Git ({rule}), and nobody else would get it",
            hint=f"Add `!{own}` to that .gitignore; where a whole folder is ignored, ignore `folder/*` instead.",
        )


def _overlap(one: RepoPath, other: RepoPath) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


class Written(Output, frozen=True, kw_only=True):
    """What a manifest now says."""

    manifest: RepoPath
    changed: bool
    ignored_in: RepoPath | None = None
    """The `.gitignore` that got a line."""


def add(path: RepoPath, data: DataFiles, dump: Dump, store: Store) -> Written:
    """The data at a path, in the store, with a manifest beside it and a line in `.gitignore`.

    Raises:
        TrustError: it is a link, or holds one that leaves it.
        ConfigurationError: it cannot be read.
        RepositoryError: it is a pointer of Git LFS.
    """
    output = data.take_in(path)
    # Durable first: a manifest that is committed must not name bytes that a power cut took.
    store.flush()
    manifest = manifest_of(output, path)
    data.write(manifest.file, dump(manifest))
    return written(manifest, changed=True, ignored_in=data.ignore(path))


def written(manifest: Manifest, *, changed: bool, ignored_in: RepoPath | None = None) -> Written:
    """What is told of a manifest that was written, or was right already."""
    return Written(
        path=manifest.path,
        digest=manifest.digest,
        size=manifest.size,
        files=manifest.files,
        directory=manifest.directory,
        manifest=manifest.file,
        changed=changed,
        ignored_in=ignored_in,
    )


# Status and update.


class Knowing(Protocol):
    """Knows what manifests stand for, and has their listings."""

    def meant(self, manifest: Manifest, found: Output | None) -> Output | None:
        """What a manifest stands for by SHA-256; None for a pointer of DVC's whose bytes nobody has seen."""
        ...

    def listing(self, digest: Digest) -> bytes:
        """An object of a listing, from wherever it can be had."""
        ...

    def keeps(self, output: Output) -> bool:
        """Whether all bytes of a file or directory are in the clone's own store."""
        ...


def status(manifest: Manifest, data: DataFiles, supply: Knowing) -> DataStatus:
    """How the data of a manifest stands on disk; its source and the shared store are not asked."""
    edited = None
    found = data.look(manifest.path) if data.here(manifest.path) else None
    meant = supply.meant(manifest, found)
    if found is None:
        state = DataState.NOT_HERE if meant and supply.keeps(meant) else DataState.MISSING
    elif meant is not None and found.digest == meant.digest:
        state = DataState.UP_TO_DATE if _as_described(meant, found) else DataState.MISDESCRIBED
    else:
        state = DataState.OTHER if supply.keeps(found) else DataState.EDITED
        edited = _edited(meant, found, supply.listing) if meant else None
    return DataStatus(
        path=manifest.path,
        manifest=manifest.file,
        state=state,
        digest=manifest.digest,
        size=manifest.size,
        files=manifest.files,
        edited=edited,
        source=manifest.source,
    )


def _as_described(meant: Output, found: Output) -> bool:
    """Whether what has the digest that a manifest names is what else the manifest says: it may be edited by hand."""
    return (meant.size, meant.files, meant.directory) == (found.size, found.files, found.directory)


def _edited(meant: Output, found: Output, fetch: Fetch) -> Tally | None:
    try:
        return tallied(changes(meant, found, fetch), found.path, keep=0)[0]
    except (IntegrityError, ServiceError):
        return None  # the manifest's own listing is gone: that it differs is all that can be told


def update(manifest: Manifest, data: DataFiles, dump: Dump, store: Store) -> Written:
    """The manifest rewritten from what lies on disk, whose bytes are in the store.

    Raises:
        RepositoryError: nothing lies there.
    """
    if not data.here(manifest.path):
        raise RepositoryError(f"{manifest.path} is not here, so there is nothing to update {manifest.file} from")
    new = manifest_of(data.take_in(manifest.path), manifest.path)
    if new == manifest:
        return written(manifest, changed=False)
    store.flush()
    data.write(new.file, dump(new))
    return written(new, changed=True)


class Bringing(Knowing, Protocol):
    """Brings bytes into the store."""

    def bring(self, manifest: Manifest, part: str = "") -> Output:
        """What a manifest stands for, or a part of it, whose bytes are all in the store from now on."""
        ...


def pull(manifest: Manifest, data: DataFiles, supply: Bringing, *, force: bool = False) -> bool:
    """Whether data was put at a manifest's path; False where it is there already.

    Another version of the data, all of whose bytes are in the clone's own store, is replaced: nothing is lost.

    Raises:
        RepositoryError: edited data lies there and `force` is not given, or the bytes are nowhere to be had.
    """
    found = data.look(manifest.path) if data.here(manifest.path) else None
    meant = supply.meant(manifest, found)
    if found and meant and found.digest == meant.digest:
        return False
    if found is not None and not force and not supply.keeps(found):
        raise RepositoryError(
            f"{manifest.path} was edited: it is not what {manifest.file} says, and would be replaced",
            hint=f"`ciml data update {manifest.path}` takes it as it is now; --force replaces it.",
        )
    output = supply.bring(manifest)
    data.place(msgspec.structs.replace(output, path=manifest.path))
    return True


# Differences.


def changes(before: Output | None, after: Output | None, fetch: Fetch) -> Iterable[Change]:
    """Where two versions of data differ, sorted by path; leaves of listings that both share are not fetched."""
    if before and after and before.directory and after.directory:
        return listing.differences(before.digest, after.digest, fetch)
    if before and after and before.digest == after.digest:
        return ()
    old, new = ([] if output is None else _entries(output, fetch) for output in (before, after))
    return listing.merged(iter(old), iter(new))


def _entries(output: Output, fetch: Fetch) -> Iterable[Entry]:
    if output.directory:
        return listing.entries(output.digest, fetch)
    return [Entry(path=b"", mode=listing.FILE, digest=output.digest, size=output.size)]


def tallied(found: Iterable[Change], path: RepoPath, *, keep: int = MAX_CHANGES) -> tuple[Tally, list[FileChange]]:
    """How many files and bytes they are, and the first of them."""
    added = removed = changed = more = less = 0
    kept: list[FileChange] = []
    for change in found:
        before, after = _file(change.before), _file(change.after)
        added += before is None and after is not None
        removed += after is None and before is not None
        changed += before is not None and after is not None
        more += after.size if after else 0
        less += before.size if before else 0
        if (before or after) and len(kept) < keep:
            kept.append(_change(path, change.path, before, after))
    return Tally(added=added, removed=removed, changed=changed, bytes_added=more, bytes_removed=less), kept


def _file(entry: Entry | None) -> Entry | None:
    """The entry, where it is no empty folder."""
    return None if entry is None or entry.mode == listing.FOLDER else entry


def difference(path: RepoPath, before: Manifest | None, after: Manifest | None, fetch: Fetch) -> DataDifference:
    """How the data at one path differs between two manifests.

    Raises:
        ServiceError: a listing cannot be reached.
    """
    found = changes(before.output if before else None, after.output if after else None, fetch)
    files, first = tallied(found, path)
    return DataDifference(
        path=path,
        before=before.digest if before else None,
        after=after.digest if after else None,
        files=files,
        changes=tuple(first),
    )


def _change(path: RepoPath, below: bytes, before: Entry | None, after: Entry | None) -> FileChange:
    return FileChange(
        path=RepoPath(f"{path}/{os.fsdecode(below)}".rstrip("/")),
        before=before.size if before else None,
        after=after.size if after else None,
    )
