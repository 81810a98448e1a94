"""Every job of the written workflow, for every event: the one role of templates/aws that its OIDC token can take.

What a token says is taken from GitHub's documentation; the workflow is evaluated by GitHub's own expressions.
Source: GitHub Docs, "OpenID Connect reference", "Example subject claims".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ciml.core.event import Event, Kind, Rights, Run, rights
from tests.harness.language import JSON, Language, truthy
from tests.test_aws_templates import BUCKET, ROLES, template
from tests.test_workflows import written

PIPELINE = """\
stages:
  prepare: {run: echo, inputs: [data], outputs: [a.csv]}
  train: {run: echo, inputs: [a.csv], outputs: [model], secrets: [WANDB_KEY]}
  evaluate: {run: echo, inputs: [model, a.csv], metrics: [m.json]}
models:
  churn:
    path: model
    gate: [auc > champion.auc]
    champion: {rescore: evaluate}
    deploy: {production: {after: release, lambda: churn}}
triggers: {push: {branches: [main, "release/**"]}, schedule: "0 3 * * 1", data: [s3://acme-churn/raw/]}
"""
SHARED = "store: s3://acme-ml/ciml\nledger: s3://acme-ml/ledger\n"

REPOSITORY = {"CIML_AWS_ROLE": "StageRole", "CIML_AWS_ROLE_PULL_REQUEST": "PullRequestRole", "AWS_REGION": "x"}
ENVIRONMENTS = {"ciml": {"CIML_AWS_ROLE": "TrustedRole"}, "production": {"CIML_AWS_ROLE": "DeployRole"}}
"""Variables as templates/aws/README.md says to set them."""

STAGES = ("prepare", "train", "evaluate", "rescore")


class Happening(NamedTuple):
    """An event as the `github` context has it, and as ciml understands it."""

    name: str
    ref: str
    event: Event
    payload: JSON = {}


def happening(kind: Kind, name: str, ref: str, **about: Any) -> Happening:
    run = Run(id="9")
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    about = {"branch": branch, "tag": ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else None} | about
    event = Event(kind=kind, name=name, default_branch="main", run=run, **about)
    pull = {"pull_request": {"head": {"repo": {"fork": event.fork}}}} if kind is Kind.PULL_REQUEST else {}
    return Happening(name, ref, event, pull)


EVENTS = {
    "push": happening(Kind.PUSH, "push", "refs/heads/main"),
    "schedule": happening(Kind.SCHEDULE, "schedule", "refs/heads/main"),
    "dispatch": happening(Kind.DISPATCH, "repository_dispatch", "refs/heads/main"),
    "by-hand": happening(Kind.MANUAL, "workflow_dispatch", "refs/heads/main"),
    "branch": happening(Kind.PUSH, "push", "refs/heads/release/1"),
    "environment-s-name": happening(Kind.PUSH, "push", "refs/heads/ciml"),
    "by-hand-on-a-branch": happening(Kind.MANUAL, "workflow_dispatch", "refs/heads/wip"),
    "merge-group": happening(
        Kind.MERGE_GROUP, "merge_group", "refs/heads/gh-readonly-queue/main/pr-7-0123", branch="main", number=7
    ),
    "pull-request": happening(Kind.PULL_REQUEST, "pull_request", "refs/pull/7/merge", number=7),
    "fork": happening(Kind.PULL_REQUEST, "pull_request", "refs/pull/8/merge", number=8, fork=True),
    "tag": happening(Kind.TAG, "push", "refs/tags/v1"),
    "release": happening(Kind.TAG, "release", "refs/tags/v1"),
    "by-hand-on-a-tag": happening(Kind.MANUAL, "workflow_dispatch", "refs/tags/v1"),
}


@pytest.fixture(scope="module")
def language() -> Iterator[Language]:
    with Language() as language:
        yield language


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, language: Language) -> JSON:
    """The jobs of a workflow in which every kind of job works with AWS."""
    return parsed(language, tmp_path_factory.mktemp("shared"), SHARED + PIPELINE)


def parsed(language: Language, folder: Path, text: str) -> JSON:
    """The jobs that `ciml workflow` writes, as GitHub's parser reads them."""
    jobs: JSON = language.workflow("ciml.yml", written(folder / "repo", text)["ciml.yml"].read_text())["root"]["jobs"]
    return jobs


def subject(github: JSON, environment: str) -> str:
    """The `sub` of a job's token."""
    if environment:
        return f"repo:acme/churn:environment:{environment}"
    about = "pull_request" if github["event_name"] == "pull_request" else f"ref:{github['ref']}"
    return f"repo:acme/churn:{about}"


@cache
def roles() -> JSON:
    """The roles of the template, where stages with secrets may take one."""
    resources = template(StageEnvironment="ciml-stages")["Resources"]
    return {role: resources[role]["Properties"] for role in ROLES}


def takers(said: str) -> list[str]:
    """The roles whose trust policies a subject fits."""
    found = []
    for role in ROLES:
        [statement] = roles()[role]["AssumeRolePolicyDocument"]["Statement"]
        if said in statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]:
            found.append(role)
    return found


def may_write(role: str, key: str) -> bool:
    """Whether a role's policy allows to write a key of the bucket."""
    [policy] = roles()[role]["Policies"]
    return any(
        fnmatch.fnmatchcase(f"arn:aws:s3:::{BUCKET}/{key}", pattern)
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:PutObject" in statement["Action"]
        for pattern in statement["Resource"]
    )


def working(allowed: Rights, jobs: JSON) -> list[str]:
    """The jobs that have work for an event."""
    found = ["plan", "ciml", *(STAGES if allowed.runs else ())]
    return [*found, *(["deploy-production", "record"] if allowed.deploys else [])]


def signed_in(language: Language, job: JSON, github: JSON) -> tuple[str, str]:
    """The environment that GitHub runs a job in, and the role that it asks for; "" for none."""
    contexts: JSON = {"github": github}
    environment = str(language.resolve(job.get("environment", ""), contexts, status={}))
    contexts["vars"] = {**REPOSITORY, **ENVIRONMENTS.get(environment, {})}
    [step] = [step for step in job["steps"] if "configure-aws-credentials" in step["uses"]]
    asks = language.resolve(step["if"], contexts, status={"success": True})
    role = language.resolve(step["with"]["role-to-assume"], contexts, status={})
    return environment, str(role) if truthy(asks) else ""


@pytest.mark.parametrize("name", [name for name in EVENTS if name != "fork"])
def test_one_role_for_each_job(language: Language, jobs: JSON, name: str) -> None:
    """The role that a job asks for is the one that its token fits, and it may write what the event allows, no more."""
    ref_type = "tag" if EVENTS[name].ref.startswith("refs/tags/") else "branch"
    github = {"event_name": EVENTS[name].name, "ref": EVENTS[name].ref, "ref_type": ref_type, "event": {}}
    github["event"] = EVENTS[name].payload
    allowed = rights(EVENTS[name].event)
    for job in working(allowed, jobs):
        environment, role = signed_in(language, jobs[job], github)
        said = subject(github, environment)
        assert takers(said) == [role], f"{job}: {said}"
        if job in STAGES:
            assert may_write(role, f"ciml/records/{allowed.space}/ab/cd"), f"{job}: {role}"
            assert not may_write(role, "ciml/records/main/ab/cd") and not may_write(role, "ledger/churn/1")
        elif job.startswith("deploy-"):
            assert role == "DeployRole"
        else:
            trusted = bool(allowed.registers or allowed.deploys)
            for key in ("ciml/records/main/ab/cd", "ciml/records/run/9-1/ab/cd", "ledger/churn/1"):
                assert may_write(role, key) == trusted, f"{job}: {role} {key}"


def test_a_fork_asks_for_none(language: Language, jobs: JSON) -> None:
    """Of a fork's pull request no job signs in, whatever its environment."""
    fork = EVENTS["fork"]
    github = {"event_name": fork.name, "ref": fork.ref, "ref_type": "branch", "event": fork.payload}
    for job in working(rights(fork.event), jobs):
        assert signed_in(language, jobs[job], github)[1] == "", job


def test_without_trust_in_the_stages_environment() -> None:
    """No role trusts `ciml-stages` unless it is asked for: whoever can push a branch could name it."""
    policy = template()["Resources"]["StageRole"]["Properties"]["AssumeRolePolicyDocument"]
    [statement] = policy["Statement"]
    subjects = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subjects == ["repo:acme/churn:ref:refs/heads/main"]


@pytest.mark.parametrize("named", ["", SHARED], ids=["own", "shared"])
def test_stages_are_in_an_environment_where_they_must(language: Language, tmp_path: Path, named: str) -> None:
    """Without secrets and without AWS a stage has none; secrets of the default branch are no other branch's."""
    text = PIPELINE.replace("[data]", "[train.py]").replace("data: [s3://acme-churn/raw/]", "release: false")
    made = parsed(language, tmp_path, named + text)
    assert ("environment" in made["prepare"]) == bool(named)
    where = {}
    for name in ("push", "branch", "merge-group", "pull-request"):
        github = {"event_name": EVENTS[name].name, "ref": EVENTS[name].ref, "ref_type": "branch"}
        where[name] = [
            language.resolve(made[job].get("environment", ""), {"github": github}, status={})
            for job in ("prepare", "train")
        ]
    other = "ciml-untrusted" if named else ""
    assert where == {
        "push": ["", "ciml-stages"],
        "branch": [other, "ciml-untrusted"],
        "merge-group": [other, "ciml-untrusted"],
        "pull-request": ["", "ciml-untrusted"],
    }
