"""The objects that a manifest's data comes from, and the index that pins them.

An index is a listing like that of a directory (`ciml.core.listing`), in which a path carries, behind a byte
that no key may hold, the ETag and the version of the object: `a.csv\\1ETAG\\1VERSION`. So it is cut, shared
between versions, compared and collected like any other listing, and its entries have the order of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from ciml.core import listing
from ciml.core.errors import ConfigurationError, IntegrityError
from ciml.core.ids import Digest
from ciml.core.listing import Entry
from ciml.core.s3 import object_fault
from ciml.core.value import Value

_END = b"\1"


class SourceObject(Value, frozen=True, kw_only=True, gc=False):
    """One object at a source."""

    path: bytes
    """Below the source's prefix; b"" for the one object that is the whole source."""
    size: int
    """Bytes."""
    etag: str
    """Without quotes."""
    version: str | None = None
    """None where the bucket has no versions, or where it was not asked."""
    digest: Digest | None = None
    """SHA-256 of its bytes; None where it is not known yet."""


def index_entry(item: SourceObject) -> Entry:
    """The entry of an index for an object whose digest is known."""
    assert item.digest is not None, "what is not identified is in no index"
    pin = _END.join((item.path, quote(item.etag, safe="").encode(), quote(item.version or "", safe="").encode()))
    return Entry(path=pin, mode=listing.FILE, digest=item.digest, size=item.size)


def indexed(entry: Entry) -> SourceObject:
    """The object that an entry of an index pins.

    Raises:
        IntegrityError: it is no such entry.
    """
    parts = entry.path.split(_END)
    if len(parts) != 3 or entry.mode != listing.FILE:
        raise IntegrityError(
            f"{entry.path[:200]!r} is no entry of an index of objects",
            hint="`index` in the manifest names another listing; `ciml data update` writes it anew.",
        )
    etag, version = (unquote(part.decode("ascii", "replace")) for part in parts[1:])
    return SourceObject(path=parts[0], size=entry.size, etag=etag, version=version or None, digest=entry.digest)


def data_entry(item: SourceObject) -> Entry:
    """The entry of the data's own listing for an object whose digest is known."""
    assert item.digest is not None, "what is not identified is in no listing"
    return Entry(path=item.path, mode=listing.FILE, digest=item.digest, size=item.size)


def same_object(one: SourceObject, other: SourceObject) -> bool:
    """Whether two looks at a source have seen the same bytes."""
    return (one.etag, one.size) == (other.etag, other.size)


def files(objects: Iterable[SourceObject], address: str) -> Iterator[SourceObject]:
    """The objects that become files, in order: those that clients write to mark a folder do not.

    Raises:
        ConfigurationError: a key cannot be a path, or is one object and the folder of others.
    """
    around: list[bytes] = []
    for item in objects:
        path = item.path
        if not path or path.endswith(b"/"):
            continue
        if fault := object_fault(path.decode("utf-8", "surrogateescape")):
            raise ConfigurationError(
                f"{address}{path.decode('utf-8', 'replace')!r} {fault}, so it can be no file here",
                hint="Rename the object, or name a narrower prefix as the source.",
            )
        while around and not path.startswith(around[-1]):
            around.pop()
        for above in around:
            if path.startswith(b"/", len(above)):
                name = f"{address}{above.decode('utf-8', 'replace')}"
                raise ConfigurationError(
                    f"{name} is an object, and others lie below {name}/: no directory can hold both",
                    hint="Rename one of them, or name a narrower prefix as the source.",
                )
        around.append(path)
        yield item


def paired(
    before: Iterator[SourceObject], now: Iterator[SourceObject]
) -> Iterator[tuple[SourceObject | None, SourceObject | None]]:
    """What was and what is, path by path; both are sorted."""
    left, right = next(before, None), next(now, None)
    while left or right:
        if left and (right is None or left.path < right.path):
            yield left, None
            left = next(before, None)
        elif right and (left is None or right.path < left.path):
            yield None, right
            right = next(now, None)
        else:
            yield left, right
            left, right = next(before, None), next(now, None)
