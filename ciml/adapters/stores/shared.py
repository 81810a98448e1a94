"""A store that laptops and CI jobs share: a bucket, with the clone's own store as its cache.

    objects/ab/<62 hex>             bytes and listings, by SHA-256: everybody's, since they prove themselves
    records/<space>/ab/<62 hex>     records, by key: a space reads its own and those it is told to read

`ciml.adapters.stores.tenure` says what lies beside them. Whatever is made is in the clone's own store first,
then its bytes are in the bucket, then its record: a call that was killed in between goes on with the next one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ciml.adapters.stores.clearance import Clearance
from ciml.adapters.stores.contents import objects_of, objects_of_all
from ciml.adapters.stores.garbage import Collection, Findings, Stats
from ciml.adapters.stores.inspection import Inspection
from ciml.adapters.stores.known import Known
from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.meter import Meter
from ciml.adapters.stores.partwise import PartwiseBucket
from ciml.adapters.stores.s3 import S3Objects, object_name
from ciml.adapters.stores.sharedrecords import SharedRecords, Signing, Standing
from ciml.adapters.stores.tenure import Tenure, read_state
from ciml.core import listing
from ciml.core.errors import IntegrityError, MissingCredentialsError, ServiceError
from ciml.core.event import MAIN
from ciml.core.ids import Digest, RepoPath
from ciml.core.key import digest as digest_of_list
from ciml.core.results import Miss, Output, Record
from ciml.core.s3 import S3Address

CONNECTIONS = 16


class SharedStore:
    """The port Store over a bucket; it is the port Remote too.

    Args:
        local: the clone's own store.
        address: of the bucket and the prefix.
        environ: where region, credentials and endpoint come from.
        memory: folder for what is remembered of shared stores; it may be deleted at any time.
        space: whose records this process writes; None: it writes nothing.
        reads: spaces whose records are believed besides.
        signing: of the records in `main`.
        warn: told what a user should know.
    """

    def __init__(
        self,
        local: LocalStore,
        address: S3Address,
        environ: Mapping[str, str],
        *,
        memory: str,
        space: str | None,
        reads: Sequence[str] = (),
        signing: Signing | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.local = local
        self.bucket = PartwiseBucket(address, environ, connections=CONNECTIONS)
        self._eager = PartwiseBucket(address, environ, attempts=1, read_timeout_s=30)
        folder = f"{memory}/{digest_of_list('ciml/shared/1', self.bucket.place)[:32]}"
        self._tenure = Tenure(self.bucket)
        self._known = Known(f"{folder}/known")
        self._objects = S3Objects(self.bucket, self._tenure, self._known, local.root, f"{folder}/uploads")
        self._signing = signing or Signing()
        self._own = self._records(space) if space is not None else None
        self._spaces = [*([self._own] if self._own else []), *(self._records(other) for other in reads)]
        self._warn = warn
        self._broken: set[Digest] = set()
        """Outputs of which something is not to be had."""
        self._obeyed = False
        self._unshared: dict[Digest, Record] = {}
        """Records of the clone's own store that others cannot see yet."""

    def _records(self, space: str) -> SharedRecords:
        return SharedRecords(self.bucket, self._tenure, space, self._signing if space == MAIN else None)

    # Bytes.

    def put_bytes(self, data: bytes) -> Digest:
        """The digest under which `data` is now stored, in the clone's own store."""
        return self.local.put_bytes(data)

    def put_path(self, path: str, *, name: RepoPath) -> Output:
        """The file or directory at `path`, in the clone's own store; it raises as that does."""
        return self.local.put_path(path, name=name)

    def read(self, digest: Digest) -> bytes:
        """The bytes, verified; fetched where they are not here."""
        if self._objects.here(digest):
            try:
                return self.local.read(digest)
            except IntegrityError:
                pass  # damaged, and out of the way now
        self._objects.pull([digest])
        return self.local.read(digest)

    def materialise(
        self, output: Output, target: str, *, link: bool = False, read_only: bool = False, within: str = ""
    ) -> None:
        """Put the bytes at `target`, verified, all or nothing; what is not here is fetched."""
        for attempt in (1, 2):
            self.fetch([output])
            try:
                self.local.materialise(output, target, link=link, read_only=read_only, within=within)
                return
            except IntegrityError:
                if attempt == 2:
                    raise  # else something was damaged here, and can be fetched

    def fetch(self, outputs: Iterable[Output], meter: Meter | None = None) -> None:
        """Let everything of these outputs be here, many objects at a time."""
        for output in outputs:
            try:
                if output.directory:
                    self._objects.pull(listing.parts(output.digest, self.read), meter)
                self._objects.pull(objects_of(output, self.read), meter)
            except IntegrityError:
                self._broken.add(output.digest)
                raise

    def part(self, output: Output, inside: str) -> Output | None:
        """What lies at `inside` in a directory, as an output of its own; None where nothing does."""
        for _ in listing.sublisting(output.digest, os.fsencode(inside), self.read):
            pass  # now the parts of the listing that tell of it are here
        return self.local.part(output, inside)

    def digest_of(self, path: str) -> Digest | None:
        """The digest that `put_path` would give, without storing; None where nothing lies at `path`."""
        return self.local.digest_of(path)

    def holds(self, digest: Digest) -> bool:
        """Whether an object of that name lies here or there (not verified)."""
        return self._objects.here(digest) or bool(self._objects.has([digest]))

    def size(self, digest: Digest) -> int | None:
        """The bytes of an object here or there (not verified); None where there is none."""
        if (here := self.local.size(digest)) is not None:
            return here
        there = self.bucket.look(object_name(digest))
        return there.size if there else None

    # Many bytes at once: the port Remote.

    def has(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of the objects that everybody can have, by name."""
        return self._objects.has(digests)

    def push(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let everybody have these objects of the clone's own store; what is there is not sent again."""
        self._objects.push(digests, meter)

    def pull(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let the clone's own store have these objects."""
        self._objects.pull(digests, meter)

    # Records.

    def record(self, key: Digest) -> Record | Miss:
        """The record of a key whose outputs can be had: the clone's own first, then those of the spaces."""
        self._obey()
        here = self.local.record(key)
        if isinstance(here, Record):
            self._remember_to_share(here)
            return here
        found: Miss = here
        for records in self._spaces:
            standing = self._usable(records, key)
            if isinstance(standing.record, Record):
                return self._keep(standing.record)
            if found.reason == Miss().reason:
                found = standing.record
        return found

    def _obey(self) -> None:
        """Once a call: what was disowned for everybody is not believed here either."""
        if self._obeyed:
            return
        self._obeyed = True
        try:
            state, _ = read_state(self.bucket)
        except ServiceError:
            return  # who is offline has what is here
        except MissingCredentialsError as error:
            hint = f"{error.hint} CIML_STORE=local does without the shared store."
            raise MissingCredentialsError(error.message, hint=hint) from error
        if self._known.disown(state.disowned_before):
            self.local.disown()

    def _keep(self, record: Record) -> Record:
        """A record of the bucket, which the clone's own store has from now on."""
        if self._own is not None:
            self._known.add_record(self._own.name(record.key))
        self.local.publish(record)
        return record

    def _usable(self, records: SharedRecords, key: Digest) -> Standing:
        """What a space has for a key; a miss where something of it is lost."""
        standing = records.read(key)
        if standing.refused and isinstance(standing.record, Miss):
            self._warn(f"the record {key[:12]} is not believed: {standing.record.reason}")
        record = standing.record
        if not isinstance(record, Record):
            return standing
        if lost := self._lost(record):
            return Standing(record=Miss(reason=lost), etag=standing.etag)
        name = records.name(key)
        if self._tenure.marked(name):
            return self._spared(records, standing, record)
        return standing

    def _lost(self, record: Record) -> str | None:
        """What of a record cannot be had, as far as a glance tells."""
        away = [output for output in record.outputs if not self._objects.here(output.digest)]
        there = self._objects.has(output.digest for output in away) if away else set()
        for output in record.outputs:
            if output.digest in self._broken:
                return f"a part of {output.path} is lost"
        return next((f"the object {o.digest} of {o.path} is lost" for o in away if o.digest not in there), None)

    def _spared(self, records: SharedRecords, standing: Standing, record: Record) -> Standing:
        """The same where a collection has its eye on it: relied on by name, and made new where that may be."""
        names = [records.name(record.key)]
        names += [object_name(digest) for digest in objects_of_all(record.outputs, self.read)]
        if self._tenure.rely_on(names):
            return Standing(record=Miss(reason="its record is being removed"), etag=standing.etag)
        again = records.read(record.key)
        if again.record != record or self._lost(record):
            return Standing(record=Miss(reason="its record was removed"), etag=again.etag)
        if records is self._own and again.etag:
            records.write(record, over=again.etag)
        return again

    def publish(self, record: Record) -> Record:
        """The record that now stands for the key, for everybody: the first one wins, unless it cannot be used."""
        mine = self.local.publish(record)
        if self._own is None:
            return mine
        return self._share(mine, self._own)

    def _share(self, record: Record, records: SharedRecords) -> Record:
        winner = self._written(record, records)
        self._broken.difference_update(output.digest for output in record.outputs)
        self._unshared.pop(record.key, None)
        if records is self._own:
            self._known.add_record(records.name(record.key))
            if winner != record:
                self.local.disown([record.key])
                self.local.publish(winner)
        return winner

    def _written(self, record: Record, records: SharedRecords) -> Record:
        over: str | None = None
        while True:
            self._objects.push(self._here(record))
            if records.write(record, over=over) == "written":
                return record
            standing = self._usable(records, record.key)
            if isinstance(standing.record, Record):
                return standing.record
            self._tenure.wait_for([records.name(record.key)])
            over = standing.etag

    def _here(self, record: Record) -> Iterator[Digest]:
        """What the clone's own store has of a record: whoever misses something finds out, and makes it again."""
        for output in record.outputs:
            try:
                yield from (digest for digest in objects_of(output, self.read) if self._objects.here(digest))
            except IntegrityError:
                continue

    def _remember_to_share(self, record: Record) -> None:
        if self._own is not None and not self._known.has_record(self._own.name(record.key)):
            self._unshared[record.key] = record

    def admit(self, records: Iterable[Record], *, to: str) -> None:
        """Let these records stand in another space too; the first one of a key wins there as well."""
        there = self._records(to)
        winners = []
        for record in records:
            if lost := self._lost(record):
                self._warn(f"the record of stage {record.stage} is not admitted to {to}: {lost}")
                continue
            winners.append(self._share(record, there))
        self.local.admit(winners, to=to)

    # Keeping it small and sound.

    def stats(self) -> Stats:
        """How much there is for everybody."""
        return self._inspection().stats()

    def verify(self, *, repair: bool = False) -> Findings:
        """Every object of the bucket read and hashed, every record read; `repair` removes what is wrong."""
        return self._inspection().verify(repair=repair)

    def disown(self, keys: Iterable[Digest] | None = None, *, before_s: float | None = None) -> None:
        """Let nobody believe these records any more, or none from before a moment (s since 1970; now, where None)."""
        if keys is not None:
            self._inspection().disown(keys)
        else:
            self._inspection().disown_before(None if before_s is None else int(before_s))

    def _inspection(self) -> Inspection:
        return Inspection(self.bucket, self.read, self._signing.opened)

    def gc(self, roots: Iterable[Digest], *, grace_s: float, dry_run: bool = False) -> Collection:
        """Remove what none of `roots` needs, nobody uses, and has been there for long; see `Clearance.collect`."""
        clearance = Clearance(self.bucket, self._eager, self.read, self._signing.opened)
        return clearance.collect(roots, grace_s=grace_s, dry_run=dry_run)

    # Durability.

    def flush(self) -> None:
        """Make durable what was published, and let everybody have what only this clone had."""
        self.local.flush()
        if self._own is not None:
            for record in [*self._unshared.values()]:
                self._share(record, self._own)

    def close(self) -> None:
        """End this process's leases; the clone's own store stays open."""
        self._tenure.close()
        self._objects.close()
        self._known.close()
