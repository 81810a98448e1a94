"""Objects at a source, and the index that pins them."""

from __future__ import annotations

import pytest

from ciml.core import listing
from ciml.core.errors import ConfigurationError, IntegrityError
from ciml.core.ids import Digest
from ciml.core.listing import Entry
from ciml.core.source import SourceObject, data_entry, files, index_entry, indexed, paired, same_object


def thing(path: str, etag: str = "e", version: str | None = None, size: int = 1) -> SourceObject:
    return SourceObject(path=path.encode(), size=size, etag=etag, version=version, digest=Digest("d" * 64))


@pytest.mark.parametrize("etag", ["e", "0f-2", 'odd "/%\x01', ""])
@pytest.mark.parametrize("version", [None, "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "a.b_c-"])
def test_an_index_says_what_was_pinned(etag: str, version: str | None) -> None:
    """Whatever a service calls its ETags and versions."""
    item = thing("a/b", etag, version)
    assert indexed(index_entry(item)) == item
    assert data_entry(item) == Entry(path=b"a/b", mode=listing.FILE, digest=Digest("d" * 64), size=1)


def test_an_index_is_a_listing() -> None:
    """Its entries are in the files' order, so that it is written, shared and compared as a listing is."""
    items = [thing(name, "e/x", "v") for name in ("a", "a b", "a.b", "a/b", "a0", "b")]
    entries = [index_entry(item) for item in items if item.path != b"a/b"]
    stored = {listing_digest(data): data for data in listing.objects(entries)}
    assert [indexed(entry) for entry in listing.entries([*stored][-1], stored.__getitem__)] == [
        item for item in items if item.path != b"a/b"
    ]


def listing_digest(data: bytes) -> Digest:
    import hashlib

    return Digest(hashlib.sha256(data).hexdigest())


def test_another_listing_is_no_index() -> None:
    """A manifest whose `index` names a listing of files is refused."""
    with pytest.raises(IntegrityError, match="no entry of an index"):
        indexed(Entry(path=b"a.csv", mode=listing.FILE, digest=Digest("d" * 64), size=1))


def test_what_becomes_a_file() -> None:
    """Marks of folders do not; a key that cannot be a path, or is a file and a folder, is exit 3."""
    names = ["", "a", "a.b", "b/", "b/c", "b/c.d/"]
    assert [item.path for item in files(map(thing, names), "s3://x/")] == [b"a", b"a.b", b"b/c"]
    for names, words in (
        (["a", "a.b", "a/b"], "s3://x/a is an object, and others lie below"),
        (["../a"], "holds `.` or `..`"),
        (["a\x01b"], "holds a control"),
        (["a//b"], "has an empty part"),
    ):
        with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")):
            list(files(map(thing, names), "s3://x/"))


def test_pairs() -> None:
    """What was beside what is, path by path."""
    before, now = [thing("a"), thing("b"), thing("d")], [thing("b", "new"), thing("c"), thing("d")]
    found = list(paired(iter(before), iter(now)))
    assert [(old and old.path, new and new.path) for old, new in found] == [
        (b"a", None),
        (b"b", b"b"),
        (None, b"c"),
        (b"d", b"d"),
    ]
    assert [same_object(old, new) for old, new in found if old and new] == [False, True]
    assert not same_object(thing("a"), thing("a", size=2))
