"""AWS CodeBuild, alone or as an action of CodePipeline: the event from its environment.

CodeBuild does not tell whether a pull request comes from a fork, so every one counts as a fork's.
It does not tell the default branch either, and nothing of the branch where CodePipeline, a rule or a
person started the build: the remote is asked (`ciml.adapters.ci.detect`).

Source: AWS CodeBuild User Guide, "Environment variables in build environments".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from ciml.adapters.ci.fields import address, branch_of, commit, count, reference, unreadable, word
from ciml.core.event import Event, Kind, Run
from ciml.core.ids import is_commit_id

# A batch's source version also says the commit: `refs/heads/main^{6e0de79…}`.
_AT = re.compile(r"(?P<ref>.+)\^\{[0-9a-f]{40,64}\}")
_EVENTS = {
    "branch": ("PUSH",),
    "tag": ("PUSH", "RELEASED", "PRERELEASED"),
    "pr": (
        "PULL_REQUEST_CREATED",
        "PULL_REQUEST_UPDATED",
        "PULL_REQUEST_REOPENED",
        "PULL_REQUEST_MERGED",
        "PULL_REQUEST_CLOSED",
    ),
}
"""First part of CODEBUILD_WEBHOOK_TRIGGER -> the events that have it."""


def event_from(environ: Mapping[str, str]) -> Event:
    """The event that a build's environment tells of; `default_branch` is for others to fill in.

    Raises:
        ConfigurationError: the variables contradict each other.
    """
    event, trigger = environ.get("CODEBUILD_WEBHOOK_EVENT", ""), environ.get("CODEBUILD_WEBHOOK_TRIGGER", "")
    if event or trigger:
        return _of_webhook(environ, event, trigger)
    return _of_version(environ)


def _shared(environ: Mapping[str, str]) -> Event:
    """What is the same for all events."""
    head = commit(environ.get("CODEBUILD_RESOLVED_SOURCE_VERSION"))
    project, _, build = environ.get("CODEBUILD_BUILD_ID", "").partition(":")
    repository = address(environ.get("CODEBUILD_SOURCE_REPO_URL")).removesuffix(".git")
    return Event(
        kind=Kind.OTHER,
        name="codebuild",
        repository="/".join(repository.split("/")[3:]),
        head=head,
        head_sha=head,
        actor=word(environ.get("CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID") or environ.get("CODEBUILD_INITIATOR")),
        run=Run(
            id=word(build),
            url=address(environ.get("CODEBUILD_PUBLIC_BUILD_URL") or environ.get("CODEBUILD_BUILD_URL")),
            workflow=word(project),
            number=count(environ.get("CODEBUILD_BUILD_NUMBER")),
        ),
    )


def _of_webhook(environ: Mapping[str, str], event: str, trigger: str) -> Event:
    what, _, name = trigger.partition("/")
    if event not in _EVENTS.get(what, ()) or not name:
        if event and event not in {known for events in _EVENTS.values() for known in events}:
            return replace(_shared(environ), name=word(event) or "unknown")
        raise unreadable(f"CODEBUILD_WEBHOOK_EVENT is {event!r} and CODEBUILD_WEBHOOK_TRIGGER is {trigger[:255]!r}")
    reference(name, "CODEBUILD_WEBHOOK_TRIGGER")
    if what == "pr":
        return _pull_request(environ, event, name)
    ref = f"refs/{'heads' if what == 'branch' else 'tags'}/{name}"
    told = environ.get("CODEBUILD_WEBHOOK_HEAD_REF")
    if told and told != ref:
        raise unreadable(f"CODEBUILD_WEBHOOK_TRIGGER is {trigger!r} and CODEBUILD_WEBHOOK_HEAD_REF is {told[:255]!r}")
    if what == "tag":
        return replace(_shared(environ), kind=Kind.TAG, name=event, tag=name)
    return replace(
        _shared(environ),
        kind=Kind.PUSH,
        name=event,
        branch=name,
        before=environ.get("CODEBUILD_WEBHOOK_PREV_COMMIT") or None,
    )


def _pull_request(environ: Mapping[str, str], event: str, number: str) -> Event:
    if not count(number):
        raise unreadable("CODEBUILD_WEBHOOK_TRIGGER names no pull request")
    return replace(
        _shared(environ),
        kind=Kind.PULL_REQUEST,
        name=event,
        number=count(number),
        branch=branch_of(_ref(environ.get("CODEBUILD_WEBHOOK_HEAD_REF"))),
        base_branch=branch_of(_ref(environ.get("CODEBUILD_WEBHOOK_BASE_REF"))),
        fork=True,
    )


def _ref(text: str | None) -> str | None:
    return reference(text, "a ref") if text else None


def _of_version(environ: Mapping[str, str]) -> Event:
    """Of a build that no webhook started: CodePipeline, a rule, or a person."""
    initiator = environ.get("CODEBUILD_INITIATOR", "")
    version = environ.get("CODEBUILD_SOURCE_VERSION", "")
    if at := _AT.fullmatch(version):
        version = at["ref"]
    kind, name = Kind.MANUAL, "manual"
    if initiator.startswith("codepipeline/"):
        kind, name = Kind.PUSH, "codepipeline"
    elif initiator.startswith("rule/"):
        kind, name = Kind.SCHEDULE, "rule"
    if version.startswith("pr/"):
        return replace(
            _shared(environ), kind=Kind.PULL_REQUEST, name=name, number=count(version[3:]) or None, fork=True
        )
    if not version or version.startswith("arn:") or is_commit_id(version):
        return replace(_shared(environ), kind=kind, name=name)
    if version.startswith("refs/tags/"):
        return replace(_shared(environ), kind=kind, name=name, tag=reference(version[10:], "CODEBUILD_SOURCE_VERSION"))
    return replace(
        _shared(environ),
        kind=kind,
        name=name,
        branch=reference(branch_of(version) or version, "CODEBUILD_SOURCE_VERSION"),
    )
