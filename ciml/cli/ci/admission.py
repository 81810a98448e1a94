"""Which records of a run everybody may use from now on."""

from __future__ import annotations

from ciml.app.perform import Performance
from ciml.cli.ci.call import Call
from ciml.core.event import MAIN
from ciml.core.results import record_of


def admit(call: Call, made: Performance) -> None:
    """Let the records of this run be everybody's: those whose keys this job has computed, and no others."""
    if not call.rights.admits:
        return
    stages = made.prepared.graph.pipeline.stages
    records = [
        record
        for name, result in made.results.items()
        if (record := record_of(result)) is not None
        and stages[name].pick is None
        and stages[name].cache
        and stages[name].isolated
        and not stages[name].always
    ]
    call.project.store.admit(records, to=MAIN)
