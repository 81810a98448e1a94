from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.stores.clones import Clones
from tests.s3proxy import Proxy, proxy
from tests.s3server import Service


@pytest.fixture
def bucket(service: Service) -> str:
    return service.bucket()


@pytest.fixture
def clones(service: Service, bucket: str, tmp_path: Path) -> Iterator[Clones]:
    """Clones that share the bucket."""
    clones = Clones(service, bucket, tmp_path / "clones")
    yield clones
    clones.close()


@pytest.fixture
def faulty(service: Service) -> Iterator[Proxy]:
    """A way to the same service that fails as it is told."""
    with proxy(service) as made:
        yield made
