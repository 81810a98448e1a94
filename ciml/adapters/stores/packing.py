"""A directory on its way into a local store: its first small files become objects of their own, the rest a pack."""

from __future__ import annotations

import hashlib
import os
from types import TracebackType

from ciml.adapters import files
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.pack import PackWriter
from ciml.adapters.stores.session import Session
from ciml.core.ids import Digest

_HELD = 512
"""Names below one folder that are held in memory: of all folders, 20 MB."""


class Packing:
    """A sink for one file or directory. What it packs is there when it is left without an error, and not before.

    A file is made in the time in which ten small ones are hashed; a store without packs is the plainer one.

    Args:
        objects: of the store.
        session: where the unfinished pack goes.
        loose: new small objects that get a file each; those after them are packed.
    """

    def __init__(self, objects: Objects, session: Session, *, loose: int) -> None:
        self._objects = objects
        self._session = session
        self._loose = loose
        self._writer: PackWriter | None = None
        self._earlier: Earlier | None = None

    def __enter__(self) -> Packing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        elif self._writer is not None:
            self._writer.drop()

    def put(self, data: bytes) -> Digest:
        """The digest under which `data` is in the store when this is finished."""
        if len(data) > files.SMALL:
            return self._objects.put(data)
        writer = self._begun()
        writer.space()[: len(data)] = data
        return self._put(writer, len(data))

    def put_file(self, path: str | bytes, shown: str, folder: int | None = None) -> tuple[Digest, os.stat_result, int]:
        """Digest, status and number of bytes of the file at `path`. Raises as `Objects.put_file`."""
        fd, status = files.open_regular(path, shown, folder=folder)
        try:
            expected = status.st_size
            if expected <= files.SMALL:
                writer = self._begun()
                size = os.preadv(fd, [writer.space()[: expected + 1]], 0)
                if size <= expected:
                    return self._put(writer, size), status, size
            digest, size = self._objects.put_large(fd, status, shown)
            return digest, status, size
        finally:
            os.close(fd)

    def keeps(self, digest: Digest, size: int) -> bool:
        """Whether those bytes are in the store already, and stay."""
        return self._objects.keeps(digest, size)

    def forked(self) -> None:
        """From here on this is a second process, with a pack of its own."""
        self._objects.forked()
        self._writer = None

    def finish(self) -> None:
        """Let all that was put be there."""
        writer, self._writer = self._writer, None
        if writer:
            writer.publish(self._objects.packs.folder)
            self._earlier = None

    def _begun(self) -> PackWriter:
        """The pack that is being written, with room for one object more."""
        if self._writer is not None and self._writer.is_full:
            self.finish()
        if self._writer is None:
            self._writer = PackWriter(self._session.new())
        return self._writer

    def _put(self, writer: PackWriter, size: int) -> Digest:
        """The digest of the first bytes of the writer's space, which are kept."""
        data = writer.space()[:size]
        name = hashlib.sha256(data).digest()
        digest = Digest(name.hex())
        if name in writer or (self._may_have(name, digest) and self._objects.keeps(digest, size)):
            return digest
        if self._loose > 0:
            self._loose -= 1
            self._objects.add(digest, data)
        else:
            writer.keep(name, size)
        return digest

    def _may_have(self, name: bytes, digest: Digest) -> bool:
        """Whether the store may have an object already; it is asked itself while it is asked for few."""
        if self._loose > 0:
            return True
        if self._earlier is None:
            self._earlier = Earlier(self._objects)
        return self._earlier.may_have(name, digest)


class Earlier:
    """What lay in a store at a moment, so that it need not be asked for each of many new objects.

    What comes later it does not know: then the same bytes lie there twice.

    Args:
        objects: of the store.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._packs = objects.packs.all()
        self._names: dict[str, frozenset[str] | None] = {}
        """First two digits -> the rest of the loose ones; None where they are too many to be held."""

    def may_have(self, name: bytes, digest: Digest) -> bool:
        """Whether an object may have been there, by its digest as bytes and as text."""
        short = digest[:2]
        if short not in self._names:
            self._names[short] = self._listed(digest)
        names = self._names[short]
        return names is None or digest[2:] in names or any(pack.find(name) is not None for pack in self._packs)

    def _listed(self, digest: Digest) -> frozenset[str] | None:
        try:
            names = os.listdir(os.path.dirname(self._objects.path(digest)))
        except FileNotFoundError:
            return frozenset()
        return frozenset(names) if len(names) <= _HELD else None
