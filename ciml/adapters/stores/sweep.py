"""The sweep of a garbage collection in a local store: what is removed, and how nothing live ever is.

A collection never asks what time it is, and takes no lock that a run would wait for. It removes what

- cannot be reached from the roots it was given, nor from any record that stays, and
- was unreachable already in an earlier collection, by `grace_s` as the file system's own clock
  counts, and has not been written again since, and
- is in the lease of no living process, nor can have been written by one: every process that has a
  lease now took it after that earlier collection had ended (`ciml.adapters.stores.session`).

So the first call marks and the second one removes. Before a file is removed it goes to `trash/`, the
leases are read once more, and what somebody has begun to rely on comes back. A collection that was
killed in between is finished by the next one, which first gives everything back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from ciml.adapters import files
from ciml.adapters.stores.session import generation, leases
from ciml.core.ids import Digest, is_digest
from ciml.core.value import Value


class Mark(Value, frozen=True, kw_only=True, array_like=True, gc=False):
    """When something was first found unreachable, and which file it was then."""

    generation: int
    probe_ns: int
    """The file system's time in that collection."""
    inode: int
    change_ns: int


UNFINISHED = "marks/unfinished"
"""There is one collection at a time; what is in `tmp/` belongs to leases, and collections have none."""

_Mark = TypeVar("_Mark")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Mark]).decode


class Sweep:
    """One collection's passage through the folders of a store.

    Args:
        root: of the store; the caller sees to it that no other collection is at work there.
        grace_s: how long something must have been marked.
        dry_run: only count.
    """

    def __init__(self, root: str, *, grace_s: float, dry_run: bool) -> None:
        self._root = root
        self._grace_ns = int(grace_s * 1e9)
        self.dry_run = dry_run
        self._generation = 0
        self._floor = 0
        self._probe_ns = 0
        self.size = 0
        self.marked = 0

    def begin(self) -> None:
        """Finish what an earlier collection left, and begin a new generation."""
        self._empty_trash()
        self._generation = generation(self._root) + 1
        if not self.dry_run:
            self._write("generation", b"%d" % self._generation)
        self._probe_ns = self._probe()
        self._floor = self._generation
        for _, text in leases(self._root):
            first = text.partition(b"\n")[0]
            self._floor = min(self._floor, int(first) if first.isdigit() else 0)

    def relied_on(self) -> set[Digest]:
        """What the living processes have said that they rely on."""
        return {
            Digest(line.decode()) for _, text in leases(self._root) for line in text.split(b"\n")[1:] if len(line) == 64
        }

    def folder(
        self,
        folder: str,
        *,
        trash: Callable[[Digest], str],
        needed: Callable[[Digest], bool],
        held: Callable[[Digest], bool] = lambda _: False,
    ) -> set[Digest]:
        """What is gone, or would be, from one folder of objects or records; the rest is marked.

        Args:
            folder: with the files below folders of two digits.
            trash: the name of something in `trash/`.
            needed: whether it stays and loses its mark.
            held: whether it stays for now and keeps its mark.
        """
        removed: set[Digest] = set()
        for short in _listed(folder):
            place = f"marks/{os.path.relpath(folder, self._root).replace('/', '%')}-{short}"
            before = self.marks(place, _decode)
            marks: dict[str, Mark] = {}
            due: dict[Digest, str] = {}
            for digest in _digests_below(folder, short):
                if needed(digest):
                    continue
                path = f"{folder}/{short}/{digest[2:]}"
                mark = self.mark(path, before.get(digest))
                if mark is not None:
                    marks[digest] = mark
                    if self.is_due(mark) and not held(digest):
                        due[digest] = path
            sizes = {digest: os.lstat(path).st_size for digest, path in due.items()}
            gone = self.remove(due, trash)
            self.size += sum(sizes[digest] for digest in gone)
            removed.update(gone)
            for digest in gone:
                del marks[digest]
            self.marked += len(marks)
            self.keep_marks(place, marks, before)
        return removed

    def mark(self, path: str, before: Mark | None) -> Mark | None:
        """The mark of a file from now on: the one that it had if it is still the same; None where it has gone."""
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        if before is not None and (before.inode, before.change_ns) == (status.st_ino, status.st_ctime_ns):
            return before
        return Mark(
            generation=self._generation, probe_ns=self._probe_ns, inode=status.st_ino, change_ns=status.st_ctime_ns
        )

    def is_due(self, mark: Mark) -> bool:
        """Whether what was marked so long ago may go."""
        return mark.generation < self._floor and self._probe_ns - mark.probe_ns >= self._grace_ns

    def remove(self, due: Mapping[Digest, str], trash: Callable[[Digest], str]) -> list[Digest]:
        """Those that are now gone, or would be.

        Args:
            due: names, as a lease would have them, and paths.
            trash: as for `folder`.
        """
        if self.dry_run or not due:
            return list(due)
        for name, path in due.items():
            os.rename(path, f"{self._root}/trash/{trash(name)}")
        relied_on = self.relied_on()
        for name in relied_on.intersection(due):
            _give_back(f"{self._root}/trash/{trash(name)}", due[name])
        gone = [name for name in due if name not in relied_on]
        for name in gone:
            os.unlink(f"{self._root}/trash/{trash(name)}")
        return gone

    def _empty_trash(self) -> None:
        """Give back what a collection that was killed had not yet decided about."""
        for name in os.listdir(f"{self._root}/trash"):
            _give_back(f"{self._root}/trash/{name}", f"{self._root}/{_place_of(name)}")

    def _probe(self) -> int:
        path = f"{self._root}/{UNFINISHED}"
        files.discard(path)
        files.write_new(path, b"", 0o600)
        try:
            return os.stat(path).st_mtime_ns
        finally:
            files.discard(path)

    def marks(self, place: str, decode: Callable[[bytes], dict[str, _Mark]]) -> dict[str, _Mark]:
        """What the last collection left marked."""
        try:
            with open(f"{self._root}/{place}", "rb") as file:
                return decode(file.read())
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}  # then all is marked anew, and stays for longer

    def keep_marks(self, place: str, marks: Mapping[str, object], before: Mapping[str, object]) -> None:
        """Leave these marked for the next collection."""
        if self.dry_run:
            return
        if marks:
            if marks != before:
                self._write(place, _encode(marks))
        elif before:
            os.unlink(f"{self._root}/{place}")

    def _write(self, place: str, data: bytes) -> None:
        unfinished = f"{self._root}/{UNFINISHED}"
        files.discard(unfinished)
        files.write_new(unfinished, data, 0o644)
        os.rename(unfinished, f"{self._root}/{place}")


def _place_of(name: str) -> str:
    """Where something in the trash came from."""
    kind, _, space_and_name = name.partition("-")
    if not space_and_name:
        return f"objects/{name[:2]}/{name[2:]}"
    if kind == "pack":
        return f"objects/pack/{space_and_name}"
    space, _, key = space_and_name.rpartition("-")
    folder = "actions" if kind == "record" else f"spaces/{space.replace('%', '/')}"
    return f"{folder}/{key[:2]}/{key[2:]}"


def digests_in(folder: str) -> Iterator[Digest]:
    """All digests that lie in a folder, below their first two digits."""
    for short in _listed(folder):
        yield from _digests_below(folder, short)


def _digests_below(folder: str, short: str) -> list[Digest]:
    return [Digest(short + rest) for rest in _listed(f"{folder}/{short}") if is_digest(short + rest)]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _give_back(trash: str, path: str) -> None:
    try:
        os.link(trash, path)
    except FileExistsError:
        pass
    os.unlink(trash)
