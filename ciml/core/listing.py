"""A directory by content: its listing, cut into objects that one changed file hardly touches.

A listing is the sorted entries of a directory: files, links, and folders that are empty. It is cut into
*leaves* after an entry whose path's SHA-256 ends in ten zero bits, so about every 1,024 entries, and
where that is depends on no other entry: one new file changes one leaf. *Nodes* list leaves (or nodes)
and are cut alike, until one object is left, the *root*; the listing of a small directory is one leaf.
The digest of a directory is the SHA-256 of its root. That is a prolly tree, as in Noms and Dolt.

An object is lines that end in NUL, since a path may hold any other byte:

    ciml/listing/1 0 FILES SIZE              ciml/listing/1 DEPTH FILES SIZE
    MODE SHA256 SIZE PATH                    SHA256 FILES SIZE FIRST-PATH
    ...                                      ...

DEPTH is the number of levels below, FILES counts files and links, SIZE their bytes. MODE is Git's; an empty
folder has mode 040000 and the digest of nothing. A link's bytes are its target. Paths are relative, with `/`
between their parts, sorted as bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest
from ciml.core.value import Value

FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
FOLDER = 0o040000
EMPTY = Digest(hashlib.sha256().hexdigest())

HEADER = b"ciml/listing/1 "
"""What every object of a listing starts with."""

_LONGEST = 4096
"""Lines; an object is cut here at the latest, whatever the paths are."""

_CUT = 1 << 10
"""One in so many lines ends an object."""

_HEAD = re.compile(rb"ciml/listing/1 (0|[1-9]\d?) (0|[1-9]\d{0,18}) (0|[1-9]\d{0,18})")
_LEAF_LINE = re.compile(rb"(100644|100755|120000|040000) ([0-9a-f]{64}) (0|[1-9]\d{0,18}) (.+)", re.DOTALL)
_NODE_LINE = re.compile(rb"([0-9a-f]{64}) (0|[1-9]\d{0,18}) (0|[1-9]\d{0,18}) (.+)", re.DOTALL)
_OUTSIDE = re.compile(rb"(?:\A|/)\.{0,2}(?:/|\Z)")

Fetch = Callable[[Digest], bytes]
"""Gives an object's bytes, verified."""


class Entry(Value, frozen=True, kw_only=True, gc=False):
    """One file, link or empty folder."""

    path: bytes
    """Below the directory."""
    mode: int
    """`FILE`, `EXECUTABLE`, `LINK` or `FOLDER`."""
    digest: Digest
    size: int
    """Bytes."""


class Part(Value, frozen=True, kw_only=True, gc=False):
    """An object of a listing, as the node above names it."""

    digest: Digest
    files: int
    size: int
    """Bytes of all files below."""
    first: bytes
    """The first path below; b"" in the listing of nothing."""


class Change(Value, frozen=True, kw_only=True):
    """What two listings have at one path; None where one has nothing."""

    path: bytes
    before: Entry | None
    after: Entry | None


# Writing.


def objects(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The objects of a listing, one after the other; the last is its root.

    Args:
        entries: sorted by path. Only a few thousand are held at a time.

    Raises:
        IntegrityError: they are not sorted, or name a path that no directory can hold.
    """
    level: list[Part] = []
    for lines in _cut(_checked(entries)):
        leaf, part = _leaf(lines)
        yield leaf
        level.append(part)
    depth = 0
    while len(level) > 1:
        depth += 1
        above: list[Part] = []
        for group in _grouped(level, depth):
            node, part = _node(group, depth)
            yield node
            above.append(part)
        level = above


def _cut(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The entries of each leaf; one empty leaf where there are none at all."""
    leaf: list[Entry] = []
    leaves = 0
    for entry in entries:
        leaf.append(entry)
        if _ends(entry.path) or len(leaf) == _LONGEST:
            yield leaf
            leaf = []
            leaves += 1
    if leaf or not leaves:
        yield leaf


def _grouped(level: list[Part], depth: int) -> Iterator[list[Part]]:
    """The parts of each node above: at least two, so that every level is half as long or shorter."""
    start = 0
    for stop in range(2, len(level) - 1):
        held = stop - start
        if held == _LONGEST or (held >= 2 and _ends(b"%d/%b" % (depth, level[stop - 1].first))):
            yield level[start:stop]
            start = stop
    yield level[start:]


def _ends(text: bytes) -> bool:
    return int.from_bytes(hashlib.sha256(text).digest()[-2:], "big") % _CUT == 0


def _leaf(entries: list[Entry]) -> tuple[bytes, Part]:
    files = sum(entry.mode != FOLDER for entry in entries)
    size = sum(entry.size for entry in entries)
    lines = [b"%06o %b %d %b\0" % (entry.mode, entry.digest.encode(), entry.size, entry.path) for entry in entries]
    return _object(0, files, size, lines, entries[0].path if entries else b"")


def _node(parts: list[Part], depth: int) -> tuple[bytes, Part]:
    files = sum(part.files for part in parts)
    size = sum(part.size for part in parts)
    lines = [b"%b %d %d %b\0" % (part.digest.encode(), part.files, part.size, part.first) for part in parts]
    return _object(depth, files, size, lines, parts[0].first)


def _object(depth: int, files: int, size: int, lines: list[bytes], first: bytes) -> tuple[bytes, Part]:
    data = b"%b%d %d %d\0%b" % (HEADER, depth, files, size, b"".join(lines))
    digest = Digest(hashlib.sha256(data).hexdigest())
    return data, Part(digest=digest, files=files, size=size, first=first)


# Reading: nothing is believed but the digest of the root.


def totals(root: bytes) -> tuple[int, int]:
    """Bytes and number of files of the directory whose root object this is."""
    parsed = _Object(root)
    return parsed.size, parsed.files


def entries(root: Digest, fetch: Fetch) -> Iterator[Entry]:
    """The entries of a listing, in order; only one leaf of them is held at a time.

    Raises:
        IntegrityError: the listing is not what `objects` writes.
    """
    return _checked(_entries(_leaves(root, fetch), fetch))


def parts(root: Digest, fetch: Fetch) -> Iterator[Digest]:
    """The objects that a listing itself consists of, its root included. Leaves are named, not fetched."""
    pending = [root]
    while pending:
        digest = pending.pop()
        yield digest
        top = _Object(fetch(digest))
        if top.depth == 1:
            yield from (part.digest for part in top.parts())
        elif top.depth:
            pending += [part.digest for part in top.parts()]


def leaves(root: Digest, fetch: Fetch) -> Iterator[Part]:
    """The leaves of a listing, in order; each is the listing of its own files by itself."""
    return _leaves(root, fetch)


def sublisting(root: Digest, inside: bytes, fetch: Fetch) -> Iterator[Entry]:
    """The entries below the folder `inside`, as that folder's own listing names them.

    Where `inside` is a file, a link or an empty folder, the one entry has the path b"".
    """
    prefix = inside + b"/"
    for entry in _entries(_leaves(root, fetch, inside), fetch):
        if entry.path.startswith(prefix) or entry.path == inside:
            path = entry.path[len(prefix) :]
            yield Entry(path=path, mode=entry.mode, digest=entry.digest, size=entry.size)


def differences(before: Digest, after: Digest, fetch: Fetch) -> Iterator[Change]:
    """What two listings do not have in common, by path; leaves that both have are not fetched."""
    old, new = list(_leaves(before, fetch)), list(_leaves(after, fetch))
    shared = {part.digest for part in old} & {part.digest for part in new}
    return merged(
        _entries((part for part in old if part.digest not in shared), fetch),
        _entries((part for part in new if part.digest not in shared), fetch),
    )


def merged(old: Iterator[Entry], new: Iterator[Entry]) -> Iterator[Change]:
    """Where two lists of entries, both sorted by path, differ."""
    left, right = next(old, None), next(new, None)
    while left or right:
        if left and (right is None or left.path < right.path):
            yield Change(path=left.path, before=left, after=None)
            left = next(old, None)
        elif right and (left is None or right.path < left.path):
            yield Change(path=right.path, before=None, after=right)
            right = next(new, None)
        elif left and right:
            if left != right:
                yield Change(path=left.path, before=left, after=right)
            left, right = next(old, None), next(new, None)


def _leaves(root: Digest, fetch: Fetch, inside: bytes = b"") -> Iterator[Part]:
    """The leaves of a listing, in order; with `inside` only those that can hold a path at or below it."""
    top = _Object(fetch(root))
    pending = [(top.depth, Part(digest=root, files=top.files, size=top.size, first=top.first()))]
    while pending:
        depth, part = pending.pop()
        if depth == 0:
            yield part
            continue
        node = top if part.digest == root else _Object(fetch(part.digest))
        node.check(depth, part)
        below = node.parts()
        ends = [following.first for following in below[1:]]
        for number in range(len(below) - 1, -1, -1):
            # "0" follows "/" in ASCII: from there on nothing lies below `inside`.
            after = inside and below[number].first >= inside + b"0"
            ahead = inside and number < len(ends) and ends[number] <= inside
            if not after and not ahead:
                pending.append((depth - 1, below[number]))


def _entries(leaves: Iterable[Part], fetch: Fetch) -> Iterator[Entry]:
    for part in leaves:
        leaf = _Object(fetch(part.digest))
        leaf.check(0, part)
        yield from leaf.entries()


class _Object:
    """An object of a listing, its header read."""

    def __init__(self, data: bytes) -> None:
        head, *self._lines = data.split(b"\0")
        found = _HEAD.fullmatch(head)
        if not found or not self._lines or self._lines.pop() != b"":
            raise _malformed("it is no listing, or was cut off")
        self.depth, self.files, self.size = int(found[1]), int(found[2]), int(found[3])

    def first(self) -> bytes:
        """The first path."""
        return self._lines[0].split(b" ", 3)[-1] if self._lines else b""

    def check(self, depth: int, part: Part) -> None:
        """Refuse what is not as the node above says."""
        if (depth, part.files, part.size, part.first) != (self.depth, self.files, self.size, self.first()):
            raise _malformed(f"the part from {part.first!r} on is not what the node above says")

    def parts(self) -> list[Part]:
        """What a node lists."""
        found = [
            Part(digest=Digest(line[1].decode()), files=int(line[2]), size=int(line[3]), first=line[4])
            for line in self._matched(_NODE_LINE)
        ]
        if len(found) < 2 or any(left.first >= right.first for left, right in pairwise(found)):
            raise _malformed("a node's parts are not in order")
        self._check_totals(sum(part.files for part in found), sum(part.size for part in found))
        return found

    def entries(self) -> list[Entry]:
        """What a leaf lists."""
        found = [
            Entry(mode=int(line[1], 8), digest=Digest(line[2].decode()), size=int(line[3]), path=line[4])
            for line in self._matched(_LEAF_LINE)
        ]
        self._check_totals(sum(entry.mode != FOLDER for entry in found), sum(entry.size for entry in found))
        return found

    def _matched(self, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
        for line in self._lines:
            match = pattern.fullmatch(line)
            if match is None:
                raise _malformed(f"the line {line[:200]!r}")
            yield match

    def _check_totals(self, files: int, size: int) -> None:
        if (files, size) != (self.files, self.size):
            raise _malformed(f"its totals are {self.files} files, {self.size} bytes, its lines {files} and {size}")


def _checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries: sorted, each once, none below a file, none outside."""
    around: list[bytes] = []
    before = b""
    for entry in entries:
        path = entry.path
        if path <= before or _OUTSIDE.search(path) or b"\0" in path:
            raise _malformed(f"the path {path!r} after {before!r}")
        while around and not path.startswith(around[-1]):
            around.pop()
        for above in around:
            if path.startswith(b"/", len(above)):
                raise _malformed(f"{path!r} lies below {above!r}, which is no folder")
        if entry.mode == FOLDER and (entry.size or entry.digest != EMPTY):
            raise _malformed(f"the empty folder {path!r} has bytes")
        around.append(path)
        before = path
        yield entry


def _malformed(what: str) -> IntegrityError:
    return IntegrityError(
        f"a directory's listing is malformed: {what}",
        hint="It was not written by ciml. Make it again from the files: run the stage, or `ciml data update`.",
    )
