"""What an event's head is compared with, in real clones."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import pytest

from ciml.adapters.git.repository import Repository
from ciml.app.base import base_of, policy_of
from ciml.core.changes import Base
from ciml.core.errors import ServiceError, TrustError
from ciml.core.event import Event, Kind, Run
from ciml.core.ids import CommitSha
from tests.repobuilder import RepoBuilder

ZEROS = "0" * 40
GONE = "e" * 40


class Remembered:
    """A service that remembers one run, or fails."""

    def __init__(self, answer: CommitSha | Exception | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def last_success(self, workflow: str, branch: str) -> CommitSha | None:
        self.asked.append((workflow, branch))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class History:
    """main: 0 - 1 - 2 - 3, topic: two commits on 1, and their merge with 3 as a pull request has it."""

    def __init__(self, repo: RepoBuilder) -> None:
        self.repo = repo
        self.main = [repo.commit({"a": str(number), "b": "same" * 50}) for number in range(2)]
        repo.branch("topic")
        self.topic = [repo.commit({"t": str(number), "b": None, "b2": "same" * 50}) for number in range(2)]
        repo.switch("main")
        self.main += [repo.commit({"m": str(number)}) for number in range(2)]
        repo.git("checkout", "-q", "--detach")
        self.merge = repo.merge("topic")
        repo.git("update-ref", "refs/pull/7/merge", self.merge)
        repo.switch("main")
        self.origin = repo.bare_origin()
        repo.git("push", "-q", "origin", "refs/pull/7/merge")

    def at(self, commit: str, *, depth: int | None = None) -> RepoBuilder:
        """A clone that has a commit checked out as actions/checkout does: fetched by id, detached."""
        clone = RepoBuilder(self.origin.path.parent / f"at-{commit[:6]}-{depth}")
        clone.git("remote", "add", "origin", f"file://{self.origin.path}")
        flags = [f"--depth={depth}"] if depth else []
        refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/pull/*:refs/pull/*"] if depth is None else [commit]
        clone.git("fetch", "-q", "--no-tags", *flags, "origin", *refs)
        clone.git("checkout", "-q", "--detach", commit)
        return clone


@pytest.fixture
def history(repo: RepoBuilder) -> History:
    return History(repo)


@pytest.fixture
def opened() -> Iterator[list[Repository]]:
    found: list[Repository] = []
    yield found
    for repository in found:
        repository.close()


def look(opened: list[Repository], clone: RepoBuilder) -> Repository:
    opened.append(Repository.open(str(clone.path), {**clone.env, "HOME": os.environ["HOME"]}))
    return opened[-1]


def push(head: str, before: str | None = None, branch: str = "main") -> Event:
    return Event(
        kind=Kind.PUSH,
        name="push",
        default_branch="main",
        branch=branch,
        head=CommitSha(head),
        before=before,
        run=Run(id="5", workflow="ciml.yml"),
    )


def pull_request(history: History, **fields: object) -> Event:
    event = Event(
        kind=Kind.PULL_REQUEST,
        name="pull_request",
        default_branch="main",
        branch="topic",
        head=history.merge,
        head_sha=history.topic[-1],
        base=history.main[-1],
        base_branch="main",
        number=7,
    )
    return msgspec.structs.replace(event, **fields)


DEPTHS = pytest.mark.parametrize("depth", [None, 1], ids=["whole", "shallow"])


# Pull requests.


@DEPTHS
def test_c048_a_merge_commit_is_compared_with_its_first_parent(
    history: History, opened: list[Repository], depth: int | None
) -> None:
    """refs/pull/N/merge commit: diff vs first parent, not vs head~1 → same set as `git diff base...head`."""
    found = look(opened, history.at(history.merge, depth=depth))
    event = pull_request(history)
    base = base_of(event, found, None)
    assert base == Base(commit=history.main[-1])
    assert base.commit is not None
    # A rename in the branch is a deletion and an addition.
    assert found.changed(base.commit, history.merge) == {"t", "b", "b2"}
    assert policy_of(event, found) == base


@DEPTHS
def test_a_base_that_moved_on_since_the_event_is_not_what_was_merged(
    history: History, opened: list[Repository], depth: int | None
) -> None:
    """The payload's base may be older than the merge commit: the parent is what counts."""
    found = look(opened, history.at(history.merge, depth=depth))
    event = pull_request(history, base=history.main[0])
    assert base_of(event, found, None).commit == history.main[-1]
    assert policy_of(event, found).commit == history.main[-1]


@DEPTHS
def test_c046_a_pull_requests_own_head_is_compared_with_where_it_parted(
    history: History, opened: list[Repository], depth: int | None
) -> None:
    """Fetched base but merge-base still rc 1 (disjoint shallow) → deepen; the policy is the newest all the same."""
    found = look(opened, history.at(history.topic[-1], depth=depth))
    event = pull_request(history)
    assert base_of(event, found, None) == Base(commit=history.main[1])
    assert policy_of(event, found) == Base(commit=history.main[-1])


@DEPTHS
def test_a_base_that_only_the_remote_knows(history: History, opened: list[Repository], depth: int | None) -> None:
    """CodeBuild names the base's branch and no commit."""
    found = look(opened, history.at(history.topic[-1], depth=depth))
    event = pull_request(history, base=None, head=history.topic[-1])
    assert base_of(event, found, None) == Base(commit=history.main[1])
    nowhere = pull_request(history, base=None, base_branch="nothing")
    assert base_of(nowhere, found, None) == Base(reason="the remote has no branch nothing")
    unknown = pull_request(history, base=None, base_branch=None, default_branch="")
    assert base_of(unknown, found, None) == Base(
        reason="neither the event nor `origin` names the branch to compare with"
    )


def test_c046_a_history_that_shares_nothing(history: History, opened: list[Repository]) -> None:
    """Else everything changed, with the reason."""
    clone = history.at(history.main[-1])
    clone.git("checkout", "-q", "--orphan", "island")
    head = clone.commit({"x": "1"})
    base = base_of(pull_request(history, head=head, head_sha=head), look(opened, clone), None)
    assert base.commit is None
    assert "no common ancestor" in str(base.reason)


def test_c049_a_merge_of_the_branch_itself_is_no_merge_commit_of_github(
    history: History, opened: list[Repository]
) -> None:
    """A head that merged main last: its first parent is the branch before, which would hide the branch's changes."""
    clone = history.at(history.topic[-1])
    head = clone.merge("origin/main")
    event = pull_request(history, head=head, head_sha=head)
    found = look(opened, clone)
    base = base_of(event, found, None)
    assert base == Base(commit=history.main[-1])
    assert base.commit is not None
    assert {"t", "b", "b2"} <= found.changed(base.commit, head)


def test_c039_a_merge_group_is_compared_with_its_base(history: History, opened: list[Repository]) -> None:
    """merge_group event → detection base = merge_group.base_sha."""
    event = msgspec.structs.replace(
        pull_request(history), kind=Kind.MERGE_GROUP, branch="gh-readonly-queue/main/pr-7-ab", head_sha=history.merge
    )
    found = look(opened, history.at(history.merge, depth=1))
    assert base_of(event, found, None) == policy_of(event, found) == Base(commit=history.main[-1])
    assert base_of(msgspec.structs.replace(event, base=None), found, None).commit is None


# Pushes.


@DEPTHS
def test_a_push_is_compared_with_the_last_run_that_succeeded(
    history: History, opened: list[Repository], depth: int | None
) -> None:
    """What failed since has yet to run."""
    forge = Remembered(history.main[0])
    event = push(history.main[3], history.main[2])
    found = look(opened, history.at(history.main[3], depth=depth))
    assert base_of(event, found, forge) == Base(commit=history.main[0])
    assert forge.asked == [("ciml.yml", "main")]


@pytest.mark.parametrize("answer", ["topic", "head", None, ServiceError("down"), TrustError("denied")], ids=str)
@DEPTHS
def test_a_success_that_does_not_serve_costs_precision_and_nothing_else(
    history: History, opened: list[Repository], answer: str | Exception | None, depth: int | None
) -> None:
    """One that is not behind the head, the head itself, none, an outage: `before` serves."""
    commits = {"topic": history.topic[-1], "head": history.main[3]}
    forge = Remembered(commits.get(answer) if isinstance(answer, str) else answer)
    event = push(history.main[3], history.main[2])
    found = look(opened, history.at(history.main[3], depth=depth))
    assert base_of(event, found, forge) == Base(commit=history.main[2])


def test_a_run_without_a_name_asks_nobody(history: History, opened: list[Repository]) -> None:
    """The forge knows runs by their workflow."""
    forge = Remembered(history.main[0])
    event = msgspec.structs.replace(push(history.main[3], history.main[2]), run=Run())
    assert base_of(event, look(opened, history.repo), forge).commit == history.main[2]
    assert forge.asked == []


def test_c043_a_first_push(history: History, opened: list[Repository]) -> None:
    """Push `before`=40 zeros (first push) → all stages considered changed, reason "no previous commit"."""
    found = look(opened, history.repo)
    assert base_of(push(history.main[3], ZEROS), found, None) == Base(reason="no previous commit")
    assert base_of(push(history.main[3]), found, None) == Base(reason="no earlier run of this branch is known")


def test_c044_a_deleted_branch(history: History, opened: list[Repository]) -> None:
    """`after` = zeros (branch deleted) → there is nothing to compare."""
    event = msgspec.structs.replace(push(history.main[3], history.main[2]), deleted=True)
    assert base_of(event, look(opened, history.repo), None).commit is None


def test_c045_a_shallow_clone_fetches_what_came_before(history: History, opened: list[Repository]) -> None:
    """Depth-1 clone → fetch base by SHA; if refused: everything changed; never "nothing changed"."""
    clone = history.at(history.main[3], depth=1)
    found = look(opened, clone)
    assert base_of(push(history.main[3], history.main[1]), found, None) == Base(commit=history.main[1])
    clone.git("remote", "set-url", "origin", "/nowhere/at/all.git")
    base = base_of(push(history.main[3], history.main[0]), found, None)
    assert base.commit is None
    assert "neither in this clone nor to be fetched" in str(base.reason)


def test_c047_after_a_force_push(history: History, opened: list[Repository]) -> None:
    """Force push: old head absent from full clone → try fetch by SHA, else everything changed."""
    clone = history.origin.clone("before")
    old = clone.commit({"old": "1"})
    clone.git("push", "-q", "origin", "main")
    clone.git("reset", "-q", "--hard", "HEAD~1")
    new = clone.commit({"new": "1"})
    clone.git("push", "-q", "--force", "origin", "main")
    fresh = history.origin.clone("fresh")
    found = look(opened, fresh)
    assert not found.holds(old)
    base = base_of(push(new, old), found, None)
    assert base == Base(commit=old)
    assert found.changed(old, new) == {"old", "new"}
    assert base_of(push(new, GONE), found, None).commit is None
    # The run of what was forced away is no base, though it succeeded.
    assert base_of(push(new, ZEROS), found, Remembered(old)) == Base(reason="no previous commit")


@pytest.mark.parametrize("kind", [Kind.TAG, Kind.REPORT, Kind.PRIVILEGED, Kind.OTHER])
def test_what_runs_nothing_is_compared_with_nothing(history: History, opened: list[Repository], kind: Kind) -> None:
    """It says so."""
    event = msgspec.structs.replace(push(history.main[3], history.main[2]), kind=kind)
    base = base_of(event, look(opened, history.repo), None)
    assert base == Base(reason="nothing is compared for the event push")


def test_what_the_caller_asks_for_is_compared_and_is_no_policy(history: History, opened: list[Repository]) -> None:
    """`--base` says what changed since when, and not whose gate counts."""
    found = look(opened, history.at(history.merge))
    event = pull_request(history, compare=history.main[0])
    assert base_of(event, found, None) == Base(commit=history.main[0])
    assert policy_of(event, found) == Base(commit=history.main[-1])
    zeros = pull_request(history, compare=CommitSha(ZEROS))
    assert base_of(zeros, found, None) == Base(reason="no previous commit")


def test_c045_what_the_caller_asks_for_is_fetched(history: History, opened: list[Repository]) -> None:
    """Depth-1 clone → fetch base by SHA, also where it comes from the command line."""
    found = look(opened, history.at(history.main[3], depth=1))
    event = msgspec.structs.replace(push(history.main[3], history.main[2]), compare=history.main[0])
    assert base_of(event, found, None) == Base(commit=history.main[0])


# Policy.


@DEPTHS
def test_a_branch_has_the_default_branchs_policy(history: History, opened: list[Repository], depth: int | None) -> None:
    """The newest, as the remote has it."""
    clone = history.at(history.topic[-1], depth=depth)
    newest = history.repo.commit({"m": "newest"})
    history.repo.git("push", "-q", "origin", "main")
    found = look(opened, clone)
    event = push(history.topic[-1], history.topic[0], branch="topic")
    assert policy_of(event, found) == Base(commit=newest)


def test_a_remote_that_cannot_be_asked_leaves_no_policy(history: History, opened: list[Repository]) -> None:
    """And says why."""
    clone = history.at(history.topic[-1])
    clone.git("remote", "set-url", "origin", "/nowhere/at/all.git")
    base = policy_of(push(history.topic[-1], branch="topic"), look(opened, clone))
    assert base.commit is None
    assert "does not say where main is" in str(base.reason)


def test_before_the_first_commit(repo: RepoBuilder, opened: list[Repository]) -> None:
    """There is no head."""
    event = Event(kind=Kind.LOCAL, name="local")
    found = look(opened, repo)
    assert base_of(event, found, None) == policy_of(event, found) == Base(reason="there is no head")
