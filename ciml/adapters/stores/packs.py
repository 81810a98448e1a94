"""The packs of a local store: where a small object lies that has no file of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from ciml.adapters import files
from ciml.adapters.stores.pack import Pack, PackWriter, opened, sound
from ciml.adapters.stores.session import Session
from ciml.core.errors import StageError
from ciml.core.ids import Digest, is_digest

_SETTLED_NS = 20_000_000
"""A folder that changed so shortly before it was listed might change again without a trace: clocks tick in ms."""


class Packed(NamedTuple):
    """Where an object lies."""

    pack: Pack
    number: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.pack.row(self.number)[2]


class Packs:
    """The folder `objects/pack` of a store. Threads may share it.

    Args:
        root: of the store.
        session: where unfinished files go, and what keeps a collection off.
    """

    def __init__(self, root: str, session: Session) -> None:
        self._root = root
        self.folder = f"{root}/objects/pack"
        self._session = session
        self._lock = threading.Lock()
        self._packs: dict[str, Pack] = {}
        self._listed_at = 0
        """The folder's time when `_packs` was all of it; 0 where it is to be listed anew."""
        self._relied_on: set[str] = set()
        self.torn: set[Digest] = set()
        """Names of packs that were found to be torn, and are in quarantine."""

    def all(self) -> list[Pack]:
        """Every pack that is there and whole; what is torn goes to quarantine."""
        try:
            moved = os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            return []
        if moved != self._listed_at:
            with self._lock:
                self._list(moved)
        return list(self._packs.values())

    def find(self, digest: Digest) -> Packed | None:
        """Where an object lies, not verified; None where it is in no pack."""
        if packs := self.all():
            name = bytes.fromhex(digest)
            for pack in packs:
                if (number := pack.find(name)) is not None:
                    return Packed(pack, number)
        return None

    def read(self, digest: Digest) -> bytes | None:
        """The bytes of an object, not verified; None where it is in no pack."""
        while (found := self.find(digest)) is not None:
            try:
                return found.pack.read(found.number)
            except (FileNotFoundError, StageError):
                self._forget(found.pack)
        return None

    def checked(self) -> Iterator[tuple[Digest, bool]]:
        """Every object of every pack, and whether its bytes are what its name says."""
        for pack in self.all():
            try:
                for name, data in pack.objects():
                    yield Digest(name.hex()), sound(name, data)
            except (FileNotFoundError, StageError):
                self._forget(pack)

    def keeps(self, digest: Digest, size: int) -> bool:
        """Whether an object of that size is in a pack, and now stays."""
        while (found := self.find(digest)) is not None and found.size == size:
            name = found.pack.name
            if name not in self._relied_on:
                self._session.rely_on(name)
                if not os.path.exists(found.pack.path):  # looked at after that was said
                    self._forget(found.pack)
                    continue
                self._relied_on.add(name)
            return True
        return False

    def quarantine(self, digest: Digest) -> None:
        """Take an object out, and with it whatever else is damaged in its pack."""
        if (found := self.find(digest)) is not None:
            try:
                self.repair(found.pack)
            except (FileNotFoundError, StageError):
                self._forget(found.pack)

    def repair(self, pack: Pack) -> None:
        """Let what is sound in a pack be in another one, and what is damaged in quarantine."""
        damaged = 0
        writer = PackWriter(self._session.new())
        try:
            for name, data in pack.objects():
                if sound(name, data):
                    writer.add(name, data)
                else:
                    damaged += 1
                    files.write_new(self._aside(name.hex()), data, 0o444)
        except BaseException:
            writer.drop()
            raise
        if 0 < damaged < len(pack):
            writer.publish(self.folder)
        else:
            writer.drop()
        if damaged:
            files.discard(pack.path)

    def _list(self, moved: int) -> None:
        """Know all packs of the folder, which last changed at `moved`."""
        now = moved
        while True:
            names = sorted(filter(is_digest, os.listdir(self.folder)))
            found = {name: self._packs.get(name) or self._opened(name) for name in names}
            self._packs = {name: pack for name, pack in found.items() if pack is not None}
            moved, now = now, os.stat(self.folder).st_mtime_ns
            if now == moved:  # else one may have come and another one gone while it was listed
                break
        self._listed_at = moved if time.time_ns() - moved > _SETTLED_NS else 0

    def _opened(self, name: str) -> Pack | None:
        path = f"{self.folder}/{name}"
        try:
            pack = opened(path)
        except FileNotFoundError:
            return None
        if pack is None:
            self.torn.add(Digest(name))
            with suppress(OSError):  # a store that can only be read
                os.rename(path, self._aside(f"pack-{name}"))
        return pack

    def _forget(self, pack: Pack) -> None:
        """Look again what there is: a collection puts what is needed of a pack into another one."""
        self._packs = {name: known for name, known in self._packs.items() if known is not pack}
        self._listed_at = 0

    def _aside(self, what: str) -> str:
        return f"{self._root}/quarantine/{os.path.basename(self._session.new())}-{what}"
