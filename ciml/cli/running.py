"""A run from the command line: its executor, its ledgers, its record, and how it is shown."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ciml import __version__
from ciml.adapters.executors.local import LocalExecutor
from ciml.adapters.machine import resources
from ciml.app.perform import Means, Performance
from ciml.app.plan import Prepared
from ciml.app.ports import Executor
from ciml.app.project import Project
from ciml.cli.commands.plan import changes_document
from ciml.cli.console import Console, Live
from ciml.cli.datachecking import data_document, show_data, show_findings
from ciml.cli.invocation import Invocation
from ciml.cli.progress import Progress
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, journal
from ciml.core.changes import CONFIGURATION
from ciml.core.event import Event
from ciml.core.forgotten import Known
from ciml.core.ids import CommitSha, Digest, GitOid, RepoPath, StageName
from ciml.core.judged import Judged
from ciml.core.lineage import ChampionLine, ModelTrace, RunTrace, StageTrace, check_lines, run_id, trace
from ciml.core.pipeline import Pipeline
from ciml.core.plan import Decision, Graph
from ciml.core.results import Cancelled, Failed, Ran, Skipped, StageResult, told

if TYPE_CHECKING:
    from ciml.core.datachecks import DataVerdict


class Running:
    """One run, from its first stage to its record.

    Args:
        place: where the call works.
        project: what is run.
        invocation: how ciml was called.
        console: where lines go.
        jobs: stages at once.
        registries: registry and ledgers; None for those that a call of ciml by hand has.
        event: what the CI service says has happened, where one does.
    """

    def __init__(
        self,
        place: Place,
        project: Project,
        invocation: Invocation,
        console: Console,
        *,
        jobs: int,
        registries: Registries | None = None,
        event: Event | None = None,
    ) -> None:
        self.started = datetime.now(UTC)
        self.id = run_id(self.started, secrets.token_hex(3))
        self.registries = registries or Registries(place, project.pipeline, invocation.environ)
        self._event = event
        self._place = place
        self._project = project
        self._invocation = invocation
        self._console = console
        self._jobs = jobs

    def means(self, live: Live) -> Means:
        """What the run needs besides the project."""
        progress = Progress(self._console, live)
        return Means(
            executor=lambda: self._executor(progress),
            ledgers=self.registries,
            fetch=self.registries.fetch,
            observer=progress,
            rescoring=Progress(self._console, live, about="champion on this data: "),
            warn=self._console.warn,
        )

    def _executor(self, progress: Progress) -> Executor:
        environ = self._invocation.environ
        return LocalExecutor(
            self._project.store,
            self._place.state,
            run=self.id,
            work_tree=self._place.root or "",
            capacity=resources(environ),
            jobs=self._jobs,
            environ=environ,
            known=lambda: known(self._project),
            on_output=progress.output,
        )

    def record(self, made: Performance) -> RunTrace:
        """The run's record, which is in the clone's journal from now on."""
        recorded = self.trace(made.prepared, made.results, made.judged, seconds=made.seconds)
        if not (made.idle and self._project.last_commit == self._project.tree.commit):
            journal(self._place).write(recorded)
        return recorded

    def trace(
        self,
        prepared: Prepared,
        results: Mapping[StageName, StageResult],
        judged: Iterable[Judged],
        *,
        seconds: float,
    ) -> RunTrace:
        """What a lineage keeps of results, however they came to be."""
        graph, repository, environ = prepared.graph, self._place.repository, self._invocation.environ
        head = self._project.tree.commit
        return RunTrace(
            id=self.id,
            commit=repository.commit(head) if head else None,
            dirty=prepared.dirty,
            branch=(self._event.branch if self._event else None) or repository.branch(),
            repository=repository.remote_url() or "",
            event=self._event.kind if self._event else environ.get("GITHUB_EVENT_NAME", "local").replace("_", "-"),
            actor=(self._event.actor if self._event else "") or environ.get("GITHUB_ACTOR") or repository.identity(),
            run_url=(self._event.run.url if self._event else "") or run_url(environ),
            started=f"{self.started:%Y-%m-%dT%H:%M:%SZ}",
            seconds=round(seconds, 3),
            ciml=__version__,
            builder=builder(environ) if self._event else "",
            pipeline=Digest(hashlib.sha256(self._project.tree.read(CONFIGURATION) or b"").hexdigest()),
            requirements=GitOid(graph.surroundings.requirements) if graph.surroundings.requirements else None,
            stages=tuple(_traced(graph, name, result) for name, result in results.items()),
            models=tuple(model_trace(item, version=self.version_of(item)) for item in judged),
        )

    def version_of(self, judged: Judged) -> int | None:
        """The version of a model's recipe, where it is registered."""
        return self.registries.read(judged.model.name).recipes.get(judged.recipe)


def _traced(graph: Graph, name: StageName, result: StageResult) -> StageTrace:
    stage = graph.pipeline.stages[name]
    return trace(name, graph.recipes[name], graph.inputs[name], stage.params, result, params_files=stage.params_files)


def builder(environ: Mapping[str, str]) -> str:
    """The workflow that runs this, with its ref, as provenance names it; "" elsewhere than on GitHub."""
    server, workflow = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_WORKFLOW_REF", "")
    return f"{server}/{workflow}" if environ.get("GITHUB_ACTIONS") and server and workflow else ""


def run_url(environ: Mapping[str, str]) -> str:
    """The address of the CI run; "" on a laptop."""
    parts = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return f"{parts[0]}/{parts[1]}/actions/runs/{parts[2]}" if all(parts) else ""


def known(project: Project) -> Known:
    """What the repository has that a stage could have named: asked when one has failed."""
    files = frozenset(entry.path for entry in project.tree.files(RepoPath("")))
    files |= frozenset(project.tree.untracked(RepoPath("")))
    made = frozenset(place.path for stage in project.pipeline.stages.values() for place in stage.outputs)
    return Known(paths=files | made, parameters=_parameters(project.pipeline, project))


def _parameters(pipeline: Pipeline, project: Project) -> dict[str, RepoPath]:
    return {name: file for file in pipeline.params_files for name in project.documents.params(project.tree, file)}


def model_trace(judged: Judged, *, version: int | None = None) -> ModelTrace:
    """What a run's record keeps of one model."""
    verdict = judged.verdict
    champion = verdict.champion
    return ModelTrace(
        name=judged.model.name,
        recipe=judged.recipe,
        path=judged.model.path,
        stages=judged.stages,
        artifact=judged.artifact,
        metrics=verdict.metrics,
        champion=ChampionLine(version=int(champion.version), metrics=champion.metrics) if champion else None,
        verdict=verdict.status.value,
        reason=verdict.reason,
        checks=check_lines(verdict.findings),
        policy=judged.policy,
        version=version,
    )


# What is shown.


def show(
    head: CommitSha | None,
    made: Performance,
    versions: Mapping[str, int],
    console: Console,
    *,
    data: Sequence[DataVerdict] = (),
) -> None:
    """Print what came of a run.

    Args:
        head: the commit that was run.
        made: the run.
        versions: model -> registered version of its recipe, where there is one.
        console: where to.
        data: what the checks on data said before.
    """
    checked = {"data": data_document(data)} if data else {}
    console.document(document(head, made, versions) | checked)
    show_data(data, console)
    counts: dict[str, int] = {}
    for result in made.results.values():
        counts[_word(result)] = counts.get(_word(result), 0) + 1
    idle = counts.keys() <= {"up to date", "left out"}
    shown = ", ".join(f"{count} {word}" for word, count in counts.items()) or "no stage was run"
    console.line(f"Nothing to do: {shown}." if idle and counts else f"{shown} in {made.seconds:.1f} s.")
    for judged in made.judged:
        show_verdict(judged, console)


def show_verdict(judged: Judged, console: Console) -> None:
    """Print a verdict: one line, then a line a check."""
    verdict = judged.verdict
    again = " (recorded: nothing was judged again)" if judged.recorded else ""
    console.line()
    console.line(f"{verdict.model}: {verdict.status} – {verdict.reason}{again}")
    if verdict.findings:
        show_findings(verdict.findings, console)
    for note in verdict.notes:
        console.line(f"note: {note}")
    if verdict.hint:
        console.line(f"hint: {verdict.hint}")


def document(head: CommitSha | None, made: Performance, versions: Mapping[str, int]) -> dict[str, object]:
    """The run as `--json` prints it."""
    prepared = made.prepared
    return {
        "base": prepared.base,
        "head": head,
        "dirty": prepared.dirty,
        "changes": changes_document(prepared.changes),
        "stages": [_stage(name, made, made.decisions.get(name), result) for name, result in made.results.items()],
        "models": [model_document(judged, versions.get(judged.model.name)) for judged in made.judged],
    }


def model_document(judged: Judged, version: int | None) -> dict[str, object]:
    """A judged model as `--json` prints it."""
    verdict = judged.verdict
    champion = verdict.champion
    return {
        "name": verdict.model,
        "metrics": verdict.metrics,
        "champion": {"version": int(champion.version), "metrics": champion.metrics} if champion else None,
        "verdict": verdict.status,
        "reason": verdict.reason,
        "checks": check_lines(verdict.findings),
        "recipe": judged.recipe,
        "version": version,
    }


def _stage(name: StageName, made: Performance, decision: Decision | None, result: StageResult) -> dict[str, object]:
    exit_code = seconds = None
    match result:
        case Ran():
            exit_code, seconds = 0, result.record.seconds
        case Failed():
            exit_code, seconds = result.exit_code, result.seconds
    reason = result.reason if isinstance(result, Failed | Cancelled) else decision.reason if decision else ""
    return {
        "name": name,
        "action": decision.action if decision else "run",
        "reason": reason,
        "recipe": made.prepared.graph.recipes[name],
        "key": decision.key if decision else None,
        "result": _result(result),
        "seconds": seconds,
        "exit_code": exit_code,
    }


def _result(result: StageResult) -> str:
    """As `--json` has it: to whoever reads that, a stage that was not started was left out."""
    return "skipped" if isinstance(result, Cancelled) else told(result)


def _word(result: StageResult) -> str:
    match result:
        case Skipped(record=None):
            return "left out"
        case Skipped():
            return "up to date"
        case Cancelled():
            return "not run"
        case _:
            return _result(result)
