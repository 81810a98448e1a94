"""What the registry and the ledgers of a repository say, read beside the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from mlflow.tracking.client import MlflowClient

from ciml.adapters.git.command import Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.core.entries import Entry
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState
from tests.repobuilder import RepoBuilder

_Entry = TypeVar("_Entry", bound=Entry)


def state(repo: RepoBuilder, model: str = "m", *, remote: str | None = None) -> LedgerState:
    """What a ledger says."""
    git = Git(str(repo.path), repo.env)
    return GitLedger(ModelName(model), git, remote=remote, memory=str(repo.path / ".git/test-memory")).read()


def entries(repo: RepoBuilder, kind: type[_Entry], model: str = "m") -> list[_Entry]:
    """A ledger's entries of one kind."""
    return [entry for entry in state(repo, model).entries if isinstance(entry, kind)]


def mlflow(path: Path) -> MlflowClient:
    """A client of the registry inside a repository."""
    uri = f"sqlite:///{path}/.git/ciml/registry/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def versions(path: Path, model: str = "m") -> list[int]:
    """The versions that MLflow has of a model."""
    return sorted(int(row.version) for row in mlflow(path).search_model_versions(f"name='{model}'"))


def runs(path: Path, model: str = "m") -> list[tuple[str, str]]:
    """Status and verdict of every run that MLflow has of a model, in order."""
    client = mlflow(path)
    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        return []
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    return [(run.info.status, run.data.tags.get("ciml.verdict", "")) for run in found]
