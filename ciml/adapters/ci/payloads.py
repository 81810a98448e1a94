"""The parts of GitHub's payloads that are read, and how strictly.

Source: npm @octokit/webhooks-schemas, which describes all of each payload.
"""

from __future__ import annotations

from ciml.adapters.ci.fields import Number, Payload, Reference, Sha, Short


class Repository(Payload, frozen=True):
    """A repository."""

    full_name: Short
    id: int | None = None
    default_branch: Reference | None = None


class Sender(Payload, frozen=True):
    """Who did it."""

    login: Short = ""


class Common(Payload, frozen=True):
    """What payloads of all events have."""

    repository: Repository | None = None
    sender: Sender | None = None


class HeadCommit(Payload, frozen=True):
    """The commit that a pushed ref leads to."""

    id: Sha


class Push(Payload, frozen=True):
    """`push`."""

    ref: Reference
    before: Sha
    after: Sha
    deleted: bool = False
    head_commit: HeadCommit | None = None


class Side(Payload, frozen=True):
    """Head or base of a pull request."""

    ref: Reference
    sha: Sha
    repo: Repository | None = None


class PullRequest(Payload, frozen=True):
    """A pull request."""

    number: Number
    head: Side
    base: Side


class OfPullRequest(Payload, frozen=True):
    """`pull_request`, its reviews and `pull_request_target`."""

    pull_request: PullRequest
    repository: Repository


class MergeGroup(Payload, frozen=True):
    """Pull requests that are tested together before they are merged."""

    head_sha: Sha
    head_ref: Reference
    base_sha: Sha
    base_ref: Reference


class OfMergeGroup(Payload, frozen=True):
    """`merge_group`."""

    merge_group: MergeGroup


class Release(Payload, frozen=True):
    """A release."""

    tag_name: Reference
    draft: bool = False


class OfRelease(Payload, frozen=True):
    """`release`."""

    action: Short
    release: Release


class Create(Payload, frozen=True):
    """`create`, of a branch or a tag."""

    ref: Reference
    ref_type: Short


class Schedule(Payload, frozen=True):
    """`schedule`."""

    schedule: Short


class RepositoryDispatch(Payload, frozen=True):
    """`repository_dispatch`."""

    action: Short


class WorkflowDispatch(Payload, frozen=True):
    """`workflow_dispatch`."""

    workflow: Short
    ref: Reference
    inputs: dict[str, object] | None = None


class RunRepository(Payload, frozen=True):
    """A run's repository."""

    full_name: Short


class RunPullRequest(Payload, frozen=True):
    """A pull request that a run was for."""

    number: Number


class WorkflowRun(Payload, frozen=True):
    """A run of another workflow."""

    id: Number
    head_sha: Sha
    head_branch: Reference | None = None
    path: Short = ""
    run_attempt: Number = 1
    run_number: Number = 1
    head_repository: RunRepository | None = None
    pull_requests: list[RunPullRequest] = []


class OfWorkflowRun(Payload, frozen=True):
    """`workflow_run`."""

    workflow_run: WorkflowRun
    repository: Repository


class Issue(Payload, frozen=True):
    """An issue, or a pull request."""

    number: Number


class OfIssueComment(Payload, frozen=True):
    """`issue_comment`."""

    issue: Issue
