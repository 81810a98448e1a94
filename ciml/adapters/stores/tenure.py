"""One process at work in a shared store: its lease, and what it may rely on while others collect garbage.

Beside `objects/` and `records/` a shared store has

    state             the collections that there were (`State`); the file that one collection after the other moves on
    marks/<n>         what collection n found nobody to need, sorted by name (`ciml.adapters.stores.clearance`)
    leases/<id>       of a process: empty, or what it knows and relies on (`Lease`)
    condemned/<id>    names that a collection is about to remove just now

A collection removes only what an earlier one had marked, and what no lease protects: a lease protects what
was not marked yet when it was taken. So a process may rely on anything that is not marked, without a
word. What IS marked it first names in its lease, and looks after that whether it is condemned: a collection
condemns first and reads the leases after that, so that one of the two sees the other.

Only the service's clock counts. A lease that was not renewed for a day belongs to nobody any more.
"""

from __future__ import annotations

import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from ciml.adapters.stores.bucket import Bucket
from ciml.core.errors import ConfigurationError, ServiceError, TrustError
from ciml.core.value import Value

STATE = "state"
FORMAT = "ciml/store/1"
LEASE_S = 24 * 3600
"""Seconds after which a lease is nobody's; jobs end after 6 hours."""

CONDEMNED_S = 150
"""Seconds after which nothing is removed any more on behalf of a list of condemned names."""

_RENEWED_S = 6 * 3600.0
_PATIENCE_S = 300.0


class State(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collections that a shared store has seen."""

    format: str = FORMAT
    generation: int = 0
    """How many have begun."""
    collector: str = ""
    """Tells the last one from another that began at the same moment."""
    begun: dict[int, int] = {}
    """When each of the last ones did, by the service's clock."""
    emptied: int = 0
    """The last one that removed anything."""
    marks: str = ""
    """The name of the list of what the last one that ended had marked; "" where that is nothing."""
    disowned_before: int = 0
    """Records that are older than this, by the service's clock, are not believed."""


class Lease(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process says that it knows, and that it relies on."""

    generation: int
    """Collections whose marks it knows, if they ended before it began."""
    relies: tuple[str, ...] = ()
    """Names of objects and records that were marked, and must stay all the same."""


class Marks:
    """A sorted list of what is marked, a line each that starts with the name, looked up without being taken apart."""

    def __init__(self, text: bytes = b"") -> None:
        self.lines = text.split(b"\n") if text else []

    def __contains__(self, name: str) -> bool:
        return self.line(name) is not None

    def line(self, name: str) -> bytes | None:
        """The line of a name, None where it is not marked."""
        start = name.encode() + b"\t"
        place = bisect_left(self.lines, start)
        found = self.lines[place] if place < len(self.lines) else b""
        return found if found.startswith(start) else None


class Tenure:
    """The lease of one process; it is taken with the first question. Threads may share it.

    Args:
        bucket: of the store.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.RLock()
        self._name = ""
        self._renewed = 0.0
        self._relies: set[str] = set()
        self._state: State | None = None
        self._marks = Marks()
        self.terms = 0
        """How many leases there were; what was learned under an earlier one counts no more."""

    @property
    def state(self) -> State:
        """The store's state when the lease was taken."""
        with self._lock:
            if self._state is None or boot_s() - self._renewed > LEASE_S / 2:
                self._take()
            elif boot_s() - self._renewed > _RENEWED_S:
                self._say()
            assert self._state is not None, "it was just read"
            return self._state

    def marked(self, name: str) -> bool:
        """Whether something may be removed unless it is relied on by name."""
        with self._lock:
            return bool(self.state.generation) and name in self._marks

    def rely_on(self, names: Iterable[str]) -> set[str]:
        """Those of the marked names that are being removed just now; all others stay, if they are still there."""
        wanted = {name for name in names if self.marked(name)}
        if not wanted:
            return set()
        with self._lock:
            if not wanted <= self._relies:
                self._relies |= wanted
                self._say()
        return wanted & self._condemned()

    def wait_for(self, names: Iterable[str]) -> None:
        """Return when none of these names is being removed any more.

        Raises:
            ServiceError: that takes too long.
        """
        end = boot_s() + _PATIENCE_S
        wanted = set(names)
        while wanted & self._condemned():
            if boot_s() > end:
                raise ServiceError(f"a collection of garbage in {self._bucket.uri} takes too long; run it again")
            time.sleep(0.2)

    def close(self) -> None:
        """End the lease. One that names something is left to expire: a collection at work may have read it."""
        with self._lock:
            name, self._name = self._name, ""
            self._state = None
            if name and not self._relies:
                try:
                    self._bucket.remove(name)
                except (ConfigurationError, ServiceError, TrustError):
                    return  # it expires; what is wrong with the bucket was said by the call before

    def _take(self) -> None:
        """The lease first, then the state: a collection that begins in between sees the lease."""
        self._name = f"leases/{secrets.token_hex(8)}"
        self._relies.clear()
        self._renewed = boot_s()
        self.terms += 1
        try:
            self._bucket.overwrite(self._name, b"")
        except TrustError:
            self._name = ""  # who may only read relies on luck, and finds a miss where that runs out
        self._state, self._marks = self._read()

    def _read(self) -> tuple[State, Marks]:
        while True:
            state, _ = read_state(self._bucket)
            if not state.marks:
                return state, Marks()
            found = self._bucket.read(state.marks)
            if found is not None:  # else a collection has ended in between, and there is another list
                return state, Marks(found.data)

    def _say(self) -> None:
        """Write down in the lease what is known and relied on."""
        assert self._state is not None, "the lease was taken"
        if self._name:
            self._renewed = boot_s()
            lease = Lease(generation=self._state.generation, relies=tuple(sorted(self._relies)))
            self._bucket.overwrite(self._name, msgspec.json.encode(lease))

    def _condemned(self) -> set[str]:
        """What is being removed just now."""
        names: set[str] = set()
        for item in self._bucket.all("condemned/"):
            if self._bucket.clock - item.modified < CONDEMNED_S:
                found = self._bucket.read(item.name)
                names.update(found.data.decode().split("\n") if found else ())
        return names


def boot_s() -> float:
    """Seconds of any origin, in which a machine's sleep counts."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_state(bucket: Bucket) -> tuple[State, tuple[str, int] | None]:
    """The state of a shared store, with ETag and time of the file that says it; None where there is none yet."""
    found = bucket.read(STATE)
    if found is None:
        return State(), None
    try:
        state = msgspec.json.decode(found.data, type=State)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{bucket.address(STATE)} is not what a store of ciml has there: {error}",
            hint="A newer ciml wrote it, or the prefix belongs to something else.",
        ) from error
    if state.format != FORMAT:
        raise ConfigurationError(f"{bucket.address(STATE)} has the format {state.format!r}", hint="Update ciml.")
    return state, (found.etag, found.modified)
