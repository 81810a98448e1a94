"""One bucket, several clones: what one has made, the others restore."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import Calls
from tests.cli.conftest import FILES
from tests.repobuilder import RepoBuilder
from tests.s3server import Service


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


def test_c113_disowned_records_are_nobodys(
    clones: tuple[RepoBuilder, RepoBuilder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one clone has disowned no clone believes: neither in the bucket nor in its own store."""
    Calls(clones[0], capsys, monkeypatch).ok("run")
    other = Calls(clones[1], capsys, monkeypatch)
    other.ok("run")
    other.ok("store", "disown", "--before", "2020-01-01")
    (other.path / "model.txt").unlink()
    assert other.results() == {"train": "restored", "score": "skipped"}

    Calls(clones[0], capsys, monkeypatch).ok("store", "disown")
    moved = Calls(clones[1], capsys, monkeypatch)
    (moved.path / "model.txt").unlink()

    assert moved.results() == {"train": "ran", "score": "ran"}
    assert moved("store", "disown", "--before", "yesterday").code == 2


def test_stats_verify_and_gc_of_the_bucket(
    clones: tuple[RepoBuilder, RepoBuilder],
    service: Service,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--shared` counts, verifies and collects what lies in the bucket; damage there is exit 7 and is repaired."""
    ciml = Calls(clones[0], capsys, monkeypatch)
    ciml.ok("run")
    names = service.names(bucket, "ciml/objects/")
    found = ciml.json("store", "stats", "--shared")
    assert (found["objects"], found["records"]) == (len(names), 2)
    service.client().put_object(Bucket=bucket, Key=names[0], Body=b"something else")
    damaged = names[0].removeprefix("ciml/objects/").replace("/", "")

    answer = ciml("store", "verify", "--shared")
    assert answer.code == 7
    assert damaged in answer.out
    ciml.ok("store", "verify", "--shared", "--repair")
    ciml.ok("store", "verify", "--shared")

    for _ in range(2):
        ciml.ok("store", "gc", "--shared", "--grace", "0")
    assert ciml.json("store", "stats", "--shared")["objects"] == 1


def test_gc_of_the_bucket_knows_all_branches(
    clones: tuple[RepoBuilder, RepoBuilder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch of origin that this clone has not fetched may need data: exit 4, naming the branch and the fetch."""
    clones[1].git("switch", "-q", "-c", "experiment")
    clones[1].commit({"src.txt": "0.9\n"})
    clones[1].git("push", "-q", "origin", "experiment")

    answer = Calls(clones[0], capsys, monkeypatch)("store", "gc", "--shared")

    assert answer.code == 4
    assert "experiment" in answer.err and "git fetch" in answer.err


def test_no_shared_store(ran: Calls) -> None:
    """--shared without `store:` is exit 3, and says what to write."""
    answer = ran("store", "stats", "--shared")
    assert answer.code == 3
    assert "store: s3://BUCKET/PREFIX" in answer.err


def test_a_folder_that_clones_share(
    repo: RepoBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`store:` may be an absolute path; a relative one is exit 3; CIML_STORE serves in its place."""
    monkeypatch.setenv("USER", "ada")
    repo.commit({**FILES, "ciml.yaml": f"store: {tmp_path}/shared\n" + FILES["ciml.yaml"]})
    clone = repo.bare_origin().clone()
    Calls(repo, capsys, monkeypatch).ok("run")

    other = Calls(clone, capsys, monkeypatch)

    assert other.results() == {"train": "restored", "score": "restored"}
    monkeypatch.setenv("CIML_STORE", "shared")
    assert other("plan").code == 3


@pytest.mark.parametrize("lacking", ["credentials", "service"])
def test_a_plan_needs_no_shared_store(
    clones: tuple[RepoBuilder, RepoBuilder],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lacking: str,
) -> None:
    """`plan` and `explain` go by this clone's records and say so, where only credentials or the service lack."""
    ciml = Calls(clones[0], capsys, monkeypatch)
    if lacking == "credentials":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    for words in (("plan",), ("explain", "train")):
        answer = ciml.ok(*words)
        assert "the shared store could not be looked at" in answer.err, answer
    assert ciml.actions()["train"] == "run"
    refused = ciml("run")
    assert refused.code == (6 if lacking == "credentials" else 5), refused
    assert ("CIML_STORE=local" in refused.err) == (lacking == "credentials")
    monkeypatch.setenv("CIML_STORE", "local")
    ciml.ok("run")
