"""What a shared store holds, whether it is sound, and what in it is not to be believed any more."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

import msgspec

from ciml.adapters.stores.answers import BrokenAnswerError, Found
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.clearance import Opener, key_of
from ciml.adapters.stores.contents import objects_of_all
from ciml.adapters.stores.crew import Crew, Job
from ciml.adapters.stores.garbage import Findings, Stats
from ciml.adapters.stores.records import decode
from ciml.adapters.stores.s3 import HANDS
from ciml.adapters.stores.tenure import STATE, read_state
from ciml.core.errors import IntegrityError, RaceError
from ciml.core.ids import Digest
from ciml.core.listing import Fetch
from ciml.core.results import Miss, Record

_RACES = 5


class Inspection:
    """Looks after a shared store.

    Args:
        bucket: of the store.
        fetch: gives an object of a listing.
        opened: takes a record out of its envelope, where it has one.
    """

    def __init__(self, bucket: Bucket, fetch: Fetch, opened: Opener) -> None:
        self._bucket = bucket
        self._fetch = fetch
        self._opened = opened
        self._lock = threading.Lock()

    def stats(self) -> Stats:
        """How much there is."""
        count = size = 0
        for found in self._bucket.all("objects/"):
            count += 1
            size += found.size
        return Stats(objects=count, size=size, records=sum(1 for _ in self._bucket.all("records/")))

    def verify(self, *, repair: bool = False) -> Findings:
        """Every object read and hashed, every record read; `repair` removes what is wrong."""
        # Before the objects: what a record needs that is published meanwhile may not have been hashed.
        records = list(self._ours("records/"))
        sound: set[Digest] = set()
        wrong: list[Found] = []
        Crew(HANDS).run(self._hashing(found, sound, wrong) for found in self._ours("objects/"))
        lost: list[Found] = []
        unreadable: list[Found] = []
        Crew(HANDS).run(self._reading(found, sound, lost, unreadable) for found in records)
        if repair:
            self._bucket.delete([*wrong, *lost, *unreadable])
        return Findings(
            checked=len(sound) + len(wrong),
            damaged=_keys(wrong),
            unreadable=_keys(unreadable),
            lost=_keys(lost),
        )

    def _ours(self, folder: str) -> Iterator[Found]:
        """What has a digest's name; anything else was put there by somebody else."""
        return (found for found in self._bucket.all(folder) if key_of(found.name))

    def _hashing(self, found: Found, sound: set[Digest], wrong: list[Found]) -> Job:
        def check() -> None:
            hashed = hashlib.sha256()
            answer = self._bucket.open(found.name)
            try:
                for piece in answer.pieces() if answer is not None else ():
                    hashed.update(piece)
            except BrokenAnswerError:
                pass  # what cannot be read is as good as damaged
            with self._lock:
                if answer is not None and hashed.hexdigest() == key_of(found.name):
                    sound.add(key_of(found.name))
                elif answer is not None:
                    wrong.append(found)

        return check

    def _reading(self, found: Found, sound: set[Digest], lost: list[Found], unreadable: list[Found]) -> Job:
        def check() -> None:
            there = self._bucket.read(found.name)
            if there is None:
                return
            space = "/".join(found.name.split("/")[1:-2])
            record = decode(self._opened(there.data), key_of(found.name), space=space, salt="")
            if isinstance(record, Miss):
                unreadable.append(found)
            elif not self._whole(record, sound):
                lost.append(found)

        return check

    def _whole(self, record: Record, sound: set[Digest]) -> bool:
        try:
            return sound.issuperset(objects_of_all(record.outputs, self._fetch))
        except IntegrityError:
            return False

    def disown(self, keys: Iterable[Digest]) -> int:
        """How many records were removed: all that lie under one of these keys, in whatever space."""
        wanted = set(keys)
        found = [item for item in self._bucket.all("records/") if key_of(item.name) in wanted]
        self._bucket.delete(found)
        return len(found)

    def disown_before(self, moment: int | None) -> int:
        """The moment, by the service's clock (s since 1970), before which records are not believed any more.

        Args:
            moment: None for now.

        Raises:
            RaceError: others write the store's state all the time.
        """
        for _ in range(_RACES):
            state, at = read_state(self._bucket)
            before = max(state.disowned_before, self._bucket.clock + 1 if moment is None else moment)
            wanted = msgspec.structs.replace(state, disowned_before=before)
            self._bucket.write(STATE, msgspec.json.encode(wanted), over=at[0] if at else None)
            if read_state(self._bucket)[0].disowned_before >= before:
                return before
        raise RaceError(f"the state of {self._bucket.uri} is written by others all the time")


def _keys(found: Iterable[Found]) -> tuple[Digest, ...]:
    return tuple(sorted(key_of(item.name) for item in found))
