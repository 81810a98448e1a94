"""How data is told: sizes, states, differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ciml.app.faults import Faults
from ciml.cli.console import Console
from ciml.core.amounts import bytes_text, files_text, tally_text
from ciml.core.dataset import DataDifference, DataMove, DataState, DataStatus, FileChange, TableDifference
from ciml.core.errors import ExitCode
from ciml.core.ids import RepoPath
from ciml.core.lineage import one_line
from ciml.core.manifest import DVC_SUFFIX

_SHOWN = 20
"""Files of a difference that are named without `-v`."""

_UNTOLD = "differs; in no file that can be told: its listing is not to be had, or only folders are other ones"

_WORDS = {
    DataState.UP_TO_DATE: "up to date",
    DataState.EDITED: "edited",
    DataState.OTHER: "another version, in the store",
    DataState.MISDESCRIBED: "its manifest is wrong about its size or files",
    DataState.NOT_HERE: "not here, in the store",
    DataState.MISSING: "not here, nor in this clone's store",
}


def status_line(item: DataStatus) -> tuple[str, ...]:
    """Path, size and state."""
    notes = [_WORDS[item.state]]
    if item.edited is not None:
        notes[0] += f": {tally_text(item.edited)}"
    if item.at_source is not None:
        notes.append(f"source: {tally_text(item.at_source) if item.at_source.any else 'unchanged'}")
    if item.shared is not None:
        notes.append("pushed" if item.shared else "not pushed")
    return (one_line(item.path), files_text(item.files), bytes_text(item.size), "; ".join(notes))


def show_faults(faults: Faults, console: Console) -> ExitCode:
    """The exit code of the gravest fault; each is printed, with what to do about it."""
    for error in faults.told:
        console.failure(error)
    return faults.code


def move_text(move: DataMove) -> str:
    """`data/raw: 12 files (+2), 1.2 MB (+200.0 kB)`."""
    if move.files_before is None or move.size_before is None:
        return f"{move.path}: new, {files_text(move.files)}, {bytes_text(move.size)}"
    if not move.files:
        return f"{move.path}: gone"
    files, size = move.files - move.files_before, move.size - move.size_before
    sign = "+" if size >= 0 else ""
    return f"{move.path}: {files_text(move.files)} ({files:+,}), {bytes_text(move.size)} ({sign}{bytes_text(size)})"


def hints(found: Sequence[DataStatus], words: Callable[[Iterable[RepoPath]], str]) -> Iterator[str]:
    """What to do about what is not up to date; `words` says how paths are typed."""
    changed = [item for item in found if item.state is DataState.EDITED]
    if pointed := [item.path for item in changed if item.manifest.endswith(DVC_SUFFIX)]:
        yield f"`dvc add {words(pointed)}` takes it as it is now; `ciml data pull --force` puts it back."
    if sourced := [item.path for item in changed if item.source]:
        yield f"`ciml data pull --force {words(sourced)}` puts it back: what comes from S3 is changed there."
    edited = [item.path for item in changed if item.path not in (*pointed, *sourced)]
    if edited:
        yield f"`ciml data update {words(edited)}` takes it as it is now; `pull --force` puts it back."
    if sourced := [item.path for item in found if item.state is DataState.OTHER and item.source]:
        yield f"`ciml data pull {words(sourced)}` puts what the manifest says."
    other = [item.path for item in found if item.state is DataState.OTHER and not item.source]
    if other:
        paths = words(other)
        yield f"`ciml data pull {paths}` puts what the manifest says; `ciml data update {paths}` takes it as it is now."
    wrong = [item.path for item in found if item.state is DataState.MISDESCRIBED]
    if wrong:
        yield f"`ciml data update {words(wrong)}` writes the manifest anew."
    away = [item.path for item in found if item.state is DataState.NOT_HERE]
    if away:
        yield f"`ciml data pull {words(away)}` puts it where it belongs; stages get it without that."
    missing = [item.path for item in found if item.state is DataState.MISSING]
    if missing:
        yield f"`ciml data pull {words(missing)}` fetches it from where it was pushed, or from its source."
    moved = [item.path for item in found if item.at_source is not None and item.at_source.any]
    if moved:
        yield f"`ciml data update {words(moved)}` takes what is at the source now."


def difference_lines(item: DataDifference, *, verbose: bool) -> Iterator[str]:
    """What differs, then a line a file."""
    what = " is new:" if item.before is None else " is gone:" if item.after is None else ":"
    yield f"{one_line(item.path)}{what} {tally_text(item.files) if item.files.any else _UNTOLD}"
    if item.table is not None:
        yield f"  {_table_text(item.table)}"
    shown = item.changes if verbose else item.changes[:_SHOWN]
    for change in shown:
        yield f"  {_mark(change)} {one_line(change.path)}  {_sizes(change)}"
    more = item.files.added + item.files.removed + item.files.changed - len(shown)
    if more > 0:
        yield f"  and {more:,} more"


def _table_text(table: TableDifference) -> str:
    """`rows 1,000 -> 1,200 (+200); columns added: age; lost: id`."""
    before, after = ("no table" if rows is None else f"{rows:,}" for rows in (table.rows_before, table.rows_after))
    text = f"rows {before} -> {after}"
    if table.rows_before is not None and table.rows_after is not None:
        text += f" ({table.rows_after - table.rows_before:+,})"
    columns = [
        f"{word}: {', '.join(names)}"
        for word, names in (("added", table.columns_added), ("lost", table.columns_lost))
        if names
    ]
    return f"{text}; columns {'; '.join(columns)}" if columns else text


def _mark(change: FileChange) -> str:
    return "+" if change.before is None else "-" if change.after is None else "~"


def _sizes(change: FileChange) -> str:
    sizes = [bytes_text(size) for size in (change.before, change.after) if size is not None]
    return " -> ".join(sizes)
