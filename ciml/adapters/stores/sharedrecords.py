"""The records of one space of a shared store: `records/<space>/ab/<62 hex>`.

A record is written once: who comes second reads what the first one wrote. It is believed where it carries its
own key and space, was not disowned, and, where signers are named, was signed by one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from ciml.adapters.stores.answers import Read
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.records import decode, encode
from ciml.adapters.stores.tenure import Tenure
from ciml.core.errors import CimlError
from ciml.core.ids import Digest
from ciml.core.results import Miss, Record
from ciml.core.value import Value

Seal = Callable[[bytes], bytes]
"""The signed envelope of a payload."""

Unseal = Callable[[bytes, datetime], bytes]
"""The payload of an envelope, given when it was written; IntegrityError where no signer that counts signed it."""


class Signing(Value, frozen=True, kw_only=True):
    """How the records of a space are signed, and whose signature they need."""

    seal: Seal | None = None
    """None where there is no key."""
    unseal: Unseal | None = None
    """None where no signature is asked for."""
    opened: Callable[[bytes], bytes] = lambda data: data
    """The payload of what may be an envelope, not verified."""


class Standing(Value, frozen=True, kw_only=True):
    """What lies under a key."""

    record: Record | Miss
    etag: str | None = None
    """None where nothing lies there."""
    refused: bool = False
    """There is something that looks like a record and is not signed as it must be."""


class SharedRecords:
    """The records of one space.

    Args:
        bucket: of the store.
        tenure: this process's lease there.
        space: whose records.
        signing: of this space.
    """

    def __init__(self, bucket: Bucket, tenure: Tenure, space: str, signing: Signing | None = None) -> None:
        self._bucket = bucket
        self._tenure = tenure
        self._signing = signing or Signing()
        self.space = space

    def name(self, key: Digest) -> str:
        """What a record is called below the store's prefix."""
        return f"records/{self.space}/{key[:2]}/{key[2:]}"

    def read(self, key: Digest) -> Standing:
        """What lies under a key; whether its outputs are there is not looked at."""
        found = self._bucket.read(self.name(key))
        if found is None:
            return Standing(record=Miss())
        if found.modified < self._tenure.state.disowned_before:
            return Standing(record=Miss(reason="its record was disowned"), etag=found.etag)
        try:
            payload = self._payload(found)
        except CimlError as error:
            reason = f"its record in {self.space} is not signed as it must be: {error.message}"
            return Standing(record=Miss(reason=reason), etag=found.etag, refused=True)
        return Standing(record=decode(payload, key, space=self.space, salt=""), etag=found.etag)

    def _payload(self, found: Read) -> bytes:
        if self._signing.unseal is None:
            return self._signing.opened(found.data)
        return self._signing.unseal(found.data, datetime.fromtimestamp(found.modified, UTC))

    def write(self, record: Record, *, over: str | None = None) -> Literal["written", "lost", "unclear"]:
        """Let a record stand for its key where there is none, or over the one that has this ETag."""
        data = encode(record, space=self.space, salt="")
        if self._signing.seal is not None:
            data = self._signing.seal(data)
        return self._bucket.write(self.name(record.key), data, over=over)
