"""What follows a run: its verdicts go into the ledger, its failures to the registry and to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from ciml.app.chronicle import record_verdict
from ciml.app.perform import Performance
from ciml.app.propose import judgement, tracked
from ciml.cli.console import Console
from ciml.cli.running import Running
from ciml.cli.wiring import Place
from ciml.core.errors import CimlError
from ciml.core.ids import Digest
from ciml.core.judged import Judged
from ciml.core.key import digest
from ciml.core.lineage import RunTrace, of_model
from ciml.core.results import Failed
from ciml.core.verdict import Status

if TYPE_CHECKING:
    from ciml.core.alert import Alert
    from ciml.core.datachecks import DataVerdict


class Aftermath:
    """Sees to what a run leaves behind; a registry or a service that fails is a warning, never the run's end.

    Args:
        running: the run.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._project = running.project
        self._registries = running.registries
        self._console = running.console

    def settle(self, made: Performance, run: RunTrace) -> None:
        """Record, track and tell what is new of this run.

        Raises:
            ServiceError: the ledger cannot be reached.
            TrustError: the ledger may not be written.
        """
        unjudged = Status.NOT_JUDGED
        judged = [
            item for item in made.judged if item.lasting and not item.recorded and item.verdict.status is not unjudged
        ]
        failed = any(isinstance(result, Failed) for result in made.results.values())
        if (judged or failed) and run.commit is not None and self._running.refusal(made.prepared) is None:
            for item in judged:
                self._record(item, run)
            self._track(made, run, failed=failed)
        self._tell(lambda: self._alerts(made, run))

    def _record(self, item: Judged, run: RunTrace) -> None:
        entry = judgement(item, run, self._registries.author())
        record_verdict(self._registries.ledger(item.model.name), entry, registry=self._registries.identity)

    def _track(self, made: Performance, run: RunTrace, *, failed: bool) -> None:
        """Show in the registry what will have no version: what was rejected, and what failed."""
        for item in made.judged:
            status = item.verdict.status
            unmade = failed and status is Status.NOT_JUDGED
            if item.recorded or not (unmade or status is Status.REJECTED):
                continue
            shown = tracked(item, of_model(run, item.model.name))
            if unmade:
                shown = msgspec.structs.replace(shown, key=digest("ciml/failed-run/1", run.id), failed=True)
            try:
                self._registries.registry.log(shown)
            except CimlError as error:
                self._console.warn(f"this run is not shown in the registry: {error.message}")

    def tell_of_data(self, data: Iterable[DataVerdict], run: RunTrace) -> None:
        """Send alerts for data that was not let through."""
        self._tell(lambda: self._of_data(data, run))

    def _tell(self, alerts: Callable[[], Iterable[Alert]]) -> None:
        tell(alerts, self._running.place, self._running.invocation.environ, self._console)

    def _of_data(self, data: Iterable[DataVerdict], run: RunTrace) -> Iterator[Alert]:
        from ciml.core import alert

        for item in data:
            if "rejected" in self._project.pipeline.alerts and not item.lets_through:
                yield alert.data_rejected(item.path, item.reason, item.findings, run, data=item.digest)

    def _alerts(self, made: Performance, run: RunTrace) -> Iterator[Alert]:
        from ciml.core import alert

        wanted = self._project.pipeline.alerts
        keys: dict[str, Digest] = {item.model.name: item.key for item in made.judged if not item.recorded}
        for model in run.models:
            if "rejected" in wanted and model.verdict == Status.REJECTED.value and model.name in keys:
                yield alert.rejected(model, run, verdict=keys[model.name])
        for stage in run.stages:
            if "failed" in wanted and stage.result == "failed":
                yield alert.failed(stage, run)


def tell(alerts: Callable[[], Iterable[Alert]], place: Place, environ: Mapping[str, str], console: Console) -> None:
    """Send alerts to whoever wants them, and what earlier calls could not send; a failure is a warning.

    Args:
        alerts: made only where somebody wants them.
        place: whose outbox keeps what cannot be sent.
        environ: has the addresses.
        console: where warnings go.
    """
    from ciml.core.alert import VARIABLE, NotSent

    urls = environ.get(VARIABLE, "")
    if not urls.strip():
        return
    from ciml.adapters.alerts import Alerts

    for outcome in Alerts(f"{place.state}/outbox", urls).send(tuple(alerts())):
        if isinstance(outcome, NotSent):
            console.warn(f"an alert was not sent to {outcome.target}: {outcome.reason}")
