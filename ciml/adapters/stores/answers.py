"""What an S3 service answers: objects as it lists them, and their bytes as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ciml.core.errors import ServiceError
from ciml.core.value import Value

_PIECE = 1 << 20


class Found(Value, frozen=True, kw_only=True, gc=False):
    """An object as a listing has it."""

    name: str
    size: int
    """Bytes."""
    modified: int
    """By the service's clock, in s since 1970."""
    etag: str


class Read(Value, frozen=True, kw_only=True):
    """A small object, whole."""

    data: bytes
    etag: str
    modified: int
    """By the service's clock, in s since 1970."""


class Part(Value, frozen=True, kw_only=True):
    """A part of a large object that the service has."""

    number: int
    etag: str
    checksum: str
    """SHA-256 of the part, in base64."""


class BrokenAnswerError(ServiceError):
    """An answer broke off while it was read; asking again may help."""


class Answer:
    """The bytes of an object on their way."""

    def __init__(self, answer: Any, address: str) -> None:
        self._body = answer["Body"]
        self._address = address
        self.size = int(answer["ContentLength"])
        """Bytes that were announced."""
        self.etag: str = answer["ETag"]
        self.modified = seconds(answer["LastModified"])

    def close(self) -> None:
        """Read no more of them."""
        self._body.close()

    def pieces(self, *, limit: int | None = None) -> Iterator[bytes]:
        """The bytes, piece by piece; of a large object no more than `limit`.

        Raises:
            BrokenAnswerError: they ended early.
        """
        from botocore.exceptions import BotoCoreError, HTTPClientError

        left = self.size if limit is None else min(limit, self.size)
        try:
            while left:
                piece = self._body.read(min(_PIECE, left))
                if not piece:
                    raise BrokenAnswerError(f"{self._address} ended {left} bytes early")
                left -= len(piece)
                yield piece
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise BrokenAnswerError(
                f"reading {self._address} broke off: {type(error).__name__}",
                hint="Look at the network, and run the same command again.",
            ) from error
        finally:
            self.close()


def seconds(moment: Any) -> int:
    """A moment that boto3 has read, in s since 1970."""
    return int(moment.timestamp())


def pause(attempt: int) -> None:
    """Back off before the next attempt: 50 ms, then twice as long each time, with chance in it."""
    import random

    time.sleep(random.uniform(0.5, 1.0) * min(0.05 * 2**attempt, 2.0))
