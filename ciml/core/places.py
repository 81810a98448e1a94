"""Where a pipeline says that its bytes, its ledgers and new data lie: what is wrong with it, at its line."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from ciml.core.document import Document
from ciml.core.errors import ConfigurationError
from ciml.core.findings import Findings, KeyPath

OWN = "local"
"""The store of a clone itself."""


def check_places(document: Document, found: Findings) -> None:
    """Note every address of `store`, `ledger` and `triggers.data` that is none."""
    if document.store is not UNSET:
        _note(("store",), check_store, document.store, found)
    if document.ledger is not UNSET:
        _note(("ledger",), _check_address, document.ledger, found)
    for index, address in enumerate(() if document.triggers.data is UNSET else document.triggers.data):
        _note(("triggers", "data", index), _check_address, address, found)


def check_store(named: str) -> None:
    """Nothing, once a store is named that there can be.

    Raises:
        ConfigurationError: it is neither the clone's own, nor an address, nor the path of a folder.
    """
    if "://" in named:
        _check_address(named)
    elif named != OWN and not named.startswith("/"):
        raise ConfigurationError(
            f"the store {named!r} is neither an s3:// address nor an absolute path",
            hint="A folder that several clones share has one absolute path for all of them.",
        )


def _check_address(text: str) -> None:
    from ciml.core.s3 import s3_address  # most pipelines name none

    s3_address(text)


def _note(at: KeyPath, check: Callable[[str], None], value: str, found: Findings) -> None:
    try:
        check(value)
    except ConfigurationError as error:
        found.add(at, error.message, error.hint)
