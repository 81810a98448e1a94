"""Data behind manifests: taken in, looked at, brought up to date, compared."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from ciml.app.datadiff import changes, tallied
from ciml.app.faults import Faults
from ciml.app.ports import Store, Tree
from ciml.core.clashes import Clashes, clashes
from ciml.core.dataset import DataState, DataStatus, Tally
from ciml.core.errors import ConfigurationError, IntegrityError, RepositoryError, ServiceError, UsageError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Fetch, entries
from ciml.core.manifest import Manifest, manifest_of, manifest_paths, stands_for, taking
from ciml.core.paths import folders, inside_fault, output_fault
from ciml.core.results import Output
from ciml.core.tree import SUBMODULE, TreeEntry


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

    def write(self, file: RepoPath, data: bytes) -> bool:
        """Whether a small file was written, all or nothing; False where it has these bytes already."""
        ...


Parse = Callable[[bytes, RepoPath], Manifest]
Dump = Callable[[Manifest], bytes]


# Which data there is.


def manifests(tree: Tree, parse: Parse, wanted: Sequence[RepoPath] = ()) -> list[Manifest]:
    """The manifests of a tree, sorted by path; only those that stand for `wanted`, or lie below, where some are named.

    Raises:
        ConfigurationError: one of them cannot be read.
        UsageError: nothing stands for a path that is named.
    """
    files = manifest_files(tree)
    return [parse(tree.read(files[path]) or b"", files[path]) for path in chosen(files, wanted)]


def readable(tree: Tree, parse: Parse, wanted: Sequence[RepoPath], faults: Faults) -> list[Manifest]:
    """The same without those that cannot be read, which are faults.

    Raises:
        UsageError: nothing stands for a path that is named.
    """
    files = manifest_files(tree)
    found = []
    for path in chosen(files, wanted):
        with faults.of(files[path]):
            found.append(parse(tree.read(files[path]) or b"", files[path]))
    return found


def manifest_files(tree: Tree) -> dict[RepoPath, RepoPath]:
    """Data -> the manifest that stands for it in a tree; not that of a submodule, which is a repository of its own."""
    return {path: file for file in sorted(all_files(tree)) if (path := stands_for(file)) is not None}


def chosen(standing: Iterable[RepoPath], wanted: Sequence[RepoPath]) -> list[RepoPath]:
    """The data that is named, or lies below what is; all where nothing is named; sorted.

    Args:
        standing: for what there are manifests.
        wanted: what is named.

    Raises:
        UsageError: nothing stands for a path that is named.
    """
    known = sorted(standing)
    for path in wanted:
        if not any(_is_wanted(found, [path]) for found in known):
            raise _no_manifest(path, known)
    return [path for path in known if not wanted or _is_wanted(path, wanted)]


def all_files(tree: Tree) -> set[RepoPath]:
    """The files that Git tracks, and those that it would; not those of submodules."""
    return {entry.path for entry in tree.files(RepoPath(""), modules=False)} | set(tree.untracked(RepoPath("")))


def files_here(tree: Tree) -> Sequence[TreeEntry]:
    """All files of a tree that can be had here: a submodule that is not checked out is one entry."""
    try:
        return tree.files(RepoPath(""))
    except RepositoryError:
        return tree.files(RepoPath(""), modules=False)


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
        RepositoryError: Git tracks it, or would ignore its manifest; or it lies in a submodule.
    """
    if not path:
        raise ConfigurationError("that is the whole repository, and data is a part of it", hint="Name a folder in it.")
    if fault := inside_fault(path) or output_fault(path):
        raise ConfigurationError(f"{path!r} {fault}")
    for module, entry in tree.entries(map(RepoPath, folders(path))).items():
        if entry.mode == SUBMODULE:
            inside = shlex.quote(path[len(module) + 1 :])
            raise RepositoryError(
                f"{path} lies in the submodule {module}, which is a repository of its own",
                hint=f"ciml -C {shlex.quote(module)} data add {inside}",
            )
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
            f"Git tracks {path}, so it needs no manifest",
            hint=f"To take it out of Git and add it then: git rm -r --cached {path}",
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
    changed = data.write(manifest.file, dump(manifest))
    return written(manifest, changed=changed, ignored_in=data.ignore(path))


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


def clashes_of(output: Output, fetch: Fetch) -> Clashes | None:
    """The names in a directory that not every file system can tell apart; None where it has none."""
    if not output.directory:
        return None
    return clashes(lambda: (entry.path for entry in entries(output.digest, fetch)))


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
            hint=f"--force replaces it; {taking(manifest.path, source=manifest.source, md5=manifest.md5)}.",
        )
    output = supply.bring(manifest)
    data.place(msgspec.structs.replace(output, path=manifest.path))
    return True
