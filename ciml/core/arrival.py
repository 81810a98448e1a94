"""Data that arrived at its source: what it changes, as a commit's message and a pull request tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ciml.core.amounts import bytes_text, files_text, tally_text
from ciml.core.dataset import FileChange, Tally
from ciml.core.drift import Shift, lost, shifts
from ciml.core.ids import Digest, RepoPath
from ciml.core.manifest import Manifest
from ciml.core.markdown.text import code, inline
from ciml.core.tablefacts import Facts, NoTable, TableFacts
from ciml.core.value import Value

_NAMED = 10
"""Files, columns and breaks that a pull request names; it counts all."""


class TableShift(Value, frozen=True, kw_only=True):
    """How the table behind a manifest moved."""

    rows_before: int | None
    """None where there was no table."""
    rows_after: int
    breaks: tuple[str, ...] = ()
    """What no stage expects: columns lost, of another type, files that disagree. One sentence each."""
    columns_added: tuple[str, ...] = ()
    shifts: tuple[Shift, ...] = ()
    """Of every numeric column that was there before, the one that moved most first."""


class Arrival(Value, frozen=True, kw_only=True):
    """What arrived for one manifest."""

    path: RepoPath
    manifest: RepoPath
    source: str
    before: Digest
    after: Digest
    files: int
    """In all, as it is now."""
    size: int
    """Bytes in all."""
    files_before: int
    size_before: int
    changed: Tally | None
    """None where the listing of before cannot be had, and only the totals can be compared."""
    changes: tuple[FileChange, ...] = ()
    """The first of them, sorted by path."""
    table: TableShift | None = None
    """None where it is no table, or was not read."""
    note: str = ""
    """Why nothing is said of a table, where that is worth a word."""


def arrival(before: Manifest, after: Manifest, changed: Tally | None, changes: Sequence[FileChange] = ()) -> Arrival:
    """What a new manifest says beside the one before; `changed` is None where that cannot be told file by file."""
    return Arrival(
        path=after.path,
        manifest=after.file,
        source=after.source or "",
        before=before.digest,
        after=after.digest,
        files=after.files,
        size=after.size,
        files_before=before.files,
        size_before=before.size,
        changed=changed,
        changes=tuple(changes),
    )


def table_shift(before: Facts | None, after: TableFacts) -> TableShift:
    """How a table moved; `before` is None, or no table, where there was none."""
    if before is None or isinstance(before, NoTable):
        return TableShift(rows_before=None, rows_after=after.rows, breaks=after.breaks)
    known = before.by_name
    return TableShift(
        rows_before=before.rows,
        rows_after=after.rows,
        breaks=(*_breaks(before, after), *after.breaks),
        columns_added=tuple(column.name for column in after.columns if column.name not in known),
        shifts=shifts(before, after),
    )


def _breaks(before: TableFacts, after: TableFacts) -> Iterator[str]:
    numeric = lost(before, after)
    yield from (f"the column {clause}" for clause in numeric)
    there = after.by_name
    for column in before.columns:
        now = there.get(column.name)
        if now is None:
            clause = f"{column.name} is gone"
        elif now.kind != column.kind and "empty" not in (now.kind, column.kind):
            clause = f"{column.name} was {column.kind} and is {now.kind}"
        else:
            continue
        if clause not in numeric:
            yield f"the column {clause}"


# Telling.


def title(arrivals: Sequence[Arrival]) -> str:
    """The first line of a commit: `data: raw: 3 added (+1.2 MB, -0 bytes)`."""
    if len(arrivals) == 1:
        [one] = arrivals
        now = f"{files_text(one.files)}, {bytes_text(one.size)}; " if one.changed is None else ""
        return f"data: {one.path}: {now}{_changed(one)}"[:200]
    return f"data: {', '.join(item.path for item in arrivals)}"[:200]


def _changed(item: Arrival) -> str:
    if item.changed is None:
        return f"{files_text(item.files_before)}, {bytes_text(item.size_before)} before"
    return tally_text(item.changed) if item.before != item.after else "written again, with the same bytes"


def message(arrivals: Sequence[Arrival]) -> str:
    """The whole message of a commit."""
    return "\n".join([title(arrivals), "", *(line for item in arrivals for line in lines(item)), ""])


def lines(item: Arrival) -> Iterator[str]:
    """What arrived, in plain text: what breaks comes first."""
    now = f"now {files_text(item.files)}, {bytes_text(item.size)}"
    yield f"{item.path} from {item.source}: {_changed(item)}, {now}"
    table = item.table
    for text in table.breaks if table else ():
        yield f"  breaks: {text}"
    if item.note:
        yield f"  {item.note}"
    if table is None:
        return
    yield f"  rows: {_rows(table)}"
    if table.columns_added:
        yield f"  columns added: {', '.join(table.columns_added)}"
    if table.shifts:
        told = [f"{found.column} {found.psi:.3g}" for found in table.shifts[:_NAMED]]
        yield f"  distribution shift (PSI): {', '.join(told)}{_more(len(table.shifts))}"


def _rows(table: TableShift) -> str:
    if table.rows_before is None:
        return f"{table.rows_after:,}"
    return f"{table.rows_before:,} -> {table.rows_after:,} ({table.rows_after - table.rows_before:+,})"


def _more(count: int) -> str:
    return f", and {count - _NAMED} more" if count > _NAMED else ""


def markdown(arrivals: Sequence[Arrival]) -> str:
    """The body of a pull request: what breaks first, then a table, then columns and files."""
    out: list[str] = []
    broken = [(item, text) for item in arrivals for text in (item.table.breaks if item.table else ())]
    if broken:
        out += ["### Schema breaks", ""]
        out += [f"- {code(item.path)}: {inline(text)}" for item, text in broken[: 3 * _NAMED]]
        out += [*([f"- and {len(broken) - 3 * _NAMED} more"] if len(broken) > 3 * _NAMED else []), ""]
    out += ["| data | files | bytes | rows | columns |", "|---|---|---|---|---|"]
    out += [_row(item) for item in arrivals]
    for item in arrivals:
        out += ["", *_of_one(item)]
    out += ["", "Opened by `ciml data sync`: only manifests change. Merging it runs the pipeline on this data.", ""]
    return "\n".join(out)


def _row(item: Arrival) -> str:
    table = item.table
    columns = f"{len(table.columns_added)} added" if table and table.columns_added else "–"
    files, size = f"({item.files_before:,} before)", f"({bytes_text(item.size_before)} before)"
    if (changed := item.changed) is not None:
        files = f"(+{changed.added:,} −{changed.removed:,} ~{changed.changed:,})"
        size = f"(+{bytes_text(changed.bytes_added)} −{bytes_text(changed.bytes_removed)})"
    cells = [
        code(item.path),
        f"{item.files:,} {files}",
        f"{bytes_text(item.size)} {size}",
        _rows(table) if table else "–",
        columns,
    ]
    return f"| {' | '.join(cells)} |"


def _of_one(item: Arrival) -> Iterator[str]:
    yield f"**{inline(item.path)}** from {code(item.source)}"
    if item.note:
        yield ""
        yield inline(item.note)
    table = item.table
    if table and table.columns_added:
        yield ""
        new = ", ".join(code(name) for name in table.columns_added[:_NAMED])
        yield f"New columns: {new}{_more(len(table.columns_added))}"
    if table and table.shifts:
        yield from ("", "| column | PSI | by chance |", "|---|---|---|")
        for found in table.shifts[:_NAMED]:
            yield f"| {code(found.column)} | {found.psi:.3g} | {found.by_chance:.2g} |"
        if len(table.shifts) > _NAMED:
            yield f"| and {len(table.shifts) - _NAMED} more, which moved less | | |"
    if item.changes and item.changed is not None:
        count = item.changed.added + item.changed.removed + item.changed.changed
        yield from ("", f"<details><summary>{count:,} files</summary>", "")
        yield from (f"- {_change(change)}" for change in item.changes[: 2 * _NAMED])
        if count > 2 * _NAMED:
            yield f"- and {count - 2 * _NAMED:,} more"
        yield from ("", "</details>")


def _change(change: FileChange) -> str:
    if change.before is None:
        return f"added {code(change.path)}, {bytes_text(change.after or 0)}"
    if change.after is None:
        return f"removed {code(change.path)}"
    return f"changed {code(change.path)}, {bytes_text(change.before)} → {bytes_text(change.after)}"
