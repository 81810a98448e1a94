"""One run of a workflow, with all its attempts: its jobs, its artifacts, and what the API shows of it."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.graph import Done, Graph
from tests.harness.happening import Happening
from tests.harness.job import CANCELLED, FAILURE, SKIPPED, SUCCESS, Job, Place, StepError
from tests.harness.language import JSON, WorkflowError
from tests.harness.machine import Machine

if TYPE_CHECKING:
    from tests.harness.hub import Hub

_TOKENS = itertools.count(1)


class Run:
    """A run.

    Args:
        hub: where it runs.
        path: of the workflow file.
        root: the file, parsed.
        workflow_sha: the commit that the file is of.
        happening: what has started it.
        id_: its number among all runs.
        number: its number among those of this workflow.
    """

    def __init__(
        self, hub: Hub, path: str, root: JSON, workflow_sha: str, happening: Happening, id_: int, number: int
    ) -> None:
        self.hub = hub
        self.path = path
        self.root = root
        self.workflow_sha = workflow_sha
        self.happening = happening
        self.id = id_
        self.number = number
        self.attempt = 0
        self.cancelled = threading.Event()
        self.conclusion = ""
        self.errors: list[str] = []
        """What kept a job from beginning."""
        self.checks: dict[str, str] = {}
        """Name of a job, as the pull request shows it -> its conclusion."""
        self.graph: Graph | None = None
        self._artifacts: dict[int, dict[str, Path]] = {}
        self._guard = threading.Lock()
        self._machines = itertools.count(1)

    @property
    def name(self) -> str:
        """Of the workflow."""
        return str(self.root.get("name") or self.path)

    @property
    def repository(self) -> str:
        """That it runs in."""
        return self.hub.repository

    @property
    def jobs(self) -> list[Job]:
        """All jobs of the last attempt that have begun, or were kept from an earlier one."""
        return self.graph.leaves() if self.graph else []

    @property
    def results(self) -> dict[str, str]:
        """Job of the file -> result."""
        return {name: done.result for name, done in self.graph.done.items()} if self.graph else {}

    def __getitem__(self, name: str) -> Job:
        """A job by its id in the file, or by its name."""
        return next(job for job in self.jobs if name in (job.place.id, job.name))

    @property
    def github(self) -> JSON:
        """The context `github`, apart from what differs between jobs."""
        told, hub = self.happening, self.hub
        workflow_ref = f"{hub.repository}/{self.path}@{told.workflow_ref}"
        return {
            "action": "",
            "actor": told.actor,
            "actor_id": "1",
            "api_url": hub.api.url,
            "base_ref": told.base_ref,
            "event": told.payload,
            "event_name": told.name,
            "graphql_url": f"{hub.api.url}/graphql",
            "head_ref": told.head_ref,
            "ref": told.ref,
            "ref_name": told.ref.split("/", 2)[2],
            "ref_protected": "false",
            "ref_type": "tag" if told.ref.startswith("refs/tags/") else "branch",
            "repository": hub.repository,
            "repository_id": "186853002",
            "repository_owner": hub.repository.partition("/")[0],
            "repository_owner_id": "21031067",
            "retention_days": "90",
            "run_attempt": str(self.attempt),
            "run_id": str(self.id),
            "run_number": str(self.number),
            "server_url": hub.git.url,
            "sha": told.sha,
            "triggering_actor": told.actor,
            "workflow": self.name,
            "workflow_ref": workflow_ref,
            "workflow_sha": self.workflow_sha,
        }

    @property
    def cache_refs(self) -> tuple[str, ...]:
        """Refs besides the run's own whose caches it may read."""
        base = (f"refs/heads/{self.happening.base_ref}",) if self.happening.base_ref else ()
        return (*base, f"refs/heads/{self.hub.default_branch}")

    def execute(self, kept: dict[str, Done] | None = None) -> None:
        """One attempt."""
        self.attempt += 1
        self.cancelled.clear()
        self.errors.clear()
        self._artifacts[self.attempt] = {}
        inputs = self.happening.inputs(self.root)
        self.graph = Graph(self, self.root, inputs=inputs, secrets=self.secrets())
        self.graph.execute(kept or {})
        self.conclusion = self._concluded(self.graph)

    def again(self, jobs: Sequence[str] = ()) -> None:
        """Another attempt of these jobs, else of those that have failed; and of all that comes after them."""
        assert self.graph is not None
        graph = self.graph
        failed = {name for name, done in graph.done.items() if done.result in (FAILURE, CANCELLED)}
        first = set(jobs) or failed
        again = {name for name in graph.specs if first & {name, *graph.ancestors(name)}}
        self.execute({name: done for name, done in graph.done.items() if name not in again})

    def secrets(self) -> dict[str, str]:
        """Those of the repository; none for a fork."""
        return {} if self.happening.fork else dict(self.hub.secrets)

    def variables(self, environment: str = "") -> dict[str, str]:
        """Those of the repository and of an environment; none for a fork, as it is with secrets."""
        hub = self.hub
        return {} if self.happening.fork else {**hub.variables, **hub.environment_variables.get(environment, {})}

    def enter(self, environment: str) -> dict[str, str]:
        """The secrets of an environment, for a job that is in it."""
        return {} if self.happening.fork else dict(self.hub.environments.get(environment, {}))

    def begin(self, place: Place) -> Job:
        """A job on a machine of its own, with a token of its own."""
        token = f"ghs_{next(_TOKENS):036d}"
        self.hub.api.token(token, permissions=place.permissions)
        with self._guard:
            number = next(self._machines)
        folder = self.hub.folder / f"run-{self.id}/{self.attempt}-{number}-{place.id}"
        self.check(place.name, "")
        return Job(self, place, Machine(folder, self.repository), token)

    def end(self, job: Job) -> None:
        """A job has ended: its token is worth nothing any more."""
        self.hub.api.tokens[job.token].expired = True
        self.check(job.name, job.result)

    def check(self, name: str, conclusion: str) -> None:
        """What the commit's page shows of a job; "" while it runs."""
        self.checks[name] = conclusion
        self.hub.api.show_job(self.happening.head_sha, self.id, name, conclusion)

    def artifact(self, name: str, *, overwrite: bool) -> Path:
        """The folder of a new artifact.

        Raises:
            StepError: there is one of this name, and it cannot be changed.
        """
        with self._guard:
            there = self._artifacts[self.attempt]
            if name in there and not overwrite:
                raise StepError(
                    "Failed to CreateArtifact: Received non-retryable error: Failed request: (409) Conflict: "
                    "an artifact with this name already exists on the workflow run"
                )
            made = self.hub.folder / f"run-{self.id}/artifacts/{self.attempt}/{name}"
            if made.exists():
                shutil.rmtree(made)
            made.mkdir(parents=True)
            there[name] = made
        self.hub.api.artifact(self.id, name)
        return made

    def artifacts(self) -> dict[str, Path]:
        """Name -> folder of the newest artifact of that name, of all attempts."""
        return {name: made for attempt in sorted(self._artifacts) for name, made in self._artifacts[attempt].items()}

    def files(self) -> Path:
        """The files of the commit that the workflow is of, as a runner downloads them."""
        folder = self.hub.folder / f"run-{self.id}/files"
        with self._guard:
            if not folder.exists():
                folder.mkdir(parents=True)
                self.hub.bare.git(f"--work-tree={folder}", "checkout", "-f", self.workflow_sha, "--", ".")
        return folder

    def remove_artifact(self, name: str) -> None:
        """Somebody deletes an artifact, or it has expired."""
        for there in self._artifacts.values():
            there.pop(name, None)

    def _concluded(self, graph: Graph) -> str:
        results = {graph.done[name].result for name in graph.specs}
        if FAILURE in results:
            return FAILURE
        if CANCELLED in results or self.cancelled.is_set():
            return CANCELLED
        return SUCCESS if SUCCESS in results else SKIPPED

    def explain(self) -> str:
        """All that happened, for a test that has failed."""
        lines = [f"{self.path} for {self.happening.name}: {self.conclusion}", *self.errors]
        for name, result in self.results.items():
            lines.append(f"── {name}: {result}")
            for job in self.graph.done[name].jobs if self.graph else ():
                lines += [f"   {job.name}", *(f"   {note}" for note in job.notes)]
                for step in job.steps:
                    lines.append(f"   · {step.name or step.id}: {step.outcome}, {step.seconds:.1f} s")
                    lines += [f"     | {line}" for line in step.log.strip().splitlines()[-60:]]
        return "\n".join(lines)


__all__ = ["Run", "WorkflowError"]
