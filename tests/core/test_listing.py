from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciml.core import listing
from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest
from ciml.core.listing import Entry


class Shelf:
    """Objects in memory that count what is taken out."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}
        self.fetched: list[Digest] = []

    def put(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        self.objects[digest] = data
        return digest

    def fetch(self, digest: Digest) -> bytes:
        self.fetched.append(digest)
        return self.objects[digest]

    def store(self, entries: list[Entry]) -> Digest:
        return [self.put(data) for data in listing.objects(entries)][-1]


def entry(path: bytes, text: bytes = b"", mode: int = listing.FILE) -> Entry:
    digest = Digest(hashlib.sha256(text).hexdigest())
    return Entry(path=path, mode=mode, digest=digest, size=len(text))


def many(count: int) -> list[Entry]:
    return [entry(b"part-%02d/%06d.bin" % (number % 37, number), b"%d" % number) for number in range(count)]


def by_path(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda item: item.path)


parts = st.binary(min_size=1, max_size=6).filter(lambda part: not {0, 47} & set(part) and part not in (b".", b".."))
paths = st.lists(parts, min_size=1, max_size=4).map(b"/".join)
modes = st.sampled_from([listing.FILE, listing.EXECUTABLE, listing.LINK])


@st.composite
def directories(draw: st.DrawFn) -> list[Entry]:
    """Entries that one directory can hold."""
    chosen: list[bytes] = []
    for path in sorted(draw(st.sets(paths, max_size=40))):
        if not any(path.startswith(other + b"/") for other in chosen):
            chosen.append(path)
    return [entry(path, draw(st.binary(max_size=5)), draw(modes)) for path in chosen]


@given(directories())
def test_what_was_listed_is_read_back(entries: list[Entry]) -> None:
    """Reading a listing gives the entries that were written, whatever bytes their names hold."""
    shelf = Shelf()
    root = shelf.store(entries)

    assert list(listing.entries(root, shelf.fetch)) == entries
    assert listing.totals(shelf.objects[root]) == (sum(item.size for item in entries), len(entries))


def test_a_small_directory_is_one_object() -> None:
    """Ten files need one object, and nothing at all needs one too."""
    assert len(list(listing.objects([entry(b"%d" % number) for number in range(10)]))) == 1
    assert list(listing.objects([])) == [b"ciml/listing/1 0 0 0\0"]


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_one_new_file_changes_one_leaf_and_what_is_above(seed: int) -> None:
    """Of a handful of objects a new file makes at most three new ones, wherever it comes to lie."""
    shelf = Shelf()
    entries = by_path(many(6_000))
    shelf.store(entries)
    before = set(shelf.objects)
    new = entry(b"part-%02d/%d.new" % (seed % 40, seed), b"new")

    shelf.store(by_path([*entries, new]))

    assert len(before) > 4
    assert len(set(shelf.objects) - before) <= 3


def test_boundaries_depend_on_paths_alone() -> None:
    """Changing every file's bytes moves no boundary: the leaves begin at the same paths."""
    entries = by_path(many(5_000))
    others = [entry(item.path, b"other") for item in entries]
    cuts = [[data.split(b"\0")[1].split(b" ")[-1] for data in listing.objects(list_)] for list_ in (entries, others)]

    assert cuts[0] == cuts[1]
    assert len(cuts[0]) > 3


def test_more_levels_than_two() -> None:
    """A listing whose root would grow too long gets another level, and is read back the same."""
    shelf = Shelf()
    # Paths that all end a leaf, so that a thousand files already make a thousand leaves.
    numbers = (number for number in range(10**8) if _ends_leaf(b"%09d" % number))
    entries = [entry(b"%09d" % next(numbers)) for _ in range(1_100)]

    objects = list(listing.objects(entries))
    root = [shelf.put(data) for data in objects][-1]

    assert objects[-1].startswith(listing.HEADER + b"2 ")
    assert list(listing.entries(root, shelf.fetch)) == entries
    assert set(listing.parts(root, shelf.fetch)) == set(shelf.objects)


def _ends_leaf(path: bytes) -> bool:
    return int.from_bytes(hashlib.sha256(path).digest()[-2:], "big") % 1024 == 0


def test_every_object_of_a_listing_is_named() -> None:
    """`parts` names all objects that the listing itself consists of, and fetches no leaf."""
    shelf = Shelf()
    root = shelf.store(by_path(many(10_000)))
    shelf.fetched.clear()

    assert set(listing.parts(root, shelf.fetch)) == set(shelf.objects)
    assert shelf.fetched == [root]


@given(directories(), directories())
def test_differences_are_those_of_the_two_sets(before: list[Entry], after: list[Entry]) -> None:
    """The difference of two listings is what comparing all entries would give."""
    shelf = Shelf()
    old = {item.path: item for item in before}
    new = {item.path: item for item in after}

    changes = list(listing.differences(shelf.store(before), shelf.store(after), shelf.fetch))

    expected = sorted(path for path in old | new if old.get(path) != new.get(path))
    assert [change.path for change in changes] == expected
    assert all((change.before, change.after) == (old.get(change.path), new.get(change.path)) for change in changes)


def test_a_difference_fetches_only_leaves_that_differ() -> None:
    """One changed file among 20,000: two roots and two leaves are read."""
    shelf = Shelf()
    entries = by_path(many(20_000))
    changed = [entry(item.path, b"x") if number == 7_777 else item for number, item in enumerate(entries)]
    old, new = shelf.store(entries), shelf.store(changed)
    shelf.fetched.clear()

    assert [change.path for change in listing.differences(old, new, shelf.fetch)] == [entries[7_777].path]
    assert len(set(shelf.fetched)) == 4


@given(directories())
def test_a_part_of_a_listing_is_that_folders_own(entries: list[Entry]) -> None:
    """What lies below a folder has the listing that the folder alone would have."""
    shelf = Shelf()
    root = shelf.store(entries)
    for folder in {item.path.rpartition(b"/")[0] for item in entries} - {b""}:
        below = [item for item in entries if item.path.startswith(folder + b"/")]
        alone = [Entry(path=i.path[len(folder) + 1 :], mode=i.mode, digest=i.digest, size=i.size) for i in below]

        assert list(listing.sublisting(root, folder, shelf.fetch)) == alone


def test_a_part_of_a_long_listing_reads_few_leaves() -> None:
    """Of twenty leaves only those are read that can hold the folder."""
    shelf = Shelf()
    root = shelf.store(by_path(many(20_000)))
    shelf.fetched.clear()

    found = list(listing.sublisting(root, b"part-05", shelf.fetch))

    assert len(found) == len([number for number in range(20_000) if number % 37 == 5])
    assert len(set(shelf.fetched)) <= 5


def test_a_part_may_be_a_single_file() -> None:
    """Where the part is a file, its one entry has an empty path."""
    shelf = Shelf()
    root = shelf.store([entry(b"a"), entry(b"a-b"), entry(b"b/c", b"text", listing.EXECUTABLE)])

    assert list(listing.sublisting(root, b"b/c", shelf.fetch)) == [entry(b"", b"text", listing.EXECUTABLE)]
    assert list(listing.sublisting(root, b"b/d", shelf.fetch)) == []


BAD_PATHS = [b"", b"/etc/passwd", b"../x", b"a/../b", b"a//b", b"a/", b"./a", b"a/.", b"..", b"."]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_leave_are_refused(path: bytes) -> None:
    """A listing with an absolute path, a `..` or an empty part is not believed, whoever hashed it."""
    line = b"100644 %b 0 %b\0" % (listing.EMPTY.encode(), path)
    shelf = Shelf()
    root = shelf.put(b"ciml/listing/1 0 1 0\0" + line)

    with pytest.raises(IntegrityError):
        list(listing.entries(root, shelf.fetch))


def _lines(*entries: bytes, files: int | None = None, size: int = 0) -> bytes:
    count = len(entries) if files is None else files
    return b"ciml/listing/1 0 %d %d\0%b" % (count, size, b"".join(item + b"\0" for item in entries))


_NOTHING = listing.EMPTY.encode()

MALFORMED = {
    "not sorted": _lines(b"100644 %b 0 b" % _NOTHING, b"100644 %b 0 a" % _NOTHING),
    "twice": _lines(b"100644 %b 0 a" % _NOTHING, b"100644 %b 0 a" % _NOTHING),
    "below a file": _lines(*(b"100644 %b 0 %b" % (_NOTHING, path) for path in (b"a", b"a-b", b"a/b"))),
    "below a link": _lines(b"120000 %b 0 a" % _NOTHING, b"100644 %b 0 a/b" % _NOTHING),
    "a mode of Git's that is none here": _lines(b"160000 %b 0 a" % _NOTHING),
    "a set-uid mode": _lines(b"104755 %b 0 a" % _NOTHING),
    "a folder with bytes": _lines(b"040000 %b 4 a" % _NOTHING, files=0, size=4),
    "a short digest": _lines(b"100644 %b 0 a" % _NOTHING[1:]),
    "a negative size": _lines(b"100644 %b -1 a" % _NOTHING),
    "a size with a leading zero": _lines(b"100644 %b 00 a" % _NOTHING),
    "wrong number of files": _lines(b"100644 %b 0 a" % _NOTHING, files=2),
    "wrong size": _lines(b"100644 %b 0 a" % _NOTHING, size=1),
    "cut off": _lines(b"100644 %b 0 a" % _NOTHING)[:-1],
    "another version": _lines().replace(b"listing/1", b"listing/2"),
    "empty": b"",
    "a node of itself": b"ciml/listing/1 1 0 0\0%b 0 0 a\0%b 0 0 b\0" % (_NOTHING, _NOTHING),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_listings_are_refused(data: bytes) -> None:
    """What `objects` never writes is an integrity error, not a guess."""
    shelf = Shelf()
    root = shelf.put(data)
    shelf.put(b"")

    with pytest.raises(IntegrityError):
        list(listing.entries(root, shelf.fetch))


def test_any_flipped_byte_is_noticed_or_changes_the_entries() -> None:
    """No byte of a listing can change without changing what is read, or being refused."""
    entries = [entry(b"a", b"1"), entry(b"b/c", b"22", listing.EXECUTABLE), entry(b"d", mode=listing.FOLDER)]
    whole = list(listing.objects(entries))[-1]
    rng = random.Random(5)
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << rng.randrange(8)
        shelf = Shelf()
        root = shelf.put(bytes(data))
        try:
            found = list(listing.entries(root, shelf.fetch))
        except IntegrityError:
            continue
        assert found != entries


def test_a_leaf_that_is_not_what_its_node_says_is_refused() -> None:
    """A node that names another listing's leaf, with other totals, is an integrity error."""
    shelf = Shelf()
    root = shelf.store(by_path(many(5_000)))
    leaf = listing.objects([entry(b"part-00/000000.bin", b"other")])
    head, first, *rest = shelf.objects[root].split(b"\0")
    swapped = shelf.put(next(leaf)).encode() + first[64:]

    with pytest.raises(IntegrityError):
        list(listing.entries(shelf.put(b"\0".join([head, swapped, *rest])), shelf.fetch))


def test_unsorted_entries_cannot_be_listed() -> None:
    """The writer refuses what the reader would refuse."""
    with pytest.raises(IntegrityError):
        list(listing.objects([entry(b"b"), entry(b"a")]))
