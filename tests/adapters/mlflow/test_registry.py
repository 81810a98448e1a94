"""MLflow as the registry: SQLite in process, and a real server over HTTP."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.adapters.stores.local import LocalStore
from ciml.core.entries import digest_of
from ciml.core.errors import ConfigurationError, IntegrityError, ServiceError
from ciml.core.ids import ModelName, RepoPath
from ciml.core.registry import Dataset, NewVersion, Row, TrackedRun, mismatch
from ciml.core.results import Output
from tests.mlflowserver import free_port, mlflow_server, proxy

DATA = digest_of(b"data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    return MlflowRegistry.embedded(str(tmp_path_factory.mktemp("state") / "registry"))


@pytest.fixture(params=["embedded", "server"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> MlflowRegistry:
    if request.param == "server":
        return MlflowRegistry(request.getfixturevalue("server"), scratch=str(tmp_path / "scratch"))
    found: MlflowRegistry = request.getfixturevalue("embedded")
    return found


@pytest.fixture
def model(request: pytest.FixtureRequest) -> ModelName:
    """A name that no other test uses: the registries are shared."""
    return ModelName("m-" + "".join(c if c.isalnum() else "-" for c in request.node.name)[:100])


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


def made(store: LocalStore, folder: Path, *, directory: bool = False) -> Output:
    """A model in the store: one file, or a directory with all that a directory may hold."""
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"\x80\x04not a pickle" * 500)
    if not directory:
        return store.put_path(str(folder / "model.pkl"), name=RepoPath("build/model.pkl"))
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "empty").mkdir()
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "run.sh").write_text("true\n")
    (folder / "deep" / "er" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/er/run.sh")
    return store.put_path(str(folder), name=RepoPath("build/model"))


def wanted(model: ModelName, artifact: Output, *, recipe: bytes = b"recipe", nonce: str = "n") -> NewVersion:
    return NewVersion(
        run=TrackedRun(
            model=model,
            name="train 1234",
            recipe=digest_of(recipe),
            key=digest_of(b"key"),
            params={"train.lr": "0.1", "odd name?": "x"},
            metrics={"auc": 0.9, "val/loss": 0.1, "f1@0.5": 0.5},
            data=(Dataset(name="data/raw", digest=DATA, source="s3://bucket/raw/"),),
            tags={"mlflow.source.git.commit": "a" * 40, "ciml.long": "x" * 9000},
            files={"ciml/provenance.json": b"{}", "ciml/lineage.json": b"[]"},
        ),
        artifact=artifact,
        nonce=nonce,
        tags={"ciml.commit": "a" * 40},
    )


def create(registry: MlflowRegistry, new: NewVersion, store: LocalStore) -> Row:
    row = registry.create(new, store)
    assert row is not None
    return row


@pytest.mark.parametrize("directory", [False, True])
def test_a_versions_files_come_back_as_they_were(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path, directory: bool
) -> None:
    """A file, or a directory with modes, links and empty folders, is fetched and proven byte for byte."""
    artifact = made(store, tmp_path / "made", directory=directory)
    row = create(registry, wanted(model, artifact), store)
    registry.fetch(row, artifact, str(tmp_path / "fetched"))

    assert registry.verifies(row, artifact)
    assert store.digest_of(str(tmp_path / "fetched")) == artifact.digest


def test_the_run_shows_what_the_contract_names(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """Params, metrics, tags, the data's whole digest and our files are on the run; the version has its own tags."""
    from mlflow.tracking.client import MlflowClient

    row = create(registry, wanted(model, made(store, tmp_path / "made")), store)
    client: MlflowClient = registry._mlflow.client
    run = client.get_run(row.run)
    version = client.get_model_version(model, str(row.version))

    assert run.data.params == {"train.lr": "0.1", "odd name_": "x"}
    assert run.data.metrics == {"auc": 0.9, "val/loss": 0.1, "f1_0.5": 0.5}
    assert run.data.tags["mlflow.source.git.commit"] == "a" * 40
    assert len(run.data.tags["ciml.long"]) < 200
    [used] = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in used.tags}["ciml.digest"] == DATA
    assert DATA in used.dataset.source
    assert {file.path for file in client.list_artifacts(row.run, "ciml")} >= {
        "ciml/provenance.json",
        "ciml/lineage.json",
    }
    assert run.info.status == "FINISHED"
    assert version.tags["ciml.recipe"] == digest_of(b"recipe")
    assert version.tags["ciml.state"] == "tentative"
    registry.confirm(row)
    assert not registry.rows(model, digest_of(b"recipe"))[0].tentative


def test_c139_what_mlflow_would_refuse_or_cut_is_shortened_and_says_so(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """A tag of 200,000 characters and a param of as many: registered, and the tag names the file that has it whole."""
    from mlflow.tracking.client import MlflowClient

    new = wanted(model, made(store, tmp_path / "made"))
    long = "ä" * 200_000
    run = structs.replace(new.run, tags={**new.run.tags, "ciml.long": long}, params={"a.long": long})
    row = create(registry, structs.replace(new, run=run, tags={"ciml.also": long}), store)
    client: MlflowClient = registry._mlflow.client
    tags = [client.get_run(row.run).data.tags["ciml.long"]]
    tags.append(client.get_model_version(model, str(row.version)).tags["ciml.also"])
    assert all("200000 characters: ciml/lineage.json" in tag for tag in tags), tags
    assert long.startswith(client.get_run(row.run).data.params["a.long"])


def test_rows_are_found_by_recipe_lowest_first(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """Only the recipe's rows are found; the run is shared, since a killed writer's is used on."""
    artifact = made(store, tmp_path / "made")
    rows = [create(registry, wanted(model, artifact, nonce=str(number)), store) for number in range(3)]
    create(registry, wanted(model, artifact, recipe=b"other"), store)

    assert list(registry.rows(model, digest_of(b"recipe"))) == rows
    assert len({row.run for row in rows}) == 1
    registry.discard(rows[1], keep=rows[0])
    assert [row.version for row in registry.rows(model, digest_of(b"recipe"))] == [rows[0].version, rows[2].version]
    assert registry.row(model, rows[1].version) is None
    assert registry.verifies(rows[0], artifact)


def test_a_model_that_is_not_there_has_nothing(registry: MlflowRegistry, model: ModelName) -> None:
    """Nothing is an answer, not a failure."""
    assert registry.rows(model, digest_of(b"recipe")) == ()
    assert registry.row(model, 1) is None
    assert registry.aliases(model) == {}


def test_aliases_are_set_and_read(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """An alias moves from version to version."""
    artifact = made(store, tmp_path / "made")
    for number in (1, 2):
        row = create(registry, wanted(model, artifact, nonce=str(number)), store)
        registry.set_alias(model, "champion", row.version)
        assert registry.aliases(model) == {"champion": number}


def test_an_outcome_without_a_version_is_a_run_once(registry: MlflowRegistry, model: ModelName) -> None:
    """A rejected or failed run is an MLflow run too, without a version, however often it is logged."""
    run = TrackedRun(
        model=model, name="x", recipe=digest_of(b"r"), key=digest_of(b"k"), metrics={"auc": 0.1}, failed=True
    )

    assert registry.log(run) == registry.log(run)
    assert registry.aliases(model) == {}


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v5", "V12", "a" * 256, "é", "", "a b", "-x", "a/b"])
def test_c140_reserved_and_odd_aliases_are_refused_before_any_request(alias: str, tmp_path: Path) -> None:
    """alias `latest`, `v5` (reserved), 256 chars, é → exit 3 before network."""
    registry = MlflowRegistry("http://127.0.0.1:9", scratch=str(tmp_path))

    with pytest.raises(ConfigurationError, match="cannot be an alias"):
        registry.set_alias(ModelName("churn"), alias, 1)
    assert registry._mlflow._client is None


def test_c138_a_deleted_or_remade_version_is_not_the_recorded_one(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """Version deleted in UI, or model deleted + recreated (numbers restart at 1) → told from the recorded one."""
    from tests.core.test_ledger import registration

    artifact = made(store, tmp_path / "made")
    row = create(registry, wanted(model, artifact), store)
    record = registration(row.version, run=row.run, row=row.nonce, created=row.created, artifact=artifact)
    assert mismatch(record, registry.row(model, row.version)) is None

    registry._mlflow.client.delete_registered_model(model)
    assert "is gone" in (mismatch(record, registry.row(model, row.version)) or "")
    again = create(registry, wanted(model, artifact, nonce="another"), store)
    assert again.version == row.version
    wrong = mismatch(record, registry.row(model, row.version)) or ""
    assert wrong.startswith("registry version 1 is not the recorded one") and "creation time" in wrong


def test_c141_files_that_do_not_verify_are_not_believed(
    registry: MlflowRegistry, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """Model artifact upload stops at 60 % → artifact manifest digest checked by read-back before record."""
    artifact = made(store, tmp_path / "made", directory=True)
    (tmp_path / "other.pkl").write_bytes(b"other")
    other = store.put_path(str(tmp_path / "other.pkl"), name=RepoPath("build/model.pkl"))
    row = create(registry, wanted(model, artifact), store)

    assert not registry.verifies(row, other)
    with pytest.raises(IntegrityError):
        registry.fetch(row, other, str(tmp_path / "fetched"))
    assert not os.path.lexists(tmp_path / "fetched")


def test_c141_an_upload_that_arrives_cut_makes_no_row(
    server: str, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """What is read back short of what was sent is exit 5, and there is no row."""
    artifact = made(store, tmp_path / "made")

    def cut(method: str, path: str) -> str | None:
        return "cut" if method == "GET" and path.endswith("model.pkl") else None

    with proxy(server, cut) as address, pytest.raises(ServiceError):
        MlflowRegistry(address, scratch=str(tmp_path / "s")).create(wanted(model, artifact), store)
    assert MlflowRegistry(server, scratch=str(tmp_path / "s")).rows(model, digest_of(b"recipe")) == ()


def test_c130_a_lost_answer_makes_one_row_and_is_said_to_be_lost(
    server: str, model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """502 after commit on model-versions/create (stock client → 3 versions from one call) → retries off: one row."""
    artifact = made(store, tmp_path / "made")

    def lose(method: str, path: str) -> str | None:
        return "502" if path.endswith("/model-versions/create") else None

    with proxy(server, lose) as address:
        registry = MlflowRegistry(address, scratch=str(tmp_path / "s"))
        assert registry.create(wanted(model, artifact), store) is None
        assert len(registry.rows(model, digest_of(b"recipe"))) == 1


def test_c143_an_unreachable_registry_is_exit_5_without_credentials(
    model: ModelName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused connection → bounded, message names URL without credentials; exit 5."""
    registry = MlflowRegistry(f"http://ada:s3cret@127.0.0.1:{free_port()}", scratch=str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError) as caught:
        registry.rows(model, digest_of(b"r"))

    assert "s3cret" not in caught.value.message and "127.0.0.1" in caught.value.message


def test_c144_a_locked_database_is_exit_5(model: ModelName, tmp_path: Path) -> None:
    """sqlite "database is locked" > 20 s → exit 5, safe to rerun."""
    folder = tmp_path / "registry"
    run = TrackedRun(model=model, name="x", recipe=digest_of(b"r"), key=digest_of(b"k"))
    registry = MlflowRegistry.embedded(str(folder))
    registry.log(run)
    blocking = sqlite3.connect(folder / "mlflow.db", isolation_level=None)
    blocking.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ServiceError, match="locked") as caught:
            registry.log(run)
    finally:
        blocking.close()

    assert caught.value.hint is not None
    registry.log(run)


def test_an_embedded_registry_that_was_moved_still_has_its_files(
    model: ModelName, store: LocalStore, tmp_path: Path
) -> None:
    """MLflow keeps absolute paths; a repository that is moved keeps its models."""
    artifact = made(store, tmp_path / "made", directory=True)
    row = create(MlflowRegistry.embedded(str(tmp_path / "a" / "registry")), wanted(model, artifact), store)
    (tmp_path / "a").rename(tmp_path / "b")

    moved = MlflowRegistry.embedded(str(tmp_path / "b" / "registry"))
    assert moved.verifies(row, artifact)
    create(moved, wanted(model, artifact, nonce="second"), store)
    assert not (tmp_path / "a").exists(), "new files go where the repository is now"


def test_files_of_a_named_database_lie_beside_it(
    model: ModelName, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the folder that it is called from, which is somebody's work tree."""
    artifact = made(store, tmp_path / "made", directory=True)
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    registry = MlflowRegistry(f"sqlite:///{tmp_path}/new.db", scratch=str(tmp_path))
    assert registry.verifies(create(registry, wanted(model, artifact), store), artifact)
    assert list((tmp_path / "tree").iterdir()) == []
    assert (tmp_path / "mlartifacts" / model).is_dir()


def test_mlflow_is_silent_and_imported_when_first_asked(tmp_path: Path) -> None:
    """Building a registry imports no MLflow; using a new one prints nothing."""
    script = f"""
import sys
from ciml.adapters.mlflow.registry import MlflowRegistry
registry = MlflowRegistry("sqlite:///{tmp_path}/new.db", scratch={str(tmp_path)!r})
assert "mlflow" not in sys.modules
assert registry.rows("churn", "r") == ()
assert "mlflow" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
