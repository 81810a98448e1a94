"""Large objects, moved in parts: many at once, and each goes on where a killed process left it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ciml.adapters import files
from ciml.adapters.stores.answers import Answer, BrokenAnswerError, Part, pause
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.crew import Job
from ciml.adapters.stores.partwise import PartwiseBucket
from ciml.core.errors import IntegrityError, ServiceError
from ciml.core.ids import Digest

if TYPE_CHECKING:
    from ciml.adapters.stores.objects import Objects
    from ciml.adapters.stores.unfinished import Unfinished

PART = 8 << 20
"""Bytes of a part; a larger object is moved in parts."""

_MOST_PARTS = 10_000
_ATTEMPTS = 4

Moved = Callable[[int], None]
"""Told of bytes that have arrived."""


class Upload:
    """One large object on its way to the service.

    Args:
        bucket: where it goes.
        name: what it is called there.
        objects: where it comes from.
        digest: of the object.
        size: in bytes.
        folder: where uploads that are not complete are remembered.
        moved: told of bytes.
        done: called once the service has it.
    """

    def __init__(
        self,
        bucket: PartwiseBucket,
        name: str,
        objects: Objects,
        digest: Digest,
        size: int,
        *,
        folder: str,
        moved: Moved,
        done: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._name = name
        self._objects = objects
        self._digest = digest
        self._size = size
        self._part = max(PART, -(-size // _MOST_PARTS))
        self._memory = _UploadMemory(f"{folder}/{digest}-{self._part}")
        self._moved = moved
        self._done = done
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._begun_anew = False

    def begin(self) -> Iterator[Job]:
        """What is to be done; the last of these to end completes the object."""
        upload, known = self._memory.read()
        if not upload:
            upload = self._bucket.begin(self._name)
            self._memory.begin(upload)
        parts = {part.number: part for part in known}
        count = -(-self._size // self._part)
        missing = [number for number in range(1, count + 1) if number not in parts]
        self._moved(sum(map(self._length, parts)))
        attempt = self._attempt = _Attempt(upload, parts, left=len(missing) + 1)
        return itertools.chain([lambda: self._verify(attempt)], (self._job(number, attempt) for number in missing))

    def _job(self, number: int, attempt: _Attempt) -> Job:
        return lambda: self._send(number, attempt)

    def _length(self, number: int) -> int:
        return min(self._part, self._size - (number - 1) * self._part)

    def _verify(self, attempt: _Attempt) -> Iterator[Job] | None:
        """Nothing that is damaged here is ever sent as a whole."""
        fd = self._objects.open(self._digest)
        try:
            found = files.digest(fd, self._size)
        finally:
            os.close(fd)
        if found != (self._digest, self._size):
            raise self._objects.corrupt(self._digest)
        return self._ended(attempt)

    def _send(self, number: int, attempt: _Attempt) -> Iterator[Job] | None:
        if attempt is not self._attempt:
            return None
        length = self._length(number)
        start = (number - 1) * self._part
        checksum, body = self._body(start, length)
        part = self._bucket.send_part(self._name, attempt.upload, number, body, checksum)
        if part is None:
            return self._anew(attempt)
        with self._lock:
            if attempt is not self._attempt:
                return None
            self._memory.add(part)
            attempt.parts[number] = part
        self._moved(length)
        return self._ended(attempt)

    def _body(self, start: int, length: int) -> tuple[str, Any]:
        """The part's checksum and its bytes; a part of a very large object is read while it is sent."""
        fd = self._objects.open(self._digest)
        if length <= PART:
            try:
                data = os.pread(fd, length, start)
            finally:
                os.close(fd)
            return _base64(hashlib.sha256(data)), data
        from s3transfer.utils import ReadFileChunk

        hashed = hashlib.sha256()
        with open(fd, "rb") as file:
            file.seek(start)
            for _ in range(-(-length // PART)):
                hashed.update(file.read(min(PART, start + length - file.tell())))
        return _base64(hashed), ReadFileChunk.from_filename(self._objects.path(self._digest), start, length)

    def _ended(self, attempt: _Attempt) -> Iterator[Job] | None:
        with self._lock:
            attempt.left -= 1
            if attempt.left:
                return None
        parts = [attempt.parts[number] for number in sorted(attempt.parts)]
        if not self._bucket.complete(self._name, attempt.upload, parts):
            found = self._bucket.look(self._name)  # an answer that was lost, or somebody else has completed it
            if found is None or found.size != self._size:
                return self._anew(attempt)
        self._memory.clear()
        self._done()
        return None

    def _anew(self, attempt: _Attempt) -> Iterator[Job] | None:
        """Begin again, once: what was remembered is nothing that the service knows. Other threads find out too."""
        with self._lock:
            if attempt is not self._attempt:
                return None
            if self._begun_anew:
                raise ServiceError(
                    f"the upload of {self._bucket.address(self._name)} was ended from elsewhere",
                    hint="Run the same command again.",
                )
            self._begun_anew = True
            self._attempt = None
            self._memory.clear()
        self._moved(-sum(map(self._length, attempt.parts)))
        return self.begin()


class _Attempt:
    """An upload as the service knows it.

    Args:
        upload: its id.
        parts: number -> what has arrived.
        left: jobs that have not ended.
    """

    def __init__(self, upload: str, parts: dict[int, Part], *, left: int) -> None:
        self.upload = upload
        self.parts = parts
        self.left = left


class _UploadMemory:
    """A file with the id of an upload and the parts that have arrived, a line each.

    Where there is no room for it, nothing is remembered: an upload needs none.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> tuple[str, list[Part]]:
        """The id, "" where there is no upload, and the parts."""
        try:
            with open(self._path, encoding="utf-8") as file:
                first, *rest = file.read().split("\n")
        except (OSError, UnicodeDecodeError):
            return "", []
        fields = [line.split("\t") for line in rest[:-1]]  # behind the last line end is what a kill has cut off
        parts = [Part(number=int(f[0]), etag=f[1], checksum=f[2]) for f in fields if len(f) == 3 and f[0].isdigit()]
        return (first, parts) if rest else ("", [])

    def begin(self, upload: str) -> None:
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(f"{upload}\n")

    def add(self, part: Part) -> None:
        with suppress(OSError), open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{part.number}\t{part.etag}\t{part.checksum}\n")

    def clear(self) -> None:
        files.discard(self._path)


class Download:
    """One large object on its way here.

    Args:
        bucket: where it comes from.
        name: what it is called there.
        first: the answer that is there already; its first part is used, unless that was here.
        objects: where it goes.
        digest: of the object.
        unfinished: the file that it is written to.
        moved: told of bytes.
        damaged: what to raise for wrong bytes.
        done: called once it is here.
        again: what is to be done about wrong bytes before they are given up; nothing, where None.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        first: Answer,
        objects: Objects,
        digest: Digest,
        *,
        unfinished: Unfinished,
        moved: Moved,
        damaged: Callable[[Digest], IntegrityError],
        done: Callable[[], None] = lambda: None,
        again: Callable[[], Iterable[Job]] | None = None,
    ) -> None:
        self._bucket = bucket
        self._name = name
        self._first: Answer | None = first
        self._size = first.size
        self._objects = objects
        self._digest = digest
        self._unfinished = unfinished
        self._moved = moved
        self._done = done
        self._damaged = damaged
        self._again = again
        self._lock = threading.Lock()
        self._left = 0
        self._goes_on = False

    def begin(self) -> Iterator[Job]:
        """What is to be done; the last of these to end verifies the object and lets it be there."""
        known = self._unfinished.known()
        missing = [start for start in self._parts() if start not in known]
        if self._first is not None and 0 in known:
            self._first.close()
            self._first = None
        self._goes_on = bool(known)
        self._moved(self._size - sum(map(self._length, missing)))
        self._left = len(missing)
        return map(self._job, missing) if missing else iter([self._finish])

    def _parts(self) -> range:
        return range(0, self._size, PART)

    def _length(self, start: int) -> int:
        return min(PART, self._size - start)

    def _job(self, start: int) -> Job:
        return lambda: self._fetch(start)

    def _fetch(self, start: int) -> Iterable[Job] | None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._write(start, start + self._length(start))
                break
            except BrokenAnswerError:
                if attempt == _ATTEMPTS:
                    raise
                pause(attempt)
        with self._lock:
            self._unfinished.add(start)
            self._left -= 1
            if self._left:
                return None
        return self._finish()

    def _write(self, start: int, stop: int) -> None:
        first = self._first if start == 0 else None
        if first is not None:
            self._first = None  # it can be read once
        answer = first or self._bucket.open(self._name, start, stop)
        if answer is None or (not first and answer.size != stop - start):
            raise BrokenAnswerError(f"{self._bucket.address(self._name)} changed while it was read")
        place = start
        fd = os.open(self._unfinished.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for piece in answer.pieces(limit=stop - start):
                os.pwrite(fd, piece, place)
                place += len(piece)
        finally:
            os.close(fd)
        self._moved(stop - start)

    def _finish(self) -> Iterable[Job] | None:
        fd = os.open(self._unfinished.path, files.READ)
        try:
            if files.digest(fd, self._size)[0] != self._digest:
                return self._wrong()
            os.fchmod(fd, 0o444)
        finally:
            os.close(fd)
        self._objects.publish(self._unfinished.path, self._digest)
        self._unfinished.end()
        self._done()
        return None

    def _wrong(self) -> Iterable[Job]:
        """All anew where some of it came from an earlier process; else somebody must know."""
        self._moved(-self._size)
        if self._goes_on:
            self._unfinished.forget()
            return self.begin()
        self._unfinished.end()
        if self._again is None:
            raise self._damaged(self._digest)
        return self._again()


def _base64(hashed: hashlib._Hash) -> str:
    return base64.b64encode(hashed.digest()).decode()
