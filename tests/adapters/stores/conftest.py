from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3server import Service, moto


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all tests; each makes a bucket of its own."""
    with moto(tmp_path_factory.mktemp("moto")) as service:
        yield service


@pytest.fixture
def bucket(service: Service) -> str:
    return service.bucket()
