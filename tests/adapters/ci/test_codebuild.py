"""Events of AWS CodeBuild, whose variables are those of real builds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.adapters.ci.codebuild import event_from
from ciml.core.errors import CimlError, ConfigurationError
from ciml.core.event import Kind, Run, rights

HEAD = "6e0de7938dda5363e2192fe2a2ec39987a3573b0"
PREVIOUS = "ef92d61ca5d9d843a87a4022f99925d2e211a2f4"
BUILD = {
    "CODEBUILD_BATCH_BUILD_IDENTIFIER": "",
    "CODEBUILD_BUILD_ARN": "arn:aws:codebuild:eu-west-1:123456789012:build/churn:ed00ef43-f18b-4653-9778-835e910ab2c3",
    "CODEBUILD_BUILD_ID": "churn:ed00ef43-f18b-4653-9778-835e910ab2c3",
    "CODEBUILD_BUILD_NUMBER": "12",
    "CODEBUILD_INITIATOR": "GitHub-Hookshot/1c6af21",
    "CODEBUILD_PUBLIC_BUILD_URL": "",
    "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD,
    "CODEBUILD_SOURCE_REPO_URL": "https://github.com/octo-org/octo-repo.git",
    "CODEBUILD_SOURCE_VERSION": HEAD,
    "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "88621008",
    "CODEBUILD_WEBHOOK_BASE_REF": "",
    "CODEBUILD_WEBHOOK_MERGE_COMMIT": "",
}
PUSH = {
    **BUILD,
    "CODEBUILD_WEBHOOK_EVENT": "PUSH",
    "CODEBUILD_WEBHOOK_PREV_COMMIT": PREVIOUS,
    "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main",
    "CODEBUILD_WEBHOOK_TRIGGER": "branch/main",
}
PULL_REQUEST = {
    **BUILD,
    "CODEBUILD_SOURCE_VERSION": "pr/2",
    "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED",
    "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main",
    "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main",
    "CODEBUILD_WEBHOOK_TRIGGER": "pr/2",
}
PIPELINE = {
    **BUILD,
    "CODEBUILD_INITIATOR": "codepipeline/churn",
    "CODEBUILD_SOURCE_VERSION": "arn:aws:s3:::codepipeline-eu-west-1-1/churn/Source/abc.zip",
    "CODEBUILD_SOURCE_REPO_URL": "",
}


def test_a_push() -> None:
    """The branch is known, the default branch is for the remote to say: until then it has no rights."""
    event = event_from(PUSH)
    assert (event.kind, event.branch, event.before, event.head) == (Kind.PUSH, "main", PREVIOUS, HEAD)
    assert event.repository == "octo-org/octo-repo"
    assert event.run == Run(id="ed00ef43-f18b-4653-9778-835e910ab2c3", workflow="churn", number=12)
    assert not rights(event).registers


def test_c007_every_pull_request_may_be_a_forks() -> None:
    """CodeBuild does not tell a fork's branch main from the repository's own: nothing is written for either."""
    event = event_from(PULL_REQUEST)
    assert (event.kind, event.number, event.base_branch, event.fork) == (Kind.PULL_REQUEST, 2, "main", True)
    assert not event.on_default
    assert rights(event).space is None


def test_a_tag() -> None:
    """As a push, or as a release."""
    for name in ("PUSH", "RELEASED"):
        tag = {"CODEBUILD_WEBHOOK_TRIGGER": "tag/v1", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/tags/v1"}
        event = event_from({**PUSH, **tag, "CODEBUILD_WEBHOOK_EVENT": name})
        assert (event.kind, event.tag, event.head) == (Kind.TAG, "v1", HEAD)


def test_codepipeline_tells_nothing_of_the_branch() -> None:
    """It is a push of a commit, to a branch that the remote must name."""
    event = event_from(PIPELINE)
    assert (event.kind, event.branch, event.head, event.repository) == (Kind.PUSH, None, HEAD, "")
    assert not rights(event).registers
    assert rights(event).space is None


@pytest.mark.parametrize(
    ("initiator", "version", "kind", "branch", "tag", "number"),
    [
        ("ada", "topic", Kind.MANUAL, "topic", None, None),
        ("ada", "refs/heads/topic", Kind.MANUAL, "topic", None, None),
        ("ada", f"refs/heads/topic^{{{HEAD}}}", Kind.MANUAL, "topic", None, None),
        ("ada", "refs/tags/v1", Kind.MANUAL, None, "v1", None),
        ("ada", HEAD, Kind.MANUAL, None, None, None),
        ("ada", "", Kind.MANUAL, None, None, None),
        ("ada", "pr/5", Kind.PULL_REQUEST, None, None, 5),
        ("rule/nightly", "main", Kind.SCHEDULE, "main", None, None),
    ],
)
def test_c040_a_build_that_no_webhook_started(
    initiator: str, version: str, kind: Kind, branch: str | None, tag: str | None, number: int | None
) -> None:
    """Trust from the source version, not from who started it."""
    event = event_from({**BUILD, "CODEBUILD_INITIATOR": initiator, "CODEBUILD_SOURCE_VERSION": version})
    assert (event.kind, event.branch, event.tag, event.number) == (kind, branch, tag, number)


@pytest.mark.parametrize(
    "change",
    [
        {"CODEBUILD_WEBHOOK_TRIGGER": "pr/2"},
        {"CODEBUILD_WEBHOOK_TRIGGER": ""},
        {"CODEBUILD_WEBHOOK_TRIGGER": "branch/"},
        {"CODEBUILD_WEBHOOK_TRIGGER": "branch/a\nb"},
        {"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED"},
        {"CODEBUILD_WEBHOOK_EVENT": ""},
        {"CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/topic"},
        {"CODEBUILD_WEBHOOK_HEAD_REF": "refs/tags/main"},
    ],
)
def test_c011_variables_that_contradict_each_other(change: dict[str, str]) -> None:
    """Exit 3, and nothing is run."""
    with pytest.raises(ConfigurationError, match="event payload unreadable"):
        event_from({**PUSH, **change})


def test_another_webhook_means_nothing() -> None:
    """Such as one that starts a runner."""
    queued = event_from({**PUSH, "CODEBUILD_WEBHOOK_EVENT": "WORKFLOW_JOB_QUEUED", "CODEBUILD_WEBHOOK_TRIGGER": ""})
    assert queued.kind is Kind.OTHER


def test_an_address_with_a_token_is_not_kept() -> None:
    """Neither repository nor link shows it."""
    event = event_from({**PUSH, "CODEBUILD_SOURCE_REPO_URL": "https://x:ghp_secret@github.com/octo-org/octo-repo"})
    assert event.repository == "octo-org/octo-repo"
    assert "secret" not in repr(event)


VALUES = st.sampled_from(["PUSH", "RELEASED", "pr/1", "branch/main", "tag/main", "refs/heads/main", "main", "", HEAD])


@given(st.dictionaries(st.sampled_from(sorted(PULL_REQUEST.keys() | PUSH.keys())), VALUES | st.text(), max_size=4))
def test_no_forged_environment_has_rights_of_its_own(change: dict[str, str]) -> None:
    """An error of ours, or an event without any: the default branch is never the environment's to name."""
    try:
        event = event_from({**PUSH, **change})
    except CimlError as error:
        assert error.code == 3
        return
    found = rights(event)
    assert not (found.admits or found.registers)
    assert found.deploys is None or event.tag is not None
