"""Tables as polars reads them: real files of every format, and such as nobody can read."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ciml.adapters.tables import Tables, is_table, read_tables
from ciml.core.ids import Digest, RepoPath
from ciml.core.tablefacts import POINTS, ColumnFacts, Facts, NoTable, TableFacts

NAME = RepoPath("data/a.csv")


def read(data: str | bytes, name: str = NAME) -> Facts:
    return read_one(data.encode() if isinstance(data, str) else data, name)


def read_one(source: str | bytes, name: str) -> Facts:
    """The facts of one file, by its path or its bytes."""
    found = read_tables([(source, RepoPath(name))])
    return found if isinstance(found, NoTable) else found[0].facts


def table(data: str | bytes, name: str = NAME) -> TableFacts:
    facts = read(data, name)
    assert isinstance(facts, TableFacts), facts
    return facts


def columns(facts: TableFacts) -> dict[str, ColumnFacts]:
    return {column.name: column for column in facts.columns}


CSV = """\
id,age,share,name,flag,when,none
1,20,0.5,Ada,True,2026-01-01,
2,NA,-1e3,,false,2026-01-02,
3,30,7,"Grace, ""H""
Hopper",TRUE,2026-01-03,null
"""


def test_a_csv() -> None:
    """Types are those that all values can be read as; gaps are what pandas takes for gaps."""
    facts = table(CSV)
    found = columns(facts)
    assert facts.rows == 3
    kinds = {name: (column.kind, column.nulls) for name, column in found.items()}
    assert kinds == {
        "id": ("int", 0),
        "age": ("int", 1),
        "share": ("float", 0),
        "name": ("string", 1),
        "flag": ("bool", 0),
        "when": ("string", 0),
        "none": ("empty", 3),
    }
    assert (found["age"].least, found["age"].greatest) == (20, 30)
    assert (found["share"].least, found["share"].greatest) == (-1000.0, 7.0)
    assert sorted(found["name"].values or ()) == ["Ada", 'Grace, "H"\nHopper']
    assert sorted(found["flag"].values or ()) == [False, True]
    assert found["id"].distribution.values == (1.0, 2.0, 3.0)
    assert all(column.text for column in facts.columns)


def test_a_type_that_only_the_last_row_breaks() -> None:
    """Ten thousand whole numbers and one word are a column of words."""
    rows = [str(number) for number in range(10_000)]
    assert columns(table("x\n" + "\n".join([*rows, "none of it"])))["x"].kind == "string"
    assert columns(table("x\n" + "\n".join([*rows, "0.5"])))["x"].kind == "float"


def test_numbers_that_only_look_so() -> None:
    """What no double can hold is infinite, and counted; NaN is a gap."""
    found = columns(table("x\n1\n1e999\n-inf\nnan\n"))["x"]
    assert (found.kind, found.infinite, found.nulls, found.distribution.rows) == ("float", 2, 1, 1)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(separator: str) -> None:
    """The one that the header has most often, with or without a byte-order mark."""
    text = f"a{separator}b\n1{separator}2\n"
    assert [column.name for column in table("\ufeff" + text).columns] == ["a", "b"]


def test_a_header_and_nothing_else() -> None:
    """Columns without rows."""
    facts = table("a,b\n")
    assert (facts.rows, [column.kind for column in facts.columns]) == (0, ["empty", "empty"])


FRAME = pl.DataFrame(
    {
        "id": [1, 2, None],
        "x": [0.5, float("nan"), 2.0],
        "name": ["a", "b", None],
        "flag": [True, False, None],
        "day": [None, None, None],
        "list": [[1], [2], [3]],
    }
).with_columns(time=pl.datetime(2026, 1, 1))


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n\n3,4\n",
        "a,b\n1,2\n3,4\n\n\n",
        "a,b\r\n1,2\r\n\r\n3,4\r\n\r\n",
        "a,b\n1,2\n\r\n3,4",
        "a,b\n\n\n1,2\n3,4\n\r\n",
        "\n\r\na,b\n1,2\n\n3,4\n",
        "\ufeffa,b\n1,2\n\n3,4\n",
        "\n\na;b\n1;2\n\n3;4\n",
    ],
)
def test_a_blank_line_is_no_row(text: str, tmp_path: Path) -> None:
    """Wherever it stands and however it ends, packed or not, as for pandas and DuckDB."""
    (tmp_path / "a.csv").write_bytes(text.encode())
    for source, name in (
        (text.encode(), "a.csv"),
        (str(tmp_path / "a.csv"), "a.csv"),
        (gzip.compress(text.encode()), "a.csv.gz"),
    ):
        facts = read_one(source, name)
        assert isinstance(facts, TableFacts)
        found = columns(facts)
        assert facts.rows == 2
        assert {key: (column.kind, column.nulls) for key, column in found.items()} == {"a": ("int", 0), "b": ("int", 0)}


def test_blank_lines_that_are_rows_or_values() -> None:
    """A row of empty fields is one, blank lines in quotes are text, and in a single column a blank line is a gap."""
    facts = table('a,b\n,\n\n"x\n\n""y\n\n",2\n\nNA,\n')
    assert facts.rows == 3
    assert {name: column.nulls for name, column in columns(facts).items()} == {"a": 2, "b": 2}
    assert columns(facts)["a"].values == ('x\n\n"y\n\n',)
    single = table("a\n1\n\n2\n\n")
    assert (single.rows, single.columns[0].nulls) == (4, 2)


def test_blank_lines_of_a_large_file(tmp_path: Path) -> None:
    """They are told from empty rows and from quoted text however many batches the file has."""
    with (tmp_path / "a.csv").open("w") as file:
        file.write("a,b\n")
        for _ in range(40_000):
            file.write('1,"two\n\nlines"\n\n,\n\n')
    facts = read_one(str(tmp_path / "a.csv"), NAME)
    assert isinstance(facts, TableFacts)
    assert facts.rows == 80_000
    assert [column.nulls for column in facts.columns] == [40_000, 40_000]


def test_parquet() -> None:
    """Types are the file's own; NaN is a gap."""
    facts = table(parquet(FRAME), "a.parquet")
    assert {name: (column.kind, column.nulls) for name, column in columns(facts).items()} == {
        "id": ("int", 1),
        "x": ("float", 1),
        "name": ("string", 1),
        "flag": ("bool", 1),
        "day": ("empty", 3),
        "list": ("other", 0),
        "time": ("time", 0),
    }
    assert not any(column.text for column in facts.columns)


def test_json_lines() -> None:
    """Keys are columns, also such as come late; a key that is missing is a gap."""
    found = columns(table('{"a": 1}\n{"a": 2, "b": "x"}\n', "a.jsonl"))
    assert {name: (column.kind, column.nulls) for name, column in found.items()} == {
        "a": ("int", 0),
        "b": ("string", 1),
    }


def test_packed() -> None:
    """Compressed text is the same table; compressed Parquet is no format."""
    assert table(gzip.compress(CSV.encode()), "a.csv.gz").rows == 3
    assert columns(table(gzip.compress(b"a;b\n1;2\n"), "a.csv.gz")).keys() == {"a", "b"}
    assert [name for name in ("a.parquet.gz", "a.txt", "csv", "a.csv.zip", "A.CSV", "b.tsv") if is_table(name)] == [
        "A.CSV",
        "b.tsv",
    ]


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "a.csv", "is empty"),
        (b"a,b\n1,2,3\n", "a.csv", "more fields"),
        (b"a,a\n1,2\n", "a.csv", "the column 'a' comes twice"),
        (b"a\n\xff\xfe\n", "a.csv", "utf-8"),
        (b"PAR1 and nothing", "a.parquet", "cannot be read"),
        (b"not json\n", "a.jsonl", "cannot be read"),
        (gzip.compress(CSV.encode())[:-20], "a.csv.gz", "cannot be read"),
        (gzip.compress(CSV.encode())[:2], "a.csv.gz", "cannot be read"),
        (gzip.compress(CSV.encode())[:10] + b"\xff" * 99, "a.csv.gz", "cannot be read"),
    ],
)
def test_what_cannot_be_read(data: bytes, name: str, words: str) -> None:
    """It is no table, and the reason names the file."""
    facts = read(data, f"data/{name}")
    assert isinstance(facts, NoTable)
    assert facts.reason.startswith(f"data/{name}")
    assert words in facts.reason


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """A path that leads nowhere is a reason, not a crash."""
    facts = read_one(str(tmp_path / "gone.csv"), NAME)
    assert isinstance(facts, NoTable)


def test_a_name_that_is_a_pattern(tmp_path: Path) -> None:
    """`*.csv` names a file, and not all of them."""
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "*.csv").write_text("x\n1\n2\n")
    facts = read_one(str(tmp_path / "*.csv"), "*.csv")
    assert isinstance(facts, TableFacts)
    assert facts.rows == 2


_READ = """
import sys
from ciml.adapters.tables import read_tables
facts = read_tables([(sys.argv[1], "a.csv")])[0].facts
own = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
print(facts.rows, len(facts.columns[1].distribution.values), own.split()[1])
"""


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    """A file of 60 MB is read in less memory of one's own than 200 MB, and exactly in its counts and limits."""
    drawn = random.Random(5)
    rows = 600_000
    block = "".join(f"{drawn.gauss(0, 1):.9f},{drawn.random():.9f},{'word' * 18}\n" for _ in range(60_000))
    with (tmp_path / "a.csv").open("w") as file:
        file.write("id,x,name\n")
        for _ in range(rows // 60_000):
            file.write(block)
    words = [sys.executable, "-c", _READ, str(tmp_path / "a.csv")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found, points, own_kb = map(int, done.stdout.split())
    assert found == rows
    assert POINTS // 2 < points <= POINTS
    assert own_kb < 200_000


def test_what_is_kept(tmp_path: Path) -> None:
    """Facts come back as they were; what is damaged or of another version counts as nothing."""
    tables = Tables(str(tmp_path / "tables"))
    name = Digest("ab" * 32)
    assert tables.known(name) is None
    facts = table(CSV)
    tables.keep(name, facts)
    assert tables.known(name) == facts
    [file] = (tmp_path / "tables" / "ab").iterdir()
    file.write_bytes(b"0.0.0\n" + file.read_bytes().partition(b"\n")[2])
    assert tables.known(name) is None
    file.write_bytes(file.read_bytes()[:-3])
    assert tables.known(name) is None


def test_files_with_the_same_columns_are_read_together() -> None:
    """One part for all that are alike, under the name of the first; too many kinds of files are no table."""
    one, two, other = b"a,b\n1,2\n", b"a,b\nx,3\n", b"c\n1\n"
    found = read_tables([(one, RepoPath("1.csv")), (other, RepoPath("2.csv")), (two, RepoPath("3.csv"))])
    assert not isinstance(found, NoTable)
    assert [(part.name, part.facts.files, part.facts.rows) for part in found] == [("1.csv", 2, 2), ("2.csv", 1, 1)]
    assert [column.kind for column in found[0].facts.columns] == ["string", "int"]
    many = [(f"c{number}\n1\n".encode(), RepoPath(f"{number}.csv")) for number in range(17)]
    refused = read_tables(many)
    assert isinstance(refused, NoTable)
    assert refused.reason.startswith("16.csv is the 17th file with columns of its own")


def test_what_was_asked_for_longest_ago_goes_first(tmp_path: Path) -> None:
    """A memory of bounded size; where nothing was added it is not even looked at."""
    folder = tmp_path / "tables"
    tables = Tables(str(folder))
    names = [Digest(f"{number:02}" * 32) for number in range(4)]
    for number, name in enumerate(names):
        tables.keep(name, table(CSV))
        os.utime(folder / name[:2] / name[2:], (number, number))
    assert tables.known(names[0]) is not None
    size = (folder / names[0][:2] / names[0][2:]).stat().st_size
    Tables(str(folder)).trim(0)
    tables.trim(2 * size)
    assert [tables.known(name) is not None for name in names] == [True, False, False, True]


ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "1")) * 400


def test_damaged_files_have_facts_or_a_reason() -> None:
    """However a file is damaged, it is a table or none, and never the end of ciml."""
    drawn = random.Random(11)
    lines = "".join(f'{number},"x{number}"\n' for number in range(50))
    sound = {
        "a.parquet": parquet(FRAME),
        "a.csv": f"a,b\n{lines}".encode(),
        "a.jsonl": b"".join(b'{"a":%d,"b":"x","c":[1]}\n' % number for number in range(30)),
    }
    for _ in range(ROUNDS):
        name = drawn.choice(list(sound))
        data = bytearray(sound[name])
        for _ in range(drawn.choice([1, 2, 10])):
            place = drawn.randrange(len(data))
            match drawn.randrange(3):
                case 0:
                    data[place] = drawn.randrange(256)
                case 1:
                    data[place:place] = drawn.randbytes(4)
                case _:
                    del data[place + 1 : place + drawn.randrange(1, 40)]
        assert isinstance(read(bytes(data), name), TableFacts | NoTable)
