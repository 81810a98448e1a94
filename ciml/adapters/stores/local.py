"""The store on a disk.

    objects/ab/<62 hex>   bytes and listings, by SHA-256, mode 0444
    objects/pack/         many small ones in one file (`ciml.adapters.stores.pack`)
    actions/ab/<62 hex>   records, by key (of other spaces: spaces/<space>/ab/<62 hex>)
    tmp/                  unfinished files; leases/ says whose
    quarantine/           what was damaged or disowned
    trash/, marks/        of the garbage collection (`ciml.adapters.stores.garbage`)

An object appears by a rename and a record by a hard link, objects first and the record last: at any
moment, and after any crash, a record is there whole or not at all. Nothing is believed for being
there: an object is hashed whenever it is read, a record must carry its own key, space and salt.
That also covers what a power cut tears. What it loses is computed again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ciml.adapters import files
from ciml.adapters.stores.ingest import Hasher, Lister, Watch, ingest, store_listing
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.records import LOCAL, Records
from ciml.adapters.stores.session import Session
from ciml.core import listing
from ciml.core.errors import CimlError, IntegrityError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Miss, Output, Record

if TYPE_CHECKING:
    import threading

    from ciml.adapters.stores.garbage import Collection, Findings, Stats

_SYNC_EVERY_S = 1.0

LOOSE = 512
"""New small objects of one directory that get a file each; the others are packed."""


class LocalStore:
    """A store below one folder, used by any number of processes at once.

    Args:
        root: the folder; it is made when something is written.
        space: whose records these are.
        reads: other spaces whose records are believed too.
        clock: seconds, of any origin.
        loose: new small objects of one directory that get a file each; the others are packed.
    """

    def __init__(
        self,
        root: str,
        *,
        space: str = LOCAL,
        reads: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        loose: int = LOOSE,
    ) -> None:
        self.root = os.path.abspath(root)
        self._session = Session(self.root)
        self._objects = Objects(self.root, self._session)
        self._records = Records(self.root, self._session, space)
        self._others = [Records(self.root, self._session, other) for other in reads]
        self._clock = clock
        self._loose = loose
        self._unsynced_since: float | None = None
        self._syncing: threading.Thread | None = None

    # Bytes.

    def put_bytes(self, data: bytes) -> Digest:
        """The digest under which `data` is now stored."""
        with _doing("write to the store"):
            return self._objects.put(data)

    def put_path(self, path: str, *, name: RepoPath, watch: Watch | None = None) -> Output:
        """The file or directory at `path`, stored.

        Args:
            path: absolute.
            name: what it is called in errors and in the answer.
            watch: what is remembered of `path`, and is not read again.

        Raises:
            TrustError: it is a link, or holds one that leaves it.
            StageError: it is missing, cannot be read, or is or holds a named pipe, a socket or a device.
            ServiceError: the disk is full, or the system refuses something else.
        """
        from ciml.adapters.stores.packing import Packing

        with _doing(f"store {name}"):
            with Packing(self._objects, self._session, loose=self._loose) as sink:
                output = ingest(path, name, sink, watch)
            self._unsynced_since = self._unsynced_since or self._clock()
            return output

    def look_at(self, path: str, *, name: RepoPath, watch: Watch | None = None) -> Output:
        """What `put_path` would give; of a directory the listing is stored, and no file. Raises as that."""
        with _doing(f"read {name}"):
            return ingest(path, name, Lister(self._objects), watch)

    def put_listing(self, entries: Iterable[listing.Entry], *, name: RepoPath) -> Output:
        """A directory by its entries, sorted by path; their bytes need not be here."""
        with _doing(f"store the listing of {name}"):
            return store_listing(iter(entries), name, self._objects)

    def part(self, output: Output, inside: str) -> Output | None:
        """What lies at `inside` in a directory, as an output of its own; None where nothing does."""
        name = RepoPath(f"{output.path}/{inside}")
        with _doing(f"read {name}"):
            entries = list(listing.sublisting(output.digest, os.fsencode(inside), self._objects.read))
        if not entries:
            return None
        first = entries[0]
        if first.path or first.mode == listing.FOLDER:
            return self.put_listing((entry for entry in entries if entry.path), name=name)
        return Output(path=name, digest=first.digest, size=first.size, executable=first.mode == listing.EXECUTABLE)

    def entries(self, output: Output) -> Iterator[listing.Entry]:
        """What a directory holds, sorted by path; nothing for a file."""
        if output.directory:
            with _doing(f"read the listing of {output.path}"):
                yield from listing.entries(output.digest, self._objects.read)

    def digest_of(self, path: str) -> Digest | None:
        """The digest that `put_path` would give, without storing; None where nothing lies at `path`."""
        if not os.path.lexists(path):
            return None
        with _doing(f"read {path}"):
            return ingest(path, RepoPath(path), Hasher()).digest

    def read(self, digest: Digest) -> bytes:
        """The bytes, verified.

        Raises:
            IntegrityError: they are gone, or damaged (and now in quarantine).
        """
        with _doing(f"read the object {digest}"):
            return self._objects.read(digest)

    def materialise(
        self, output: Output, target: str, *, link: bool = False, read_only: bool = False, within: str = ""
    ) -> None:
        """Put the bytes at `target`, verified, all or nothing; whatever is there is replaced.

        Args:
            output: a file or a directory.
            target: absolute; folders on the way are made.
            link: allow a read-only hard link for a large file where the file system cannot share bytes.
            read_only: make files unwritable.
            within: where not empty, the folder that no link on the way to `target` may lead out of.
        """
        from ciml.adapters.stores.restore import Restorer

        with _doing(f"restore {output.path}"):
            Restorer(self._objects, self._session).restore(
                output, target, within=within, link=link, read_only=read_only
            )

    def holds(self, digest: Digest) -> bool:
        """Whether an object of that name lies in the store (not verified)."""
        return self.size(digest) is not None

    def size(self, digest: Digest) -> int | None:
        """The bytes of an object (not verified); None where there is none."""
        return self._objects.size(digest)

    def has(self, output: Output) -> bool:
        """Whether every object of a file or directory lies in the store (by name and size, not verified)."""
        try:
            return all(self._objects.size(digest) == size for digest, size in self._objects_of(output))
        except IntegrityError:
            return False

    # Records.

    def record(self, key: Digest) -> Record | Miss:
        """The record of a key whose outputs are all there, by name and size."""
        with _doing(f"read the record {key}"):
            found = self._usable(self._records, key)
            for other in self._others:
                if isinstance(found, Record):
                    break
                elsewhere = self._usable(other, key)
                if isinstance(elsewhere, Record) or found.reason == Miss().reason:
                    found = elsewhere
            return found

    def _usable(self, records: Records, key: Digest) -> Record | Miss:
        if not records.holds(key):
            return Miss()
        try:
            self._session.rely_on(key)  # before it is read: what is there after this, stays
        except OSError:
            pass  # a store that can only be read
        found = records.read(key)
        if isinstance(found, Miss):
            return found
        lost = self._lost(found)
        return found if lost is None else lost

    def _lost(self, record: Record) -> Miss | None:
        """Which output of a record is not there, if any."""
        for output in record.outputs:
            try:
                for digest, size in self._objects_of(output):
                    if self._objects.size(digest) != size:
                        return Miss(reason=f"the object {digest} of {output.path} is lost")
            except IntegrityError as error:
                return Miss(reason=f"{output.path}: {error.message}")
        return None

    def _objects_of(self, output: Output) -> Iterator[tuple[Digest, int]]:
        if not output.directory:
            yield output.digest, output.size
            return
        for entry in listing.entries(output.digest, self._objects.read):
            if entry.mode != listing.FOLDER:
                yield entry.digest, entry.size

    def publish(self, record: Record) -> Record:
        """The record that now stands for the key: the first one wins, unless it cannot be used."""
        with _doing(f"publish what stage {record.stage} made"):
            while not self._records.add(record):
                data = self._records.data(record.key)
                standing = self._usable(self._records, record.key)
                if isinstance(standing, Record):
                    return standing
                if data is not None:
                    self._records.remove(record.key, data)
            self._sync_when_due()
            return record

    def admit(self, records: Iterable[Record], *, to: str) -> None:
        """Let these records stand in another space too; the first one of a key wins there as well."""
        with _doing(f"admit records to {to}"):
            there = Records(self.root, self._session, to)
            for record in records:
                there.add(record)

    def disown(self, keys: Iterable[Digest] | None = None, *, before_s: float | None = None) -> None:
        """Believe these records no more, or those from before a moment (s since 1970), or none that exist.

        What made them runs again.
        """
        with _doing("disown records"):
            if keys is None and before_s is None:
                self._records.rotate_salt()
            elif before_s is not None:
                for records in (self._records, *self._others):
                    records.remove_before(before_s)
            for key in keys or ():
                self._records.remove(key)

    # Keeping it small and sound; all three are in `ciml.adapters.stores.garbage`.

    def stats(self) -> Stats:
        """How much there is."""
        from ciml.adapters.stores.garbage import Warden

        with _doing("look through the store"):
            return Warden(self.root).stats()

    def verify(self, *, repair: bool = False) -> Findings:
        """Every object hashed and every record read; `repair` puts what is wrong into quarantine."""
        from ciml.adapters.stores.garbage import Warden

        with _doing("verify the store"):
            return Warden(self.root).verify(repair=repair)

    def gc(self, roots: Iterable[Digest], *, grace_s: float, dry_run: bool = False) -> Collection:
        """Remove what none of `roots` (keys of records, digests of objects) needs, and nobody uses.

        What is found unreachable is removed by a later call, `grace_s` after, so the first removes nothing.
        What this very process has stored or looked up stays: it has a lease.
        """
        from ciml.adapters.stores.garbage import Warden

        with _doing("collect garbage in the store"):
            return Warden(self.root).collect(roots, grace_s=grace_s, dry_run=dry_run)

    # Durability.

    def flush(self) -> None:
        """Make durable what was published so far: one call for all of it."""
        with _doing("write the store to the disk"):
            if self._syncing is not None:
                self._syncing.join()
                self._syncing = None
            if self._unsynced_since is not None:
                self._unsynced_since = None
                files.sync(self.root)

    def close(self) -> None:
        """Flush, and end this process's lease."""
        self.flush()
        self._session.close()

    def _sync_when_due(self) -> None:
        """Start to make things durable a second after the oldest that is not; nobody waits for it."""
        now = self._clock()
        if self._unsynced_since is None:
            self._unsynced_since = now
        elif now - self._unsynced_since >= _SYNC_EVERY_S and (self._syncing is None or not self._syncing.is_alive()):
            self._unsynced_since = now
            import threading

            self._syncing = threading.Thread(target=_sync_quietly, args=(self.root,), daemon=True)
            self._syncing.start()


def _sync_quietly(root: str) -> None:
    try:
        files.sync(root)
    except OSError:
        pass  # the last `flush` says so


@contextmanager
def _doing(what: str) -> Iterator[None]:
    try:
        yield
    except CimlError:
        raise
    except OSError as error:
        raise files.outside(error, what) from error
