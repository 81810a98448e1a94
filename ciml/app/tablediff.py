"""Rows and columns that data has more or less than before."""

from __future__ import annotations

from ciml.app.ports import Store
from ciml.app.project import DataSupply
from ciml.app.tabling import Tables, facts_of
from ciml.core.dataset import TableDifference
from ciml.core.manifest import Manifest
from ciml.core.tablefacts import TableFacts


def table_difference(
    before: Manifest | None, after: Manifest | None, supply: DataSupply, store: Store, tables: Tables
) -> TableDifference | None:
    """How the tables of two versions of data differ; None where neither is one.

    Raises:
        RepositoryError: the bytes of a version are nowhere to be had.
        MissingExtraError: what reads tables is not installed.
    """
    old, new = (_facts(manifest, supply, store, tables) for manifest in (before, after))
    if old is None and new is None:
        return None
    had = [column.name for column in old.columns] if old else []
    has = [column.name for column in new.columns] if new else []
    return TableDifference(
        rows_before=old.rows if old else None,
        rows_after=new.rows if new else None,
        columns_added=tuple(name for name in has if name not in had),
        columns_lost=tuple(name for name in had if name not in has),
    )


def _facts(manifest: Manifest | None, supply: DataSupply, store: Store, tables: Tables) -> TableFacts | None:
    if manifest is None:
        return None
    found = facts_of(supply.bring(manifest), store, tables)
    return found if isinstance(found, TableFacts) else None
