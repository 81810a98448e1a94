"""The bytes of a shared store in a bucket: `objects/ab/<62 hex>`, by SHA-256, beside the clone's own.

What goes there is held against its digest by the service, and what comes from there is hashed before it is
visible here. Bytes that are wrong, cut short or stale are asked for again, and then not believed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator

from ciml.adapters import files
from ciml.adapters.batched import batched
from ciml.adapters.stores.answers import Answer, BrokenAnswerError, pause
from ciml.adapters.stores.crew import Crew, Job
from ciml.adapters.stores.known import Known
from ciml.adapters.stores.meter import Meter, Unmetered
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.parts import PART, Download, Moved, Upload
from ciml.adapters.stores.partwise import PartwiseBucket
from ciml.adapters.stores.session import Session
from ciml.adapters.stores.tenure import Tenure
from ciml.adapters.stores.unfinished import begun
from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest

HANDS = 10
"""Threads."""

_BATCH = 4096
"""Objects that are looked for at a time."""

_ATTEMPTS = 4
_FEW = 16
"""Objects up to which each is asked for by itself."""

_WORTHWHILE = 4
"""Objects that a page of a listing must tell of, to be cheaper than asking for each."""


class S3Objects:
    """The objects of one shared store, and their way from and to a clone's own.

    Args:
        bucket: where they lie.
        tenure: this process's lease there.
        known: what is known to be there.
        root: of the clone's own store.
        uploads: folder where uploads that are not complete are remembered.
    """

    def __init__(self, bucket: PartwiseBucket, tenure: Tenure, known: Known, root: str, uploads: str) -> None:
        self._bucket = bucket
        self._tenure = tenure
        self._known = known
        self._root = root
        self._session = Session(root)
        self._objects = Objects(root, self._session)
        self._uploads = uploads
        self._crew = Crew(HANDS)
        self._damaged: set[Digest] = set()
        self._terms = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """End this process's lease on what it fetched."""
        self._session.close()

    def here(self, digest: Digest) -> bool:
        """Whether the clone's own store has an object."""
        return self._objects.size(digest) is not None

    # What is there.

    def has(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of the objects that are there, by name; what was seen to be damaged is not."""
        self._settle()
        found: set[Digest] = set()
        for batch in batched(digests, _BATCH):
            found |= self._there(batch)
        return found - self._damaged

    def _settle(self) -> None:
        """Hold a lease, under which what is known counts."""
        state = self._tenure.state
        if self._terms != self._tenure.terms:
            self._terms = self._tenure.terms
            self._known.since(state.emptied)

    def _there(self, batch: list[Digest]) -> set[Digest]:
        known = self._known.objects(batch)
        found = self._looked_up(sorted(set(batch) - known))
        if found:
            self._known.add(found)
        return known | found

    def _looked_up(self, wanted: list[Digest]) -> set[Digest]:
        found: set[Digest] = set()
        if len(wanted) > _FEW:
            wanted = self._page(wanted, found)  # of a small store, one page tells all
        jobs = [self._looking(some, found) for some in _shares(wanted)]
        if len(jobs) == 1:
            jobs[0]()
        elif jobs:
            self._crew.run(jobs)
        return found

    def _page(self, wanted: list[Digest], found: set[Digest]) -> list[Digest]:
        """What one page of a listing did not tell; what it told is added to `found`."""
        page, more = self._bucket.page("objects/", after=_before(wanted[0]))
        names = {_digest(item.name) for item in page}
        found.update(digest for digest in wanted if digest in names)
        if not more:
            return []
        last = _digest(page[-1].name)
        return [digest for digest in wanted if digest > last]

    def _looking(self, wanted: list[Digest], found: set[Digest]) -> Job:
        """A job that finds out about some objects: by listing while that is cheaper, else one by one."""

        def look() -> None:
            left, worthwhile = wanted, True
            while worthwhile and len(left) > _FEW:
                rest = self._page(left, found)
                worthwhile = len(left) - len(rest) >= _WORTHWHILE
                left = rest
            for digest in left:
                if self._bucket.look(object_name(digest)) is not None:
                    found.add(digest)

        return look

    # There.

    def push(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let these objects, which the clone's own store has, be there too.

        Raises:
            IntegrityError: one is not in the clone's own store, or is damaged there.
        """
        for batch in batched(digests, _BATCH):
            terms = -1
            while terms != self._tenure.terms:  # a lease that ran out meanwhile protects nothing of this
                self._settle()
                terms = self._tenure.terms
                self._push(batch, meter or Unmetered())
                self._settle()

    def _push(self, batch: list[Digest], meter: Meter) -> None:
        there = self._there(batch) - self._damaged
        marked = [digest for digest in there if self._tenure.marked(object_name(digest))]
        if marked:
            # What a collection has its eye on is written again: then it is as new as anything.
            names = [object_name(digest) for digest in marked]
            self._tenure.wait_for(self._tenure.rely_on(names))
        missing = [digest for digest in dict.fromkeys(batch) if digest not in there] + marked
        meter.expect(len(missing), sum(self._objects.size(digest) or 0 for digest in missing))
        sent: list[Digest] = []
        try:
            self._crew.run(self._sending(digest, sent, meter) for digest in missing)
        finally:
            self._known.add(sent)

    def _sending(self, digest: Digest, sent: list[Digest], meter: Meter) -> Job:
        def done() -> None:
            self._damaged.discard(digest)
            sent.append(digest)
            meter.advance(1, 0)

        def send() -> Iterator[Job] | None:
            fd = self._objects.open(digest)
            try:
                size = os.fstat(fd).st_size
                if size > PART:
                    return self._upload(digest, size, lambda count: meter.advance(0, count), done).begin()
                data = os.pread(fd, size, 0)
            finally:
                os.close(fd)
            if hashlib.sha256(data).hexdigest() != digest:
                raise self._objects.corrupt(digest)
            self._bucket.send(object_name(digest), data, digest)
            meter.advance(0, size)
            done()
            return None

        return send

    def _upload(self, digest: Digest, size: int, moved: Moved, done: Callable[[], None]) -> Upload:
        return Upload(
            self._bucket,
            object_name(digest),
            self._objects,
            digest,
            size,
            folder=self._uploads,
            moved=moved,
            done=done,
        )

    # Here.

    def pull(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let these objects be in the clone's own store too.

        Raises:
            IntegrityError: one is not there, or is damaged there.
        """
        wanted = (digest for digest in digests if not self.here(digest))
        for batch in batched(wanted, _BATCH):
            missing = list(dict.fromkeys(batch))
            self._session.new()  # the clone's own store is ready before threads use it
            (meter or Unmetered()).expect(len(missing), 0)
            jobs = [self._fetching(digest, meter or Unmetered()) for digest in missing]
            try:
                more = jobs.pop()() if len(jobs) == 1 else None
                self._crew.run(more or jobs)
            except OSError as error:
                raise files.outside(error, "write to the store") from error

    def _fetching(self, digest: Digest, meter: Meter, attempts: int = _ATTEMPTS) -> Job:
        """A job that fetches one object, in so many attempts at the most."""

        def fetch() -> Iterable[Job] | None:
            for attempt in range(1, attempts + 1):
                answer = self._bucket.open(object_name(digest))
                if answer is None:
                    self._known.forget(digest)
                    raise self._gone(digest)
                if attempt == 1 and attempts == _ATTEMPTS:
                    meter.expect(0, answer.size)
                if answer.size > PART:
                    return self._download(digest, answer, meter, attempts - attempt)
                if self._take(digest, answer):
                    meter.advance(1, answer.size)
                    return None
                pause(attempt)
            raise self._is_damaged(digest)

        return fetch

    def _take(self, digest: Digest, answer: Answer) -> bool:
        """Whether these were the bytes, which are now here."""
        try:
            data = b"".join(answer.pieces())
        except BrokenAnswerError:
            return False
        if hashlib.sha256(data).hexdigest() != digest:
            return False
        unfinished = self._session.new()
        files.write_new(unfinished, data, 0o444)
        self._objects.publish(unfinished, digest)
        return True

    def _download(self, digest: Digest, answer: Answer, meter: Meter, attempts: int) -> Iterable[Job]:
        def moved(count: int) -> None:
            meter.advance(0, count)

        return Download(
            self._bucket,
            object_name(digest),
            answer,
            self._objects,
            digest,
            unfinished=begun(self._root, digest, answer.size, other=self._session.new()),
            moved=moved,
            damaged=self._is_damaged,
            done=lambda: meter.advance(1, 0),
            again=(lambda: [self._fetching(digest, meter, attempts)]) if attempts else None,
        ).begin()

    def _gone(self, digest: Digest) -> IntegrityError:
        self._damaged.add(digest)
        return IntegrityError(
            f"the object {digest} is not in {self._bucket.uri}",
            hint="Run what made it again (`ciml run`), or push it from where it is (`ciml data push`).",
        )

    def _is_damaged(self, digest: Digest) -> IntegrityError:
        self._damaged.add(digest)
        self._known.forget(digest)
        return IntegrityError(
            f"the object {digest} in {self._bucket.uri} is damaged: its bytes are not what its name says",
            hint="Run the same command again: what made it runs again, and it is replaced.",
        )


def object_name(digest: Digest) -> str:
    """What an object is called below the store's prefix."""
    return f"objects/{digest[:2]}/{digest[2:]}"


def _digest(name: str) -> Digest:
    return Digest(name.removeprefix("objects/").replace("/", ""))


def _before(digest: Digest) -> str:
    """A name that comes right before an object's."""
    name = object_name(digest)
    return name[:-1] + chr(ord(name[-1]) - 1) + "~"


def _shares(wanted: list[Digest]) -> list[list[Digest]]:
    """Runs of neighbours, one for each hand."""
    length = max(1, -(-len(wanted) // HANDS))
    return [wanted[start : start + length] for start in range(0, len(wanted), length)]
