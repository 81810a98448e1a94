from __future__ import annotations

from collections.abc import Callable

import pytest

from ciml.app.ports import Store
from tests.adapters.stores.clones import Clones
from tests.adapters.stores.contract import StoreContract


class TestSharedStore(StoreContract):
    """The contract, over a bucket; every view is another clone's."""

    @pytest.fixture
    def make(self, clones: Clones) -> Callable[..., Store]:
        return clones.open
