"""The sweep of the packs: a pack goes as one file, by the rules of `ciml.adapters.stores.sweep`.

A pack is marked when more than half of it is needless, with what was needless then. When the mark is due,
and that has been needless ever since, what else is in the pack is written to a new one. After that the old
one goes to `trash/`, and on as any file does: it comes back where a living process relies on it, which is
said of a pack and not of an object. So what anybody needs is never in the trash alone, and who finds that a
pack has gone looks for the object in the others.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from operator import and_

import msgspec

from ciml.adapters import files
from ciml.adapters.stores.pack import Pack, PackWriter, sound
from ciml.adapters.stores.packmerge import merge
from ciml.adapters.stores.sweep import UNFINISHED, Mark, Sweep
from ciml.core.ids import Digest
from ciml.core.value import Value

_PLACE = "marks/packs"

_ROW = 48
"""What an object counts besides its bytes: a pack of empty files is worth something, too."""

Some = bytes
"""Some of a pack's objects: a byte for each row, 1 or 0."""


class PackMark(Value, frozen=True, kw_only=True, array_like=True):
    """A pack that was found to be mostly needless."""

    mark: Mark
    needless: Some
    """What was needless then, and in every collection since."""


_decode = msgspec.msgpack.Decoder(dict[str, PackMark]).decode


class PackSweep:
    """One collection's passage through the packs of a store.

    Args:
        root: of the store.
        sweep: of the same collection.
    """

    def __init__(self, root: str, sweep: Sweep) -> None:
        self._root = root
        self._sweep = sweep
        self.objects = 0
        """Removed."""
        self.size = 0
        """Their bytes."""

    def run(self, packs: Iterable[Pack], *, needed: Collection[bytes], held: Collection[bytes]) -> None:
        """Remove what has been needless for long enough, mark what is needless now, and make one of many small packs.

        Args:
            packs: all of them.
            needed: what stays and loses its mark.
            held: what stays for now and keeps its mark.
        """
        before = self._sweep.marks(_PLACE, _decode)
        marks: dict[str, PackMark] = {}
        staying: list[Pack] = []
        for pack in packs:
            mark = self._mark(pack, before.get(pack.name), bytes(name not in needed for name, _, _ in pack.rows()))
            if mark is None:
                staying.append(pack)
                continue
            going = bytes(map(and_, mark.needless, (name not in held for name, _, _ in pack.rows())))
            if self._sweep.is_due(mark.mark) and _is_most(going, pack) and self._remove(pack, going):
                self.objects += sum(going)
                self.size += sum(size for goes, (_, _, size) in zip(going, pack.rows(), strict=True) if goes)
            else:
                marks[pack.name] = mark
                self._sweep.marked += sum(mark.needless)
        self._sweep.keep_marks(_PLACE, marks, before)
        merge(staying, self._root, self._sweep)

    def _mark(self, pack: Pack, before: PackMark | None, needless: Some) -> PackMark | None:
        mark = self._sweep.mark(pack.path, before.mark if before else None)
        if before is not None and mark is before.mark:
            still = bytes(map(and_, before.needless, needless))
            if _is_most(still, pack):
                return PackMark(mark=mark, needless=still)
            mark = self._sweep.mark(pack.path, None)
        return PackMark(mark=mark, needless=needless) if mark and _is_most(needless, pack) else None

    def _remove(self, pack: Pack, going: Some) -> bool:
        """Whether these objects are gone now, or would be."""
        if self._sweep.dry_run:
            return True
        name = Digest(pack.name)
        if name in self._sweep.relied_on() or not self._saved(pack, going):
            return False
        return bool(self._sweep.remove({name: pack.path}, lambda name: f"pack-{name}"))

    def _saved(self, pack: Pack, going: Some) -> bool:
        """Whether the rest of a pack is in another one now; not where it is damaged, which its next reader mends."""
        if all(going):
            return True
        names = {name for goes, (name, _, _) in zip(going, pack.rows(), strict=True) if goes}
        unfinished = f"{self._root}/{UNFINISHED}"
        files.discard(unfinished)
        writer = PackWriter(unfinished)
        try:
            for name, data in pack.objects():
                if name in names:
                    continue
                if not sound(name, data):
                    writer.drop()
                    return False
                writer.add(name, data)
        except BaseException:
            writer.drop()
            raise
        writer.publish(os.path.dirname(pack.path))
        files.sync(self._root)  # else a power cut could take the new pack, and the old one would be gone
        return True


def _is_most(some: Some, pack: Pack) -> bool:
    """Whether these objects make up more than half of a pack."""
    whole = part = 0
    for counts, (_, _, size) in zip(some, pack.rows(), strict=True):
        whole += size + _ROW
        part += (size + _ROW) * counts
    return 2 * part > whole
