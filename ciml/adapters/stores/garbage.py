"""What a local store holds, whether it is sound, and the collection of what nobody needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ciml.adapters.locks import try_lock
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.packsweep import PackSweep
from ciml.adapters.stores.records import LOCAL, Records
from ciml.adapters.stores.session import FOLDERS, Session
from ciml.adapters.stores.sweep import Sweep, digests_in
from ciml.core import listing
from ciml.core.errors import IntegrityError, RaceError
from ciml.core.ids import Digest
from ciml.core.results import Miss, Output, Record
from ciml.core.value import Value


class Stats(Value, frozen=True, kw_only=True):
    """How much there is."""

    objects: int = 0
    size: int = 0
    """Bytes of all objects."""
    records: int = 0
    quarantined: int = 0


class Findings(Value, frozen=True, kw_only=True):
    """What is wrong in a store; nothing, when all three are empty."""

    checked: int = 0
    """Objects whose bytes were hashed."""
    damaged: tuple[Digest, ...] = ()
    """Objects whose bytes are not what their names say."""
    unreadable: tuple[Digest, ...] = ()
    """Keys of records that are not to be believed."""
    lost: tuple[Digest, ...] = ()
    """Keys of records that name objects which are not there, or are damaged."""


class Collection(Value, frozen=True, kw_only=True):
    """What a collection did, or would do."""

    objects: int = 0
    """Removed."""
    size: int = 0
    """Bytes of the removed objects."""
    records: int = 0
    """Removed."""
    marked: int = 0
    """Unreachable, and left for a later collection."""


class Warden:
    """Looks after the store below one folder."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._session = Session(root)
        self._objects = Objects(root, self._session)

    # Looking.

    def stats(self) -> Stats:
        """How much there is."""
        sizes = [self._objects.size(digest) or 0 for digest in digests_in(f"{self._root}/objects")]
        sizes += [size for pack in self._objects.packs.all() for _, _, size in pack.rows()]
        records = sum(1 for records in self._spaces() for _ in digests_in(records.folder))
        quarantined = len(os.listdir(f"{self._root}/quarantine")) if os.path.isdir(f"{self._root}/quarantine") else 0
        return Stats(objects=len(sizes), size=sum(sizes), records=records, quarantined=quarantined)

    def verify(self, *, repair: bool = False) -> Findings:
        """Every object hashed, every record read.

        Args:
            repair: put what is damaged, and records that lost something, into quarantine.
        """
        checked = 0
        damaged: set[Digest] = set()
        for digest in digests_in(f"{self._root}/objects"):
            checked += 1
            if not self._objects.verify(digest):
                damaged.add(digest)
        for digest, sound in self._objects.packs.checked():
            checked += 1
            if not sound:
                damaged.add(digest)
        damaged |= self._objects.packs.torn
        unreadable: list[Digest] = []
        lost: list[Digest] = []
        for records in self._spaces():
            for key in digests_in(records.folder):
                wrong = self._wrong(records, key, damaged)
                if wrong is not None:
                    (lost if wrong else unreadable).append(key)
                    if repair:
                        records.remove(key)
        if repair:
            for digest in damaged:
                self._objects.quarantine(digest)
        return Findings(checked=checked, damaged=tuple(sorted(damaged)), unreadable=tuple(unreadable), lost=tuple(lost))

    def _wrong(self, records: Records, key: Digest, damaged: set[Digest]) -> bool | None:
        """None for a sound record, True for one that lost something, False for one that is not to be believed."""
        record = records.read(key)
        if isinstance(record, Miss):
            return False
        for output in record.outputs:
            for digest in self._below(output):
                if digest in damaged or self._objects.size(digest) is None:
                    return True
        return None

    # Collecting.

    def collect(self, roots: Iterable[Digest], *, grace_s: float, dry_run: bool = False) -> Collection:
        """Remove what an earlier collection found unreachable and still is; mark what is unreachable now.

        Args:
            roots: keys of records and digests of objects (files or listings) that are needed.
            grace_s: how long something must have been unreachable.
            dry_run: change nothing, and say what a collection would remove now.

        Raises:
            RaceError: another collection is at work.
        """
        for folder in FOLDERS:
            os.makedirs(f"{self._root}/{folder}", exist_ok=True)
        lock = try_lock(f"{self._root}/leases.lock")
        if lock is None:
            raise RaceError("another collection is at work in this store")
        try:
            sweep = Sweep(self._root, grace_s=grace_s, dry_run=dry_run)
            return self._collect(sweep, set(roots))
        finally:
            lock.release()

    def _collect(self, sweep: Sweep, roots: set[Digest]) -> Collection:
        spaces = self._spaces()
        sweep.begin()
        needed = roots | sweep.relied_on()
        gone: dict[str, set[Digest]] = {}
        for records in spaces:
            gone[records.space] = sweep.folder(records.folder, trash=records.trash, needed=needed.__contains__)
        record_size = sweep.size
        # What the roots need is not even marked; what a record needs that stays for now, is marked and stays.
        needed |= sweep.relied_on()
        rooted: set[bytes] = set()
        for digest in needed:
            rooted.update(map(bytes.fromhex, self._reach(digest)))
        held: set[bytes] = set()
        for records in spaces:
            for key in digests_in(records.folder):
                # What is gone may have been found in the trash, and be back; in a dry run it never went.
                if not (sweep.dry_run and key in gone[records.space]):
                    found = self._outputs(records, key)
                    (rooted if key in needed else held).update(map(bytes.fromhex, found))
        objects = sweep.folder(
            f"{self._root}/objects",
            trash=_as_it_is,
            needed=lambda digest: bytes.fromhex(digest) in rooted,
            held=lambda digest: bytes.fromhex(digest) in held,
        )
        packs = PackSweep(self._root, sweep)
        packs.run(self._objects.packs.all(), needed=rooted, held=held)
        return Collection(
            objects=len(objects) + packs.objects,
            size=sweep.size - record_size + packs.size,
            records=sum(map(len, gone.values())),
            marked=sweep.marked,
        )

    def _outputs(self, records: Records, key: Digest) -> Iterator[Digest]:
        record = records.read(key)
        if isinstance(record, Record):
            for output in record.outputs:
                yield from self._below(output)

    def _reach(self, digest: Digest) -> Iterator[Digest]:
        """A root and what it names; nobody says of a root whether it is a listing."""
        try:
            fd = self._objects.open(digest)
        except IntegrityError:
            return
        try:
            directory = os.read(fd, len(listing.HEADER)) == listing.HEADER
        finally:
            os.close(fd)
        yield from reach(self._objects, digest, directory=directory)

    def _below(self, output: Output) -> Iterator[Digest]:
        return reach(self._objects, output.digest, directory=output.directory)

    def _spaces(self) -> list[Records]:
        top = f"{self._root}/spaces"
        found = [
            os.path.relpath(folder, top) for folder, names, _ in os.walk(top) if any(len(name) == 2 for name in names)
        ]
        return [Records(self._root, self._session, space) for space in (LOCAL, *found)]


def reach(objects: Objects, digest: Digest, *, directory: bool) -> Iterator[Digest]:
    """An object and all that it names when it is a listing; what cannot be read names nothing."""
    yield digest
    if directory:
        try:
            yield from listing.parts(digest, objects.read)
            for entry in listing.entries(digest, objects.read):
                yield entry.digest
        except IntegrityError:
            return


def _as_it_is(digest: Digest) -> str:
    return digest
