"""The collection of garbage in a shared store, while others write.

It removes what no root and no record that stays needs, once an earlier collection has found the same, nothing
has been written there since, and no lease protects it. `ciml.adapters.stores.tenure` says how the two
sides keep out of each other's way; the clock is the service's, and a collection that was killed, or that another
one has overtaken, leaves nothing that would have to be tidied up before the next.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from ciml.adapters.batched import batched
from ciml.adapters.stores.answers import Found
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.contents import objects_of
from ciml.adapters.stores.crew import Crew, Job
from ciml.adapters.stores.garbage import Collection
from ciml.adapters.stores.partwise import PartwiseBucket
from ciml.adapters.stores.records import Action
from ciml.adapters.stores.s3 import HANDS, object_name
from ciml.adapters.stores.tenure import LEASE_S, STATE, Lease, Marks, State, boot_s, read_state
from ciml.core import listing
from ciml.core.errors import ConfigurationError, IntegrityError, RaceError, ServiceError
from ciml.core.ids import Digest, RepoPath, is_digest
from ciml.core.listing import Fetch
from ciml.core.results import Output
from ciml.core.value import Value

_TOGETHER = 1000
"""Objects that are condemned and removed with one request."""

_FENCE_S = 60.0
"""Seconds after which a list of condemned names is too old to act on: others wait no longer than they must."""

_TICK_S = 2
"""What is written so shortly after another thing may have been written before it: the service tells whole seconds."""

_KEPT_S = 2 * LEASE_S


class _Mark(Value, frozen=True, kw_only=True, gc=False):
    """When something was first found unneeded, and which object it was then."""

    generation: int
    at: int
    """By the service's clock."""
    modified: int


Opener = Callable[[bytes], bytes]
"""Takes a record out of its envelope, where it has one."""


class Clearance:
    """One collection.

    Args:
        bucket: of the store.
        eager: the same, by a client that asks once and does not wait long: what it removes, it removes now or never.
        fetch: gives an object of a listing.
        opened: takes a record out of its envelope, where it has one.
    """

    def __init__(self, bucket: PartwiseBucket, eager: Bucket, fetch: Fetch, opened: Opener) -> None:
        self._bucket = bucket
        self._eager = eager
        self._fetch = fetch
        self._opened = opened
        self._grace_s = 0.0
        self._dry_run = False
        self._state_etag = ""
        self._began = 0
        self._since = 0.0
        self._generation = 0
        self._floor = 0
        self._before = Marks()
        self._marks: list[bytes] = []
        self._rooted: set[bytes] = set()
        self._held: set[bytes] = set()

    def collect(self, roots: Iterable[Digest], *, grace_s: float, dry_run: bool = False) -> Collection:
        """Remove what an earlier collection found unneeded and still is; mark what is unneeded now.

        Args:
            roots: keys of records and digests of objects (files or listings) that are needed.
            grace_s: how old something must be to be marked.
            dry_run: change nothing, and say what a collection would remove now.

        Raises:
            RaceError: another collection is at work.
            ConfigurationError: the service does not keep two collections apart.
        """
        self._grace_s, self._dry_run = grace_s, dry_run
        state, at = read_state(self._bucket)
        self._began, self._since = self._bucket.clock, boot_s()
        begun = self._begin(state, at)
        self._floor = min([self._generation, *self._leases(begun.begun)])
        self._before = self._marks_of(state)
        needed = set(roots)
        Crew(HANDS).run(self._rooting(root) for root in needed)
        records = self._records(needed)
        objects = self._objects()
        if not dry_run:
            self._end(begun)
            self._tidy()
        return Collection(
            objects=len(objects),
            size=sum(found.size for found in objects),
            records=len(records),
            marked=len(self._marks),
        )

    # The state, which only one collection at a time can move on.

    def _begin(self, state: State, at: tuple[str, int] | None) -> State:
        self._generation = state.generation + 1
        begun = {number: when for number, when in state.begun.items() if when > self._now - _KEPT_S}
        if at is not None and state.generation:
            begun.setdefault(state.generation, at[1])
        wanted = msgspec.structs.replace(
            state,
            generation=self._generation,
            begun=begun,
            emptied=self._generation if state.marks else state.emptied,
            collector=secrets.token_hex(8),
        )
        if self._dry_run:
            return wanted
        data = msgspec.json.encode(wanted)
        self._bucket.write(STATE, data, over=at[0] if at else None)
        self._check_conditions(data)
        self._began = begun[self._generation] = self._still(wanted)
        self._since = boot_s()
        return msgspec.structs.replace(wanted, begun=begun)

    @property
    def _now(self) -> int:
        """The time by the clock that dates the objects there, whatever any other clock says, in s since 1970."""
        return self._began + int(boot_s() - self._since)

    def _check_conditions(self, data: bytes) -> None:
        """Refuse a service that writes where something is, although it was asked not to."""
        if self._bucket.write(STATE, data) == "written":
            raise ConfigurationError(
                f"garbage cannot be collected in {self._bucket.uri}: the store lacks conditional writes",
                hint="Two collections at once could not be told apart there.",
            )

    def _still(self, wanted: State) -> int:
        """When the state became ours, by the service's clock."""
        found, at = read_state(self._bucket)
        if at is None or found != wanted:
            raise RaceError(f"another collection is at work in {self._bucket.uri}")
        self._state_etag = at[0]
        return at[1]

    def _end(self, begun: State) -> None:
        """Let others know what is marked now."""
        name = f"marks/{self._generation}" if self._marks else ""
        if name:
            self._bucket.overwrite(name, b"\n".join(sorted(self._marks)))
        wanted = msgspec.structs.replace(begun, marks=name)
        self._bucket.write(STATE, msgspec.json.encode(wanted), over=self._state_etag)
        self._still(wanted)

    def _tidy(self) -> None:
        """Remove what is nobody's: older marks, expired leases and lists, uploads that were given up."""
        now = self._now
        old = [found for found in self._bucket.all("marks/") if found.name != f"marks/{self._generation}"]
        for folder in ("leases/", "condemned/"):
            old += [found for found in self._bucket.all(folder) if now - found.modified > _KEPT_S]
        self._bucket.delete(old)
        for name, upload, begun in self._bucket.uploads():
            if now - begun > LEASE_S:
                self._bucket.abort(name, upload)

    # Leases.

    def _leases(self, begun: Mapping[int, int]) -> Iterator[int]:
        """For every living process: how many collections' marks it knows."""
        for found, lease in self._living():
            if lease is not None:
                yield lease.generation
            else:
                known = [number for number, when in begun.items() if when + _TICK_S <= found.modified]
                oldest = min(begun, default=self._generation) - 1
                yield max(known, default=max(oldest, 0))

    def _living(self) -> Iterator[tuple[Found, Lease | None]]:
        for found in self._bucket.all("leases/"):
            if self._now - found.modified > LEASE_S:
                continue
            read = self._bucket.read(found.name) if found.size else None
            try:
                yield found, msgspec.json.decode(read.data, type=Lease) if read is not None else None
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield found, Lease(generation=0)  # whatever it says: it holds everything back

    def _relied_on(self) -> set[str]:
        return {name for _, lease in self._living() if lease is not None for name in lease.relies}

    # What is needed.

    def _rooting(self, digest: Digest) -> Job:
        """Let a root and what it names stay; nobody says of a root whether it is a listing."""

        def root() -> None:
            answer = self._bucket.open(object_name(digest), 0, len(listing.HEADER))
            directory = answer is not None and b"".join(answer.pieces()) == listing.HEADER
            self._need(Output(path=RepoPath(""), digest=digest, size=0, directory=directory), self._rooted)

        return root

    def _need(self, output: Output, by: set[bytes]) -> None:
        by.add(bytes.fromhex(output.digest))
        try:
            by.update(bytes.fromhex(digest) for digest in objects_of(output, self._fetch))
        except IntegrityError:
            return  # a listing that is lost or damaged names nothing: its record is a miss for everybody

    # Records first: what they need stays with them.

    def _records(self, needed: set[Digest]) -> list[Found]:
        staying: list[Found] = []
        waiting: list[Found] = []
        due: list[Found] = []
        for found in self._bucket.all("records/"):
            key = key_of(found.name)
            if not key:
                continue  # nothing of ours
            if key in needed or self._is_young(found):
                staying.append(found)
            elif self._is_due(found):
                due.append(found)
            else:
                waiting.append(found)
        gone = self._remove(due)
        missing = {found.name for found in gone}
        spared = [found for found in due if found.name not in missing]
        self._read_all(staying, self._rooted)
        self._read_all([*waiting, *spared], self._held)
        return gone

    def _read_all(self, found: Iterable[Found], by: set[bytes]) -> None:
        """Let the objects of these records stay."""
        Crew(HANDS).run(self._reading(item, by) for item in found)

    def _reading(self, found: Found, by: set[bytes]) -> Job:
        def read() -> None:
            there = self._bucket.read(found.name)
            if there is None:
                return
            try:
                outputs = msgspec.json.decode(self._opened(there.data), type=Action).record.outputs
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return  # nobody believes it
            for output in outputs:
                if is_digest(output.digest):
                    self._need(output, by)

        return read

    def _objects(self) -> list[Found]:
        gone: list[Found] = []
        due: list[Found] = []
        for found in self._bucket.all("objects/"):
            digest = key_of(found.name)
            name = bytes.fromhex(digest)
            if not name or name in self._rooted or self._is_young(found):
                continue
            if self._is_due(found) and name not in self._held:
                due.append(found)
            if len(due) == _TOGETHER:
                gone += self._remove(due)
                due = []
        return gone + self._remove(due)

    # Marks.

    def _is_young(self, found: Found) -> bool:
        return self._now - found.modified < self._grace_s

    def _is_due(self, found: Found) -> bool:
        """Whether something unneeded may go now; from here on it is marked."""
        mark = self._mark(found)
        if mark is None:
            mark = _Mark(generation=self._generation, at=self._now, modified=found.modified)
        self._marks.append(
            b"%b\t%d\t%d\t%d" % (found.name.encode(), mark.generation, mark.at, mark.modified),
        )
        return mark.generation < self._floor and self._now - mark.at >= min(self._grace_s, LEASE_S)

    def _mark(self, found: Found) -> _Mark | None:
        """What an earlier collection marked, if it is still the same object."""
        line = self._before.line(found.name)
        if line is None:
            return None
        fields = line.split(b"\t")
        if len(fields) != 4 or int(fields[3]) != found.modified:
            return None
        return _Mark(generation=int(fields[1]), at=int(fields[2]), modified=found.modified)

    def _marks_of(self, state: State) -> Marks:
        read = self._bucket.read(state.marks) if state.marks else None
        return Marks(read.data) if read is not None else Marks()

    # Removing.

    def _remove(self, due: Sequence[Found]) -> list[Found]:
        """Those that are gone now, or would be."""
        gone: list[Found] = []
        for some in batched(due, _TOGETHER):
            gone += some if self._dry_run else self._remove_together(some)
        names = {found.name.encode() for found in gone}
        if names:
            self._marks = [line for line in self._marks if line.partition(b"\t")[0] not in names]
        return gone

    def _remove_together(self, some: list[Found]) -> list[Found]:
        """Condemn first, and read the leases after that: who relies on something now is seen, or sees it."""
        since = boot_s()
        name = f"condemned/{secrets.token_hex(8)}"
        self._bucket.overwrite(name, "\n".join(found.name for found in some).encode())
        relied_on = self._relied_on()
        gone = [found for found in some if found.name not in relied_on]
        if boot_s() - since > _FENCE_S:
            raise ServiceError(
                f"{self._bucket.uri} answers too slowly for a collection", hint="Run the same command again, later."
            )
        self._eager.delete(gone)
        self._bucket.remove(name)
        return gone


def key_of(name: str) -> Digest:
    """The digest at the end of a name; "" where there is none."""
    text = "".join(name.split("/")[-2:])
    return Digest(text if is_digest(text) else "")
