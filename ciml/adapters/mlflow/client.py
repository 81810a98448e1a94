"""MLflow's client: opened quietly, asked within bounds, its failures in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ciml.core.errors import CimlError, MissingExtraError, ServiceError
from ciml.core.url import bare, without_secrets

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

# What the user has set stays. MLflow's own bounds add up to many minutes of silence.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_TRACKING_AUTH": "ciml-bounds",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_OUTSIDE = frozenset(
    ["mlflow", "requests", "urllib3", "google", "sqlalchemy", "sqlite3", "alembic", "botocore", "boto3"]
)
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class Connection:
    """One registry, opened when it is first asked.

    Args:
        uri: of a server, or of a database.
        shown: how messages call it; never holds a credential.
    """

    def __init__(self, uri: str, *, shown: str = "") -> None:
        self._uri = uri
        self.shown = shown or bare(uri)
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client."""
        if self._client is None:
            with _kept_for_good():
                self._client = self._open()
        return self._client

    def _open(self) -> MlflowClient:
        import logging

        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        for noisy in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        try:
            from mlflow.tracking.client import MlflowClient

            from ciml.adapters.mlflow import bounds
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the registry needs MLflow, which is not installed ({error.name} is missing)", extra="mlflow"
            ) from error
        bounds.register()
        with self.asking("open"):
            return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Failures of MLflow, its database and the network become a ServiceError that says what was asked."""
        try:
            yield
        except CimlError:
            raise
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the registry {self.shown} needs all of MLflow, and {error.name} is not installed", extra="mlflow"
            ) from error
        except Exception as error:
            if not _foreign(error):
                raise
            raise self._failed(what, error) from error

    @contextmanager
    def once(self) -> Iterator[None]:
        """No retries: MLflow repeats a POST whose answer was lost, and would do twice what must be done once."""
        before = os.environ.get(_RETRIES)
        os.environ[_RETRIES] = "0"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_RETRIES]
            else:
                os.environ[_RETRIES] = before

    def _failed(self, what: str, error: Exception) -> ServiceError:
        told = without_secrets(" ".join(str(error).split()))
        if "database is locked" in told:
            return ServiceError(
                f"cannot {what}: the registry's database {self.shown} is locked",
                hint="Another process writes to it. The same command again goes on where this one stopped.",
            )
        return ServiceError(
            f"cannot {what} in the registry {self.shown}: {told[:300]}",
            hint="Check the registry and its credentials; the same command again goes on where this one stopped.",
        )


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """What is imported here stays until the end, so that no garbage collection need look at it.

    MLflow brings 270,000 objects: collecting them when Python ends would take a second, in vain.
    """
    import gc

    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def code_of(error: Exception) -> str:
    """MLflow's error code, `""` for what is not MLflow's."""
    return str(getattr(error, "error_code", ""))


def _foreign(error: Exception) -> bool:
    """Whether an exception comes from the outside: anything else is a bug of ours and must look like one."""
    if isinstance(error, OSError):
        return True
    return any(kind.__module__.partition(".")[0] in _OUTSIDE for kind in type(error).__mro__)
