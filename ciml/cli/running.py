"""A run from the command line: its executor, its ledgers, its record."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ciml import __version__
from ciml.adapters.executors.local import LocalExecutor
from ciml.adapters.machine import resources
from ciml.app.forgotten import known
from ciml.app.perform import Means, Performance
from ciml.app.plan import Prepared
from ciml.app.ports import Executor
from ciml.app.project import Project
from ciml.cli.console import Console, Live
from ciml.cli.invocation import Invocation
from ciml.cli.progress import Progress
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, journal
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import CimlError
from ciml.core.event import Event
from ciml.core.ids import Digest, GitOid, StageName
from ciml.core.judged import Judged
from ciml.core.lineage import RunTrace, StageTrace, model_trace, run_id, trace
from ciml.core.plan import Graph
from ciml.core.results import StageResult
from ciml.core.trust import refusal


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
        jobs: int = 1,
        registries: Registries | None = None,
        event: Event | None = None,
    ) -> None:
        self.started = datetime.now(UTC)
        self.id = run_id(self.started, secrets.token_hex(3))
        self.registries = registries or Registries(place, project.pipeline, invocation.environ)
        self.place = place
        self.project = project
        self.invocation = invocation
        self.console = console
        self._event = event
        self._jobs = jobs

    def means(self, live: Live) -> Means:
        """What the run needs besides the project."""
        progress = Progress(self.console, live)
        return Means(
            executor=lambda: self._executor(progress),
            ledgers=self.registries,
            fetch=self.registries.fetch,
            observer=progress,
            rescoring=Progress(self.console, live, about="champion on this data: "),
            warn=self.console.warn,
        )

    def _executor(self, progress: Progress) -> Executor:
        environ = self.invocation.environ
        return LocalExecutor(
            self.project.store,
            self.place.state,
            run=self.id,
            work_tree=self.place.root or "",
            capacity=resources(environ),
            jobs=self._jobs,
            environ=environ,
            known=lambda: known(self.project),
            on_output=progress.output,
            on_environment=progress.makes_environment,
        )

    def refusal(self, prepared: Prepared) -> CimlError | None:
        """Why nothing of this run may be registered, or None where it may."""
        dirty = (*self.project.tree.dirty, *(item.stood_for for item in prepared.edited)) if prepared.dirty else ()
        return refusal(self.registries.standing(self.project.tree.commit, dirty))

    def record(self, made: Performance) -> RunTrace:
        """The run's record, which is in the clone's journal from now on."""
        recorded = self.trace(made.prepared, made.results, made.judged, seconds=made.seconds)
        if not (made.idle and self.project.last_commit == self.project.tree.commit):
            journal(self.place).write(recorded)
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
        graph, repository, environ = prepared.graph, self.place.repository, self.invocation.environ
        head = self.project.tree.commit
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
            pipeline=Digest(hashlib.sha256(self.project.tree.read(CONFIGURATION) or b"").hexdigest()),
            requirements=GitOid(graph.runtime.requirements) if graph.runtime.requirements else None,
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
