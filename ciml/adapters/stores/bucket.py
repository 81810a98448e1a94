"""The objects below one `s3://bucket/prefix`, by their names behind the prefix."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, BinaryIO, Literal

from ciml.adapters import aws
from ciml.adapters.stores.answers import Answer, BrokenAnswerError, Found, Read, pause, seconds
from ciml.core.errors import IntegrityError, ServiceError
from ciml.core.ids import Digest
from ciml.core.s3 import S3Address

_CONFLICTS = 8
"""How often a write is tried that S3 declines because of another one at the same moment."""

_BROKEN_READS = 4
"""How often something is read whose answer broke off."""

_CHANGED = 4
"""How often bytes are sent that were changed on their way."""

_DAMAGED = ("BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody")
_GONE = ("NoSuchKey", "PreconditionFailed")
_REMOVED_TOGETHER = 1000
"""Objects that S3 removes with one request."""

_READ = "s3:GetObject (and s3:ListBucket on the bucket)"
"""Who may not list gets the same answer for what is not there as for what is not allowed."""


class Bucket:
    """One prefix of one bucket. Threads may share it; boto3 is imported with the first request.

    Args:
        address: of the bucket and the prefix.
        environ: where region, credentials and endpoint come from.
        connections: how many threads will use it.
        attempts: tries of each request in all; as the environment says, or a few, where None.
        read_timeout_s: how long the service may be silent.
    """

    def __init__(
        self,
        address: S3Address,
        environ: Mapping[str, str],
        *,
        connections: int = 10,
        attempts: int | None = None,
        read_timeout_s: float = 60,
    ) -> None:
        self._bucket = address.bucket
        self._prefix = f"{address.key.rstrip('/')}/" if address.key.rstrip("/") else ""
        self._environ = environ
        self._connections = connections
        self._attempts = attempts
        self._read_timeout_s = read_timeout_s
        self._owner = aws.expected_owner(environ)
        self._lock = threading.Lock()
        self._clock = 0
        self._keeps_checksums = True
        """Whether it makes sense to ask the service for one that it did not tell by itself."""
        self.uri = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self.place = f"{aws.endpoint('s3', environ) or ''} {self.uri}"
        """Tells it from the same name at another service."""

    @property
    def clock(self) -> int:
        """What the service's clock said with its last answer, in s since 1970; 0 before the first."""
        return self._clock

    def address(self, name: str) -> str:
        """Where an object lies, for people."""
        return f"s3://{self._bucket}/{self._prefix}{name}"

    # Small objects.

    def read(self, name: str) -> Read | None:
        """A small object; None where there is none."""
        for attempt in range(1, _BROKEN_READS + 1):
            answer = self.open(name)
            if answer is None:
                return None
            try:
                data = b"".join(answer.pieces())
                return Read(data=data, etag=answer.etag, modified=answer.modified)
            except BrokenAnswerError:
                if attempt == _BROKEN_READS:
                    raise
                pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def write(self, name: str, data: bytes, *, over: str | None = None) -> Literal["written", "lost", "unclear"]:
        """Write a small object where there is none, or over the one that has this ETag.

        Returns:
            "written"; "lost" where there is another one already; "unclear" where an answer was lost
            on the way, so that the object that is there may be the one that was to be written.
        """
        digest = _sha256(data)
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        return self._conditional(
            name, lambda: self._client.put_object(**self._at(name), Body=data, ChecksumSHA256=digest, **condition)
        )

    def _conditional(self, name: str, act: Callable[[], Any]) -> Literal["written", "lost", "unclear"]:
        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            from botocore.exceptions import ClientError

            for attempt in range(1, _CONFLICTS + 1):
                try:
                    self._seen(act())
                    return "written"
                except ClientError as error:
                    code, status = aws.code_of(error), aws.status_of(error)
                    tried = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
                    if status == 412 or (status == 404 and code == "NoSuchKey"):
                        return "unclear" if tried or attempt > 1 else "lost"
                    if status != 409 or attempt == _CONFLICTS:
                        raise
                pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def overwrite(self, name: str, data: bytes) -> None:
        """Write a small object, whatever is there."""
        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            self._seen(self._client.put_object(**self._at(name), Body=data, ChecksumSHA256=_sha256(data)))

    # Objects that are named by their digest.

    def send(self, name: str, body: bytes | BinaryIO, digest: Digest) -> None:
        """Write an object whose SHA-256 is known; the service holds the bytes against it.

        Raises:
            IntegrityError: what it has is not what was sent.
        """
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        with self._asking(f"write {self.address(name)}", "s3:PutObject", name):
            answer = self._sent(
                lambda: self._client.put_object(
                    **self._at(name), Body=body, ChecksumSHA256=checksum, ChecksumAlgorithm="SHA256"
                )
            )
        stored = answer.get("ChecksumSHA256")
        if stored is None and _is_md5_of(answer.get("ETag", ""), body):
            return
        if stored is None and self._keeps_checksums:
            stored = self._checksum(name)
            self._keeps_checksums = stored is not None
        if stored not in (None, checksum):
            raise IntegrityError(
                f"{self.address(name)} was changed on its way: the service has other bytes than were sent"
            )

    def _sent(self, act: Callable[[], Any]) -> Any:
        """The answer to bytes that arrived as they were sent: those that did not are sent again."""
        from botocore.exceptions import ClientError

        for attempt in range(1, _CHANGED + 1):
            try:
                return self._seen(act())
            except ClientError as error:
                again = aws.code_of(error) in _DAMAGED or aws.status_of(error) == 409
                if not again or attempt == _CHANGED:
                    raise
            pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _checksum(self, name: str) -> str | None:
        """The checksum that the service keeps of an object, where it keeps any."""
        with self._asking(f"look at {self.address(name)}", _READ, name):
            answer = self._seen(self._client.head_object(**self._at(name), ChecksumMode="ENABLED"))
        found: str | None = answer.get("ChecksumSHA256")
        return found

    def open(self, name: str, start: int | None = None, stop: int | None = None) -> Answer | None:
        """The bytes of an object, or those from `start` up to `stop`, as they come; None where there is none."""
        part = {} if start is None else {"Range": f"bytes={start}-{(stop or 0) - 1}"}
        with self._asking(f"read {self.address(name)}", _READ, name):
            from botocore.exceptions import ClientError

            try:
                answer = self._seen(self._client.get_object(**self._at(name), **part))
            except ClientError as error:
                if _is_missing(error):
                    return None
                raise
        return Answer(answer, self.address(name))

    def look(self, name: str) -> Found | None:
        """An object's size and age; None where there is none."""
        with self._asking(f"look at {self.address(name)}", _READ, name):
            from botocore.exceptions import ClientError

            try:
                answer = self._seen(self._client.head_object(**self._at(name)))
            except ClientError as error:
                if _is_missing(error):
                    return None
                raise
        return Found(
            name=name, size=answer["ContentLength"], modified=seconds(answer["LastModified"]), etag=answer["ETag"]
        )

    # Many objects.

    def page(self, folder: str, *, after: str = "") -> tuple[list[Found], bool]:
        """Up to a thousand objects whose names start with `folder`, sorted, and whether there are more.

        Args:
            folder: ends in a slash.
            after: only names that come after this one.
        """
        more = {"StartAfter": f"{self._prefix}{after}"} if after else {}
        with self._asking(f"list {self.address(folder)}", "s3:ListBucket", None):
            answer = self._seen(self._client.list_objects_v2(**self._whole, Prefix=f"{self._prefix}{folder}", **more))
        found = [
            Found(
                name=item["Key"][len(self._prefix) :],
                size=item["Size"],
                modified=seconds(item["LastModified"]),
                etag=item["ETag"],
            )
            for item in answer.get("Contents", ())
        ]
        return found, bool(answer.get("IsTruncated")) and bool(found)

    def all(self, folder: str) -> Iterator[Found]:
        """All objects whose names start with `folder`, sorted."""
        after, more = "", True
        while more:
            found, more = self.page(folder, after=after)
            yield from found
            after = found[-1].name if found else after

    def delete(self, objects: Sequence[Found]) -> None:
        """Remove these, each only while it is the one that was found."""
        for start in range(0, len(objects), _REMOVED_TOGETHER):
            self._delete_together(objects[start : start + _REMOVED_TOGETHER])

    def _delete_together(self, objects: Sequence[Found]) -> None:
        wanted = [{"Key": f"{self._prefix}{found.name}", "ETag": found.etag} for found in objects]
        with self._asking(f"remove objects below {self.uri}", "s3:DeleteObject", "*"):
            answer = self._seen(self._client.delete_objects(**self._whole, Delete={"Objects": wanted, "Quiet": True}))
        wrong = [item for item in answer.get("Errors", ()) if item.get("Code") not in _GONE]
        if wrong:
            first = wrong[0]
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise ServiceError(
                f"cannot remove {first.get('Key')}{more} from {self.uri}: {first.get('Code')}",
                hint=f"Allow s3:DeleteObject on {self._arn('*')}, where it is denied.",
            )

    def remove(self, name: str) -> None:
        """Remove one object, if it is there."""
        with self._asking(f"remove {self.address(name)}", "s3:DeleteObject", name):
            self._seen(self._client.delete_object(**self._at(name)))

    # How it is asked.

    @cached_property
    def _made(self) -> Any:
        return aws.client(
            "s3",
            self._environ,
            connections=self._connections,
            attempts=self._attempts,
            read_timeout_s=self._read_timeout_s,
        )

    @property
    def _client(self) -> Any:
        with self._lock:
            return self._made

    @property
    def _whole(self) -> dict[str, Any]:
        owner = {"ExpectedBucketOwner": self._owner} if self._owner else {}
        return {"Bucket": self._bucket, **owner}

    def _at(self, name: str) -> dict[str, Any]:
        return {**self._whole, "Key": f"{self._prefix}{name}"}

    def _arn(self, name: str | None) -> str:
        """The resource that a permission is about; the bucket itself where `name` is None."""
        arn = f"arn:aws:s3:::{self._bucket}"
        return arn if name is None else f"{arn}/{self._prefix}{name}"

    def _asking(self, doing: str, action: str, name: str | None) -> Any:
        _ = self._client  # without boto3 there is nothing to translate
        return aws.asking(doing, action=action, resource=self._arn(name), owner=self._owner)

    def _seen(self, answer: Any) -> Any:
        """The answer, whose time was noted."""
        from email.utils import parsedate_to_datetime

        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            try:
                self._clock = int(parsedate_to_datetime(date).timestamp())
            except ValueError:
                pass  # a service that cannot say what time it is: then nothing grows old
        return answer


def _is_missing(error: Exception) -> bool:
    return aws.code_of(error) in ("NoSuchKey", "404")


def _is_md5_of(etag: str, body: bytes | BinaryIO) -> bool:
    """Whether an ETag is the MD5 of the bytes: then it was made of what arrived, and nobody needs to be asked."""
    import hashlib

    return isinstance(body, bytes) and etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    import hashlib

    return base64.b64encode(hashlib.sha256(data).digest()).decode()
