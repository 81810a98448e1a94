"""Where the bytes behind a manifest come from: the store, the work tree, or a store that others use too."""

from __future__ import annotations

from ciml.app.ports import Store
from ciml.core.errors import ServiceError
from ciml.core.ids import Digest


class Supply:
    """Finds bytes wherever they are.

    Args:
        store: of this clone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def listing(self, digest: Digest) -> bytes:
        """An object of a directory's listing.

        Raises:
            ServiceError: it is not to be had: that is no reason to take everything for changed.
        """
        if self._store.holds(digest):
            return self._store.read(digest)
        raise ServiceError(
            f"the listing {digest[:12]} of a data directory is not in the store of this clone",
            hint="`ciml data pull` fetches it from where the data was pushed, or comes from.",
        )
