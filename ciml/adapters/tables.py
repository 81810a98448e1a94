"""Tables as polars reads them: CSV, TSV, JSON lines and Parquet, a batch at a time.

A text file knows no types, so every value of a CSV file is looked at: a column is of whole numbers where
all its values can be read so, not where the first hundred can. What pandas takes for a missing
value is one here too: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html (na_values).
A blank line is no row, but where a table has one column: there it is a row without a value.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from ciml import __version__
from ciml.adapters import files
from ciml.core.errors import MissingExtraError
from ciml.core.ids import Digest, RepoPath
from ciml.core.neutralise import harmless_text
from ciml.core.tablefacts import NoTable, Part, TableFacts

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS = ",;\t|"
_TEXT = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_PACKED = (".gz", ".zst")
LARGEST = 1 << 28
"""Bytes of facts that are remembered."""

_DAMAGED = (OSError, ValueError, EOFError, csv.Error, zlib.error)
"""What Python raises for a file that is gone, or for a header that is none."""

_HEAD = 1 << 16
"""Bytes in which a header must end."""

_KINDS = 16
"""Sets of columns that files of one table may have, so that all that disagree can be told."""

_MISSING = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
]  # fmt: skip


class Tables:
    """Reads tables, and remembers in a folder what it read; losing that costs time and nothing else.

    Args:
        folder: it is made when something is written.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._kept = False

    def is_table(self, name: str) -> bool:
        """Whether a file of that name is read as a table."""
        return is_table(name)

    def read(self, files: Iterable[tuple[str | bytes, RepoPath]]) -> tuple[Part, ...] | NoTable:
        """The facts of some files, by path or bytes; MissingExtraError where polars is not installed."""
        return read_tables(files)

    def known(self, name: Digest) -> TableFacts | None:
        """What was kept under a name, by this version of ciml."""
        try:
            with open(self._path(name), "rb") as file:
                version, _, body = file.read().partition(b"\n")
            os.utime(self._path(name))
            return msgspec.msgpack.decode(body, type=TableFacts) if version.decode() == __version__ else None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def keep(self, name: Digest, facts: TableFacts) -> None:
        """Remember facts, all or nothing."""
        try:
            files.write_whole(self._path(name), f"{__version__}\n".encode() + msgspec.msgpack.encode(facts))
            self._kept = True
        except OSError:
            return  # a memory that cannot be kept costs time and nothing else

    def trim(self, largest: int = LARGEST) -> None:
        """Forget what nobody asked for longest, until the rest has no more bytes than that; only where some is new."""
        if not self._kept:
            return
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with suppress(OSError):
                    status = os.stat(f"{folder}/{name}")
                    found.append((status.st_mtime_ns, status.st_size, f"{folder}/{name}"))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= largest:
                return
            with suppress(OSError):
                os.unlink(path)
            total -= size

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder that is gone afterwards."""
        os.makedirs(self._folder, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="tmp-", dir=self._folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, name: Digest) -> str:
        return f"{self._folder}/{name[:2]}/{name[2:]}"


def is_table(name: str) -> bool:
    """Whether a file of that name is read as a table."""
    return _suffix(name) is not None


def _suffix(name: str) -> str | None:
    plain = name.lower()
    for packed in _PACKED:
        plain = plain.removesuffix(packed)
    found = next((suffix for suffix in (*_TEXT, *_LINES, *_PARQUET) if plain.endswith(suffix)), None)
    return None if found in _PARQUET and plain != name.lower() else found


def read_tables(files: Iterable[tuple[str | bytes, RepoPath]]) -> tuple[Part, ...] | NoTable:
    """The facts of some files: together of those that have the same columns, under the name of the first one.

    Where one cannot be read, that is all there is to say.

    Raises:
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise MissingExtraError("reading tables needs polars, which is not installed", extra="data") from error
    from ciml.adapters.tablereader import Reader, blank_lines, empty_rows

    readers: dict[object, tuple[str, Reader]] = {}
    for source, name in files:
        try:
            frame, text = _scan(source, name)
            schema = frame.collect_schema()
            kind = (text, *schema.items())
            if kind not in readers:
                if len(readers) == _KINDS:
                    return NoTable(
                        reason=f"{name} is the {_KINDS + 1}th file with columns of its own: they are no table"
                    )
                readers[kind] = name, Reader(schema, text=text)
            reader = readers[kind][1]
            reader.begin()
            empty = 0
            for batch in frame.collect_batches(maintain_order=False, lazy=True):
                reader.add(batch)
                empty += empty_rows(batch)
            if empty and text and len(schema) > 1:
                # polars makes a row of a blank line, which cannot be told from `,,`: the lines are looked at.
                reader.drop(min(empty, blank_lines(pl.scan_lines(_given(source), glob=False))))
        except pl.exceptions.NoDataError:
            return NoTable(reason=f"{name} is empty")
        except (pl.exceptions.PanicException, pl.exceptions.PolarsError, *_DAMAGED) as error:
            # A panic is how polars fails at some files that are damaged; it is no Exception.
            first = harmless_text(str(error)).strip().partition("\n")[0]
            return NoTable(reason=f"{name} cannot be read: {first}")
    return tuple(Part(name=first, facts=reader.facts()) for first, reader in readers.values())


def _scan(source: str | bytes, name: RepoPath) -> tuple[pl.LazyFrame, bool]:
    """The table, and whether it is text without types."""
    import polars as pl

    suffix = _suffix(name)
    given = _given(source)
    if suffix in _PARQUET:
        return pl.scan_parquet(given, glob=False), False
    if suffix in _LINES:
        return pl.scan_ndjson(given, infer_schema_length=None), False
    header = _header(source, name)
    twice = [column for column, count in Counter(header.columns).items() if count > 1]
    if twice:
        raise ValueError(f"the column {min(twice)!r} comes twice")
    scanned = pl.scan_csv(
        given,
        separator=header.separator,
        infer_schema=False,
        null_values=_MISSING,
        truncate_ragged_lines=False,
        glob=False,
    )
    return scanned, True


def _given(source: str | bytes) -> str | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


class _Header:
    """The first line of a text table."""

    def __init__(self, line: str, *, tabs: bool) -> None:
        self.separator = "\t" if tabs else max(_SEPARATORS, key=line.count)
        self.columns = next(csv.reader([line], delimiter=self.separator), [])


def _header(source: str | bytes, name: RepoPath) -> _Header:
    head = _start(source)
    if head.startswith(b"\x1f\x8b"):
        head = gzip.GzipFile(fileobj=io.BytesIO(head)).read1(_HEAD)
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        head = b""  # zstd: polars reads it, and its header's separator is taken to be the usual one
    line = head.decode("utf-8-sig", "replace").lstrip("\r\n").partition("\n")[0].rstrip("\r")
    return _Header(line, tabs=(_suffix(name) == ".tsv"))


def _start(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:_HEAD]
    with open(source, "rb") as file:
        return file.read(_HEAD)
