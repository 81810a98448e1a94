"""What arrived, as a commit's message and a pull request tell it."""

from __future__ import annotations

from ciml.core.arrival import Arrival, TableShift, arrival, lines, markdown, message, table_shift, title
from ciml.core.dataset import FileChange, Tally
from ciml.core.ids import Digest, RepoPath
from ciml.core.manifest import Manifest
from ciml.core.tablefacts import ColumnFacts, Distribution, Kind, NoTable, TableFacts

ONE, TWO = Digest("1" * 64), Digest("2" * 64)


def manifest(digest: Digest, files: int = 2, path: str = "data/raw") -> Manifest:
    return Manifest(
        file=RepoPath(f"{path}.manifest.yaml"),
        path=RepoPath(path),
        digest=digest,
        size=files * 1000,
        files=files,
        directory=True,
        source="s3://acme/raw/",
    )


def told(changed: Tally | None = None, **more: object) -> Arrival:
    changed = Tally(added=1, bytes_added=1000) if changed is None else changed
    found = arrival(manifest(ONE), manifest(TWO, 3), changed, [])
    return Arrival(**{field: getattr(found, field) for field in found.__struct_fields__} | more)


def column(name: str, kind: Kind = "int", *values: float) -> ColumnFacts:
    count = len(values)
    points = Distribution(values=values, below=tuple(range(count)), upto=tuple(range(1, count + 1)))
    return ColumnFacts(name=name, kind=kind, distribution=points)


def test_a_title_and_a_message() -> None:
    """One manifest is told in the title, several are named; the message has a line for each thing."""
    assert title([told()]) == "data: data/raw: 1 added (+1.0 kB, -0 bytes)"
    two = [told(), Arrival(**{**{n: getattr(told(), n) for n in Arrival.__struct_fields__}, "path": RepoPath("b")})]
    assert title(two) == "data: data/raw, b"
    assert message([told()]) == (
        "data: data/raw: 1 added (+1.0 kB, -0 bytes)\n\n"
        "data/raw from s3://acme/raw/: 1 added (+1.0 kB, -0 bytes), now 3 files, 3.0 kB\n"
    )


def test_totals_alone() -> None:
    """Where nobody has the listing of before, what was there in all is told."""
    found = arrival(manifest(ONE), manifest(TWO, 3), None)
    assert title([found]) == "data: data/raw: 3 files, 3.0 kB; 2 files, 2.0 kB before"
    assert "| `data/raw` | 3 (2 before) | 3.0 kB (2.0 kB before) | – | – |" in markdown([found])


def test_the_same_bytes_again() -> None:
    """A manifest that must be written for its pins alone says so."""
    found = arrival(manifest(ONE), manifest(ONE), Tally())
    assert "written again, with the same bytes" in title([found])


BEFORE = TableFacts(
    rows=4, columns=(column("age", "int", 1.0, 2.0, 3.0, 4.0), column("name", "string"), column("old", "int", 1.0))
)


def test_a_table_s_shift() -> None:
    """What breaks: columns that are gone or of another type, each once, and where files disagree."""
    after = TableFacts(
        rows=6,
        columns=(column("age", "string"), column("name", "int", 1.0), column("new", "bool")),
        breaks=("b.csv lacks the column 'age'",),
    )
    shift = table_shift(BEFORE, after)
    assert shift.breaks == (
        "the column age was int and is string",
        "the column old is gone",
        "the column name was string and is int",
        "b.csv lacks the column 'age'",
    )
    assert (shift.rows_before, shift.rows_after, shift.columns_added, shift.shifts) == (4, 6, ("new",), ())


def test_a_column_of_gaps_breaks_nothing() -> None:
    """A column that had no value yet, or has none now, states no type to break."""
    before = TableFacts(rows=1, columns=(column("a", "empty"), column("b", "string")))
    after = TableFacts(rows=1, columns=(column("a", "int", 1.0), column("b", "empty")))
    assert table_shift(before, after).breaks == ()


def test_no_table_before() -> None:
    """A first table has rows and nothing to compare with."""
    for before in (None, NoTable(reason="x")):
        assert table_shift(before, BEFORE) == TableShift(rows_before=None, rows_after=4)


def test_breaks_come_first() -> None:
    """In a pull request a heading of their own, in a message before notes, rows and shifts."""
    item = told(
        note="noted", table=table_shift(BEFORE, TableFacts(rows=9, columns=(column("age", "int", 3.0, 4.0, 5.0, 6.0),)))
    )
    text = markdown([item])
    assert text.startswith("### Schema breaks\n\n- `data/raw`: the column old is gone\n")
    assert "| `age` | 13.6 | " in text or "| `age` |" in text
    rows = list(lines(item))
    assert rows[1] == "  breaks: the column old is gone"
    assert rows[3:5] == ["  noted", "  rows: 4 -> 9 (+5)"]


def test_many_files_are_counted() -> None:
    """Twenty are named, all are counted; what was removed and changed is told as such."""
    changes = [FileChange(path=RepoPath(f"data/raw/{n}"), before=None, after=5) for n in range(30)]
    some = [
        FileChange(path=RepoPath("data/raw/x"), before=7, after=None),
        FileChange(path=RepoPath("data/raw/y"), before=7, after=8),
    ]
    text = markdown([told(Tally(added=30), changes=tuple(changes))])
    assert "<summary>30 files</summary>" in text
    assert "- and 10 more" in text
    text = markdown([told(Tally(removed=1, changed=1), changes=tuple(some))])
    assert "- removed `data/raw/x`" in text
    assert "- changed `data/raw/y`, 7 bytes → 8 bytes" in text


def test_a_note() -> None:
    """Why nothing is said of a table stands in both."""
    item = told(note="its table was not read: <b>gone</b>")
    assert "its table was not read" in message([item])
    assert "<b>" not in markdown([item]).replace("\\<b>", "")
