"""The workflow that `ciml workflow` writes: a job for each stage, and one last job that decides.

Jobs that run the repository's code have a token that can read and nothing else, and no secret of
the registry; what they make travels as artifacts, and is believed by its digest alone. The last
job has the rights and runs no code of the repository. Data reaches a step by `with` and `env`,
never by text inside a script: there is no script.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ciml.core import dag
from ciml.core.errors import ConfigurationError
from ciml.core.pipeline import Compare, DeployTarget, Parameter, Stage
from ciml.core.plan import Graph
from ciml.core.workflow.limits import LARGEST, offered, refuse
from ciml.core.workflow.order import (
    LONGEST_MINUTES,
    SETTLE_MINUTES,
    SETUP_MINUTES,
    declared,
    deploy_minutes,
    follow,
    job_names,
    last,
    minutes,
    reads_s3,
    slug,
    waits,
)
from ciml.core.workflow.steps import Settings, Steps
from ciml.core.yamltext import Folded, Node, text

RUNNER = "ubuntu-24.04"

_OWN = "github.event_name == 'push' && github.sha || github.event_name == 'workflow_dispatch' && github.run_id"
GROUP = f"ciml-${{{{ github.event.pull_request.number || github.ref }}}}-${{{{ {_OWN} || 'one' }}}}"
"""Which runs wait for each other.

Of those that wait GitHub keeps the newest alone, so every push has a group of its own: of its ref, since
tags and branches may be pushed together. So has what a person starts. Arrivals and schedules of a branch
may well become one.
"""

_HEADER = """\
# Written by `ciml workflow` from ciml.yaml: change that and run it again.
# `ciml workflow --check` fails where the two do not agree.
"""


def workflow(graph: Graph, settings: Settings) -> str:
    """The text of `.github/workflows/ciml.yml`.

    Raises:
        ConfigurationError: a CI job would lack the stages' packages, GitHub's expressions could not tell two
            names apart, or the file grows too large.
    """
    refuse(graph.pipeline)
    made = _HEADER + text(_Workflow(graph, settings).document(), blank_before=frozenset({"jobs"}))
    if len(made.encode()) > LARGEST:
        raise ConfigurationError(
            f"the workflow would have {len(made.encode()):,} bytes, and GitHub takes {LARGEST:,}",
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
        self._read_s3 = reads_s3(graph)
        # Jobs that look for new data, or check it, read where it comes from.
        self._syncs = bool(graph.pipeline.triggers.data or graph.pipeline.triggers.schedules)
        self._brings = bool(graph.pipeline.triggers.data or (graph.pipeline.data and self._read_s3))

    def document(self) -> dict[str, Node]:
        pipeline = self._pipeline
        jobs: dict[str, Node] = {"plan": self._plan()}
        jobs |= {self._jobs[name]: self._stage(name, stage) for name, stage in self._stages.items()}
        if rescored := self._rescored():
            jobs["rescore"] = self._rescore(rescored)
        jobs["ciml"] = self._settle(rescored)
        targets: dict[str, list[DeployTarget]] = {}
        for target in (target for model in pipeline.models.values() for target in model.deploy):
            targets.setdefault(target.name, []).append(target)
        deploys = {f"deploy-{slug(name)}": self._deploy(name, these) for name, these in targets.items()}
        jobs |= deploys
        if deploys:
            jobs["record"] = self._record(list(deploys), follows=any(map(follow, targets.values())))
        return {
            "name": "ciml",
            "on": self._on(),
            "permissions": {},
            "concurrency": {
                "group": GROUP,
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
        inputs = {item.name: _input(item) for item in offered(self._pipeline)}
        return {**on, "workflow_dispatch": {"inputs": inputs} if inputs else None}

    # Its jobs.

    def _plan(self) -> dict[str, Node]:
        return {
            "name": "plan",
            "runs-on": RUNNER,
            "timeout-minutes": SETUP_MINUTES,
            "environment": self._steps.environment(),
            "permissions": self._steps.permissions(
                contents="write" if self._syncs else "read",
                why="new data becomes a commit",
                aws=self._brings,
                actions="finds the last run that succeeded",
                **({"pull-requests": "new data, where the branch is protected"} if self._syncs else {}),
            ),
            "outputs": {name: f"${{{{ steps.ciml.outputs.{name} }}}}" for name in ("head", "stages", "rescore")},
            "steps": [
                *self._steps.begin(first=True, aws=self._brings),
                self._steps.ciml("plan", env=self._steps.registry()),
                self._steps.upload("ciml-plan"),
            ],
        }

    def _stage(self, name: str, stage: Stage) -> dict[str, Node]:
        before = [other for other in self._stages if other in self._waits[name]]
        if stage.always:
            before = last(before, self._waits)  # it asks for no result, so who is waited for is waited for once
        fanned = stage.template != stage.name
        job: dict[str, Node] = {
            "name": name,
            "needs": ["plan", *(self._jobs[other] for other in before)],
            "if": Folded(lines=tuple(self._condition(name, before, always=stage.always))),
            "runs-on": _labels(stage.runs_on),
            **({"container": stage.image} if stage.image else {}),
            "timeout-minutes": minutes(stage),
        }
        aws = name in self._read_s3
        job |= self._steps.stage_environment(stage, aws=aws)
        job["permissions"] = self._steps.permissions(aws=aws)
        if fanned:
            chosen = f"${{{{ fromJSON(needs.plan.outputs.stages)['{name}'] }}}}"
            job["strategy"] = {"fail-fast": False, "matrix": {"batch": chosen}}
        index = "${{ strategy.job-index }}" if fanned else "0"
        job["steps"] = [
            *self._steps.begin(aws=aws),
            *([self._steps.download(*map(self._artifact, self._ancestors(before)))] if before else []),
            self._steps.ciml(
                "stage",
                taken=bool(before),
                stages="${{ matrix.batch }}" if fanned else name,
                env=self._steps.variables(stage),
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

    def _head_if(self, follows: bool) -> list[str]:
        """The job to ask which commit it has made; a job that `follows` works on that one."""
        return ["plan"] if follows and self._syncs else []

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
        rerun = [self._stages[name] for name in names]
        aws = not self._read_s3.isdisjoint(names)
        job: dict[str, Node] = {
            "name": "rescore the champion",
            "needs": ["plan", *(self._jobs[name] for name in names)],
            "if": Folded(
                lines=(
                    "!cancelled() && needs.plan.result == 'success'",
                    "&& needs.plan.outputs.rescore != '[]' && !contains(needs.*.result, 'failure')",
                )
            ),
            "runs-on": _labels(slowest.runs_on),
            **({"container": slowest.image} if slowest.image else {}),
            "timeout-minutes": min(sum(minutes(self._stages[name]) for name in stages), LONGEST_MINUTES),
        }
        job |= self._steps.stage_environment(*rerun, aws=aws)
        job["permissions"] = self._steps.permissions(aws=aws)
        job["steps"] = [
            *self._steps.begin(aws=aws),
            self._steps.download("plan", *map(self._artifact, names)),
            self._steps.ciml("rescore", taken=True, env=self._steps.variables(*rerun)),
            self._steps.upload("ciml-rescore", whatever=True),
        ]
        return job

    def _settle(self, rescored: Sequence[str]) -> dict[str, Node]:
        earlier = set(self._ancestors(rescored))
        ends = [self._jobs[name] for name in last(self._stages, self._waits) if name not in earlier]
        needs = [*self._head_if(self._syncs), *ends, *(["rescore"] if rescored else [])]
        return {
            "name": "ciml",
            "needs": needs,
            "if": "always()",
            "runs-on": RUNNER,
            "timeout-minutes": SETTLE_MINUTES + math.ceil(self._pipeline.release.wait_s / 60),
            "environment": self._steps.environment(),
            "permissions": self._steps.permissions(
                contents="write",
                aws=self._brings,
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
                *self._steps.begin(aws=self._brings),
                self._steps.download("plan", "rescore", "stage-*"),
                self._steps.ciml("settle", taken=True, env=self._steps.trusted()),
                self._steps.upload("ciml-settled", whatever=True),
            ],
        }

    def _deploy(self, environment: str, targets: Sequence[DeployTarget]) -> dict[str, Node]:
        follows = follow(targets)
        aws = any(target.lambda_function or target.sagemaker_endpoint for target in targets)
        labels = dict.fromkeys(label for target in targets for label in target.runs_on)
        secrets = dict.fromkeys(secret for target in targets for secret in target.secrets)
        approved = {"actions": "who approved it"} if any(target.approval for target in targets) else {}
        return {
            "name": f"deploy to {environment}",
            "needs": [*self._head_if(follows), "ciml"],
            # Without a status function GitHub asks for the success of every job before; one without work has none.
            "if": Folded(
                lines=(
                    "!cancelled() && needs.ciml.result == 'success'",
                    f"&& contains(fromJSON(needs.ciml.outputs.deploy || '[]'), '{environment}')",
                )
            ),
            "runs-on": _labels(tuple(labels)),
            "timeout-minutes": deploy_minutes(targets),
            "environment": environment,
            "permissions": self._steps.permissions(aws=aws, **approved),
            "steps": [
                *self._steps.begin(first=not follows, aws=aws),
                self._steps.download("settled"),
                self._steps.ciml(
                    "deploy",
                    taken=True,
                    environment=environment,
                    env={name: f"${{{{ secrets.{name} }}}}" for name in secrets},
                ),
                self._steps.upload(f"ciml-receipt-{slug(environment)}", whatever=True),
            ],
        }

    def _record(self, deploys: Sequence[str], *, follows: bool) -> dict[str, Node]:
        return {
            "name": "record the deployments",
            "needs": [*self._head_if(follows), "ciml", *deploys],
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
                *self._steps.begin(first=not follows),
                self._steps.download("settled", "receipt-*"),
                self._steps.ciml("record", taken=True, handed=False, env=self._steps.trusted()),
            ],
        }


def _labels(labels: Sequence[str]) -> Node:
    return list(labels) if len(labels) > 1 else (labels or (RUNNER,))[0]


def _input(item: Parameter) -> dict[str, Node]:
    kind: dict[str, Node] = {"type": "boolean" if item.boolean else "choice" if item.allowed else "string"}
    if item.allowed:
        kind["options"] = [str(value) for value in item.allowed]
    if item.help:
        kind["description"] = item.help
    if item.default is not None:
        kind["default"] = item.default if item.boolean else str(item.default)
    return {**kind, "required": item.default is None}
