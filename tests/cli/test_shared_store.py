"""One bucket, several clones: what one has made, the others restore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.calls import Calls
from tests.cli.conftest import FILES
from tests.repobuilder import RepoBuilder
from tests.s3server import Service, moto


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with moto(tmp_path_factory.mktemp("moto")) as service:
        yield service


@pytest.fixture
def bucket(service: Service, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket whose service the environment names."""
    for name, value in service.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USER", "ada")
    return service.bucket()


@pytest.fixture
def clones(repo: RepoBuilder, bucket: str) -> tuple[RepoBuilder, RepoBuilder]:
    """Two clones of a project whose store is the bucket."""
    yaml = f"store: s3://{bucket}/ciml\n"
    repo.commit({**FILES, "ciml.yaml": FILES["ciml.yaml"].replace("version: 1\n", f"version: 1\n{yaml}")})
    origin = repo.bare_origin()
    return repo, origin.clone()


def test_what_one_clone_made_the_other_restores(
    clones: tuple[RepoBuilder, RepoBuilder],
    service: Service,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second clone of the same user runs no stage: records and bytes come from the bucket."""
    Calls(clones[0], capsys, monkeypatch).ok("run")

    made = Calls(clones[1], capsys, monkeypatch).results()

    assert made == {"train": "restored", "score": "restored"}
    assert (clones[1].path / "model.txt").read_text() == "0.7\n"
    records = service.names(bucket, "ciml/records/")
    assert len(records) == 2
    assert all(name.startswith("ciml/records/user/ada/") for name in records)
    assert service.names(bucket, "ciml/leases/") == []
