"""Clones that share one bucket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.shared import SharedStore
from ciml.adapters.stores.sharedrecords import Signing
from ciml.core.ids import Digest
from ciml.core.s3 import s3_address
from tests.s3server import Service


class Clones:
    """Clones that share one bucket, each with a store of its own."""

    def __init__(self, service: Service, bucket: str, folder: Path) -> None:
        self.service = service
        self.bucket = bucket
        self.folder = folder
        self.warnings: list[str] = []
        self._numbers = itertools.count()
        self._opened: list[SharedStore] = []

    def open(
        self,
        clone: str | None = None,
        *,
        space: str | None = "user/a",
        reads: Sequence[str] = (),
        signing: Signing | None = None,
        by: Service | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> SharedStore:
        """The shared store as a clone sees it; a new clone where none is named; `by` another way to the service."""
        place = self.folder / (clone or f"clone-{next(self._numbers)}")
        store = SharedStore(
            LocalStore(str(place / "store"), space=space or "alone", reads=reads),
            s3_address(f"s3://{self.bucket}/ciml"),
            (by or self.service).environ,
            memory=str(place / "shared"),
            space=space,
            reads=reads,
            signing=signing,
            warn=warn or self.warnings.append,
        )
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()
            store.local.close()

    def below(self, by: Service | None = None) -> Bucket:
        """The bucket itself."""
        return Bucket(s3_address(f"s3://{self.bucket}/ciml"), (by or self.service).environ)

    def names(self, prefix: str = "") -> list[str]:
        """What lies below the store's prefix, sorted."""
        found = self.service.names(self.bucket, f"ciml/{prefix}")
        return [name.removeprefix("ciml/") for name in found]

    def empty(self) -> None:
        """Let nothing be left in the bucket."""
        self.service.empty(self.bucket)

    def overwrite(self, name: str, data: bytes) -> None:
        """Let something else lie there."""
        self.service.client().put_object(Bucket=self.bucket, Key=f"ciml/{name}", Body=data)


def object_key(digest: Digest) -> str:
    """What an object is called below the store's prefix."""
    return f"objects/{digest[:2]}/{digest[2:]}"
