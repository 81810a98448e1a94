"""The database of the registry inside a clone: whole, or not there."""

from __future__ import annotations

import os

from ciml.adapters import files, locks
from ciml.adapters.mlflow.client import Connection


def make_database(database: str, *, shown: str) -> None:
    """Make the database where there is none; afterwards it is there and whole.

    MLflow takes a second or two to make its tables, one migration after the other, and none of them
    can be repeated: a database whose maker was killed, or that a second process opens meanwhile, would
    never serve again. So it is made beside its place, by one process at a time, and moved there.

    Args:
        database: absolute path.
        shown: how messages call the registry.

    Raises:
        ServiceError: it cannot be made; the next call tries again.
    """
    if os.path.exists(database):
        return
    lock = locks.try_lock(f"{database}.lock", wait=True)
    try:
        if os.path.exists(database):
            return
        unfinished = f"{database}.new"
        for left in (unfinished, f"{unfinished}-journal"):
            files.discard(left)
        connection = Connection(f"sqlite:///{unfinished}", shown=shown)
        with connection.asking("make the database of"):
            connection.client.search_experiments(max_results=1)
        os.rename(unfinished, database)
    finally:
        if lock:
            lock.release()
