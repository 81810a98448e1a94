"""What GitHub knows of workflow runs and pull requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from ciml.adapters.github.api import Api, MissingError
from ciml.core.approval import Review, Reviews
from ciml.core.ids import CommitSha, is_commit_id
from ciml.core.value import Value

if TYPE_CHECKING:
    from github.PullRequest import PullRequest
    from github.Repository import Repository

RUNS = "actions: read"
PULLS = "pull-requests: read"

RunState = Literal["none", "running", "success", "failure"]

# A run of a pull request is about a branch of the same name in whatever repository: it tells nothing of ours.
_OURS = frozenset({"push", "schedule", "repository_dispatch", "workflow_dispatch", "dynamic"})

_FILE = re.compile(r"([^/@]+\.ya?ml)(?:@.*)?$")


class _Run(Value, frozen=True, kw_only=True):
    """What is read of a workflow run."""

    event: str
    status: str
    conclusion: str | None
    head_sha: str


class _User(Value, frozen=True, kw_only=True):
    """Who did something; nobody any more, where the account is gone."""

    login: str
    type: str


class _Begun(Value, frozen=True, kw_only=True):
    """Who began a run, and who ran it again."""

    actor: _User | None
    triggering_actor: _User | None


class _Environment(Value, frozen=True, kw_only=True):
    """What is read of an environment."""

    name: str


class _Review(Value, frozen=True, kw_only=True):
    """What is read of a review of a run's deployments."""

    state: str
    user: _User | None
    environments: list[_Environment]


def last_success(api: Api, workflow: str, branch: str) -> CommitSha | None:
    """The commit of the last push to a branch whose run succeeded, None where there is none.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    runs = _runs(api, workflow, {"branch": branch, "event": "push", "status": "success"})
    return next((CommitSha(run.head_sha) for run in runs if is_commit_id(run.head_sha)), None)


def run_state(api: Api, commit: CommitSha, workflow: str, branch: str) -> RunState:
    """What became of a commit's own runs on a branch; one that succeeded outweighs the others.

    Where the workflow has none there, as one that releases alone, any other's that still goes on may be the one.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    query = {"branch": branch, "head_sha": commit}
    runs = [run for run in _runs(api, workflow, query) if run.event in _OURS]
    if not runs:
        others = _listed(api, "the repository", f"/repos/{api.name}/actions/runs", query)
        return "running" if any(run.event in _OURS and run.status != "completed" for run in others) else "none"
    if any(run.conclusion == "success" for run in runs):
        return "success"
    return "running" if any(run.status != "completed" for run in runs) else "failure"


def reviews(api: Api, run: str) -> Reviews:
    """What people said of the deployments of a run, and who began it; what programs said of them is left out.

    Args:
        api: the repository.
        run: the number of the run.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    address = f"/repos/{api.name}/actions/runs/{run}"

    def get() -> Reviews:
        begun = msgspec.convert(api.client.requester.requestJsonAndCheck("GET", address)[1], _Begun)
        _, data = api.client.requester.requestJsonAndCheck("GET", f"{address}/approvals")
        return Reviews(
            began=tuple(user.login for user in (begun.actor, begun.triggering_actor) if user is not None),
            said=tuple(
                Review(
                    by=review.user.login,
                    environments=tuple(environment.name for environment in review.environments),
                    approved=review.state == "approved",
                )
                for review in msgspec.convert(data, list[_Review])
                if review.user is not None and review.user.type == "User"
            ),
        )

    return api.call(f"read who approved the run {run}", RUNS, get)


def _runs(api: Api, workflow: str, query: Mapping[str, str]) -> list[_Run]:
    """The newest runs of a workflow, named by its file, its path or as GITHUB_WORKFLOW_REF does."""
    found = _FILE.search(workflow)
    name = found[1] if found else workflow

    try:
        return _listed(api, name, f"{api.repo.get_workflow(name).url}/runs", query)
    except MissingError:
        return []  # a workflow that has never run, as on a new branch


def _listed(api: Api, whose: str, address: str, query: Mapping[str, str]) -> list[_Run]:
    def get() -> list[_Run]:
        # Of 100 runs with all that PyGithub reads of each, four fields are wanted of a few.
        asked = {**query, "per_page": 20, "exclude_pull_requests": True}
        _, data = api.client.requester.requestJsonAndCheck("GET", address, parameters=asked)
        return msgspec.convert(data["workflow_runs"], list[_Run])

    return api.call(f"read the runs of {whose}", RUNS, get)


def merged_pull_requests(api: Api, commit: CommitSha) -> tuple[int, ...]:
    """The pull requests of this repository's own branches that brought a commit in, lowest number first.

    Those of forks are left out: nothing of theirs is ever used again.

    Raises:
        ServiceError: GitHub refuses or fails.
    """

    def get() -> tuple[int, ...]:
        pulls = api.repo.get_commit(commit).get_pulls().get_page(0)
        return tuple(sorted(pull.number for pull in pulls if pull.merged_at and _is_own(pull, api.name)))

    return api.call(f"read the pull requests of {commit[:12]}", PULLS, get)


def _is_own(pull: PullRequest, repository: str) -> bool:
    home: Repository | None = pull.head.repo  # None where a fork is gone
    return home is not None and home.full_name.lower() == repository.lower()


def head_of(api: Api, number: int) -> CommitSha | None:
    """The commit at the head of a pull request now, None where there is no such pull request.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    pull = api.repo.get_pull(number)
    try:
        sha = api.call(f"read pull request #{number}", PULLS, lambda: pull.head.sha)
    except MissingError:
        return None
    return CommitSha(sha) if is_commit_id(sha) else None
