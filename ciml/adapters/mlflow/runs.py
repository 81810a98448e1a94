"""Runs as MLflow shows them: one for each key, with params, metrics, tags and data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container
from typing import TYPE_CHECKING

from ciml.adapters.mlflow.answers import RECIPE
from ciml.adapters.mlflow.client import Connection, code_of
from ciml.core.errors import RepositoryError
from ciml.core.ids import Digest, ModelName
from ciml.core.registry import Dataset, TrackedRun

if TYPE_CHECKING:
    from mlflow.entities import Run

KEY = "ciml.run-key"
_FULL_DIGEST = "ciml.digest"

_PARAMS_A_BATCH = 100
_METRICS_A_BATCH = 800
_LONGEST_VALUE = 5000
_LONGEST_DATASET_DIGEST = 36
"""Characters that MLflow keeps; the whole digest is a tag of the input, and in its source."""

_NOT_IN_NAMES = re.compile(r"[^\w .:/-]", re.ASCII)


class Runs:
    """The runs of one MLflow.

    Args:
        mlflow: the connection.
        folder: where files of new experiments go; None to leave that to the server.
        shown: what the registry is called in errors.
    """

    def __init__(self, mlflow: Connection, folder: str | None, *, shown: str) -> None:
        self._mlflow = mlflow
        self._folder = folder
        self._shown = shown

    def tracked(self, run: TrackedRun, key: Digest) -> Run:
        """The run with this key: one that is there, else a new one; it shows all but files."""
        client = self._mlflow.client
        experiment = self._experiment(run.model)
        question = f"tags.`{RECIPE}` = '{run.recipe}' and tags.`{KEY}` = '{key}'"
        found = client.search_runs([experiment], question, max_results=1, order_by=["attributes.start_time ASC"])
        known = found[0].data.params if found else {}
        entity = (
            found[0] if found else client.create_run(experiment, tags={RECIPE: run.recipe, KEY: key}, run_name=run.name)
        )
        try:
            self._describe(entity.info.run_id, run, known)
        except Exception as error:
            # Two writers of one run, or of one dataset, at once: one of them hears of the other's rows, the second
            # time of none.
            if code_of(error) in ("", "TEMPORARILY_UNAVAILABLE"):
                raise
            self._describe(entity.info.run_id, run, client.get_run(entity.info.run_id).data.params)
        return entity

    def _describe(self, run_id: str, run: TrackedRun, known: Container[str]) -> None:
        """Params, metrics, tags and inputs, in as few requests as MLflow's limits allow."""
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag

        named = {_name(name): value[:_LONGEST_VALUE] for name, value in run.params.items()}
        # MLflow refuses to hear a param twice with two values.
        params = [Param(name, value) for name, value in sorted(named.items()) if name not in known]
        metrics = [Metric(_name(name), value, 0, 0) for name, value in sorted(run.metrics.items())]
        tags = [RunTag(name, value) for name, value in sorted(fitting(run.tags).items())]
        while params or metrics or tags:
            self._mlflow.client.log_batch(
                run_id, metrics[:_METRICS_A_BATCH], params[:_PARAMS_A_BATCH], tags[:_PARAMS_A_BATCH]
            )
            params, tags = params[_PARAMS_A_BATCH:], tags[_PARAMS_A_BATCH:]
            metrics = metrics[_METRICS_A_BATCH:]
        if run.data:
            inputs = [
                DatasetInput(
                    MlflowDataset(data.name[:500], data.digest[:_LONGEST_DATASET_DIGEST], "ciml", _source(data)),
                    [InputTag("mlflow.data.context", data.context), InputTag(_FULL_DIGEST, data.digest)],
                )
                for data in run.data
            ]
            self._mlflow.client.log_inputs(run_id, inputs)

    def _experiment(self, model: ModelName) -> str:
        client = self._mlflow.client
        found = client.get_experiment_by_name(model)
        if found is None:
            try:
                place = os.path.join(self._folder, model) if self._folder else None
                return str(client.create_experiment(model, artifact_location=place))
            except Exception as error:
                if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(model)
        if found is None or found.lifecycle_stage != "active":
            raise RepositoryError(
                f"the experiment {model} was deleted in the registry {self._shown}",
                hint=f"Restore it: mlflow experiments restore --experiment-id {found.experiment_id if found else '…'}",
            )
        return str(found.experiment_id)


def fitting(tags: dict[str, str]) -> dict[str, str]:
    """Tags that MLflow neither refuses nor cuts; what is too long says where the whole is."""
    return {
        name: value if len(value) <= _LONGEST_VALUE else f"{value[:80]}… ({len(value)} characters: ciml/lineage.json)"
        for name, value in tags.items()
    }


def _source(data: Dataset) -> str:
    return json.dumps({"uri": data.source or data.name, "sha256": data.digest})


def _name(name: str) -> str:
    """A name that MLflow takes for a metric or a param."""
    return _NOT_IN_NAMES.sub("_", name)[:250]
