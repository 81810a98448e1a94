"""GitHub Actions: the event from its environment and payload.

Source: docs.github.com, "Events that trigger workflows" (GITHUB_SHA and GITHUB_REF of each) and
"Webhook events and payloads".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

import msgspec

from ciml.adapters.ci import payloads
from ciml.adapters.ci.fields import (
    address,
    branch_of,
    commit,
    count,
    read,
    reference,
    tag_of,
    unreadable,
    word,
)
from ciml.core.event import MOST_ATTEMPTS, Event, Kind, Run
from ciml.core.ids import CommitSha, is_no_commit
from ciml.core.value import Value

LARGEST = 32 * 2**20
"""Bytes of a payload; GitHub's own limit is 25 MB."""
_INPUTS = 100
_LONGEST_INPUT = 2**16

_OWNERS = {
    "pull_request": ("pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"),
    "merge_group": ("merge_group",),
    "release": ("release",),
    "workflow_run": ("workflow_run",),
    "comment": ("issue_comment", "pull_request_review_comment", "commit_comment", "discussion_comment"),
}
"""Part of a payload -> the events that have it."""
_PUBLISHED = ("published", "released", "prereleased")
_PULL_REF = re.compile(r"refs/pull/([0-9]{1,15})/(?:merge|head)")
_QUEUE_REF = re.compile(r"gh-readonly-queue/.+/pr-([0-9]{1,15})-[0-9a-f]{40,64}")
_WORKFLOW_REF = re.compile(r"[^@]*/([^/@]{1,255})@.*", re.DOTALL)


class _Job(Value, frozen=True, kw_only=True):
    """What the environment says, whatever the event."""

    name: str
    ref: str | None
    sha: CommitSha | None
    shared: Event
    """With the fields that all events have."""

    def made(self, kind: Kind, **fields: object) -> Event:
        """The event, on GitHub's own commit where nothing else is said."""
        return msgspec.structs.replace(self.shared, kind=kind, **{"head": self.sha, "head_sha": self.sha, **fields})

    def must_be_about(self, ref: str) -> None:
        """GITHUB_REF is that ref.

        Raises:
            ConfigurationError: payload and environment contradict each other.
        """
        if self.ref is not None and self.ref != ref:
            raise unreadable(f"it is about {ref}, and GITHUB_REF is {self.ref}")

    def must_be_at(self, sha: CommitSha | None) -> None:
        """GITHUB_SHA is that commit.

        Raises:
            ConfigurationError: payload and environment contradict each other.
        """
        if sha is not None and self.sha is not None and self.sha != sha:
            raise unreadable(f"it is about {sha}, and GITHUB_SHA is {self.sha}")


def payload_at(path: str | None) -> Mapping[str, object]:
    """The payload that a runner has written to a file.

    Raises:
        ConfigurationError: there is none, or it is no JSON object.
    """
    if not path:
        raise unreadable("GITHUB_EVENT_PATH is not set")
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise unreadable(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LARGEST:
        raise unreadable(f"{path} is larger than {LARGEST} bytes")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise unreadable(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise unreadable(f"{path} holds no JSON object")
    return found


def event_from(environ: Mapping[str, str], payload: Mapping[str, object]) -> Event:
    """The event that a job's environment and its payload tell of, where the two agree.

    Raises:
        ConfigurationError: something is missing, is not what GitHub would send, or contradicts.
    """
    name = environ.get("GITHUB_EVENT_NAME", "")
    if not re.fullmatch(r"[a-z_]{1,64}", name):
        raise unreadable("GITHUB_EVENT_NAME names no event")
    for part, owners in _OWNERS.items():
        if name in _READERS and part in payload and name not in owners:
            raise unreadable(f"it tells of a {part}, and the event is {name}")
    return _READERS.get(name, _other)(_job(name, environ, payload), payload)


def _job(name: str, environ: Mapping[str, str], payload: Mapping[str, object]) -> _Job:
    known = read(payload, payloads.Common)
    ref, sha = environ.get("GITHUB_REF") or None, environ.get("GITHUB_SHA") or None
    if sha is not None and commit(sha) is None and not is_no_commit(sha):
        raise unreadable("GITHUB_SHA is no commit id")
    of_payload = known.repository.full_name if known.repository else ""
    sender = known.sender.login if known.sender else ""
    shared = Event(
        kind=Kind.OTHER,
        name=name,
        repository=word(environ.get("GITHUB_REPOSITORY") or of_payload),
        default_branch=(known.repository.default_branch if known.repository else None) or "",
        actor=word(environ.get("GITHUB_ACTOR") or sender),
        run=_run(environ),
    )
    return _Job(name=name, ref=reference(ref, "GITHUB_REF") if ref else None, sha=commit(sha), shared=shared)


def _run(environ: Mapping[str, str]) -> Run:
    number = count(environ.get("GITHUB_RUN_ID"))
    attempt = min(max(1, count(environ.get("GITHUB_RUN_ATTEMPT"))), MOST_ATTEMPTS + 1)
    repository = environ.get("GITHUB_REPOSITORY", "")
    url = f"{environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{repository}/actions/runs/{number}"
    workflow = _WORKFLOW_REF.fullmatch(environ.get("GITHUB_WORKFLOW_REF", ""))
    return Run(
        id=str(number) if number else "",
        attempt=attempt,
        url=address(f"{url}/attempts/{attempt}") if number and repository else "",
        workflow=word(workflow[1]) if workflow else "",
        number=count(environ.get("GITHUB_RUN_NUMBER")),
    )


# One reader for each event.


def _push(job: _Job, payload: Mapping[str, object]) -> Event:
    push = read(payload, payloads.Push)
    job.must_be_about(push.ref)
    after = commit(push.after)
    deleted = push.deleted or after is None
    branch, tag = branch_of(push.ref), tag_of(push.ref)
    if branch is None and tag is None:
        return job.made(Kind.OTHER)
    if deleted:
        kind = Kind.TAG if tag else Kind.PUSH
        return job.made(kind, branch=branch, tag=tag, before=push.before, deleted=True, head=None, head_sha=None)
    if tag is not None:
        # An annotated tag's `after` is the tag object; the commit stands beside it.
        head = commit(push.head_commit.id) if push.head_commit else job.sha or after
        if job.sha not in (None, head, after):
            job.must_be_at(head)
        return job.made(Kind.TAG, tag=tag, before=push.before, head=head, head_sha=head)
    job.must_be_at(after)
    return job.made(Kind.PUSH, branch=branch, before=push.before, head=after, head_sha=after)


def _pull_request(job: _Job, payload: Mapping[str, object]) -> Event:
    told = read(payload, payloads.OfPullRequest)
    request = told.pull_request
    about = _PULL_REF.fullmatch(job.ref or "")
    if about and int(about[1]) != request.number:
        raise unreadable(f"it is about pull request {request.number}, and GITHUB_REF is {job.ref}")
    head = commit(request.head.sha)
    privileged = job.name == "pull_request_target"
    return job.made(
        Kind.PRIVILEGED if privileged else Kind.PULL_REQUEST,
        branch=request.head.ref,
        head=job.sha if privileged else job.sha or head,
        head_sha=head,
        base=commit(request.base.sha),
        base_branch=request.base.ref,
        number=request.number,
        fork=_is_fork(request.head.repo, told.repository),
    )


def _is_fork(head: payloads.Repository | None, own: payloads.Repository) -> bool:
    """Whether a head is of another repository; of one that was deleted meanwhile, nothing is known."""
    if head is None or head.full_name.casefold() != own.full_name.casefold():
        return True
    return head.id != own.id


def _merge_group(job: _Job, payload: Mapping[str, object]) -> Event:
    group = read(payload, payloads.OfMergeGroup).merge_group
    job.must_be_about(group.head_ref)
    job.must_be_at(head := commit(group.head_sha))
    queue = branch_of(group.head_ref) or group.head_ref
    number = _QUEUE_REF.fullmatch(queue)
    return job.made(
        Kind.MERGE_GROUP,
        branch=queue,
        head=head,
        head_sha=head,
        base=commit(group.base_sha),
        base_branch=branch_of(group.base_ref),
        number=int(number[1]) if number else None,
    )


def _release(job: _Job, payload: Mapping[str, object]) -> Event:
    told = read(payload, payloads.OfRelease)
    tag = told.release.tag_name
    if told.action not in _PUBLISHED or told.release.draft:
        return job.made(Kind.OTHER, tag=tag)
    job.must_be_about(f"refs/tags/{tag}")
    return job.made(Kind.TAG, tag=tag)


def _create(job: _Job, payload: Mapping[str, object]) -> Event:
    created = read(payload, payloads.Create)
    if created.ref_type == "tag":
        job.must_be_about(f"refs/tags/{created.ref}")
        return job.made(Kind.TAG, tag=created.ref)
    if created.ref_type == "branch":
        job.must_be_about(f"refs/heads/{created.ref}")
        return job.made(Kind.PUSH, branch=created.ref)
    return job.made(Kind.OTHER)


def _schedule(job: _Job, payload: Mapping[str, object]) -> Event:
    read(payload, payloads.Schedule)
    return job.made(Kind.SCHEDULE, branch=branch_of(job.ref), tag=tag_of(job.ref))


def _repository_dispatch(job: _Job, payload: Mapping[str, object]) -> Event:
    read(payload, payloads.RepositoryDispatch)
    return job.made(Kind.DISPATCH, branch=branch_of(job.ref), tag=tag_of(job.ref))


def _workflow_dispatch(job: _Job, payload: Mapping[str, object]) -> Event:
    told = read(payload, payloads.WorkflowDispatch)
    if told.ref.startswith("refs/"):
        job.must_be_about(told.ref)
    inputs = _inputs(told.inputs or {})
    return job.made(Kind.MANUAL, branch=branch_of(job.ref), tag=tag_of(job.ref), inputs=inputs)


def _inputs(told: Mapping[str, object]) -> dict[str, str]:
    """The values that a person gave, as text; those left empty are not given."""
    if len(told) > _INPUTS:
        raise unreadable(f"it has more than {_INPUTS} inputs")
    found: dict[str, str] = {}
    for name, value in told.items():
        if value is None or value == "":
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, str | int | float) or max(len(str(value)), len(name)) > _LONGEST_INPUT:
            raise unreadable("an input is neither text nor a number, or is too long")
        found[name] = str(value)
    return found


def _workflow_run(job: _Job, payload: Mapping[str, object]) -> Event:
    told = read(payload, payloads.OfWorkflowRun)
    ended = told.workflow_run
    of = ended.head_repository.full_name if ended.head_repository else ""
    return job.made(
        Kind.REPORT,
        branch=ended.head_branch,
        head=job.sha,
        head_sha=commit(ended.head_sha),
        fork=of.casefold() != told.repository.full_name.casefold(),
        number=ended.pull_requests[0].number if len(ended.pull_requests) == 1 else None,
        reported=Run(
            id=str(ended.id),
            attempt=ended.run_attempt,
            workflow=word(os.path.basename(ended.path.partition("@")[0])),
            number=ended.run_number,
        ),
    )


def _issue_comment(job: _Job, payload: Mapping[str, object]) -> Event:
    number = read(payload, payloads.OfIssueComment).issue.number
    return job.made(Kind.PRIVILEGED, number=number, fork=True)


def _other(job: _Job, payload: Mapping[str, object]) -> Event:
    return job.made(Kind.OTHER)


_READERS: dict[str, Callable[[_Job, Mapping[str, object]], Event]] = {
    "push": _push,
    "pull_request": _pull_request,
    "pull_request_target": _pull_request,
    "pull_request_review": _pull_request,
    "pull_request_review_comment": _pull_request,
    "merge_group": _merge_group,
    "release": _release,
    "create": _create,
    "schedule": _schedule,
    "repository_dispatch": _repository_dispatch,
    "workflow_dispatch": _workflow_dispatch,
    "workflow_run": _workflow_run,
    "issue_comment": _issue_comment,
}
