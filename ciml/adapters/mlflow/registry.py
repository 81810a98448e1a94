"""MLflow as the registry: runs, versions, aliases. Nothing of a model is ever unpickled.

MLflow's answers are not evidence: a version counts when the ledger names it, its files when their
digests hold. MLflow is imported with the first question, since that takes more than a second.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ciml.adapters.mlflow import artifacts
from ciml.adapters.mlflow.answers import NONCE, RECIPE, STATE, row_of
from ciml.adapters.mlflow.client import Connection, code_of
from ciml.adapters.mlflow.embedded import make_database
from ciml.adapters.mlflow.runs import Runs, fitting
from ciml.core.errors import IntegrityError, ServiceError
from ciml.core.ids import Digest, ModelName
from ciml.core.registry import NewVersion, Row, TrackedRun, checked_alias
from ciml.core.results import Output
from ciml.core.url import bare

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")


class MlflowRegistry:
    """An MLflow server or database.

    Args:
        uri: of the server or the database.
        identity: what the ledger calls this registry.
        scratch: a folder of our own, for files on their way.
        folder: where the files of the embedded registry are, wherever they were when MLflow wrote it down.
    """

    def __init__(self, uri: str, *, identity: str = "", scratch: str, folder: str | None = None) -> None:
        self.identity = identity or bare(uri).rstrip("/")
        self._mlflow = Connection(uri, shown=self.identity)
        self._scratch = scratch
        self._folder = folder
        self._runs = Runs(self._mlflow, folder or _beside(uri), shown=self.identity)

    @classmethod
    def embedded(cls, folder: str) -> MlflowRegistry:
        """The registry below `folder`: a database and a folder of files, made when first used."""
        os.makedirs(folder, exist_ok=True)
        database = os.path.join(folder, "mlflow.db")
        registry = cls(
            f"sqlite:///{database}",
            identity="embedded",
            scratch=os.path.join(folder, "tmp"),
            folder=os.path.join(folder, "artifacts"),
        )
        make_database(database, shown=registry.identity)
        return registry

    # Versions.

    def rows(self, model: ModelName, recipe: Digest) -> tuple[Row, ...]:
        """All versions that were ever asked for on behalf of a recipe, lowest first."""
        question = f"name='{model}' and tag.`{RECIPE}`='{recipe}'"
        with self._mlflow.asking(f"look for versions of {model}"):
            found = map(self._with_tags, self._mlflow.client.search_model_versions(question))
            standing = [version for version in found if version is not None]
        rows = (row_of(version, model, recipe, shown=self.identity) for version in standing)
        return tuple(sorted(rows, key=lambda row: row.version))

    def _with_tags(self, version: ModelVersion) -> ModelVersion | None:
        """The version, or None where it is gone: tags are read after rows, so one removed in between has none."""
        if version.tags:
            return version
        return self._unless_absent(lambda: self._mlflow.client.get_model_version(version.name, version.version))

    def row(self, model: ModelName, version: int) -> Row | None:
        """A version, or None where there is none (any more)."""
        with self._mlflow.asking(f"read version {version} of {model}"):
            found = self._unless_absent(lambda: self._mlflow.client.get_model_version(model, str(version)))
        return row_of(found, model, shown=self.identity) if found else None

    def create(self, new: NewVersion, store: artifacts.Bytes) -> Row | None:
        """The new, tentative row, or None when it is not known whether there is one.

        Its files are sent first and read back by digest, so that a row never names half a model.

        Raises:
            ServiceError: there is certainly no row, since not even its run and files are complete.
        """
        model = new.run.model
        run = self._run_for(new)
        self._send(new, run, store)
        with self._mlflow.asking(f"register {model}"):
            self._make_model(model)
        try:
            with self._mlflow.asking(f"create a version of {model}"), self._mlflow.once():
                made = self._mlflow.client.create_model_version(
                    model,
                    f"{run.info.artifact_uri}/{artifacts.MODEL}",
                    run.info.run_id,
                    tags={**fitting(new.tags), RECIPE: new.run.recipe, NONCE: new.nonce, STATE: "tentative"},
                    await_creation_for=0,
                )
                return row_of(made, model, shown=self.identity)
        except ServiceError:
            return None

    def _make_model(self, model: ModelName) -> None:
        try:
            self._mlflow.client.create_registered_model(model)
        except Exception as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise

    def confirm(self, row: Row) -> None:
        """Show people that the row is a registered version. The record says so; this repeats it."""
        with self._mlflow.asking(f"mark version {row.version} of {row.model}"):
            self._mlflow.client.set_model_version_tag(row.model, str(row.version), STATE, "registered")

    def discard(self, row: Row, *, keep: Row) -> None:
        """Remove a tentative row; its run goes with it, unless `keep` uses the same."""
        with self._mlflow.asking(f"remove the tentative version {row.version} of {row.model}"):
            client = self._mlflow.client
            self._unless_absent(lambda: client.delete_model_version(row.model, str(row.version)))
            if row.run != keep.run:
                self._unless_absent(lambda: client.delete_run(row.run))

    # Files.

    def verifies(self, row: Row, artifact: Output) -> bool:
        """Whether every byte of the row's files is what it should be."""
        try:
            self._with_files(row.run, lambda folder: artifacts.check(artifact, folder))
        except IntegrityError:
            return False
        return True

    def fetch(self, row: Row, artifact: Output, target: str) -> None:
        """Bring a version's files to `target`, verified.

        Raises:
            IntegrityError: they are not what was registered.
        """
        self._with_files(row.run, lambda folder: artifacts.bring(artifact, folder, target))

    def _send(self, new: NewVersion, run: Run, store: artifacts.Bytes) -> None:
        with artifacts.scratch(self._scratch) as folder:
            artifacts.lay_out(new.artifact, store, folder)
            artifacts.write(new.run.files, folder)
            with self._mlflow.asking(f"send the files of {new.run.model}"):
                self._put(folder, run)
                self._mlflow.client.set_terminated(run.info.run_id)
        try:
            self._with_files(run.info.run_id, lambda sent: artifacts.check(new.artifact, sent))
        except IntegrityError as error:
            raise ServiceError(
                f"the files of {new.run.model} did not arrive whole in the registry {self.identity}: {error.message}",
                hint="Nothing was registered. Run the same command again.",
            ) from error

    def _put(self, folder: str, run: Run) -> None:
        if self._folder and (place := self._local(run.info.artifact_uri)):
            shutil.copytree(folder, place, copy_function=shutil.copyfile, dirs_exist_ok=True)
        else:
            self._mlflow.client.log_artifacts(run.info.run_id, folder)

    def _with_files(self, run: str, use: Callable[[str], None]) -> None:
        """Let `use` look at a run's files: where they are, or in a copy that goes away."""
        with self._mlflow.asking("find a run's files"):
            uri = str(self._mlflow.client.get_run(run).info.artifact_uri)
        if local := self._local(uri):
            use(local)
            return
        with artifacts.scratch(self._scratch) as folder:
            with self._mlflow.asking("fetch a version's files"):
                for part in (artifacts.MODEL, artifacts.LISTING):
                    self._download(run, part, folder)
            use(folder)

    def _download(self, run: str, part: str, folder: str) -> None:
        client = self._mlflow.client
        # What is not there is asked for first: servers answer a download of it in many ways.
        if client.list_artifacts(run, part):
            place = os.path.join(folder, part)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            # Of a nested folder, some of MLflow's stores make the last part alone.
            os.rename(client.download_artifacts(run, part, tempfile.mkdtemp(dir=folder)), place)

    def _local(self, uri: str) -> str | None:
        """The folder that an artifact address names on this machine."""
        path = uri.removeprefix("file://")
        if self._folder:
            # The repository may have been moved or copied since: MLflow keeps the absolute path of then.
            return os.path.join(self._folder, *path.split("/")[-3:])
        return path if path.startswith("/") else None

    def file(self, run: str, path: str) -> bytes | None:
        """A small file of a run, such as `ciml/lineage.json`; None where the run has none."""
        with self._mlflow.asking("find a run's files"):
            uri = str(self._mlflow.client.get_run(run).info.artifact_uri)
        with artifacts.scratch(self._scratch) as folder:
            local = self._local(uri)
            if local is None:
                with self._mlflow.asking(f"fetch {path}"):
                    self._download(run, path, folder)
            try:
                with open(os.path.join(local or folder, path), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None

    # Runs.

    def log(self, run: TrackedRun) -> str:
        """The id of a run that shows this outcome; one for each key, however often it is asked for."""
        with self._mlflow.asking(f"log a run of {run.model}"):
            entity = self._runs.tracked(run, run.key)
            with artifacts.scratch(self._scratch) as folder:
                artifacts.write(run.files, folder)
                self._put(folder, entity)
            self._mlflow.client.set_terminated(entity.info.run_id, "FAILED" if run.failed else "FINISHED")
        return str(entity.info.run_id)

    def _run_for(self, new: NewVersion) -> Run:
        """The run of a recipe and its bytes: one that a killed writer left is used on, not left lying."""
        with self._mlflow.asking(f"log a run of {new.run.model}"):
            return self._runs.tracked(new.run, Digest(new.artifact.digest))

    # Aliases.

    def aliases(self, model: ModelName) -> dict[str, int]:
        """Alias -> version, as MLflow shows them now."""
        with self._mlflow.asking(f"read the aliases of {model}"):
            found = self._unless_absent(lambda: self._mlflow.client.get_registered_model(model))
        return {alias: int(version) for alias, version in found.aliases.items()} if found else {}

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        """Show people a version under a name. Whoever writes last wins, so look again afterwards."""
        checked_alias(alias)
        with self._mlflow.asking(f"set the alias {alias} of {model}"):
            self._mlflow.client.set_registered_model_alias(model, alias, str(version))

    def _unless_absent(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except Exception as error:
            if code_of(error) == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def _beside(uri: str) -> str | None:
    """Where the files of a database go: MLflow itself would put them into whatever folder somebody calls from."""
    database = uri.removeprefix("sqlite:///")
    return f"{os.path.dirname(database)}/mlartifacts" if os.path.isabs(database) and database != uri else None
