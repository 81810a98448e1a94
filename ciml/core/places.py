"""Where a pipeline says that its bytes, its ledgers and new data lie: what is wrong with it, at its line."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import UNSET

from ciml.core.document import Document
from ciml.core.errors import ConfigurationError
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.url import bare

OWN = "local"
"""The store of a clone itself."""

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SCHEMES = ("http", "https", "file", *_DATABASES, "databricks", "databricks-uc", "uc", "arn")
"""Of MLflow's registries; `arn` is SageMaker's, by its plug-in."""


def check_places(document: Document, found: Findings) -> None:
    """Note every address of `registry`, `store`, `ledger` and `triggers.data` that is none."""
    if document.registry is not UNSET:
        _note(("registry",), _check_registry, document.registry, found)
    if document.store is not UNSET:
        _note(("store",), check_store, document.store, found)
    if document.ledger is not UNSET:
        _note(("ledger",), _check_address, document.ledger, found)
    for index, address in enumerate(() if document.triggers.data is UNSET else document.triggers.data):
        _note(("triggers", "data", index), _check_address, address, found)


def _check_registry(named: str) -> None:
    """Nothing, once MLflow may take it for a registry; a word without `:` is a path, or a workspace of Databricks."""
    scheme, colon, rest = named.partition(":")
    kind = scheme.partition("+")[0]  # postgresql+psycopg2
    if kind in ("http", "https") and not re.match(r"//[^/\s]+", rest):
        raise ConfigurationError(f"the registry {bare(named)!r} names no host", hint=f"{kind}://HOST[:PORT]")
    if named.strip() != named or not named or (colon and kind not in _SCHEMES):
        raise ConfigurationError(
            f"the registry {bare(named)!r} is not an MLflow tracking URI",
            hint=suggestion(kind, _SCHEMES) or "https://HOST, or a database such as sqlite:////absolute/path.db",
        )


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
