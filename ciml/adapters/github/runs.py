"""What GitHub knows of workflow runs and pull requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ciml.adapters.github.api import Api, MissingError
from ciml.core.ids import CommitSha, is_commit_id

if TYPE_CHECKING:
    from github.PaginatedList import PaginatedList
    from github.PullRequest import PullRequest
    from github.Repository import Repository
    from github.Workflow import Workflow
    from github.WorkflowRun import WorkflowRun

RUNS = "actions: read"
PULLS = "pull-requests: read"

RunState = Literal["none", "running", "success", "failure"]

# A run of a pull request is about a branch of the same name in whatever repository: it tells nothing of ours.
_OURS = frozenset({"push", "schedule", "repository_dispatch", "workflow_dispatch", "dynamic"})

_FILE = re.compile(r"([^/@]+\.ya?ml)(?:@.*)?$")


def last_success(api: Api, workflow: str, branch: str) -> CommitSha | None:
    """The commit of the last push to a branch whose run succeeded, None where there is none.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    runs = _runs(
        api,
        workflow,
        lambda found: found.get_runs(branch=branch, event="push", status="success", exclude_pull_requests=True),
    )
    return next((CommitSha(run.head_sha) for run in runs if is_commit_id(run.head_sha)), None)


def run_state(api: Api, commit: CommitSha, workflow: str, branch: str) -> RunState:
    """What became of a commit's own runs on a branch; one that succeeded outweighs the others.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    runs = _runs(
        api, workflow, lambda found: found.get_runs(branch=branch, head_sha=commit, exclude_pull_requests=True)
    )
    runs = [run for run in runs if run.event in _OURS]
    if not runs:
        return "none"
    if any(run.conclusion == "success" for run in runs):
        return "success"
    return "running" if any(run.status != "completed" for run in runs) else "failure"


def _runs(api: Api, workflow: str, ask: Callable[[Workflow], PaginatedList[WorkflowRun]]) -> list[WorkflowRun]:
    """The newest runs of a workflow, named by its file, its path or as GITHUB_WORKFLOW_REF does."""
    found = _FILE.search(workflow)
    name = found[1] if found else workflow
    try:
        return api.read(
            f"read the runs of {name}",
            RUNS,
            lambda: ask(api.repo.get_workflow(name)).get_page(0),
        )
    except MissingError:
        return []  # a workflow that has never run, as on a new branch


def merged_pull_requests(api: Api, commit: CommitSha) -> tuple[int, ...]:
    """The pull requests of this repository's own branches that brought a commit in, lowest number first.

    Those of forks are left out: nothing of theirs is ever used again.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    pulls = api.read(
        f"read the pull requests of {commit[:12]}",
        PULLS,
        lambda: api.repo.get_commit(commit).get_pulls().get_page(0),
    )
    return tuple(sorted(pull.number for pull in pulls if pull.merged_at and _is_own(pull, api.name)))


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
        sha = api.read(f"read pull request #{number}", PULLS, lambda: pull.head.sha)
    except MissingError:
        return None
    return CommitSha(sha) if is_commit_id(sha) else None
