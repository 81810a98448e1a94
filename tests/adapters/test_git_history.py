"""How commits differ, and which commit came before."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from ciml.adapters.git.repository import Repository
from ciml.core.changes import Base
from ciml.core.ids import CommitSha, RepoPath
from tests.repobuilder import EXECUTABLE, RepoBuilder

Open = Callable[[RepoBuilder], Repository]


@pytest.fixture
def look() -> Iterator[Open]:
    """Opens repositories and closes them at the end."""
    opened: list[Repository] = []

    def _look(builder: RepoBuilder) -> Repository:
        opened.append(Repository.open(str(builder.path), os.environ))
        return opened[-1]

    yield _look
    for repository in opened:
        repository.close()


# Differences.


def test_a_difference_keeps_modes_and_ids(repo: RepoBuilder, look: Open) -> None:
    """New, gone and changed files, with what was there on both sides."""
    base = repo.commit({"a": "1", "gone": "1", "same": "1"})
    head = repo.commit({"a": "2", "gone": None, "new": "1"})
    found = {change.path: change for change in look(repo).diff(base, head)}
    assert sorted(found) == ["a", "gone", "new"]
    changed, gone, new = found[RepoPath("a")], found[RepoPath("gone")], found[RepoPath("new")]
    assert changed.before is not None
    assert changed.after is not None
    assert changed.before.oid == repo.git("rev-parse", f"{base}:a")
    assert changed.after.oid == repo.git("rev-parse", f"{head}:a")
    assert gone.after is None
    assert new.before is None


def test_c061_a_rename_is_a_deletion_and_an_addition(repo: RepoBuilder, look: Open) -> None:
    """At 100 % similarity too: the stage that read the old path must notice."""
    base = repo.commit({"a": "the same bytes" * 100})
    head = repo.commit({"a": None, "b": "the same bytes" * 100})
    assert look(repo).changed(base, head) == {"a", "b"}


def test_c062_a_mode_is_a_difference(repo: RepoBuilder, look: Open) -> None:
    """`chmod +x` and nothing else."""
    base = repo.commit({"run.sh": "1"})
    head = repo.commit({"run.sh": "1"}, modes={"run.sh": EXECUTABLE})
    assert look(repo).changed(base, head) == {"run.sh"}


def test_c053_every_name_is_a_difference(repo: RepoBuilder, look: Open) -> None:
    """Names that Git would quote are bytes."""
    names = [os.fsdecode(b"caf\xe9.bin"), "new\nline", "tab\t", '"quote', "-rf", "::error::x", "🙂", "x" * 255, " :1 "]
    base = repo.commit({"a": "1"})
    head = repo.commit(dict.fromkeys(names, "1"))
    assert look(repo).changed(base, head) == set(names)
    assert {change.path for change in look(repo).diff(base, head)} == set(names)


def test_the_work_tree_against_an_older_commit(repo: RepoBuilder, look: Open) -> None:
    """What was committed since and what is dirty count together; what was changed back does not."""
    base = repo.commit({"a": "1", "b": "1", "c": "1", "d/e": "1"})
    repo.commit({"a": "2", "b": "2"})
    repo.write({"b": "1", "c": "2", "d/e": None})
    os.rmdir(repo.path / "d")
    repo.write({"d": "a file now"})
    repo.stage("d")
    found = look(repo)
    assert found.changed(base, None) == {"a", "c", "d", "d/e"}
    assert {change.path for change in found.diff(base, None) if change.after is None} == {"d/e"}


def test_c048_a_merge_commit_is_compared_with_its_base(repo: RepoBuilder, look: Open) -> None:
    """For a pull request's merge commit: the difference from the first parent is what the branch brings."""
    repo.commit({"a": "1", "b": "1", "c": "1"})
    repo.branch("feature")
    repo.commit({"a": None, "a2": "1"})
    feature = repo.commit({"c": "2"})
    repo.switch("main")
    main = repo.commit({"b": None, "b2": "1"})
    merge = repo.merge("feature")
    found = look(repo)
    base = found.merge_base(main, feature)
    assert base.commit is not None
    assert found.changed(main, merge) == found.changed(base.commit, feature) == {"a", "a2", "c"}
    assert found.changed_by(merge) == {"a", "a2", "b", "b2", "c"}


def test_c049_what_only_a_merge_brings_is_seen(repo: RepoBuilder, look: Open) -> None:
    """An octopus, and a merge that holds a change of none of its parents."""
    repo.commit({"base": "1"})
    for name in ("one", "two"):
        repo.branch(name, "main")
        repo.commit({name: "1"})
    repo.switch("main")
    repo.merge("one", "two")
    repo.write({"evil": "1", "base": "2"})
    repo.stage("evil", "base")
    repo.git("commit", "-q", "--amend", "--no-edit")
    assert look(repo).changed_by(repo.head()) == {"one", "two", "evil", "base"}


def test_a_first_commit_brings_everything(repo: RepoBuilder, look: Open) -> None:
    """It differs from nothing in all its files."""
    head = repo.commit({"a": "1", "in/b": "1"})
    assert look(repo).changed_by(head) == {"a", "in/b"}


def test_c074_a_hundred_thousand_changes_are_an_exact_set(repo: RepoBuilder, look: Open) -> None:
    """A list of 10 MB is read whole."""
    repo.commit({"start": "1"})
    names = {f"some/folder/with/a/long/name/{number % 400}/file-{number:06}-{'x' * 60}" for number in range(100_000)}
    base = repo.head()
    head = repo.bulk_commit(dict.fromkeys(names, "1"))
    assert look(repo).changed(base, head) == names


@pytest.mark.parametrize("seed", range(5))
def test_changes_are_those_of_a_comparison_by_hand(repo: RepoBuilder, look: Open, seed: int) -> None:
    """For random commits the set is exactly what comparing all files of both gives."""
    chance = random.Random(seed)
    names = [f"{folder}{name}" for folder in ("", "a/", "a/b/", "c/") for name in "xyz"]
    commits: list[CommitSha] = []
    states: list[dict[str, tuple[str, int]]] = []
    state: dict[str, tuple[str, int]] = {}
    for _ in range(6):
        change = {name: chance.choice(["1", "2", None]) for name in chance.sample(names, 5)}
        modes = {name: chance.choice([0o100644, EXECUTABLE]) for name in change}
        for name, content in change.items():
            state.pop(name, None)
            if content is not None:
                state[name] = (content, modes[name])
        commits.append(repo.commit(change, modes=modes))
        states.append(dict(state))
    found = look(repo)
    for one, other in ((0, 5), (1, 4), (3, 2), (5, 5)):
        expected = {name for name in names if states[one].get(name) != states[other].get(name)}
        assert found.changed(commits[one], commits[other]) == expected
        assert {change.path for change in found.diff(commits[one], commits[other])} == expected
        assert found.changed(commits[one], None) == {n for n in names if states[one].get(n) != states[5].get(n)}


# Which commit came before.


@pytest.mark.parametrize("before", ["0" * 40, "0" * 64, ""])
def test_c043_zeros_are_no_previous_commit(repo: RepoBuilder, look: Open, before: str) -> None:
    """A first push has no base: everything counts as changed, and it says why."""
    repo.commit({"a": "1"})
    assert look(repo).base(before) == Base(reason="no previous commit")


def test_a_base_that_is_no_id_is_not_looked_up(repo: RepoBuilder, look: Open) -> None:
    """An event's field is data, not a revision."""
    repo.commit({"a": "1"})
    assert look(repo).base("--output=x").reason == "'--output=x' is not a commit id"


def test_c045_a_shallow_clone_fetches_the_base(repo: RepoBuilder, look: Open) -> None:
    """Depth 1 does not have it; it is fetched by its id and the difference is exact."""
    before = repo.commit({"a": "1", "b": "1"})
    repo.commit({"a": "2"})
    after = repo.commit({"c": "1"})
    clone = look(repo.bare_origin().clone(depth=1))
    assert not clone.holds(before)
    assert clone.base(before) == Base(commit=before)
    assert clone.changed(before, after) == {"a", "c"}


def test_c045_a_base_that_cannot_be_fetched_is_everything_changed(repo: RepoBuilder, look: Open) -> None:
    """Never "nothing changed": the reason names the commit."""
    before = repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    origin = repo.bare_origin()
    clone = origin.clone(depth=1)
    origin.path.rename(origin.path.parent / "away")
    found = look(clone).base(before)
    assert found.commit is None
    assert found.reason is not None
    assert found.reason.startswith(f"the previous commit {before[:10]} is neither in this clone nor to be fetched")


def test_c046_a_shallow_clone_is_deepened_for_the_merge_base(repo: RepoBuilder, look: Open) -> None:
    """Two tips without shared history in the clone; deepening finds their ancestor."""
    fork = repo.commit({"a": "1"})
    repo.branch("feature")
    feature = [repo.commit({"f": str(number)}) for number in range(60)][-1]
    repo.switch("main")
    main = repo.commit({"m": "1"})
    clone = look(repo.bare_origin().clone(depth=1))
    assert clone.base(feature) == Base(commit=feature)
    assert clone.merge_base(main, feature) == Base(commit=fork)


@pytest.mark.parametrize("depth", [None, 1], ids=["whole", "shallow"])
def test_what_a_tip_reaches(repo: RepoBuilder, look: Open, depth: int | None) -> None:
    """Itself and what came before, however far back; no branch beside it, and nothing that is nowhere."""
    first = repo.commit({"a": "1"})
    repo.branch("feature")
    feature = repo.commit({"f": "1"})
    repo.switch("main")
    tip = [repo.commit({"a": str(number)}) for number in range(60)][-1]
    clone = look(repo.bare_origin().clone(depth=depth))
    assert clone.reaches(tip, tip)
    assert clone.reaches(tip, first)
    assert not clone.reaches(first, tip)
    assert not clone.reaches(tip, feature)
    assert not clone.reaches(tip, CommitSha("e" * 40))
    assert not clone.reaches(CommitSha("e" * 40), tip)


def test_c046_histories_that_share_nothing_have_no_base(repo: RepoBuilder, look: Open) -> None:
    """The search ends, and says so."""
    main = repo.commit({"a": "1"})
    repo.git("checkout", "-q", "--orphan", "other")
    other = repo.commit({"a": "2"})
    found = look(repo).merge_base(main, other)
    assert found == Base(reason=f"{main[:10]} and {other[:10]} have no common ancestor")
    shallow = look(repo.bare_origin().clone(depth=1, branch="main"))
    assert shallow.base(other).commit == other
    assert shallow.merge_base(main, other).commit is None


def test_c047_after_a_force_push_the_old_head_is_fetched(repo: RepoBuilder, look: Open) -> None:
    """A full clone that lacks the old head gets it by id and stays a full clone."""
    repo.commit({"a": "1"})
    before = repo.commit({"a": "2"})
    origin = repo.bare_origin()
    repo.git("reset", "-q", "--hard", "HEAD~1")
    after = repo.commit({"a": "3"})
    repo.git("push", "-q", "--force", "origin", "main")
    full = origin.clone()
    clone = look(full)
    assert not clone.holds(before)
    assert clone.base(before) == Base(commit=before)
    assert clone.changed(before, after) == {"a"}
    assert full.git("rev-parse", "--is-shallow-repository") == "false"
    assert not (full.path / ".git/FETCH_HEAD").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remote.origin.url", "ext::sh -c touch% {canary}"),
        ("remote.origin.uploadpack", "touch {canary};"),
        ("remote.origin.vcs", "ext"),
        ("core.alternateRefsCommand", "touch {canary};"),
    ],
)
def test_c067_fetching_a_base_starts_no_program_of_the_configuration(
    repo: RepoBuilder, look: Open, key: str, value: str
) -> None:
    """Neither a remote helper nor an upload-pack that `.git/config` names."""
    canary = repo.path.parent / "canary"
    repo.commit({"a": "1"})
    repo.bare_origin()
    repo.git("config", "protocol.ext.allow", "always")
    repo.git("config", key, value.format(canary=canary))
    assert look(repo).base("1" * 40).commit is None
    assert not canary.exists()


def test_ancestors_and_the_log(repo: RepoBuilder, look: Open) -> None:
    """The youngest first, those that touch a path where one is given."""
    one = repo.commit({"a": "1"}, "first")
    two = repo.commit({"b": "1"}, "second")
    three = repo.commit({"a": "2"}, "third")
    found = look(repo)
    assert [commit.subject for commit in found.log(three, 2)] == ["third", "second"]
    assert [commit.sha for commit in found.log(three, 9, paths=(RepoPath("a"),))] == [three, one]
    assert found.is_ancestor(one, three)
    assert found.is_ancestor(two, two)
    assert not found.is_ancestor(three, one)
