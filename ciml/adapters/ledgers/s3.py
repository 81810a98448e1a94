"""A ledger in a bucket, for where Git cannot be pushed: one object for what is appended together.

`<prefix>/<model>/00000001` and on: named by the number of its first entry, a line an entry, never
changed. Writing one where there is none is the atomic step; who comes second is told so by the service.
Its answer is not believed, in either direction: what counts is what the next read finds. A service that does
not keep two writers apart is found out before the first entry is written.

What was read last is remembered: a ledger that lost it was rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from ciml.adapters import files
from ciml.adapters.stores.answers import Found
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.crew import Crew
from ciml.core.entries import Head
from ciml.core.errors import CimlError, ConfigurationError, IntegrityError
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState, fold

_PROBE = "conditional-writes"
"""The object that two writers try to make, to see whether the service keeps them apart."""

_HANDS = 8


class S3Ledger:
    """The ledger of one model.

    Args:
        model: whose ledger.
        bucket: of all ledgers.
        memory: folder for what was read before; it may be deleted at any time.
        pins: folder for the last entry that was seen here.
    """

    def __init__(self, model: ModelName, bucket: Bucket, *, memory: str, pins: str) -> None:
        self._model = model
        self._bucket = bucket
        self._memory = f"{memory}/{model}"
        self._pin = f"{pins}/{model}.json"
        self._probed = f"{memory}/.{_PROBE}"

    def read(self) -> LedgerState:
        """What the ledger says now, asked of the bucket.

        Raises:
            ServiceError: it cannot be reached.
            TrustError: it does not let us read.
            IntegrityError: the chain is broken, or what was read here before is gone.
        """
        # The pin first: what is pinned now, the bucket must still have when it is asked after that.
        pinned = self._pinned()
        raw = self._entries([*self._bucket.all(f"{self._model}/")])
        state = fold(self._model, raw, pinned=pinned)
        if state.head is not None and state.head != pinned:
            self._write(self._pin, msgspec.json.encode(state.head))
        return state

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        """Try to put entries on top of the state that was read, all or none; whether it worked, `read` tells.

        Raises:
            ConfigurationError: the service does not keep two writers apart.
            ServiceError: it did not come through; whether it arrived is not known.
            TrustError: the bucket refused it.
        """
        if not entries:
            return
        self.probe()
        start = after.head.seq + 1 if after.head else 1
        self._bucket.write(f"{self._model}/{start:08d}", b"".join(entries))

    def probe(self) -> None:
        """Refuse a service that lets two writers make one object; asked once a clone.

        Raises:
            ConfigurationError: it does.
            ServiceError: it cannot be reached.
            TrustError: the bucket refused it.
        """
        if os.path.exists(self._probed):
            return
        first = self._bucket.write(_PROBE, b"ciml\n")
        if first == "written" and self._bucket.write(_PROBE, b"ciml\n") == "written":
            _quietly(lambda: self._bucket.remove(_PROBE))
            raise ConfigurationError(
                f"the ledger cannot lie in {self._bucket.uri}: the store lacks conditional writes; use git ledger",
                hint="Leave `ledger:` out of ciml.yaml: the ledger is then a branch of `origin`.",
            )
        self._write(self._probed, b"")

    # Reading.

    def _entries(self, found: Sequence[Found]) -> list[bytes]:
        """The bytes of all entries, in order; only what was not read before is read."""
        before = self._remembered()
        texts = {item.name: before[item.name][1] for item in found if before.get(item.name, ("",))[0] == item.etag}
        missing = [item for item in found if item.name not in texts]
        if missing:
            self._fetch(missing, texts)
            kept = {item.name: (item.etag, texts[item.name]) for item in found if item.name in texts}
            self._write(self._memory, msgspec.msgpack.encode(kept))
        entries: list[bytes] = []
        for item in found:
            if item.name != f"{self._model}/{len(entries) + 1:08d}":
                raise IntegrityError(
                    f"ledger of {self._model}: chain broken: {self._bucket.address(item.name)} does not follow "
                    f"entry {len(entries)}",
                    hint="Somebody removed or added objects there. Restore them, where the bucket keeps versions.",
                )
            entries += texts.get(item.name, b"").splitlines(keepends=True)
        return entries

    def _fetch(self, missing: Sequence[Found], texts: dict[str, bytes]) -> None:
        def fetching(item: Found) -> Callable[[], None]:
            def fetch() -> None:
                read = self._bucket.read(item.name)
                if read is not None:
                    texts[item.name] = read.data

            return fetch

        jobs = [fetching(item) for item in missing]
        if len(jobs) == 1:
            jobs[0]()
        else:
            Crew(_HANDS).run(jobs)

    # What is kept here.

    def _pinned(self) -> Head | None:
        try:
            with open(self._pin, "rb") as file:
                return msgspec.json.decode(file.read(), type=Head)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def _remembered(self) -> dict[str, tuple[str, bytes]]:
        try:
            with open(self._memory, "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=dict[str, tuple[str, bytes]])
        except (OSError, msgspec.DecodeError):
            return {}

    def _write(self, path: str, data: bytes) -> None:
        try:
            files.write_whole(path, data)
        except OSError:
            return  # the next read takes longer, and that is all


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except CimlError:
        pass  # what could not be removed does no harm


def models_in(bucket: Bucket) -> list[str]:
    """The models that have a ledger in a bucket of ledgers. Raises as `S3Ledger.read`."""
    return sorted({model for model, slash, _ in (item.name.partition("/") for item in bucket.all("")) if slash})
