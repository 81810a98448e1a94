"""The jobs of a workflow: which run, in which order, with which rights; and of the workflows that they call."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.harness import matrix, permissions
from tests.harness.job import CANCELLED, FAILURE, SKIPPED, SUCCESS, Job, Place, Scope, StepError
from tests.harness.language import JSON, WorkflowError, text, truthy
from tests.harness.steps import run_steps

if TYPE_CHECKING:
    from tests.harness.run import Run

_LONGEST_OUTPUT = 1 << 20


@dataclass
class Done:
    """What came of a job of the file, whatever number of jobs its matrix made."""

    result: str
    outputs: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    error: str = ""
    """Why it never began."""


class Graph:
    """The jobs of one workflow file in one run.

    Args:
        run: that they are part of.
        root: the file, parsed.
        inputs: of the event, or of the caller.
        secrets: that its jobs may see.
        ceiling: the permissions of the job that calls it; None where it was started by the event.
        prefix: of its jobs' names.
        home: repository that the file is of; the run's own when "".
    """

    def __init__(
        self,
        run: Run,
        root: JSON,
        *,
        inputs: JSON,
        secrets: dict[str, str],
        ceiling: dict[str, str] | None = None,
        prefix: str = "",
        home: str = "",
    ) -> None:
        self.run = run
        self.root = root
        self.inputs = inputs
        self.secrets = secrets
        self.ceiling = ceiling
        self.prefix = prefix
        self.home = home or run.repository
        self.specs: dict[str, JSON] = root["jobs"]
        self.done: dict[str, Done] = {}

    def execute(self, kept: dict[str, Done]) -> None:
        """Run all jobs but those that are kept from an earlier attempt, each when those that it needs have ended."""
        self.done |= kept
        while pending := [name for name in self.specs if name not in self.done]:
            ready = [name for name in pending if all(need in self.done for need in self.needs(name))]
            ready = [name for name in ready if name not in self.run.hub.late] or ready
            with ThreadPoolExecutor(self.run.hub.parallel) as threads:
                ended = list(threads.map(self._job, ready))
            self.done |= dict(zip(ready, ended, strict=True))

    def needs(self, name: str) -> list[str]:
        """The jobs that a job names in its `needs`."""
        told = self.specs[name].get("needs") or []
        return [told] if isinstance(told, str) else told

    def ancestors(self, name: str) -> set[str]:
        """All jobs that a job comes after: `success()` asks for every one of them."""
        return {name for need in self.needs(name) for name in (need, *self.ancestors(need))}

    def leaves(self) -> list[Job]:
        """All jobs that have begun, also those of called workflows."""
        return [job for done in self.done.values() for job in done.jobs]

    def _contexts(self, name: str) -> JSON:
        needs = {
            need: {"result": self.done[need].result, "outputs": self.done[need].outputs} for need in self.needs(name)
        }
        return {"github": self.run.github, "needs": needs, "inputs": self.inputs, "vars": self.run.variables()}

    def _resolve(self, value: Any, contexts: JSON, name: str) -> Any:
        results = [self.done[other].result for other in self.ancestors(name)]
        cancelled = self.run.cancelled.is_set()
        status = {
            "success": all(result == SUCCESS for result in results) and not cancelled,
            "failure": FAILURE in results,
            "cancelled": cancelled,
        }
        return self.run.hub.language.resolve(value, contexts, status=status)

    def _job(self, name: str) -> Done:
        spec, contexts = self.specs[name], self._contexts(name)
        try:
            if not truthy(self._resolve(spec.get("if", {"${{": "success()"}), contexts, name)):
                self.run.check(self._title(name, spec, contexts), SKIPPED)
                return Done(CANCELLED if self.run.cancelled.is_set() else SKIPPED)
            strategy = self._resolve(spec.get("strategy") or {}, contexts, name)
            values = matrix.combinations(strategy["matrix"]) if strategy.get("matrix") else [{}]
            if "uses" in spec:
                return _together([self._called(name, spec, {**contexts, "matrix": one}) for one in values])
            return self._instances(name, spec, contexts, strategy, values)
        except WorkflowError as error:
            self.run.check(self._title(name, spec, contexts), FAILURE)
            self.run.errors.append(f"{name}: {error}")
            return Done(FAILURE, error=str(error))

    def _instances(self, name: str, spec: JSON, contexts: JSON, strategy: JSON, values: list[JSON]) -> Done:
        found: list[Done] = []
        fast = strategy.get("fail-fast", True)
        for number, one in enumerate(values):
            if fast and any(item.result == FAILURE for item in found):
                found.append(Done(CANCELLED))
                continue
            told = {"fail-fast": fast, "job-index": number, "job-total": len(values), "max-parallel": len(values)}
            found.append(self._instance(name, spec, {**contexts, "matrix": one, "strategy": told}))
        return _together(found)

    def _instance(self, name: str, spec: JSON, contexts: JSON) -> Done:
        place = self._place(name, spec, contexts)
        allowed = truthy(self._resolve(spec.get("continue-on-error", False), contexts, name))
        limit = float(self._resolve(spec.get("timeout-minutes", 360), contexts, name)) * 60
        job = self.run.begin(place)
        work(job, time.monotonic() + limit)
        self.run.end(job)
        return Done(SUCCESS if allowed and job.result == FAILURE else job.result, job.outputs, [job])

    def _place(self, name: str, spec: JSON, contexts: JSON) -> Place:
        told = self._resolve(spec.get("environment") or "", contexts, name)
        environment = text(told.get("name") if isinstance(told, dict) else told)
        secrets = dict(self.secrets)
        if environment:
            secrets |= self.run.enter(environment)
        return Place(
            id=name,
            name=self._title(name, spec, contexts),
            spec=spec,
            needs=contexts["needs"],
            inputs=self.inputs,
            matrix=contexts.get("matrix") or {},
            strategy=contexts.get("strategy") or {},
            permissions=self._granted(spec),
            secrets=secrets,
            environment=environment,
            defaults={**_defaults(self.root), **_defaults(spec)},
            env=self.root.get("env") or {},
            home=self.home,
        )

    def _granted(self, spec: JSON) -> dict[str, str]:
        return permissions.granted(
            self.root.get("permissions"), spec.get("permissions"), self.ceiling, fork=self.run.happening.fork
        )

    def _title(self, name: str, spec: JSON, contexts: JSON) -> str:
        told = spec.get("name")
        if told is None or (not contexts.get("matrix") and "matrix" in json.dumps(told)):
            return f"{self.prefix}{name}{matrix.title(contexts.get('matrix') or {})}"
        return f"{self.prefix}{text(self._resolve(told, contexts, name))}"

    def _called(self, name: str, spec: JSON, contexts: JSON) -> Done:
        """A workflow in the place of a job: its own jobs, with no more rights than this one's."""
        path = str(spec["uses"])
        parsed = self.run.hub.language.workflow(path, self.run.hub.called(path, self.run.workflow_sha))
        declared = (parsed["root"]["on"].get("workflow_call") or {}) if isinstance(parsed["root"]["on"], dict) else {}
        ceiling = self._granted(spec)
        for other, job in parsed["root"]["jobs"].items():
            asked = permissions.excess(parsed["root"].get("permissions"), job.get("permissions"), ceiling)
            if asked and not self.run.happening.fork:
                raise WorkflowError(f"the job {other} of {path} is requesting {', '.join(asked)}, which {name} has not")
        graph = Graph(
            self.run,
            parsed["root"],
            inputs=_inputs(declared.get("inputs") or {}, self._resolve(spec.get("with") or {}, contexts, name), path),
            secrets=self._handed(spec, declared, contexts, name),
            ceiling=ceiling,
            prefix=f"{self._title(name, spec, contexts)} / ",
            home=self.home if path.startswith("./") else "/".join(path.split("/")[:2]),
        )
        graph.execute({})
        outputs = {key: told["value"] for key, told in (declared.get("outputs") or {}).items()}
        jobs = {key: {"result": done.result, "outputs": done.outputs} for key, done in graph.done.items()}
        told = graph._resolve(
            outputs, {"jobs": jobs, "github": self.run.github, "inputs": graph.inputs}, next(iter(jobs))
        )
        ended = _together(list(graph.done.values()))
        return Done(ended.result, {key: text(value) for key, value in told.items()}, ended.jobs, ended.error)

    def _handed(self, spec: JSON, declared: JSON, contexts: JSON, name: str) -> dict[str, str]:
        told = spec.get("secrets")
        if told == "inherit":
            return self.secrets
        seen = {**contexts, "secrets": {**self.secrets, "GITHUB_TOKEN": ""}}
        handed = {key: text(value) for key, value in self._resolve(told or {}, seen, name).items()}
        known = declared.get("secrets") or {}
        if unknown := [key for key in handed if key not in known]:
            raise WorkflowError(f"Invalid secret, {unknown[0]} is not defined in the referenced workflow.")
        lacking = [key for key, one in known.items() if (one or {}).get("required") and key not in handed]
        if lacking:
            raise WorkflowError(f"Secret {lacking[0]} is required, but not provided while calling.")
        return handed


def work(job: Job, deadline: float) -> None:
    """Run a job's steps, then what they have left to do, then tell its outputs."""
    spec = job.place.spec
    scope = Scope(job)
    job.event_path.parent.mkdir(parents=True)
    job.event_path.write_text(json.dumps(job.run.happening.payload))
    try:
        job.env |= scope.texts(job.place.env)
        job.env |= scope.texts(spec.get("env") or {})
        if job.run.hub.is_closed(job.environment, job.run.happening.ref):
            raise StepError(f"{job.run.github['ref']} is not allowed to deploy to {job.environment}")
        if reviewer := job.run.hub.reviewers.get(job.environment):
            job.run.hub.api.review(job.run.id, job.environment, by=reviewer)
        run_steps(spec["steps"], scope, deadline=deadline)
        for left in reversed(job.post):
            left()
        job.outputs = _outputs(job, scope)
    except (StepError, WorkflowError) as error:
        job.status = FAILURE
        job.notes.append(str(error))
    finally:
        job.machine.sweep()
    job.result = CANCELLED if job.run.cancelled.is_set() and job.status != FAILURE else job.status


def _outputs(job: Job, scope: Scope) -> dict[str, str]:
    """The outputs of a job: none that is too long, and none that may hold a secret."""
    found = {}
    for name, value in scope.texts(job.place.spec.get("outputs") or {}).items():
        if any(secret in value for secret in job.masks):
            job.notes.append(f"Skip output '{name}' since it may contain secret.")
        elif len(value.encode("utf-16-le")) > _LONGEST_OUTPUT:
            job.notes.append(f"Skip output '{name}' since it is too long.")
        else:
            found[name] = value
    return found


def _together(parts: list[Done]) -> Done:
    """What a matrix, or a called workflow, came to as one job; the last output of a name counts."""
    results = [part.result for part in parts]
    ranking = (FAILURE, CANCELLED, SUCCESS, SKIPPED)
    result = next((one for one in ranking if one in results), SKIPPED)
    outputs = {name: value for part in parts for name, value in part.outputs.items() if value}
    return Done(
        result, outputs, [job for part in parts for job in part.jobs], "; ".join(filter(None, (p.error for p in parts)))
    )


def _defaults(spec: JSON) -> JSON:
    return dict((spec.get("defaults") or {}).get("run") or {})


def _inputs(declared: JSON, given: JSON, path: str) -> JSON:
    """The inputs of a called workflow, each of the type that it says."""
    if unknown := [name for name in given if name not in declared]:
        raise WorkflowError(f"Invalid input, {unknown[0]} is not defined in {path}.")
    empty: dict[str, Any] = {"boolean": False, "number": 0, "string": ""}
    found = {}
    for name, told in declared.items():
        if (told or {}).get("required") and name not in given:
            raise WorkflowError(f"Input {name} is required, but not provided while calling {path}.")
        value = given.get(name, (told or {}).get("default", empty[told["type"]]))
        if type(empty[told["type"]]) is not (int if type(value) is float else type(value)):
            raise WorkflowError(f"The input {name} of {path} is not a {told['type']}: {value!r}")
        found[name] = value
    return found
