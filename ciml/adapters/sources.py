"""Data in S3 as manifests pin it: listed, identified by S3's own SHA-256 where it has one, fetched and verified."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ciml.adapters import aws, files
from ciml.adapters.batched import batched
from ciml.adapters.stores.answers import Answer, BrokenAnswerError, pause
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.crew import Crew, Job
from ciml.adapters.stores.meter import Meter, Unmetered
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.parts import PART, Download
from ciml.adapters.stores.session import Session
from ciml.adapters.stores.unfinished import begun
from ciml.core.errors import IntegrityError, RaceError
from ciml.core.ids import Digest
from ciml.core.s3 import S3Address
from ciml.core.source import SourceObject

_HANDS = 16
_BATCH = 1024
"""Objects that are asked for together."""

_ATTEMPTS = 4
_GONE = ("NoSuchKey", "NoSuchVersion", "404", "PreconditionFailed", "412")


class S3Source:
    """One prefix, or one object, of a bucket. It fits the port Source.

    Args:
        address: where the data is.
        environ: where region, credentials and endpoint come from.
        root: of the local store that bytes are fetched into.
        meter: told of bytes that are read.
        attempts: tries of each request in all.
    """

    def __init__(
        self,
        address: S3Address,
        environ: Mapping[str, str],
        *,
        root: str,
        meter: Meter | None = None,
        attempts: int = 5,
    ) -> None:
        folder, _, self._name = address.key.rpartition("/") if not address.is_prefix else (address.key, "", "")
        self._bucket = _Pinned(
            S3Address(bucket=address.bucket, key=folder), environ, connections=_HANDS, attempts=attempts
        )
        self._root = root
        self._crew = Crew(_HANDS)
        self._meter = meter or Unmetered()
        self.address = str(address)
        self.is_prefix = address.is_prefix

    # Listing.

    def objects(self) -> Iterator[SourceObject]:
        """What is there, sorted by path, by listing alone: without versions and digests."""
        if self.is_prefix:
            for found in self._bucket.all(""):
                yield SourceObject(path=found.name.encode(), size=found.size, etag=found.etag.strip('"'))
        elif (one := self._bucket.look(self._name)) is not None:
            yield SourceObject(path=b"", size=one.size, etag=one.etag.strip('"'))

    def identified(self, items: Iterable[SourceObject]) -> Iterator[SourceObject]:
        """The same, in order, with versions and digests; what is gone meanwhile is left out.

        Raises:
            RaceError: an object is replaced again and again while it is read.
        """
        for batch in batched(items, _BATCH):
            known: dict[bytes, SourceObject | None] = {item.path: item for item in batch}
            self._crew.run(self._identifying(item, known) for item in batch if item.digest is None)
            yield from (item for item in known.values() if item is not None)

    def _identifying(self, item: SourceObject, known: dict[bytes, SourceObject | None]) -> Job:
        def identify() -> None:
            known[item.path] = self._identify(item)

        return identify

    def _identify(self, item: SourceObject) -> SourceObject | None:
        """The object as it is now, or None where it is gone."""
        name = self._called(item)
        for attempt in range(1, _ATTEMPTS + 1):
            head = self._bucket.head(name)
            if head is None:
                return None
            now = SourceObject(path=item.path, size=head["ContentLength"], etag=_etag(head), version=_version(head))
            digest = _own_digest(head) or self._hashed(name, now)
            if digest is not None:
                return SourceObject(path=now.path, size=now.size, etag=now.etag, version=now.version, digest=digest)
            pause(attempt)
        raise RaceError(f"{self._bucket.address(name)} was replaced {_ATTEMPTS} times while it was read")

    def _hashed(self, name: str, item: SourceObject) -> Digest | None:
        """SHA-256 of the object's bytes, which are read once and not kept; None where it was replaced meanwhile."""
        self._meter.expect(1, item.size)
        hashed = hashlib.sha256()
        size = 0
        try:
            answer = self._bucket.pinned(name, item)
            if answer is None:
                return None
            for piece in answer.pieces():
                hashed.update(piece)
                size += len(piece)
                self._meter.advance(0, len(piece))
        except BrokenAnswerError:
            self._meter.advance(0, -size)
            return None
        self._meter.advance(1, 0)
        return Digest(hashed.hexdigest())

    # Fetching.

    def fetch(self, items: Iterable[SourceObject]) -> None:
        """Let the local store have the bytes of these objects, each as it is pinned, verified.

        What the store has already is not fetched again, so a call that was killed goes on where it was.

        Raises:
            IntegrityError: an object is not there any more as it is pinned, or its bytes are others.
        """
        session = Session(self._root)
        objects = Objects(self._root, session)
        try:
            session.new()  # the store is ready before threads use it
            rest = (item for item in items if not objects.keeps(_digest_of(item), item.size))
            for batch in batched(rest, _BATCH):
                wanted = {item.digest: item for item in batch}
                self._meter.expect(len(wanted), sum(item.size for item in wanted.values()))
                self._crew.run(self._fetching(item, objects, session) for item in wanted.values())
        except OSError as error:
            raise files.outside(error, "write to the store") from error
        finally:
            session.close()

    def _fetching(self, item: SourceObject, objects: Objects, session: Session) -> Job:
        name = self._called(item)

        def fetch() -> Iterator[Job] | None:
            answer = self._bucket.pinned(name, item)
            if answer is None or answer.size != item.size:
                raise self._replaced(item)
            if item.size > PART:
                self._bucket.pin(name, item)
                return self._in_parts(item, answer, objects, session)
            data = self._whole(answer, item)
            if hashlib.sha256(data).hexdigest() != item.digest:
                raise self._replaced(item)
            unfinished = session.new()
            files.write_new(unfinished, data, 0o444)
            objects.publish(unfinished, _digest_of(item))
            self._meter.advance(1, item.size)
            return None

        return fetch

    def _whole(self, answer: Answer, item: SourceObject) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return b"".join(answer.pieces())
            except BrokenAnswerError:
                again = self._bucket.pinned(self._called(item), item)
                if attempt == _ATTEMPTS or again is None:
                    raise
                pause(attempt)
                answer = again
        raise AssertionError("the last attempt returns or raises")

    def _in_parts(self, item: SourceObject, answer: Answer, objects: Objects, session: Session) -> Iterator[Job]:
        def moved(count: int) -> None:
            self._meter.advance(0, count)

        def damaged(digest: Digest) -> IntegrityError:
            return self._replaced(item)

        self._meter.advance(1, 0)
        return Download(
            self._bucket,
            self._called(item),
            answer,
            objects,
            _digest_of(item),
            unfinished=begun(self._root, _digest_of(item), item.size, other=session.new()),
            moved=moved,
            damaged=damaged,
        ).begin()

    def _called(self, item: SourceObject) -> str:
        return item.path.decode() if self.is_prefix else self._name

    def _replaced(self, item: SourceObject) -> IntegrityError:
        address = self._bucket.address(self._called(item))
        version = f" (version {item.version})" if item.version else ""
        return IntegrityError(
            f"{address}{version} is gone, or is not what the manifest names: its bytes are not to be had from there",
            hint="`ciml data update` takes what is there now; `ciml data pull` finds what somebody has pushed.",
        )


class _Pinned(Bucket):
    """A bucket whose objects are read just as they were seen."""

    def __init__(self, address: S3Address, environ: Mapping[str, str], *, connections: int, attempts: int) -> None:
        super().__init__(address, environ, connections=connections, attempts=attempts)
        self._pins: dict[str, SourceObject] = {}

    def pin(self, name: str, item: SourceObject) -> None:
        """From now on `open` reads this state of an object."""
        self._pins[name] = item

    def open(self, name: str, start: int | None = None, stop: int | None = None) -> Answer | None:
        """The bytes of an object as it is pinned, or those from `start` up to `stop`; None where that is gone."""
        part = {} if start is None else {"Range": f"bytes={start}-{(stop or 0) - 1}"}
        return self._read(name, self._pins[name], part)

    def pinned(self, name: str, item: SourceObject) -> Answer | None:
        """The bytes of an object in the state that was seen; None where that is gone."""
        return self._read(name, item, {})

    def _read(self, name: str, item: SourceObject, part: dict[str, Any]) -> Answer | None:
        which = {"VersionId": item.version} if item.version else {"IfMatch": f'"{item.etag}"'} if item.etag else {}

        def read() -> Any:
            return self._client.get_object(**self._at(name), **which, **part)

        found = self._unless_gone(name, read)
        return None if found is None else Answer(found, self.address(name))

    def head(self, name: str) -> Any:
        """What S3 says of an object, checksums included; None where there is none."""

        def look() -> Any:
            return self._client.head_object(**self._at(name), ChecksumMode="ENABLED")

        return self._unless_gone(name, look)

    def _unless_gone(self, name: str, ask: Callable[[], Any]) -> Any:
        with self._asking(f"read {self.address(name)}", "s3:GetObject and s3:GetObjectVersion", name):
            from botocore.exceptions import ClientError

            try:
                return ask()
            except ClientError as error:
                if aws.code_of(error) in _GONE:
                    return None
                raise


def _etag(head: Mapping[str, Any]) -> str:
    return str(head["ETag"]).strip('"')


def _version(head: Mapping[str, Any]) -> str | None:
    version = head.get("VersionId")
    return None if version in (None, "", "null") else str(version)


def _own_digest(head: Mapping[str, Any]) -> Digest | None:
    """The SHA-256 that S3 itself keeps of the whole object; one that was made of parts' digests is none."""
    text = head.get("ChecksumSHA256")
    # An object that came in parts has a digest of digests, whether or not the service says so.
    if not text or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT" or "-" in _etag(head):
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Digest(raw.hex()) if len(raw) == 32 else None


def _digest_of(item: SourceObject) -> Digest:
    assert item.digest is not None, "what a manifest pins has a digest"
    return item.digest
