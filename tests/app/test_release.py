"""Which version a tag names, and how long its commit's own run is waited for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest

from ciml.app.chronicle import record_verdict
from ciml.app.release import POLL_S, Asked, Deployable, Waiting, champion, find
from ciml.core.entries import Judgement
from ciml.core.errors import IntegrityError, RaceError, RejectedError, RepositoryError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.lineage import Commit
from ciml.core.pipeline import Model
from ciml.core.release import ReleaseTag
from ciml.core.verdict import Status
from tests.app.conftest import CHURN, Workshop, verdict

MODEL = Model(name=CHURN, path=RepoPath("m"))
TAGGED = CommitSha("7" * 40)
ASKED = Asked(tag=ReleaseTag(name="v1"), object=GitOid("7" * 40), commit=TAGGED)


class Log:
    """Git's history: these commits, the youngest first."""

    def __init__(self, *shas: str) -> None:
        self._commits = [Commit(sha=CommitSha(sha), tree=GitOid("0" * 40)) for sha in shas]

    def resolve(self, rev: str) -> CommitSha:
        return CommitSha(rev)

    def log(self, head: CommitSha, limit: int) -> list[Commit]:
        assert head == TAGGED
        return self._commits[:limit]


class Clock:
    """Time that passes when somebody waits; then the next of these things happens."""

    def __init__(self, *events: Callable[[], object], running: int = 0, begins_s: float = 0) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.asked = 0
        self._events = list(events)
        self._running = running
        self._begins_s = begins_s

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)
        if self._events:
            self._events.pop(0)()

    def run(self, commit: CommitSha) -> Literal["none", "running", "over"]:
        """What there is of the run: none at first, then it goes on for so many questions."""
        assert commit == TAGGED
        if self.now < self._begins_s:
            return "none"
        self.asked += 1
        return "running" if self.asked <= self._running else "over"

    def waiting(self, wait_s: float) -> Waiting:
        return Waiting(run=self.run, wait_s=wait_s, sleep=self.sleep, clock=lambda: self.now)


def found(workshop: Workshop, recipe: Digest, clock: Clock, *, wait_s: float = 0, log: Log | None = None) -> Deployable:
    version, state = find(
        MODEL,
        recipe,
        ASKED,
        ledger=workshop.another_ledger(),
        registry="fake",
        commits=log or Log(),
        waiting=clock.waiting(wait_s),
    )
    assert state.versions[version.version] == version.record
    return version


def test_a_registered_recipe_is_found_at_once(workshop: Workshop) -> None:
    """Nobody is asked whether anything runs; the commit is the tag's, whichever commit made the version."""
    proposal = workshop.proposal("first")
    workshop.register(proposal)
    clock = Clock()
    version = found(workshop, proposal.recipe, clock, wait_s=100)

    assert (version.version, version.commit, version.ref) == (1, TAGGED, "v1")
    assert version.record.commit == proposal.commit
    assert (clock.asked, clock.waits) == (0, [])


def test_a_run_is_waited_for(workshop: Workshop) -> None:
    """The tag came before the run ended: looked at every few seconds until the version is there."""
    proposal = workshop.proposal("first")
    clock = Clock(lambda: None, lambda: workshop.register(proposal), running=9)

    assert found(workshop, proposal.recipe, clock, wait_s=3600).version == 1
    assert clock.waits == [POLL_S, POLL_S]


def test_a_run_that_ends_between_two_questions(workshop: Workshop) -> None:
    """It had not registered when the ledger was read, and had ended when it was asked for: its version counts."""
    proposal = workshop.proposal("first")

    class Ending(Clock):
        def run(self, commit: CommitSha) -> Literal["none", "running", "over"]:
            workshop.register(proposal)
            return "over"

    assert found(workshop, proposal.recipe, Ending()).version == 1


def test_a_run_that_takes_too_long(workshop: Workshop) -> None:
    """Still running when `wait` is over: exit 8, after that time and no more."""
    clock = Clock(running=99)
    with pytest.raises(RaceError, match="777777777777, which v1 names, has not ended yet"):
        found(workshop, workshop.proposal("first").recipe, clock, wait_s=40)
    assert clock.waits == [15, 15, 10]


def test_a_run_that_has_yet_to_begin(workshop: Workshop) -> None:
    """Tag and commit were pushed together: the run's beginning is waited for where no `wait` is set, its end is not."""
    clock = Clock(running=99, begins_s=20)
    with pytest.raises(RaceError, match="has not ended yet"):
        found(workshop, workshop.proposal("first").recipe, clock)
    assert clock.waits == [15, 15]


def test_a_run_that_never_begins(workshop: Workshop) -> None:
    """A commit that says [skip ci] has no run: exit 4 once one would have begun, however long `wait` is."""
    for wait_s in (0, 20, 3600):
        clock = Clock(begins_s=math.inf)
        with pytest.raises(RepositoryError, match="was never run"):
            found(workshop, workshop.proposal("first").recipe, clock, wait_s=wait_s)
        assert clock.waits == [15, 15, 15, 15]


def test_what_was_never_run(workshop: Workshop) -> None:
    """Its runs are over, or nobody can say: exit 4, at once."""
    clock = Clock()
    with pytest.raises(RepositoryError, match="was never run"):
        found(workshop, workshop.proposal("first").recipe, clock, wait_s=3600)
    assert clock.waits == []


def judged(workshop: Workshop, name: str, status: Status) -> Digest:
    proposal, author = workshop.proposal(name), workshop.author()
    entry = Judgement(
        nonce=author.nonce,
        key=proposal.verdict_key,
        recipe=proposal.recipe,
        policy=proposal.policy,
        verdict=verdict(status),
    )
    record_verdict(workshop.ledger, entry, registry="fake")
    return proposal.recipe


def test_what_was_rejected(workshop: Workshop) -> None:
    """Exit 10 with the nearest ancestor that can be deployed, whatever still runs."""
    first, second = workshop.proposal("first"), workshop.proposal("second")
    workshop.register(first)
    workshop.register(workshop.proposal("second"))
    recipe = judged(workshop, "worse", Status.REJECTED)
    log = Log(TAGGED, "6" * 40, second.commit, first.commit)

    with pytest.raises(RejectedError, match="was rejected: auc is") as caught:
        found(workshop, recipe, Clock(running=9), wait_s=3600, log=log)
    assert caught.value.hint == f"The nearest ancestor that can be deployed is {second.commit} (version 2)."
    with pytest.raises(RejectedError) as none:
        found(workshop, recipe, Clock(), log=Log(TAGGED))
    assert none.value.hint == ""


def test_what_passed_and_is_not_registered(workshop: Workshop) -> None:
    """Waited for while its run goes on; then exit 4 with the command that registers it."""
    recipe = judged(workshop, "first", Status.ACCEPTED)
    clock = Clock(running=1)
    with pytest.raises(RepositoryError, match="judged and is not registered") as caught:
        found(workshop, recipe, clock, wait_s=3600)
    assert caught.value.hint == "ciml register, at that commit"
    assert clock.waits == [POLL_S]


def test_a_ledger_of_another_registry(workshop: Workshop) -> None:
    """Its numbers mean other versions: exit 4."""
    proposal = workshop.proposal("first")
    workshop.register(proposal)
    waiting = Clock().waiting(0)
    with pytest.raises(RepositoryError, match="belongs to the registry fake, not to other"):
        find(MODEL, proposal.recipe, ASKED, ledger=workshop.ledger, registry="other", commits=Log(), waiting=waiting)


def test_the_champion(workshop: Workshop) -> None:
    """The version that was promoted last, with its commit; none where there is none, exit 7 without a commit."""
    assert champion(MODEL, workshop.state) is None
    proposal = workshop.proposal("first")
    workshop.register(proposal)
    best = champion(MODEL, workshop.state)
    assert best and (best.version, best.commit, best.ref, best.subject) == (1, proposal.commit, "", "churn version 1")
    assert ModelName("churn") == best.model.name
    state = workshop.state
    nameless = msgspec.structs.replace(state.versions[1], commit=None)
    with pytest.raises(IntegrityError, match="names no commit for churn version 1"):
        champion(MODEL, msgspec.structs.replace(state, versions={1: nameless}))
