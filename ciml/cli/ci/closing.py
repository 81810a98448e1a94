"""What follows when the results of a run are known: register, promote, tell. No stage runs from here on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ciml.adapters.ci.runner import SUMMARY_LIMIT, Runner
from ciml.app.curves import curves
from ciml.app.perform import Performance
from ciml.app.register import Registered
from ciml.app.report import Became, Story, report_of
from ciml.cli.aftermath import Aftermath
from ciml.cli.ci.call import Call
from ciml.cli.ci.datachanges import data_lines
from ciml.cli.registering import Registering
from ciml.cli.registry import NO_REGISTRY
from ciml.cli.running import Running
from ciml.cli.runshow import show
from ciml.core.datachecks import DataVerdict
from ciml.core.errors import CimlError, ExitCode, RaceError, RejectedError
from ciml.core.event import Kind
from ciml.core.ids import ModelName
from ciml.core.judged import Judged
from ciml.core.lineage import RunTrace
from ciml.core.report import DeploymentLine, Report
from ciml.core.results import Failed, exit_code_of
from ciml.core.verdict import Status

Deploys = Callable[[Call], tuple[ExitCode, tuple[DeploymentLine, ...]]]
"""Brings champions to the environments that follow them."""


class Closing:
    """Ends a run whose stages have ended.

    Args:
        call: what the event allows.
        running: the run.
        deploys: deploys, or orders, what follows a promotion.
    """

    def __init__(self, call: Call, running: Running, deploys: Deploys | None = None) -> None:
        self._deploys = deploys
        self._deployments: tuple[DeploymentLine, ...] = ()
        self._call = call
        self._running = running
        self.became: dict[ModelName, Became] = {}

    def close(self, made: Performance, *, last: bool = True) -> ExitCode:
        """Register what passed, deploy what follows it, tell everybody, and say how it ended.

        Args:
            made: what came of the stages and of the gates.
            last: a lost race is told as well; it will not be tried again.

        Raises:
            RaceError: a champion moved since a model was judged.
            CimlError: ledger or registry failed; what is to be told has been told.
        """
        call = self._call
        recorded = self._running.record(made)
        refusal: CimlError | None = None
        try:
            self._register(made, recorded)
            code = self._deploy(self.exit_code(made))
        except CimlError as error:
            if isinstance(error, RaceError) and not last:
                raise
            refusal, code = error, error.code
        versions = {str(name): became.version for name, became in self.became.items() if became.version is not None}
        show(call.head_commit, made, versions, call.console)
        self._say(self.tell(made, code, error=refusal.message if refusal else ""))
        if refusal:
            raise refusal
        Aftermath(self._running).settle(made, recorded)
        return code

    def _deploy(self, code: ExitCode) -> ExitCode:
        """The exit code, once environments that follow the champion follow it."""
        call = self._call
        follows = any(
            target.after == "promotion" for model in call.project.pipeline.models.values() for target in model.deploy
        )
        if self._deploys is None or not follows or call.rights.deploys != "promotion" or call.registries.uri is None:
            return code
        call.registries.forget()
        deployed, self._deployments = self._deploys(call)
        return code if code is not ExitCode.OK else deployed

    # Registration.

    def _register(self, made: Performance, run: RunTrace) -> None:
        call = self._call
        closed = call.choice.settled if call.rights.registers else {item.model.name for item in made.judged}
        open_ = [item for item in made.judged if item.model.name not in closed]
        self._look_up([item for item in made.judged if item.model.name in closed])
        if open_ and call.registries.uri is None:
            call.notices.append(f"Nothing is registered: no registry is named. {NO_REGISTRY}")
            return
        if open_ and (refusal := self._running.refusal(call.prepared)):
            raise refusal
        if not (open_ or call.resumes):
            return
        registering = Registering(self._running, call.prepared)
        for item in made.judged if call.resumes else ():
            registering.uphold(item.model)
        for item in open_:
            outcome = registering.known(item.model) or registering.register(item, run, override=None)
            self.became[item.model.name] = _became(outcome)

    def _look_up(self, judged: Sequence[Judged]) -> None:
        """The versions that the models' recipes have already, where the ledgers can be read."""
        try:
            versions = self._running.registries.versions(judged)
        except CimlError as error:
            self._call.notices.append(f"Whether it is registered cannot be told: {error.message}")
            return
        for name, version in versions.items():
            self.became[ModelName(name)] = Became(version=version, uri=f"models:/{name}/{version}")

    # Telling.

    def tell(self, made: Performance, code: ExitCode, *, error: str = "", data: Sequence[DataVerdict] = ()) -> Report:
        """The report, which is in the summary, the outputs, the handover and the pull request from now on."""
        call = self._call
        report = report_of(
            Story(
                event=call.event,
                rights=call.rights,
                graph=call.prepared.graph,
                planned=call.choice.planned,
                subject=call.subject,
                results=made.results,
                decisions=made.decisions,
                judged=made.judged,
                became=self.became,
                curves=curves(made, call.project.store),
                data=data_lines(call),
                stopped_by=tuple(verdict for verdict in data if not verdict.lets_through),
                deployments=self._deployments,
                notices=tuple(call.notices),
                error=error,
                require=call.require,
                conclusion="success" if code is ExitCode.OK else "failure",
            )
        )
        outputs = self._outputs(made)
        publish(call, report, {**outputs, "verdict": Status.REJECTED} if data else outputs)
        return report

    def _say(self, report: Report) -> None:
        """What followed, and what there is to know, where no summary is shown: the log."""
        console = self._call.console
        for model in report.models:
            console.line(f"{model.name}: {model.outcome}")
        for line in report.deployments:
            console.line(f"{line.environment}: {line.model} version {line.version} {line.state} {line.detail}".rstrip())
        for notice in report.notices:
            console.line(f"note: {notice}")

    def _outputs(self, made: Performance) -> dict[str, str]:
        worst = next((status for status in _WORST if any(item.verdict.status is status for item in made.judged)), "")
        first = next((became for became in self.became.values() if became.version is not None), Became())
        return {
            "verdict": str(worst),
            "changed": str(bool(self._call.choice.jobs)).lower(),
            "model-version": str(first.version or ""),
            "model-uri": first.uri,
            "deploy": environments(self._deployments),
        }

    # How it ended.

    def exit_code(self, made: Performance) -> ExitCode:
        """What the outcome means for the job: a failure, a rejection that counts here, or nothing wrong."""
        failed = [result for result in made.results.values() if isinstance(result, Failed)]
        if failed:
            return exit_code_of(failed)
        rejected = any(self._counts(item) for item in made.judged if item.verdict.status is Status.REJECTED)
        return self.of_rejection() if rejected else ExitCode.OK

    def of_rejection(self) -> ExitCode:
        """What a rejection means for the job, as `triggers` and `on-rejection` say."""
        call = self._call
        pull_request = call.event.kind in (Kind.PULL_REQUEST, Kind.MERGE_GROUP)
        red = call.require == "accepted" if pull_request else call.project.pipeline.on_rejection == "fail"
        return ExitCode.REJECTED if red else ExitCode.OK

    def _counts(self, item: Judged) -> bool:
        """Whether a rejection is this commit's own: what only stands on top of a rejected one is not at fault."""
        return not item.recorded or item.recorded_at == self._call.head_commit


_WORST = (Status.REJECTED, Status.NOT_JUDGED, Status.UNCHANGED, Status.ACCEPTED)


def _became(outcome: Registered | RejectedError | None) -> Became:
    match outcome:
        case Registered():
            return Became(version=outcome.version, created=outcome.created, promoted=outcome.promoted, uri=outcome.uri)
        case RejectedError():
            return Became(refusal=outcome.message)
        case None:
            return Became()


def environments(lines: Sequence[DeploymentLine]) -> str:
    """The environments that wait for a job, as the output `deploy` names them."""
    return json.dumps(list(dict.fromkeys(line.environment for line in lines if line.state == "pending")))


def publish(call: Call, report: Report, outputs: Mapping[str, str]) -> None:
    """Put a report where people look; what cannot be told costs a warning and nothing else."""
    from ciml.core.markdown import pages
    from ciml.core.report import masked

    report = masked(report, call.mask)
    Runner(call.invocation.environ).summary(pages.summary(report, limit=SUMMARY_LIMIT))
    path = call.handed.write("", "report", report) if call.handed is not None else ""
    publish_outputs(call, {**outputs, "report": path})
    if not call.rights.reports or call.forge is None:
        return
    try:
        notices = call.forge.publish(report)
    except CimlError as error:
        notices = (f"the report was not published: {error.message}",)
    for notice in notices:
        call.console.warn(notice)


def publish_outputs(call: Call, outputs: Mapping[str, str]) -> None:
    """Set the job's outputs."""
    for name in Runner(call.invocation.environ).outputs(outputs):
        call.console.warn(f"the output {name} is too long for the runner, and empty")
