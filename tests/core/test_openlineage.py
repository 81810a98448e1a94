from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from ciml.core.lineage import trace
from ciml.core.openlineage import events
from ciml.core.results import Failed
from tests.story import PREPARE, RUNS, changed, d

PRODUCER = "https://github.com/acme/ciml/tree/v0.1.0"

FACETS: dict[str, Any] = {
    "parent": facet_v2.parent_run.ParentRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "sourceCodeLocation": facet_v2.source_code_location_job.SourceCodeLocationJobFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def _facets(tree: Any) -> dict[str, Any]:
    return {name: _facet(name, dict(fields)) for name, fields in tree.items()}


def _facet(name: str, fields: dict[str, Any]) -> Any:
    producer, schema = fields.pop("_producer"), fields.pop("_schemaURL")
    if name == "parent":
        fields["run"] = facet_v2.parent_run.Run(**fields["run"])
        fields["job"] = facet_v2.parent_run.Job(**fields["job"])
    facet = FACETS[name](**fields, producer=producer)
    assert schema.rpartition("/")[2] == type(facet).__name__
    return facet


def _read(event: Any) -> event_v2.RunEvent:
    """The event as OpenLineage's own client understands it; an unknown or ill-formed field raises."""
    assert event.keys() == {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
    run, job = event["run"], event["job"]
    return event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(runId=run["runId"], facets=_facets(run["facets"])),
        job=event_v2.Job(namespace=job["namespace"], name=job["name"], facets=_facets(job["facets"])),
        inputs=[event_v2.InputDataset(i["namespace"], i["name"], facets=_facets(i["facets"])) for i in event["inputs"]],
        outputs=[
            event_v2.OutputDataset(o["namespace"], o["name"], facets=_facets(o["facets"])) for o in event["outputs"]
        ],
    )


@pytest.mark.parametrize("run", RUNS)
def test_openlineage_s_client_understands_every_event(run: Any) -> None:
    """Each stage's event is one that the client makes of the same words."""
    for event in events(run, producer=PRODUCER):
        theirs = Serde.to_dict(_read(event))
        assert theirs["job"]["name"] == event["job"]["name"]  # type: ignore[index]
        assert _versions(theirs) == _versions(event)


def _versions(event: Any) -> list[tuple[str, str]]:
    return [
        (dataset["name"], dataset["facets"]["version"]["datasetVersion"])
        for dataset in [*event["inputs"], *event["outputs"]]
    ]


def test_stages_are_joined_by_the_datasets_between_them() -> None:
    """What one stage puts out under a version, the next one reads under the same."""
    prepare, train, _ = events(RUNS[0], producer=PRODUCER)

    assert ("build/train.csv", d("7ab1")) in _versions(prepare)
    assert ("build/train.csv", d("7ab1")) in _versions(train)


def test_a_failed_stage_is_a_fail_event_and_the_rest_is_left_out() -> None:
    """FAIL with the reason; a stage that was cancelled has no event."""
    failed = trace(PREPARE, d("1"), (), {}, Failed(reason="exit code 3"))
    cancelled = msgspec.structs.replace(RUNS[0].stages[1], result="cancelled", record=None)
    (event,) = events(changed(RUNS[0], stages=(failed, cancelled)), producer=PRODUCER)

    assert event["eventType"] == "FAIL"
    assert _read(event).run.facets["errorMessage"].message == "exit code 3"  # type: ignore[index,union-attr]


def test_events_are_a_function_of_the_run() -> None:
    """The same run has the same ids, another run others."""
    assert events(RUNS[0], producer=PRODUCER) == events(RUNS[0], producer=PRODUCER)
    ids = {event["run"]["runId"] for run in RUNS for event in events(run, producer=PRODUCER)}  # type: ignore[index]
    assert len(ids) == 9
    assert "CANARY" not in repr(events(RUNS[0], producer=PRODUCER))
