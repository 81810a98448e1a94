"""What a model registry is told and what it says, and when it is not believed."""

from __future__ import annotations

import re

from ciml.core.entries import Registration
from ciml.core.errors import ConfigurationError
from ciml.core.ids import Digest, ModelName
from ciml.core.results import Output
from ciml.core.value import Value

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)


class Dataset(Value, frozen=True, kw_only=True):
    """Data that a run used, by our own digest."""

    name: str
    digest: Digest
    source: str = ""
    context: str = "training"


class TrackedRun(Value, frozen=True, kw_only=True):
    """One run as the registry shows it to people, whatever became of it."""

    model: ModelName
    name: str
    recipe: Digest
    key: Digest
    """One run is kept for each: of the verdict, or of whatever else makes this run this run."""
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    data: tuple[Dataset, ...] = ()
    tags: dict[str, str] = {}
    files: dict[str, bytes] = {}
    """Path -> bytes, such as `ciml/provenance.json`."""
    failed: bool = False


class NewVersion(Value, frozen=True, kw_only=True):
    """A version that is wanted."""

    run: TrackedRun
    artifact: Output
    nonce: str
    tags: dict[str, str] = {}


class Row(Value, frozen=True, kw_only=True):
    """A version as the registry has it. It is evidence of nothing until a record names it."""

    model: ModelName
    version: int
    nonce: str
    created: int
    """ms since 1970, by the registry's clock."""
    run: str
    tentative: bool = True
    """Nobody has shown people yet that a record names it."""


def mismatch(record: Registration, row: Row | None) -> str | None:
    """Why a row is not the one that was recorded, or None where it is."""
    if row is None:
        return f"registry version {record.version} is gone"
    told = {
        "creation time": (record.created, row.created),
        "nonce": (record.row, row.nonce),
        "run": (record.run, row.run),
    }
    differs = [name for name, (recorded, found) in told.items() if recorded != found]
    if differs:
        return f"registry version {record.version} is not the recorded one ({', '.join(differs)} differ)"
    return None


def checked_alias(alias: str) -> str:
    """The alias, once it is one that every registry can have.

    Raises:
        ConfigurationError: it is reserved, too long, or holds characters that do not belong.
    """
    if not _ALIAS.fullmatch(alias) or _RESERVED.fullmatch(alias):
        raise ConfigurationError(
            f"{alias[:140]!r} cannot be an alias of a model",
            hint="Letters, digits, dots, dashes and underscores, at most 128; `latest` and `v5` are reserved.",
        )
    return alias
