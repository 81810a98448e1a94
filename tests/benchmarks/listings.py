"""`python -m tests.benchmarks.listings WHAT STORE`: a listing of a million files, written whole or with one more."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ciml.adapters.stores.local import LocalStore
from ciml.core import listing
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry

ENTRIES, CHANGED = "all", "one-more"
_FILES = 1_000_000


def main(what: str, root: str) -> None:
    """Write the listing, and say how many bytes the store has more."""
    before = _objects(root)
    store = LocalStore(root)
    store.put_listing(_entries(one_more=what == CHANGED), name=RepoPath("data"))
    store.close()
    new = {name: size for name, size in _objects(root).items() if name not in before}
    print(f"{len(new)} new objects, {sum(new.values()):,} bytes of {sum(_objects(root).values()):,}")
    if what == CHANGED:
        for name in new:
            (Path(root) / "objects" / name).unlink()


def _entries(*, one_more: bool) -> Iterator[Entry]:
    for number in range(_FILES):
        path = b"%03d/%06d.csv" % (number // 1000, number)
        yield _entry(path)
        if one_more and number == _FILES // 2:
            yield _entry(path + b".new")


def _entry(path: bytes) -> Entry:
    return Entry(path=path, mode=listing.FILE, digest=Digest(hashlib.sha256(path).hexdigest()), size=len(path))


def _objects(root: str) -> dict[str, int]:
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in (Path(root) / "objects").glob("*/*")}


if __name__ == "__main__":
    main(*sys.argv[1:])
