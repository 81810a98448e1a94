"""A run as OpenLineage events: one for each stage that ended, as plain dicts.

Source: https://openlineage.io/spec/2-0-2/OpenLineage.json and its facets
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid5

from ciml.core.ids import Digest
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput
from ciml.core.lineage import RunTrace, StageTrace
from ciml.core.url import bare

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_SPACE = UUID("5f0c8a5e-7f0b-5d0e-9a55-c1a1c1a1c1a1")
"""Name space of run ids: equal runs have equal ids, whoever makes the events."""

Event = dict[str, object]


def events(run: RunTrace, *, producer: str) -> tuple[Event, ...]:
    """One COMPLETE or FAIL event for each stage that ran, was restored or failed, in the run's order.

    Args:
        run: what was recorded.
        producer: URI of the ciml that says so.
    """
    ended = [stage for stage in run.stages if stage.result in ("ran", "restored", "failed")]
    return tuple(_event(stage, run, producer) for stage in ended)


def _event(stage: StageTrace, run: RunTrace, producer: str) -> Event:
    return {
        "eventType": "FAIL" if stage.result == "failed" else "COMPLETE",
        "eventTime": (stage.record.started if stage.record else "") or run.started,
        "producer": producer,
        "schemaURL": SCHEMA,
        "run": {"runId": _id(run, stage.name), "facets": _run_facets(stage, run, producer)},
        "job": {"namespace": _namespace(run), "name": stage.name, "facets": _job_facets(run, producer)},
        "inputs": list(_inputs(stage, run, producer)),
        "outputs": [
            _dataset(run, output.path, output.digest, producer)
            for output in (stage.record.outputs if stage.record else ())
        ],
    }


def _id(run: RunTrace, name: str) -> str:
    return str(uuid5(_SPACE, f"{_namespace(run)}\n{run.id}\n{name}"))


def _namespace(run: RunTrace) -> str:
    return bare(run.repository) or "ciml"


def _facet(producer: str, schema: str, **fields: object) -> dict[str, object]:
    return {"_producer": producer, "_schemaURL": f"{_FACETS}/{schema}", **fields}


def _run_facets(stage: StageTrace, run: RunTrace, producer: str) -> dict[str, object]:
    parent = {"run": {"runId": _id(run, "")}, "job": {"namespace": _namespace(run), "name": "ciml"}}
    facets: dict[str, object] = {
        "parent": _facet(producer, "1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet", **parent)
    }
    if stage.result == "failed":
        facets["errorMessage"] = _facet(
            producer,
            "1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
            message=stage.reason,
            programmingLanguage="unknown",
        )
    return facets


def _job_facets(run: RunTrace, producer: str) -> dict[str, object]:
    if run.commit is None:
        return {}
    where = {"type": "git", "url": bare(run.repository), "repoUrl": bare(run.repository), "version": run.commit.sha}
    if run.branch:
        where["branch"] = run.branch
    schema = "1-0-1/SourceCodeLocationJobFacet.json#/$defs/SourceCodeLocationJobFacet"
    return {"sourceCodeLocation": _facet(producer, schema, **where)} if run.repository else {}


def _inputs(stage: StageTrace, run: RunTrace, producer: str) -> Iterator[dict[str, object]]:
    made = {
        (other.name, output.path): output.digest
        for other in run.stages
        if other.record
        for output in other.record.outputs
    }
    for item in stage.inputs:
        match item:
            case TrackedInput():
                yield _dataset(run, item.path, item.oid, producer)
            case DataInput():
                yield _dataset(run, item.path, item.digest, producer)
            case ProducedInput():
                yield _dataset(run, item.output, made.get((item.stage, item.output)), producer)


def _dataset(run: RunTrace, path: str, version: Digest | str | None, producer: str) -> dict[str, object]:
    facets: dict[str, object] = {}
    if version:
        schema = "1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
        facets["version"] = _facet(producer, schema, datasetVersion=version)
    return {"namespace": _namespace(run), "name": path, "facets": facets}
