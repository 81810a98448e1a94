from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.shared import SharedStore
from ciml.app.ports import Store
from ciml.core.s3 import s3_address
from tests.adapters.stores.contract import StoreContract
from tests.s3server import Service


class Clones:
    """Clones that share one bucket, each with a store of its own."""

    def __init__(self, service: Service, bucket: str, folder: Path) -> None:
        self.service = service
        self.bucket = bucket
        self.folder = folder
        self._numbers = itertools.count()
        self._opened: list[SharedStore] = []

    def open(self, clone: str | None = None, *, space: str | None = "user/a", **more: object) -> SharedStore:
        """The shared store as a clone sees it; a new clone where none is named."""
        place = self.folder / (clone or f"clone-{next(self._numbers)}")
        store = SharedStore(
            LocalStore(str(place / "store")),
            s3_address(f"s3://{self.bucket}/ciml"),
            self.service.environ,
            memory=str(place / "shared"),
            space=space,
            **more,  # type: ignore[arg-type]
        )
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()
            store.local.close()


@pytest.fixture
def clones(service: Service, bucket: str, tmp_path: Path) -> Iterator[Clones]:
    clones = Clones(service, bucket, tmp_path / "clones")
    yield clones
    clones.close()


class TestSharedStore(StoreContract):
    """The contract, over a bucket; every view is another clone's."""

    @pytest.fixture
    def make(self, clones: Clones) -> Callable[..., Store]:
        return clones.open
