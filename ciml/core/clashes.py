"""Names of one folder that are one name to a file system that knows no case: on macOS and Windows, as they come.

Found in one pass over sorted paths. Of each folder that the pass is in, 8 bytes of hash are held for each name,
of the first `MOST` names: a folder of more is looked at as far as that.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator

from ciml.core.lineage import one_line
from ciml.core.value import Value

MOST = 500_000
"""Names of one folder that are held: about 40 MB."""

_NAMED = 3


class Clashes(Value, frozen=True, kw_only=True):
    """Names that cannot lie side by side."""

    pairs: tuple[tuple[bytes, bytes], ...]
    """The first of them, as paths in the directory."""
    more: int
    """Pairs besides."""

    @property
    def text(self) -> str:
        """`a/Case.csv and a/case.csv cannot lie side by side on macOS and Windows`."""
        pairs = [" and ".join(one_line(_text(path)) for path in pair) for pair in self.pairs]
        more = f"; and {self.more:,} more pair{'' if self.more == 1 else 's'}" if self.more else ""
        return f"{', '.join(pairs)} cannot lie side by side on macOS and Windows{more}"


def clashes(paths: Callable[[], Iterable[bytes]], *, most: int = MOST) -> Clashes | None:
    """The clashes in a directory; None where there are none.

    Args:
        paths: sorted as bytes, `/` between their parts; walked twice where names clash.
        most: names of one folder that are held.
    """
    count = 0
    first: list[bytes] = []
    for path in _second(paths(), most):
        count += 1
        if len(first) < _NAMED:
            first.append(path)
    if not count:
        return None
    return Clashes(pairs=tuple(_pairs(paths(), first)), more=count - len(first))


def _second(paths: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Each file or folder whose name was there before in another spelling, in the same folder."""
    before = b""
    above: list[bytes] = []
    seen: list[set[int]] = [set()]
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        if folder != before:
            parts = folder.split(b"/") if folder else []
            kept = _common(above, parts)
            del seen[kept + 1 :]
            for depth in range(kept, len(parts)):
                if _is_known(parts[depth], seen[depth], most):
                    yield b"/".join(parts[: depth + 1])
                seen.append(set())
            before, above = folder, parts
        if _is_known(name, seen[-1], most):
            yield path


def _common(one: list[bytes], other: list[bytes]) -> int:
    """How many parts two folders share from the start."""
    pairs = zip(one, other, strict=False)
    return next((depth for depth, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _is_known(name: bytes, seen: set[int], most: int) -> bool:
    """Whether a name was seen in any spelling; it is from now on, while there is room."""
    mark = hash(_folded(name))
    if mark in seen:
        return True
    if len(seen) < most:
        seen.add(mark)
    return False


def _folded(name: bytes) -> bytes:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", _text(name)).casefold().encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _pairs(paths: Iterable[bytes], second: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Those paths, each with the one that it clashes with."""
    wanted = {(path.rpartition(b"/")[0], _folded(path.rpartition(b"/")[2])): path for path in second}
    for path in paths:
        end = len(path)
        while end > 0 and wanted:
            part = path[:end]
            folder, _, name = part.rpartition(b"/")
            other = wanted.get((folder, _folded(name)))
            if other is not None and other != part:
                del wanted[folder, _folded(name)]
                yield part, other
            end = part.rfind(b"/")
