"""Data that others can have: what goes from this clone to the store that all use."""

from __future__ import annotations

from collections.abc import Iterator

from ciml.app.ports import Meter, Remote
from ciml.app.source import is_listed
from ciml.app.supply import Kept, Supply
from ciml.core import listing
from ciml.core.errors import ConfigurationError
from ciml.core.ids import Digest
from ciml.core.manifest import Manifest


class Sharing:
    """Lets others have the data of this clone.

    Args:
        supply: finds it here.
        store: of this clone.
        remote: the store that others use too; None where there is none.
        everybodys: others use `store` itself.
        meter: told of what is moved.
    """

    def __init__(
        self, supply: Supply, store: Kept, remote: Remote | None, *, everybodys: bool, meter: Meter | None = None
    ) -> None:
        self._supply = supply
        self._store = store
        self._remote = remote
        self._everybodys = everybodys
        self._meter = meter

    def push(self, manifest: Manifest, *, needed: bool = True) -> bool:
        """Whether everybody can have what a manifest stands for from now on, with its listing and its index.

        Of data that is at its source alone only these are sent.

        Raises:
            ConfigurationError: there is no shared store.
            RepositoryError: the bytes are neither here nor there nor at a source, and `needed`.
        """
        if self._remote is None and not self._everybodys:
            raise ConfigurationError(
                "there is no store that others use too", hint="Name one in ciml.yaml: `store: s3://BUCKET/PREFIX`."
            )
        if not self._supply.keeps_all(manifest):
            if self.is_shared(manifest):
                return True
            if manifest.source and is_listed(manifest, self._supply.listing):
                self.share_listings(manifest)
            elif needed:
                raise self._supply.nowhere(manifest)
            return False
        if self._remote is not None:
            self._send(manifest, self._remote)
        return True

    def share_listings(self, manifest: Manifest) -> None:
        """Let everybody have what tells of a manifest's files, where there is a shared store: listing and index."""
        if self._remote is not None:
            for digest in filter(None, (manifest.digest if manifest.directory else None, manifest.index)):
                self._remote.push(listing.parts(digest, self._supply.listing), self._meter)

    def is_shared(self, manifest: Manifest) -> bool | None:
        """Whether others can have the data, as far as its listing and first file tell; None without a shared store."""
        if self._everybodys:
            return self._store.has(manifest.output)
        if self._remote is None or not self._remote.has([manifest.digest]):
            return None if self._remote is None else False
        # A sync shares the listing alone.
        first = next(self._bytes(manifest), None) if manifest.directory else None
        return first is None or bool(self._remote.has([first]))

    def _send(self, manifest: Manifest, remote: Remote) -> None:
        """Bytes first, the root of their listing last: where others find that, they find the rest."""
        if manifest.directory:
            remote.push(self._bytes(manifest), self._meter)
            remote.push([*listing.parts(manifest.digest, self._supply.listing)][1:], self._meter)
        remote.push([manifest.digest], self._meter)
        if manifest.index is not None:
            remote.push(listing.parts(manifest.index, self._supply.listing), self._meter)

    def _bytes(self, manifest: Manifest) -> Iterator[Digest]:
        """The objects of a directory's files."""
        entries = listing.entries(manifest.digest, self._supply.listing)
        return (entry.digest for entry in entries if entry.mode != listing.FOLDER)
