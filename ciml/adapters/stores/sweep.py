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
from collections.abc import Callable, Iterator

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


_UNFINISHED = "marks/unfinished"
"""There is one collection at a time; what is in `tmp/` belongs to leases, and collections have none."""

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
            before = self._marks(place)
            marks: dict[str, Mark] = {}
            due: list[Digest] = []
            for digest in _digests_below(folder, short):
                if needed(digest):
                    continue
                mark = self._mark(f"{folder}/{short}/{digest[2:]}", before.get(digest))
                if mark is not None:
                    marks[digest] = mark
                    if self._is_due(mark) and not held(digest):
                        due.append(digest)
            gone = self._remove(folder, due, trash)
            removed.update(gone)
            for digest in gone:
                del marks[digest]
            self.marked += len(marks)
            if not self.dry_run:
                self._keep_marks(place, marks, before)
        return removed

    def _mark(self, path: str, before: Mark | None) -> Mark | None:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        if before is not None and (before.inode, before.change_ns) == (status.st_ino, status.st_ctime_ns):
            return before
        return Mark(
            generation=self._generation, probe_ns=self._probe_ns, inode=status.st_ino, change_ns=status.st_ctime_ns
        )

    def _is_due(self, mark: Mark) -> bool:
        return mark.generation < self._floor and self._probe_ns - mark.probe_ns >= self._grace_ns

    def _remove(self, folder: str, due: list[Digest], trash: Callable[[Digest], str]) -> list[Digest]:
        """Those that are now gone."""
        if not due:
            return []
        paths = {digest: f"{folder}/{digest[:2]}/{digest[2:]}" for digest in due}
        sizes = {digest: os.lstat(path).st_size for digest, path in paths.items()}
        gone = due
        if not self.dry_run:
            for digest, path in paths.items():
                os.rename(path, f"{self._root}/trash/{trash(digest)}")
            relied_on = self.relied_on()
            gone = [digest for digest in due if digest not in relied_on]
            for digest in relied_on.intersection(due):
                _give_back(f"{self._root}/trash/{trash(digest)}", paths[digest])
            for digest in gone:
                os.unlink(f"{self._root}/trash/{trash(digest)}")
        self.size += sum(sizes[digest] for digest in gone)
        return gone

    def _empty_trash(self) -> None:
        """Give back what a collection that was killed had not yet decided about."""
        for name in os.listdir(f"{self._root}/trash"):
            kind, _, space_and_key = name.partition("-")
            folder = "objects"
            digest = name
            if space_and_key:
                space, _, digest = space_and_key.rpartition("-")
                folder = "actions" if kind == "record" else f"spaces/{space.replace('%', '/')}"
            _give_back(f"{self._root}/trash/{name}", f"{self._root}/{folder}/{digest[:2]}/{digest[2:]}")

    def _probe(self) -> int:
        path = f"{self._root}/{_UNFINISHED}"
        files.discard(path)
        files.write_new(path, b"", 0o600)
        try:
            return os.stat(path).st_mtime_ns
        finally:
            files.discard(path)

    def _marks(self, place: str) -> dict[str, Mark]:
        try:
            with open(f"{self._root}/{place}", "rb") as file:
                return _decode(file.read())
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}  # then all is marked anew, and stays for longer

    def _keep_marks(self, place: str, marks: dict[str, Mark], before: dict[str, Mark]) -> None:
        if marks:
            if marks != before:
                self._write(place, _encode(marks))
        elif before:
            os.unlink(f"{self._root}/{place}")

    def _write(self, place: str, data: bytes) -> None:
        unfinished = f"{self._root}/{_UNFINISHED}"
        files.discard(unfinished)
        files.write_new(unfinished, data, 0o644)
        os.rename(unfinished, f"{self._root}/{place}")


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
