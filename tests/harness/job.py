"""One job while it runs: what its expressions see, what its steps find in their environment, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.commands import Command
from tests.harness.language import JSON, Language, text
from tests.harness.machine import Machine

if TYPE_CHECKING:
    from tests.harness.run import Run

SUCCESS, FAILURE, CANCELLED, SKIPPED = "success", "failure", "cancelled", "skipped"


class StepError(Exception):
    """A step fails, and this is what its log says."""


@dataclass
class StepRun:
    """What came of one step."""

    id: str
    name: str
    outcome: str = SKIPPED
    """Before `continue-on-error`."""
    conclusion: str = SKIPPED
    outputs: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    log: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    """Of its process; of a step without one, its `env` and that of all around it."""
    output: bytes = b""
    """Of its process, before anything was masked."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Place:
    """The job that is to run, before it does."""

    id: str
    name: str
    spec: JSON
    needs: JSON
    inputs: JSON
    matrix: JSON
    strategy: JSON
    permissions: dict[str, str]
    secrets: dict[str, str]
    environment: str
    defaults: JSON
    env: JSON
    """Of the workflow; still with expressions."""
    home: str
    """Repository that the workflow file is of: `$/` in it means that one."""


class Job:
    """A job that has begun.

    Args:
        run: the workflow run that it is part of.
        place: what is to be run, with what.
        machine: that it runs on.
        token: its own.
    """

    def __init__(self, run: Run, place: Place, machine: Machine, token: str) -> None:
        self.run = run
        self.place = place
        self.name = place.name
        self.permissions = place.permissions
        self.environment = place.environment
        self.machine = machine
        self.token = token
        self.status = SUCCESS
        self.result = SUCCESS
        self.outputs: dict[str, str] = {}
        self.steps: list[StepRun] = []
        self.summary = ""
        self.notes: list[str] = []
        """Warnings and errors of the runner itself."""
        self.used: list[str] = []
        """Actions that were used, in order."""
        self.env: dict[str, str] = {}
        self.path: list[str] = []
        self.post: list[Callable[[], None]] = []
        self.masks = {line for secret in place.secrets.values() for line in secret.splitlines() if line} | {token}
        self.event_path = machine.temp / "_github_workflow/event.json"

    @property
    def language(self) -> Language:
        """GitHub's parser and evaluator."""
        return self.run.hub.language

    @property
    def log(self) -> str:
        """All that the steps have said, as GitHub shows it."""
        return "\n".join(step.log for step in self.steps)

    @property
    def commands(self) -> list[Command]:
        """All workflow commands that the steps have given."""
        return [command for step in self.steps for command in step.commands]

    def __getitem__(self, step: str) -> StepRun:
        """A step by its id, or its name."""
        return next(made for made in self.steps if step in (made.id, made.name))

    def masked(self, line: str) -> str:
        """A line without what is secret."""
        for secret in sorted(self.masks, key=len, reverse=True):
            line = line.replace(secret, "***")
        return line

    def contexts(self) -> JSON:
        """What every expression of the job may see; `steps` and `env` depend on where it stands."""
        place = self.place
        return {
            "github": {
                **self.run.github,
                "token": self.token,
                "job": place.id,
                "workspace": str(self.machine.workspace),
            },
            "needs": place.needs,
            "inputs": place.inputs,
            "matrix": place.matrix,
            "strategy": place.strategy,
            "vars": self.run.variables(place.environment),
            "secrets": {**place.secrets, "GITHUB_TOKEN": self.token},
            "job": {"status": self.status},
            "runner": {
                "os": "Linux",
                "arch": "X64",
                "name": "GitHub Actions 1",
                "environment": "github-hosted",
                "temp": str(self.machine.temp),
                "tool_cache": str(self.machine.tools),
                "workspace": str(self.machine.workspace.parent),
            },
        }

    def environ(self, env: Mapping[str, str], files: Mapping[str, Path], github: JSON) -> dict[str, str]:
        """The variables of a process: those of runner and event cannot be changed by anybody.

        Args:
            env: of workflow, job and step.
            files: by which the step tells the runner things.
            github: the context as the step sees it.
        """
        path = [*self.path, env.get("PATH") or self.machine.environment()["PATH"]]
        told = {f"GITHUB_{name.upper()}": text(value) for name, value in github.items() if name in _TOLD}
        return {
            **self.machine.environment(),
            **env,
            "PATH": ":".join(path),
            **told,
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(self.event_path),
            "GITHUB_RETENTION_DAYS": "90",
            **({"RUNNER_DEBUG": "1"} if self.run.hub.debug else {}),
            **{f"GITHUB_{name.upper()}": str(file) for name, file in files.items()},
            "RUNNER_TEMP": str(self.machine.temp),
        }


_TOLD = frozenset(
    [
        "action",
        "action_path",
        "action_ref",
        "action_repository",
        "actor",
        "actor_id",
        "api_url",
        "base_ref",
        "event_name",
        "graphql_url",
        "head_ref",
        "job",
        "ref",
        "ref_name",
        "ref_protected",
        "ref_type",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "run_attempt",
        "run_id",
        "run_number",
        "server_url",
        "sha",
        "triggering_actor",
        "workflow",
        "workflow_ref",
        "workflow_sha",
        "workspace",
    ]
)
"""Members of the context `github` that are variables too."""


class Scope:
    """What the expressions of one list of steps see: a job's own, or those of a composite action.

    Args:
        job: that they are part of.
        env: on top of the job's.
        inputs: of the action; the job's own when None.
        github: members that are others than the job's.
    """

    def __init__(
        self,
        job: Job,
        *,
        env: Mapping[str, str] | None = None,
        inputs: JSON | None = None,
        github: JSON | None = None,
        cwd: str = "",
    ) -> None:
        self.job = job
        self.inputs = inputs
        self.github = github or {}
        self.steps: JSON = {}
        self.status = SUCCESS
        self.cwd = cwd
        self._env = dict(env or {})

    @property
    def composite(self) -> bool:
        """Whether these are the steps of an action."""
        return self.inputs is not None

    def env(self) -> dict[str, str]:
        """As it is now: steps may have added to it."""
        return {**self.job.env, **self._env}

    def contexts(self, env: Mapping[str, str] | None = None) -> JSON:
        """All contexts, with a step's own `env` where there is one."""
        found = self.job.contexts()
        found["github"] |= self.github
        found |= {"steps": self.steps, "env": dict(env if env is not None else self.env())}
        if self.inputs is not None:
            found |= {"inputs": self.inputs, "secrets": {}, "needs": {}}
        return found

    def resolve(self, value: Any, env: Mapping[str, str] | None = None) -> Any:
        """A value without expressions."""
        cancelled = self.job.run.cancelled.is_set()
        status = self.status if self.composite else self.job.status
        told = {"success": status == SUCCESS and not cancelled, "failure": status == FAILURE, "cancelled": cancelled}
        workspace = str(self.job.machine.workspace)
        return self.job.language.resolve(value, self.contexts(env), status=told, workspace=workspace)

    def texts(self, value: JSON, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """A mapping of texts without expressions."""
        return {name: text(member) for name, member in self.resolve(value, env).items()}

    def failed(self, status: str = FAILURE) -> None:
        """A step has failed that was not allowed to."""
        if self.status == SUCCESS:
            self.status = status
        if not self.composite and self.job.status == SUCCESS:
            self.job.status = status
