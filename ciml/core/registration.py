"""Exactly one version per recipe: the steps of one writer, and what it learns from each.

The registry offers no atomic "create unless it is there", its answers get lost, and writers are
killed. So its rows are tentative, and the one act that counts is the ledger's compare-and-swap:

1. Read the ledger. If the recipe has a version: sweep what nobody named, finish.
2. Search the registry for rows of the recipe; take the lowest whose files are what they should be.
3. If there is none, create one. Whatever is uncertain about that leads back to 1.
4. Append a record that names the row. Whatever the answer is, go to 1: only what is read back counts.

Duplicate rows can come to be, but they can never be named; there is no lease and no clock. The
nonce in the record tells a writer whether the record that it reads is its own.

`next_step` and `learned` are the whole protocol, so a test walks every interleaving of several
writers, lost answers and kills over exactly what is shipped.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from ciml.core.value import Value


class Claim(Value, frozen=True, kw_only=True):
    """The ledger's record for a recipe: a version, and the nonce of whoever wrote it."""

    version: int
    nonce: str


class Seen(Value, frozen=True, kw_only=True, tag=True):
    """What reading the ledger showed."""

    head: str
    """The state that was read: a record is appended to this one or not at all."""
    claim: Claim | None
    """The record of the recipe."""
    twin: int | None = None
    """The registered version with the same bytes, made under another recipe."""


class Found(Value, frozen=True, kw_only=True, tag=True):
    """What searching the registry showed."""

    row: int | None
    """The lowest row of the recipe whose files verify."""


class Created(Value, frozen=True, kw_only=True, tag=True):
    """The registry's answer to a request for a new row."""

    row: int | None
    """None when there was no answer to rely on: the row may be there, may come, or may not."""


class Written(Value, frozen=True, kw_only=True, tag=True):
    """An attempt to append a record ended. How, is deliberately not said."""


class Swept(Value, frozen=True, kw_only=True, tag=True):
    """Rows that no record names are gone, as far as there were any."""


Answer = Seen | Found | Created | Written | Swept


class ReadLedger(Value, frozen=True, kw_only=True, tag=True):
    """Read the ledger, from its source."""


class SearchRows(Value, frozen=True, kw_only=True, tag=True):
    """Search the registry for rows of the recipe."""


class CreateRow(Value, frozen=True, kw_only=True, tag=True):
    """Ask the registry for a tentative row, once."""


class WriteRecord(Value, frozen=True, kw_only=True, tag=True):
    """Append the record that names `version` to the ledger whose head is `head`."""

    head: str
    version: int
    adopts: bool
    """The version has the same bytes under another recipe."""


class SweepRows(Value, frozen=True, kw_only=True, tag=True):
    """Remove the recipe's tentative rows other than `keep`, which the record names."""

    keep: int


class Finish(Value, frozen=True, kw_only=True, tag=True):
    """The recipe's version is known."""

    version: int
    created: bool
    """By this writer."""


class GiveUp(Value, frozen=True, kw_only=True, tag=True):
    """Too many attempts failed; the same command again goes on where this one stopped."""


Step = ReadLedger | SearchRows | CreateRow | WriteRecord | SweepRows | Finish | GiveUp


class Writer(Value, frozen=True, kw_only=True):
    """All that one writer knows. A killed writer forgets it, and nothing depends on that."""

    nonce: str
    creates: int = 3
    """Rows that it may still ask for."""
    writes: int = 24
    """Records that it may still try to append: each lost race means that another writer won one."""
    seen: Seen | None = None
    found: Found | None = None
    swept: bool = False


def next_step(writer: Writer) -> Step:
    """What this writer does now."""
    seen = writer.seen
    if seen is None:
        return ReadLedger()
    if seen.claim is not None:
        if not writer.swept:
            return SweepRows(keep=seen.claim.version)
        return Finish(version=seen.claim.version, created=seen.claim.nonce == writer.nonce)
    if writer.writes == 0:
        return GiveUp()
    if seen.twin is not None:
        return WriteRecord(head=seen.head, version=seen.twin, adopts=True)
    if writer.found is None:
        return SearchRows()
    if writer.found.row is not None:
        return WriteRecord(head=seen.head, version=writer.found.row, adopts=False)
    return CreateRow() if writer.creates else GiveUp()


def learned(writer: Writer, answer: Answer) -> Writer:
    """The writer after an answer."""
    match answer:
        case Seen():
            return msgspec.structs.replace(writer, seen=answer)
        case Found():
            return msgspec.structs.replace(writer, found=answer)
        case Created(row=None):
            return _forget(writer, creates=writer.creates - 1)
        case Created(row=row):
            return msgspec.structs.replace(writer, found=Found(row=row), creates=writer.creates - 1)
        case Written():
            return _forget(writer, writes=writer.writes - 1)
        case Swept():
            return msgspec.structs.replace(writer, swept=True)
    assert_never(answer)


def _forget(writer: Writer, *, creates: int | None = None, writes: int | None = None) -> Writer:
    """The writer at step 1 again."""
    return Writer(
        nonce=writer.nonce,
        creates=writer.creates if creates is None else creates,
        writes=writer.writes if writes is None else writes,
    )
