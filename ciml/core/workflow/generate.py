"""The workflow that `ciml workflow` writes: a job for each stage, and one last job that decides.

Jobs that run the repository's code have a token that can read and nothing else, and no secret of
the registry; what they make travels as artifacts, and is believed by its digest alone. The last
job has the rights and runs no code of the repository. Data reaches a step by `with` and `env`,
never by text inside a script: there is no script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ciml.core import dag
from ciml.core.errors import ConfigurationError
from ciml.core.pipeline import Compare, Parameter, Stage
from ciml.core.plan import Graph
from ciml.core.workflow.order import LONGEST_MINUTES, SETUP_MINUTES, declared, job_names, minutes, slug, waits
from ciml.core.workflow.steps import STAGES, Settings, Steps
from ciml.core.yamltext import Folded, Node, text

LARGEST = 500_000
"""Bytes of a workflow file that GitHub takes."""

RUNNER = "ubuntu-24.04"

_MOST_INPUTS = 25
"""Of a workflow that is started by hand."""

_HEADER = """\
# Written by `ciml workflow` from ciml.yaml: change that and run it again.
# `ciml workflow --check` fails where the two do not agree.
"""


def workflow(graph: Graph, settings: Settings) -> str:
    """The text of `.github/workflows/ciml.yml`.

    Raises:
        ConfigurationError: a CI job would lack the stages' packages, or the file grows too large.
    """
    pipeline = graph.pipeline
    if pipeline.environment is None and any(stage.image is None for stage in declared(pipeline).values()):
        raise ConfigurationError(
            "a CI job would lack the stages' packages: ciml.yaml has no `environment`, and not every stage an `image`",
            hint='environment: {python: "3.11", requirements: requirements.txt}',
        )
    made = _HEADER + text(_Workflow(graph, settings).document(), blank_before=frozenset({"jobs"}))
    if len(made.encode()) > LARGEST:
        raise ConfigurationError(
            f"the workflow would have {len(made.encode())} bytes, and GitHub takes {LARGEST}",
            hint="Call the reusable workflow instead: one job runs all stages there.",
        )
    return made


class _Workflow:
    """Builds the document of one graph."""

    def __init__(self, graph: Graph, settings: Settings) -> None:
        self._graph = graph
        self._pipeline = graph.pipeline
        self._settings = settings
        self._stages = declared(graph.pipeline)
        self._jobs = job_names(graph.pipeline)
        self._waits = waits(graph)
        self._steps = Steps(graph.pipeline, settings)

    def document(self) -> dict[str, Node]:
        pipeline = self._pipeline
        jobs: dict[str, Node] = {"plan": self._plan()}
        jobs |= {self._jobs[name]: self._stage(name, stage) for name, stage in self._stages.items()}
        if rescored := self._rescored():
            jobs["rescore"] = self._rescore(rescored)
        jobs["ciml"] = self._settle(bool(rescored))
        environments = list(dict.fromkeys(target.name for model in pipeline.models.values() for target in model.deploy))
        for name in environments:
            jobs[f"deploy-{slug(name)}"] = self._deploy(name)
        if environments:
            jobs["record"] = self._record(environments)
        number = "github.event.pull_request.number"
        commit = "(github.event_name == 'push' || github.event_name == 'merge_group') && github.sha"
        return {
            "name": "ciml",
            "on": self._on(),
            "permissions": {},
            "concurrency": {
                # A push is never cancelled by the next one; arrivals and schedules of one branch wait for each other.
                "group": f"ciml-${{{{ {number} || {commit} || github.ref }}}}",
                "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
            },
            "jobs": jobs,
        }

    # What starts it.

    def _on(self) -> dict[str, Node]:
        triggers = self._pipeline.triggers
        push: dict[str, Node] = {}
        if triggers.pushes:
            push["branches"] = list(triggers.branches or [self._settings.default_branch])
        if triggers.tags:
            push["tags"] = list(triggers.tags)
        on: dict[str, Node] = {"push": push} if push else {}
        if triggers.pull_requests:
            on |= {"pull_request": None, "merge_group": None}
        if triggers.schedules:
            on["schedule"] = [{"cron": time} for time in triggers.schedules]
        if triggers.data:
            on["repository_dispatch"] = {"types": ["ciml-data"]}
        inputs = {item.name: _input(item) for item in self._pipeline.parameters[:_MOST_INPUTS]}
        return {**on, "workflow_dispatch": {"inputs": inputs} if inputs else None}

    # Its jobs.

    def _plan(self) -> dict[str, Node]:
        return {
            "name": "plan",
            "runs-on": RUNNER,
            "timeout-minutes": SETUP_MINUTES,
            "environment": self._steps.environment(),
            "permissions": self._steps.permissions(actions="finds the last run that succeeded"),
            "outputs": {name: f"${{{{ steps.ciml.outputs.{name} }}}}" for name in ("head", "stages", "rescore")},
            "steps": [
                *self._steps.begin(first=True),
                self._steps.ciml("plan", env=self._steps.registry()),
                self._steps.upload("ciml-plan"),
            ],
        }

    def _stage(self, name: str, stage: Stage) -> dict[str, Node]:
        before = [other for other in self._stages if other in self._waits[name]]
        fanned = stage.template != stage.name
        job: dict[str, Node] = {
            "name": name,
            "needs": ["plan", *(self._jobs[other] for other in before)],
            "if": Folded(lines=tuple(self._condition(name, before, always=stage.always))),
            "runs-on": list(stage.runs_on) if len(stage.runs_on) > 1 else (stage.runs_on or (RUNNER,))[0],
            **({"container": stage.image} if stage.image else {}),
            "timeout-minutes": minutes(stage),
        }
        if stage.secrets:
            job["environment"] = STAGES
        job["permissions"] = self._steps.permissions()
        if fanned:
            chosen = f"${{{{ fromJSON(needs.plan.outputs.stages)['{name}'] }}}}"
            job["strategy"] = {"fail-fast": False, "matrix": {"batch": chosen}}
        index = "${{ strategy.job-index }}" if fanned else "0"
        secrets = {secret: f"${{{{ secrets.{secret} }}}}" for secret in stage.secrets}
        passed = {variable: f"${{{{ vars.{variable} }}}}" for variable in stage.pass_env}
        job["steps"] = [
            *self._steps.begin(),
            *([self._steps.download(*map(self._artifact, self._ancestors(before)))] if before else []),
            self._steps.ciml(
                "stage", taken=bool(before), stages="${{ matrix.batch }}" if fanned else name, env={**passed, **secrets}
            ),
            self._steps.upload(f"ciml-stage-{self._jobs[name]}--{index}", whatever=True),
        ]
        return job

    def _condition(self, name: str, before: Sequence[str], *, always: bool) -> list[str]:
        """What a stage waits for: jobs before it that had work and have done it."""
        lines = [
            "!cancelled() && needs.plan.result == 'success'",
            f"&& fromJSON(needs.plan.outputs.stages)['{name}']",
        ]
        if not always:
            lines += [
                f"&& (needs.{self._jobs[other]}.result == 'success' || !fromJSON(needs.plan.outputs.stages)['{other}'])"
                for other in before
            ]
        return lines

    def _artifact(self, name: str) -> str:
        """The pattern of what the jobs of a stage hand on."""
        return f"stage-{self._jobs[name]}--*"

    def _ancestors(self, before: Iterable[str]) -> list[str]:
        """All stages whose results a key may depend on, however far before."""
        found = dag.upstream(self._waits, before)
        return [name for name in self._stages if name in found]

    def _rescored(self) -> list[str]:
        """The stages that score champions again, as ciml.yaml names them."""
        models = self._pipeline.models.values()
        found = {
            self._pipeline.stages[model.champion.rescore].template
            for model in models
            if model.champion.compare is Compare.RESCORE and model.champion.rescore
        }
        return [name for name in self._stages if name in found]

    def _rescore(self, stages: Sequence[str]) -> dict[str, Node]:
        names = self._ancestors(stages)
        slowest = max((self._stages[name] for name in stages), key=minutes)
        secrets = dict.fromkeys(secret for name in names for secret in self._stages[name].secrets)
        job: dict[str, Node] = {
            "name": "rescore the champion",
            "needs": ["plan", *(self._jobs[name] for name in names)],
            "if": Folded(
                lines=(
                    "!cancelled() && needs.plan.result == 'success'",
                    "&& needs.plan.outputs.rescore != '[]' && !contains(needs.*.result, 'failure')",
                )
            ),
            "runs-on": list(slowest.runs_on) if len(slowest.runs_on) > 1 else (slowest.runs_on or (RUNNER,))[0],
            **({"container": slowest.image} if slowest.image else {}),
            "timeout-minutes": min(sum(minutes(self._stages[name]) for name in stages), LONGEST_MINUTES),
        }
        if secrets:
            job["environment"] = STAGES
        job["permissions"] = self._steps.permissions()
        job["steps"] = [
            *self._steps.begin(),
            self._steps.download("plan", *map(self._artifact, names)),
            self._steps.ciml("rescore", taken=True, env={secret: f"${{{{ secrets.{secret} }}}}" for secret in secrets}),
            self._steps.upload("ciml-rescore", whatever=True),
        ]
        return job

    def _settle(self, rescored: bool) -> dict[str, Node]:
        needs = ["plan", *self._jobs.values(), *(["rescore"] if rescored else [])]
        return {
            "name": "ciml",
            "needs": needs,
            "if": "always()",
            "runs-on": RUNNER,
            "timeout-minutes": 60,
            "environment": self._steps.environment(),
            "permissions": self._steps.permissions(
                contents="write",
                **{
                    "actions": "finds the last run that succeeded",
                    "checks": "check run with the lines at fault",
                    "deployments": "says what is being deployed",
                    "pull-requests": "one comment",
                    "statuses": "status of the commit",
                },
            ),
            "outputs": {
                name: f"${{{{ steps.ciml.outputs.{name} }}}}" for name in ("deploy", "verdict", "model-version")
            },
            "steps": [
                *self._steps.begin(),
                self._steps.download("plan", "rescore", "stage-*"),
                self._steps.ciml("settle", taken=True, env=self._steps.trusted()),
                self._steps.upload("ciml-settled", whatever=True),
            ],
        }

    def _deploy(self, environment: str) -> dict[str, Node]:
        return {
            "name": f"deploy to {environment}",
            "needs": ["plan", "ciml"],
            # Without a status function GitHub asks for the success of every job before, and those without work have none.
            "if": Folded(
                lines=(
                    "!cancelled() && needs.ciml.result == 'success'",
                    f"&& contains(fromJSON(needs.ciml.outputs.deploy || '[]'), '{environment}')",
                )
            ),
            "runs-on": RUNNER,
            "timeout-minutes": 120,
            "environment": environment,
            "permissions": self._steps.permissions(),
            "steps": [
                *self._steps.begin(),
                self._steps.download("settled"),
                self._steps.ciml("deploy", taken=True, environment=environment),
                self._steps.upload(f"ciml-receipt-{slug(environment)}", whatever=True),
            ],
        }

    def _record(self, environments: Sequence[str]) -> dict[str, Node]:
        return {
            "name": "record the deployments",
            "needs": ["plan", "ciml", *(f"deploy-{slug(name)}" for name in environments)],
            "if": "always() && needs.ciml.outputs.deploy && needs.ciml.outputs.deploy != '[]'",
            "runs-on": RUNNER,
            "timeout-minutes": SETUP_MINUTES,
            "environment": self._steps.environment(),
            "permissions": self._steps.permissions(
                contents="write",
                checks="check run of the release",
                deployments="says what became of it",
                statuses="status of the commit",
            ),
            "steps": [
                *self._steps.begin(),
                self._steps.download("settled", "receipt-*"),
                self._steps.ciml("record", taken=True, handed=False, env=self._steps.trusted()),
            ],
        }


def _input(item: Parameter) -> dict[str, Node]:
    kind: dict[str, Node] = {"type": "boolean" if item.boolean else "choice" if item.allowed else "string"}
    if item.allowed:
        kind["options"] = [str(value) for value in item.allowed]
    if item.help:
        kind["description"] = item.help
    if item.default is not None:
        kind["default"] = item.default if item.boolean else str(item.default)
    return {**kind, "required": item.default is None}
