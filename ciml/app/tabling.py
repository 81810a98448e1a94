"""The facts of a table in the store: of one file, or of all files of a directory, read once in their life."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Protocol

from ciml.app.ports import Store
from ciml.core import listing
from ciml.core.ids import Digest, RepoPath
from ciml.core.key import digest
from ciml.core.listing import Entry
from ciml.core.results import Output
from ciml.core.tablefacts import Adding, Facts, NoTable, Part, TableFacts, with_others

FORMATS = "CSV, TSV, JSON lines or Parquet"

_LARGE = 1 << 20
"""Bytes from which a file's facts are remembered by themselves, and not only those of all around it."""

_IN_MEMORY = 1 << 23
"""Bytes up to which a file is handed on as it was verified, and not by way of a file."""


class Tables(Protocol):
    """Reads tables, and remembers what it read."""

    def is_table(self, name: str) -> bool:
        """Whether a file of that name is read as a table."""
        ...

    def read(self, files: Iterable[tuple[str | bytes, RepoPath]]) -> tuple[Part, ...] | NoTable:
        """The facts of some files, by path or bytes: together of those that have the same columns, by the first one."""
        ...

    def known(self, name: Digest) -> TableFacts | None:
        """What was kept under a name."""
        ...

    def keep(self, name: Digest, facts: TableFacts) -> None:
        """Remember facts."""
        ...

    def scratch(self) -> AbstractContextManager[str]:
        """A folder that is gone afterwards."""
        ...


def facts_of(output: Output, store: Store, tables: Tables) -> Facts:
    """The facts of a file or a directory whose bytes the store can give.

    A directory is one table in many files; files that are no tables do not count. What did not change
    since its facts were read is not read again: of a directory that is about a thousand files at a
    time, since the facts of each part of its listing are kept.

    Raises:
        IntegrityError: bytes are gone, or damaged.
    """
    if output.directory:
        return _of_directory(output, store, tables)
    entry = Entry(path=b"", mode=listing.FILE, digest=output.digest, size=output.size)
    return _of_file(entry, output.path, store, tables)


def known_facts(output: Output, tables: Tables) -> TableFacts | None:
    """The facts of a file or a directory where they were read before; None where they were not."""
    return tables.known(_name(output.digest, "directory" if output.directory else output.path))


def _name(content: Digest, path: str) -> Digest:
    """What facts are kept under: the same bytes under another ending are another table."""
    return digest("ciml/table/1", content, path.rpartition(".")[2].lower())


def _of_directory(output: Output, store: Store, tables: Tables) -> Facts:
    name = _name(output.digest, "directory")
    if (kept := tables.known(name)) is not None:
        return kept
    adding, others = Adding(), 0
    for leaf in listing.leaves(output.digest, store.read):
        facts = _of_leaf(leaf.digest, output.path, store, tables)
        if isinstance(facts, NoTable):
            return facts
        if facts.files:
            adding.add(Part(name=os.fsdecode(leaf.first), facts=facts))
        else:
            others += facts.others
    found = with_others(adding.total(), others)
    if not found.files:
        return NoTable(reason=f"{output.path} holds no table: no file is {FORMATS}")
    tables.keep(name, found)
    return found


def _of_leaf(leaf: Digest, path: RepoPath, store: Store, tables: Tables) -> Facts:
    name = _name(leaf, "leaf")
    if (kept := tables.known(name)) is not None:
        return kept
    files = [entry for entry in listing.entries(leaf, store.read) if entry.mode in (listing.FILE, listing.EXECUTABLE)]
    wanted = [entry for entry in files if tables.is_table(os.fsdecode(entry.path))]
    adding = Adding()
    for part in _parts(wanted, path, store, tables):
        if isinstance(part, NoTable):
            return part
        adding.add(part)
    found = with_others(adding.total(), len(files) - len(wanted))
    tables.keep(name, found)
    return found


def _parts(entries: Sequence[Entry], path: RepoPath, store: Store, tables: Tables) -> Iterator[Part | NoTable]:
    """Facts that add up to those of all files: large ones each by itself, small ones with all that are alike."""
    for small, group in groupby(entries, lambda entry: entry.size < _LARGE):
        if small:
            yield from _of_small(list(group), path, store, tables)
        else:
            for entry in group:
                below = os.fsdecode(entry.path)
                facts = _of_file(entry, RepoPath(f"{path}/{below}"), store, tables)
                yield facts if isinstance(facts, NoTable) else Part(name=below, facts=facts)


def _of_small(entries: Sequence[Entry], path: RepoPath, store: Store, tables: Tables) -> Iterator[Part | NoTable]:
    sources = ((store.read(entry.digest), RepoPath(f"{path}/{os.fsdecode(entry.path)}")) for entry in entries)
    found = tables.read(sources)
    if isinstance(found, NoTable):
        yield found
        return
    for part in found:
        yield Part(name=part.name.removeprefix(f"{path}/"), facts=part.facts)


def _of_file(entry: Entry, path: RepoPath, store: Store, tables: Tables) -> Facts:
    if not tables.is_table(path):
        return NoTable(reason=f"{path} is no table: it is none of {FORMATS}")
    name = _name(entry.digest, path)
    if (entry.size >= _LARGE or not entry.path) and (kept := tables.known(name)) is not None:
        return kept
    facts = _looked_at(entry, path, store, tables)
    if isinstance(facts, TableFacts) and (entry.size >= _LARGE or not entry.path):
        tables.keep(name, facts)
    return facts


def _looked_at(entry: Entry, path: RepoPath, store: Store, tables: Tables) -> Facts:
    if entry.size <= _IN_MEMORY:
        return _one(tables.read([(store.read(entry.digest), path)]))
    with tables.scratch() as folder:
        target = f"{folder}/table"
        store.materialise(Output(path=path, digest=entry.digest, size=entry.size), target, link=True, read_only=True)
        return _one(tables.read([(target, path)]))


def _one(found: tuple[Part, ...] | NoTable) -> Facts:
    return found if isinstance(found, NoTable) else found[0].facts
