"""What an output consists of: the objects that a store must have for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ciml.core import listing
from ciml.core.ids import Digest
from ciml.core.listing import Fetch
from ciml.core.results import Output


def objects_of(output: Output, fetch: Fetch) -> Iterator[Digest]:
    """Every object of a file or directory: of a directory the listing's own come first, then the files' bytes."""
    if not output.directory:
        yield output.digest
        return
    yield from listing.parts(output.digest, fetch)
    for entry in listing.entries(output.digest, fetch):
        if entry.mode != listing.FOLDER:
            yield entry.digest


def objects_of_all(outputs: Iterable[Output], fetch: Fetch) -> Iterator[Digest]:
    """Every object of several outputs."""
    for output in outputs:
        yield from objects_of(output, fetch)
