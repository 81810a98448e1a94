"""What is known to lie in a shared store, so that pushing it again costs nothing.

It lies in a file of this clone, which may be deleted at any time. What was learned before the last
collection of garbage removed something is forgotten.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from ciml.adapters.batched import batched
from ciml.core.ids import Digest

_MANY = 500
"""Names in one question."""

T = TypeVar("T")

_TABLES = """
    CREATE TABLE IF NOT EXISTS objects (digest BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS emptied (generation INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS disowned (before INTEGER NOT NULL);
"""


class Known:
    """The memory of one shared store. Threads and processes may share it.

    Args:
        file: where it lies.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def since(self, emptied: int) -> None:
        """Forget what was learned before the collection of that number, which removed something."""

        def look(database: sqlite3.Connection) -> None:
            row = database.execute("SELECT generation FROM emptied").fetchone()
            if row is None or row[0] != emptied:
                database.execute("DELETE FROM objects")
                database.execute("DELETE FROM records")
                database.execute("DELETE FROM emptied")
                database.execute("INSERT INTO emptied VALUES (?)", (emptied,))

        self._do(look, None)

    def objects(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of the objects that are known to be there."""

        def ask(database: sqlite3.Connection) -> set[Digest]:
            found: set[Digest] = set()
            for some in batched(digests, _MANY):
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT digest FROM objects WHERE digest IN ({marks})", [bytes.fromhex(digest) for digest in some]
                )
                found.update(Digest(row[0].hex()) for row in rows)
            return found

        return self._do(ask, set())

    def add(self, digests: Iterable[Digest]) -> None:
        """Remember that these objects are there."""
        rows = [(bytes.fromhex(digest),) for digest in digests]
        self._do(lambda database: database.executemany("INSERT OR IGNORE INTO objects VALUES (?)", rows), None)

    def forget(self, digest: Digest) -> None:
        """An object is not there after all."""
        row = (bytes.fromhex(digest),)
        self._do(lambda database: database.execute("DELETE FROM objects WHERE digest = ?", row), None)

    def has_record(self, name: str) -> bool:
        """Whether a record is known to have been published."""

        def ask(database: sqlite3.Connection) -> bool:
            return database.execute("SELECT 1 FROM records WHERE name = ?", (name,)).fetchone() is not None

        return self._do(ask, False)

    def add_record(self, name: str) -> None:
        """Remember that a record was published."""
        self._do(lambda database: database.execute("INSERT OR IGNORE INTO records VALUES (?)", (name,)), None)

    def disown(self, before: int) -> bool:
        """Whether it is news that records from before this moment (s since 1970) are not believed."""

        def look(database: sqlite3.Connection) -> bool:
            row = database.execute("SELECT max(before) FROM disowned").fetchone()
            if before <= (row[0] or 0):
                return False
            database.execute("INSERT INTO disowned VALUES (?)", (before,))
            database.execute("DELETE FROM records")
            return True

        return self._do(look, before > 0)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _do(self, act: Callable[[sqlite3.Connection], object], otherwise: T) -> T:
        """What `act` answers; `otherwise` where the memory cannot be used: then all is asked, or sent, again."""
        with self._lock:
            try:
                database = self._opened()
                with database:
                    answer: T = act(database)  # type: ignore[assignment]
                return answer
            except sqlite3.OperationalError:
                return otherwise  # locked by another process, or the disk is full
            except (sqlite3.DatabaseError, OSError):
                self._begin_anew()
                return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            os.makedirs(os.path.dirname(self._file), exist_ok=True)
            self._database = sqlite3.connect(self._file, timeout=5, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.executescript(_TABLES)
        return self._database

    def _begin_anew(self) -> None:
        """Throw a damaged file away."""
        if self._database is not None:
            self._database.close()
            self._database = None
        try:
            os.unlink(self._file)
        except OSError:
            pass  # then nothing is remembered
