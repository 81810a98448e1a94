"""Where the bytes behind a manifest come from: the work tree, a store that others use too, S3, a cache of DVC's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

from ciml.app.data import DataFiles
from ciml.app.ports import Meter, Remote
from ciml.app.source import Source, pinned, update_from_source
from ciml.core import listing
from ciml.core.errors import CimlError, IntegrityError, RepositoryError, ServiceError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry
from ciml.core.manifest import Manifest
from ciml.core.results import Output


class Kept(Protocol):
    """The clone's own store."""

    def holds(self, digest: Digest) -> bool:
        """Whether an object of that name is there."""
        ...

    def has(self, output: Output) -> bool:
        """Whether every object of a file or directory is there."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The bytes of an object, verified."""
        ...

    def put_listing(self, entries: Iterable[Entry], *, name: RepoPath) -> Output:
        """A directory by its entries, sorted by path; their bytes need not be here."""
        ...


class Pointers(Protocol):
    """What DVC's pointers stand for."""

    def part(self, manifest: Manifest, inside: str) -> Output | None:
        """What lies at a path below a pointer's directory, by the list alone; None where nothing does.

        Its digest is made from MD5s, as the pointer's is.
        """
        ...

    def known(self, pointer: Digest) -> Output | None:
        """What a pointer stands for, where its bytes were seen before."""
        ...

    def recognised(self, manifest: Manifest, found: Output) -> Output | None:
        """What a pointer stands for, where that is known or is what lies in the work tree."""
        ...

    def bring(self, manifest: Manifest, part: str = "") -> Output:
        """What a pointer stands for, or a part, in the clone's own store from now on, verified by its MD5.

        Raises:
            RepositoryError: it is in no cache, remote or work tree.
        """
        ...


class Supply:
    """Brings bytes into the clone's own store, from wherever they can be had, verified.

    Args:
        store: of this clone.
        data: of the work tree; None where there is none.
        remote: the store that others use too; None where there is none.
        everybodys: others use `store` itself.
        source: where a manifest's data comes from.
        pointers: for manifests of DVC's.
        parts: a directory's digest and a path in it -> what lies there; filled here.
        meter: told of what is moved.
    """

    def __init__(
        self,
        store: Kept,
        *,
        data: DataFiles | None = None,
        remote: Remote | None = None,
        everybodys: bool = False,
        source: Callable[[Manifest], Source] | None = None,
        pointers: Pointers | None = None,
        parts: dict[str, Output] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._store = store
        self._data = data
        self._remote = remote
        self._everybodys = everybodys
        self._source = source
        self._pointers = pointers
        self._parts = {} if parts is None else parts
        self._meter = meter

    def listing(self, digest: Digest) -> bytes:
        """An object of a directory's listing, fetched where it is not here.

        Raises:
            ServiceError: it is not to be had: that is no reason to take everything for changed.
        """
        if not self._store.holds(digest):
            try:
                self._pull([digest])
            except IntegrityError as error:
                raise _unreachable(digest) from error
        return self._store.read(digest)

    def keeps(self, output: Output) -> bool:
        """Whether all bytes of a file or directory are in the clone's own store."""
        return self._store.has(output)

    def pointed(self, pointer: Digest) -> Output | None:
        """What a pointer of DVC's stands for, where its bytes were seen before; `pointer` is its manifest's digest."""
        return self._pointers.known(pointer) if self._pointers else None

    def meant(self, manifest: Manifest, found: Output | None) -> Output | None:
        """What a manifest stands for by SHA-256; None for a pointer of DVC's whose bytes nobody has seen.

        Args:
            manifest: ciml's own, or DVC's.
            found: what lies in the work tree, if anything: it may be what a pointer means.
        """
        if manifest.md5 is None:
            return manifest.output
        if found is None:
            return self.pointed(manifest.digest)
        return self._dvc(manifest).recognised(manifest, found)

    def part(self, manifest: Manifest, inside: str) -> Output | None:
        """What lies at a path below a directory of data; None where nothing does. Needs its listing alone.

        Raises:
            ServiceError: the listing cannot be reached.
        """
        known = self._parts.get(f"{manifest.digest}/{inside}")
        if known is None:
            known = self._dvc(manifest).part(manifest, inside) if manifest.md5 else self._listed_part(manifest, inside)
            if known is not None:
                self._parts[f"{manifest.digest}/{inside}"] = known
        return known

    def _listed_part(self, manifest: Manifest, inside: str) -> Output | None:
        name = RepoPath(f"{manifest.path}/{inside}")
        entries = listing.sublisting(manifest.digest, os.fsencode(inside), self.listing)
        first = next(entries, None)
        if first is None:
            return None
        if first.path or first.mode == listing.FOLDER:
            return self._store.put_listing((entry for entry in chain([first], entries) if entry.path), name=name)
        executable = first.mode == listing.EXECUTABLE
        return Output(path=name, digest=first.digest, size=first.size, executable=executable)

    def bring(self, manifest: Manifest, part: str = "") -> Output:
        """What a manifest stands for, or a part of it, whose bytes are all in the clone's own store from now on.

        Raises:
            RepositoryError: they are nowhere to be had.
            IntegrityError: what is there is not what the manifest says.
            ServiceError, TrustError: what might have them cannot be reached, or does not let us.
        """
        if manifest.md5 is not None:
            return self._dvc(manifest).bring(manifest, part)
        output = self._wanted(manifest, part)
        if output and (self._store.has(output) or self._from_work_tree(manifest, output, part)):
            return output
        refusals: list[CimlError] = []
        for way in (self._from_remote, self._from_source):
            try:
                if (found := way(manifest, part)) is not None:
                    return found
            except (IntegrityError, ServiceError) as error:
                refusals.append(error)
        if refusals:
            raise refusals[-1]
        raise self.nowhere(manifest)

    def _wanted(self, manifest: Manifest, part: str) -> Output | None:
        """What is to be brought; None while the listing that tells of the part is not here."""
        if not part:
            return manifest.output
        try:
            found = self._listed_part(manifest, part)
        except ServiceError:
            return None
        if found is None:
            raise IntegrityError(f"{manifest.path} has nothing at {part}")
        return found

    def _dvc(self, manifest: Manifest) -> Pointers:
        if self._pointers is None:
            raise RepositoryError(f"{manifest.path} is behind a DVC pointer, and there is no work tree to look in")
        return self._pointers

    def keeps_all(self, manifest: Manifest) -> bool:
        """Whether all that a manifest stands for is in the clone's own store from now on, the work tree's included."""
        return self._store.has(manifest.output) or self._from_work_tree(manifest, manifest.output, "")

    # The ways.

    def _from_work_tree(self, manifest: Manifest, output: Output, part: str) -> bool:
        if self._data is None or not self._data.here(manifest.path):
            return False
        if self._data.look(manifest.path).digest != manifest.digest:
            return False
        path = RepoPath(f"{manifest.path}/{part}" if part else manifest.path)
        return self._data.take_in(path).digest == output.digest

    def _from_remote(self, manifest: Manifest, part: str) -> Output | None:
        if self._remote is None or not (self._store.holds(manifest.digest) or self._remote.has([manifest.digest])):
            return None
        output = self._wanted(manifest, part)
        if output is None:
            return None
        self._remote.pull(self._objects(output), self._meter)
        return output if self._store.has(output) else None

    def _from_source(self, manifest: Manifest, part: str) -> Output | None:
        if manifest.source is None or self._source is None:
            return None
        source = self._source(manifest)
        manifest = self._relisted(manifest, source)
        inside = os.fsencode(part)
        source.fetch(
            item
            for item in pinned(manifest, self.listing)
            if not part or item.path == inside or item.path.startswith(inside + b"/")
        )
        output = self._wanted(manifest, part)
        return output if output and self._store.has(output) else None

    def _relisted(self, manifest: Manifest, source: Source) -> Manifest:
        """The manifest, whose listing and index are here: where nobody has them, what lies at the source may tell."""
        if not manifest.directory:
            return manifest
        try:
            for name in filter(None, (manifest.digest, manifest.index)):
                for part in listing.parts(name, self.listing):
                    self.listing(part)
            return manifest
        except ServiceError:
            now = update_from_source(manifest.path, manifest, source, self._store, self.listing, anew=True).manifest
            if now.digest != manifest.digest:
                raise
            return now

    def _objects(self, output: Output) -> Iterator[Digest]:
        """Every object of an output: of a directory the listing first, so that many can be asked for together."""
        if not output.directory:
            yield output.digest
            return
        parts = [*listing.parts(output.digest, self.listing)]
        if missing := [part for part in parts if not self._store.holds(part)]:
            self._pull(missing)
        yield from parts
        for entry in listing.entries(output.digest, self.listing):
            if entry.mode != listing.FOLDER:
                yield entry.digest

    def _pull(self, digests: list[Digest]) -> None:
        if self._remote is None:
            raise _unreachable(digests[0])
        self._remote.pull(digests)

    def nowhere(self, manifest: Manifest) -> CimlError:
        """That what a manifest stands for is not to be had, and what to do."""
        if not manifest.directory and self._store.holds(manifest.digest):
            return IntegrityError(
                f"{manifest.file} says {manifest.size} bytes of {manifest.digest[:12]}, and the store's are not: "
                "one of the two is wrong",
                hint=f"Was the manifest edited by hand? `git log -p -- {manifest.file}` shows it; "
                "`ciml store verify` looks at the store.",
            )
        places = ["not in the work tree", "not in the store of this clone"]
        places += ["not in the shared store"] if self._remote is not None else []
        there = self._data is not None and self._data.here(manifest.path)
        hint = "`ciml data push` where it is; then `ciml data pull` here."
        if self._remote is None and not self._everybodys:
            hint = (
                "Clones share data by a `store` in ciml.yaml: name one, `ciml data push` where the data is, then pull."
            )
        if there:
            places[0] = "something else in the work tree"
            hint = f"`ciml data update {manifest.path}` takes it as it is now."
        return RepositoryError(
            f"the data {manifest.path} is not here: {manifest.file} names {manifest.digest[:12]}, which is "
            + " and ".join([", ".join(places[:-1]), places[-1]]),
            hint=hint,
        )


def _unreachable(digest: Digest) -> ServiceError:
    return ServiceError(
        f"the listing {digest[:12]} of a data directory is not in the store of this clone, nor where others push to",
        hint="`ciml data push` where the data is; then `ciml data pull` here.",
    )
