"""Which service calls, on real repositories: plain Git, a laptop, and what only the remote can tell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ciml.adapters.ci.detect import detect
from ciml.adapters.ci.plain import EVENTS
from ciml.adapters.git.repository import Repository
from ciml.core.errors import CimlError, ConfigurationError, RepositoryError, ServiceError, UsageError
from ciml.core.event import Event, Kind, rights, space_of
from ciml.core.ids import CommitSha
from tests.adapters.ci.test_codebuild import PIPELINE, PUSH
from tests.repobuilder import RepoBuilder

ZEROS = "0" * 40


@contextmanager
def opened(repo: RepoBuilder) -> Iterator[Repository]:
    with Repository.open(str(repo.path), {**repo.env, "HOME": os.environ["HOME"]}) as found:
        yield found


def told(repo: RepoBuilder, event: str | None = None, **more: str) -> Event:
    """The event of a call with these options; those in capitals are variables."""
    environ = {"USER": "ada", **{name: value for name, value in more.items() if name.isupper()}}
    with opened(repo) as clone:
        return detect(environ, clone, event=event, base=more.get("base"), head=more.get("head"))


@pytest.fixture
def pushed(repo: RepoBuilder) -> RepoBuilder:
    """Two commits on main, which is on the remote, and a branch topic on top of it."""
    repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    repo.tag("v1", message="a release")
    repo.branch("topic")
    repo.commit({"a": "3"})
    repo.bare_origin()
    repo.switch("main")
    return repo


# Plain Git.


def test_a_push_of_the_branch_that_is_checked_out(pushed: RepoBuilder) -> None:
    """Which branch is the default, the remote says."""
    event = told(pushed, "push", base="HEAD~1")
    assert (event.kind, event.branch, event.default_branch, event.head) == (Kind.PUSH, "main", "main", pushed.head())
    assert event.before == pushed.git("rev-parse", "HEAD~1")
    assert rights(event).registers


@pytest.mark.parametrize("head", ["topic", "refs/heads/topic"])
def test_a_push_of_a_branch_by_name(pushed: RepoBuilder, head: str) -> None:
    """It has no rights, wherever HEAD is."""
    event = told(pushed, "push", head=head)
    assert (event.branch, event.head) == ("topic", pushed.git("rev-parse", "topic"))
    assert not rights(event).registers
    assert rights(event).space == "branch/topic"


def test_a_branch_of_the_remote_alone(pushed: RepoBuilder) -> None:
    """A clone has no local branch for most."""
    pushed.git("branch", "-q", "-D", "topic")
    pushed.git("checkout", "-q", "--detach", "origin/topic")
    with pytest.raises(RepositoryError):
        told(pushed, "push", head="refs/heads/topic")
    assert told(pushed, "push", head="origin/topic").branch is None


def test_a_detached_head_is_the_default_branchs_where_the_remote_has_it(pushed: RepoBuilder) -> None:
    """At its head or before, as CI services check out; a commit that is not there has no branch."""
    for rev in ("main", "main~1"):
        pushed.git("checkout", "-q", "--detach", rev)
        assert told(pushed, "push").branch == "main"
    pushed.git("checkout", "-q", "--detach", "topic")
    found = told(pushed, "push")
    assert found.branch is None
    assert not rights(found).registers


def test_a_shallow_detached_head(pushed: RepoBuilder) -> None:
    """A clone of depth 1 at an earlier push is deepened until the remote's head reaches it."""
    origin = RepoBuilder(Path(pushed.git("remote", "get-url", "origin")), create=False)
    clone = origin.clone("shallow", depth=1)
    earlier = clone.head()
    pushed.commit({"a": "4"})
    pushed.git("push", "-q", "origin", "main")
    clone.git("checkout", "-q", "--detach", earlier)
    event = told(clone, "push")
    assert (event.branch, event.head) == ("main", earlier)


def test_c043_a_first_push_and_c044_a_deleted_branch(pushed: RepoBuilder) -> None:
    """Zeros for base and head, as hooks have them."""
    assert told(pushed, "push", base=ZEROS).before == ZEROS
    gone = told(pushed, "push", head=ZEROS)
    assert (gone.deleted, gone.head, gone.branch) == (True, None, None)
    assert not rights(gone).runs


def test_c050_a_tag_is_peeled(pushed: RepoBuilder) -> None:
    """Annotated: the event is about its commit."""
    for head in ("v1", "refs/tags/v1"):
        event = told(pushed, "tag", head=head)
        assert (event.kind, event.tag, event.head) == (Kind.TAG, "v1", pushed.git("rev-parse", "v1^{commit}"))
    for wrong in ({}, {"head": pushed.head()}):
        with pytest.raises(UsageError, match="needs the tag's name"):
            told(pushed, "tag", **wrong)
    with pytest.raises(RepositoryError):
        told(pushed, "tag", head="topic")


def test_a_branch_and_a_tag_of_one_name(pushed: RepoBuilder) -> None:
    """A push means the branch: a tag called main moves no model."""
    pushed.tag("main", "topic")
    assert told(pushed, "push", head="main").head == pushed.git("rev-parse", "refs/heads/main")


def test_a_pull_request(pushed: RepoBuilder) -> None:
    """Of this repository it is kept in its branch's space, of another one nowhere."""
    event = told(pushed, "pull-request", base="main", head="topic")
    main = pushed.git("rev-parse", "refs/heads/main")
    assert (event.kind, event.base, event.base_branch, event.branch) == (Kind.PULL_REQUEST, main, "main", "topic")
    assert rights(event).space == "branch/topic"
    foreign = told(pushed, "fork", base="main", head="topic")
    assert foreign.fork
    assert rights(foreign).space is None


@pytest.mark.parametrize("name", ["push", "pull-request", "schedule", "manual", "merge-group"])
def test_c001_a_branch_is_never_a_command(pushed: RepoBuilder, name: str) -> None:
    """Branch `a$(touch${IFS}x)` (legal ref) → treated as bytes; no shell; canary file absent."""
    branch = "a$(touch${IFS}x)"
    pushed.branch(branch)
    pushed.git("push", "-q", "origin", f"refs/heads/{branch}")
    event = told(pushed, name, head=branch, base="main")
    assert (event.branch, event.head) == (branch, pushed.head())
    assert rights(event).space in (space_of("branch", branch), space_of("group", branch))
    assert not (pushed.path / "x").exists()


@pytest.mark.parametrize("rev", ["--upload-pack=touch x", "-x", "a b", "", "nothing"])
def test_c068_an_option_is_no_revision(pushed: RepoBuilder, rev: str) -> None:
    """What is no revision is refused, as head and as base."""
    for which in ("head", "base"):
        with pytest.raises(CimlError) as caught:
            told(pushed, "pull-request", **{which: rev})
        assert caught.value.code in (3, 4)
    assert not (pushed.path / "x").exists()


def test_what_the_command_line_may_not_say(pushed: RepoBuilder) -> None:
    """Each says what would be right."""
    with pytest.raises(UsageError, match="no event 'pull'") as caught:
        told(pushed, "pull")
    assert "push" in str(caught.value.hint)
    with pytest.raises(UsageError, match="--head needs --event"):
        told(pushed, head="topic")
    with pytest.raises(UsageError, match="not for a job of GitHub Actions"):
        told(pushed, "push", GITHUB_ACTIONS="true")


REVISIONS = st.one_of(
    st.sampled_from(
        ["main", "topic", "HEAD", "v1", "main~1", "origin/topic", "@", "-", "refs/tags/v1", ZEROS, "f" * 40]
    ),
    st.text(st.characters(blacklist_characters="\0"), max_size=6),
    st.binary(max_size=4).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"/"))),
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(EVENTS)), base=st.none() | REVISIONS, head=st.none() | REVISIONS)
def test_any_words_are_an_event_or_an_error_of_ours(
    pushed: RepoBuilder, name: str, base: str | None, head: str | None
) -> None:
    """What they allow beyond the run, the remote's default branch or a tag allows."""
    with opened(pushed) as clone:
        try:
            event = detect({}, clone, event=name, base=base, head=head)
        except CimlError as error:
            assert error.code in (2, 3, 4)
            return
    found = rights(event)
    if found.registers or found.admits:
        assert event.branch == "main"
        assert event.head is not None
        assert pushed.git("merge-base", event.head, "origin/main") == event.head
    if found.deploys == "release":
        assert event.tag == "v1"


def test_a_remote_that_cannot_be_asked(pushed: RepoBuilder) -> None:
    """Without knowing the default branch nothing is decided: exit 5."""
    pushed.git("remote", "set-url", "origin", "/nowhere/at/all.git")
    with pytest.raises(ServiceError):
        told(pushed, "push")


def test_no_remote_is_no_default_branch(repo: RepoBuilder) -> None:
    """There is nobody to have agreed on it."""
    repo.commit({"a": "1"})
    event = told(repo, "push")
    assert event.default_branch == ""
    assert not rights(event).registers


# A laptop.


def test_a_laptop(pushed: RepoBuilder) -> None:
    """Without a service and without --event it is the user's own call, and asks nobody."""
    pushed.git("remote", "set-url", "origin", "/nowhere/at/all.git")
    event = told(pushed, base="HEAD~1")
    assert (event.kind, event.branch, event.actor) == (Kind.LOCAL, "main", "ada")
    assert event.compare == pushed.git("rev-parse", "HEAD~1")
    for anywhere in (ZEROS, "f" * 40):
        assert told(pushed, base=anywhere).compare == anywhere


def test_before_the_first_commit(repo: RepoBuilder) -> None:
    """There is no head, and that is no error."""
    assert told(repo).head is None


# Services.


def test_github_actions(pushed: RepoBuilder, tmp_path: Path) -> None:
    """A schedule whose payload names no repository: the remote says which branch is the default."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"schedule": "0 3 * * 1"}))
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "schedule",
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": pushed.head(),
    }
    event = told(pushed, **environ)
    assert (event.kind, event.on_default) == (Kind.SCHEDULE, True)
    assert not rights(told(pushed, **{**environ, "GITHUB_REF": "refs/heads/topic"})).registers
    with pytest.raises(ConfigurationError, match="event payload unreadable"):
        told(pushed, **{**environ, "GITHUB_EVENT_PATH": str(tmp_path / "none")})


def test_codebuild_asks_the_remote(pushed: RepoBuilder) -> None:
    """For the default branch of a push, and for the branch of what CodePipeline started."""
    head = {"CODEBUILD_RESOLVED_SOURCE_VERSION": pushed.head()}
    assert told(pushed, **{**PUSH, **head}).on_default
    assert told(pushed, **{**PIPELINE, **head}).on_default
    topic = CommitSha(pushed.git("rev-parse", "topic"))
    strange = told(pushed, **{**PIPELINE, "CODEBUILD_RESOLVED_SOURCE_VERSION": topic})
    assert strange.branch is None
    assert not rights(strange).registers


def test_c012_variables_of_a_service_on_a_laptop(pushed: RepoBuilder) -> None:
    """GITHUB_REF spoofed to refs/heads/main in local env, not CI → it is a laptop's call all the same."""
    pushed.switch("topic")
    spoofed = {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push", "GITHUB_SHA": pushed.head(), "CI": "true"}
    event = told(pushed, **spoofed)
    assert (event.kind, event.branch) == (Kind.LOCAL, "topic")
    assert not rights(event).registers
