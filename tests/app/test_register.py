"""Registering: once, whatever happens; and promoting what may be promoted."""

from __future__ import annotations

import threading

import msgspec
import pytest

from ciml.app.follow import follow
from ciml.app.promote import promote, rollback
from ciml.app.register import Registered
from ciml.app.status import status
from ciml.core.entries import Adoption, Override, Promotion, Registration
from ciml.core.errors import (
    ConfigurationError,
    IntegrityError,
    RaceError,
    RejectedError,
    RepositoryError,
    ServiceError,
    TrustError,
    UsageError,
)
from ciml.core.ids import ModelName
from ciml.core.registry import NewVersion
from ciml.core.verdict import Status
from tests.app.conftest import CHURN, Workshop
from tests.app.fakes import FakeRegistry


def test_the_first_version_is_created_and_promoted(workshop: Workshop) -> None:
    """Accepted by the gate: registered, promoted, the alias set, the row no longer tentative."""
    done = workshop.register(workshop.proposal("first"))

    assert done == Registered(name=CHURN, version=1, created=True, promoted=True, uri="models:/churn/1")
    assert workshop.registry.aliases(CHURN) == {"champion": 1}
    assert [row.tentative for row in workshop.registry.rows(CHURN, workshop.proposal("first").recipe)] == [False]


def test_the_same_call_again_answers_the_same_version(workshop: Workshop) -> None:
    """A registered recipe answers with its version and created: false; the ledger does not grow."""
    proposal = workshop.proposal("first")
    workshop.register(proposal)
    before = workshop.state.head

    again = workshop.register(proposal)
    assert (again.version, again.created, again.promoted) == (1, False, False)
    assert workshop.state.head == before


def test_one_push_carries_verdict_registration_and_promotion(workshop: Workshop) -> None:
    """A registration and the promotion that goes with it come to the ledger together or not at all."""
    workshop.register(workshop.proposal("first"))

    assert [type(entry).__name__ for entry in workshop.state.entries] == [
        "Genesis",
        "Judgement",
        "Registration",
        "Promotion",
    ]


def test_a_rejected_model_is_not_registered_and_its_verdict_is_kept(workshop: Workshop) -> None:
    """Exit 10; the ledger has the verdict, the registry has nothing."""
    proposal = workshop.proposal("worse", status=Status.REJECTED)
    with pytest.raises(RejectedError, match="auc is"):
        workshop.register(proposal)

    assert workshop.state.verdicts[proposal.verdict_key].outcome is Status.REJECTED
    assert workshop.registry.rows(CHURN, proposal.recipe) == []
    head = workshop.state.head
    with pytest.raises(RejectedError):
        workshop.register(proposal)
    assert workshop.state.head == head


def test_a_person_may_override_the_gate_and_is_named(workshop: Workshop) -> None:
    """`--override --reason` registers what the gate rejected; the ledger says who and why."""
    done = workshop.register(workshop.proposal("worse", status=Status.REJECTED), override="fair on the new region")

    [override] = [entry for entry in workshop.state.entries if isinstance(entry, Override)]
    assert (override.actor, override.reason) == ("ada", "fair on the new region")
    assert done.created and done.promoted
    with pytest.raises(UsageError, match="needs a reason"):
        workshop.register(workshop.proposal("worse"), override=" ")


def test_equal_bytes_under_a_new_recipe_are_adopted(workshop: Workshop) -> None:
    """A comment or a refactoring makes no version: the version that has the bytes adopts the recipe."""
    workshop.register(workshop.proposal("first", content="same"))
    done = workshop.register(workshop.proposal("comment", content="same", status=Status.UNCHANGED))

    assert (done.version, done.created, done.promoted) == (1, False, False)
    assert len(workshop.state.versions) == 1
    assert any(isinstance(entry, Adoption) for entry in workshop.state.entries)
    assert workshop.register(workshop.proposal("comment", content="same")).version == 1


def test_other_bytes_under_a_registered_recipe_are_reported(workshop: Workshop) -> None:
    """A nondeterministic stage after a collection: its bytes are reported and never registered."""
    workshop.register(workshop.proposal("first"))
    done = workshop.register(workshop.proposal("first", content="other bytes"))

    assert (done.version, done.created) == (1, False)
    assert "other bytes" in done.notes[0]
    assert len(workshop.state.versions) == 1


def test_manual_promotion_waits_for_a_person(workshop: Workshop) -> None:
    """With `promote: manual` a version waits; `promote` without a reason approves what the gate let through."""
    done = workshop.register(workshop.proposal("first", promote="manual"))
    assert not done.promoted and workshop.state.champion is None
    assert status(workshop.ledger, workshop.registry).waiting == (1,)

    moved = promote(1, workshop.by_hand())
    assert moved.moved and moved.previous is None
    assert workshop.registry.aliases(CHURN) == {"champion": 1}


def test_a_docs_only_commit_after_a_rollback_promotes_nothing(workshop: Workshop) -> None:
    """A rollback uses the promotion right up: the rejected-by-hand champion does not come back by itself."""
    workshop.register(workshop.proposal("first"))
    second = workshop.proposal("second")
    workshop.register(second)
    rollback(workshop.by_hand("it broke"))

    again = workshop.register(second)
    assert not again.promoted
    assert workshop.state.champion is not None and workshop.state.champion.version == 1
    assert workshop.registry.aliases(CHURN) == {"champion": 1}


def test_rollback_goes_to_the_champion_before_or_to_a_named_one(workshop: Workshop) -> None:
    """Back to the one before; `--to` any that was champion; never to what was not."""
    for name in ("one", "two", "three"):
        workshop.register(workshop.proposal(name))
    workshop.register(workshop.proposal("four", promote="manual"))

    assert rollback(workshop.by_hand()).version == 2
    assert rollback(workshop.by_hand(), to=1).version == 1
    assert not rollback(workshop.by_hand(), to=1).moved
    with pytest.raises(UsageError, match="never was champion"):
        rollback(workshop.by_hand(), to=4)
    with pytest.raises(UsageError, match="is not registered"):
        rollback(workshop.by_hand(), to=9)


def test_any_registered_version_can_be_promoted_with_a_reason(workshop: Workshop) -> None:
    """Without a right a reason is needed; the ledger keeps it."""
    for name in ("one", "two"):
        workshop.register(workshop.proposal(name))
    with pytest.raises(UsageError, match="used up"):
        promote(1, workshop.by_hand())

    promote(1, workshop.by_hand("safer"))
    assert status(workshop.ledger, workshop.registry).champion.reason == "safer"  # type: ignore[union-attr]
    assert not promote(1, workshop.by_hand()).moved


def test_c135_a_stale_verdict_registers_and_promotes_nothing(workshop: Workshop) -> None:
    """A reads champion v7, B promotes v8, A pushes → exit 8, gate re-evaluated against v8, not blind retry."""
    stale = workshop.proposal("mine")
    workshop.register(workshop.proposal("theirs"))

    with pytest.raises(RaceError, match="moved"):
        workshop.register(stale)
    assert workshop.registry.rows(CHURN, stale.recipe) == []
    assert workshop.register(workshop.proposal("mine")).promoted


def test_c130_lost_answers_leave_one_version(workshop: Workshop) -> None:
    """502 after commit ×2 on model-versions/create → exactly one committed record; extra rows swept."""
    workshop.registry.lost = 1
    proposal = workshop.proposal("first")
    done = workshop.register(proposal)

    assert (done.version, done.created) == (1, True)
    assert [row.version for row in workshop.registry.rows(CHURN, proposal.recipe)] == [1]


def test_c132_a_zombie_row_is_inert_and_swept(workshop: Workshop) -> None:
    """Zombie request lands 10 min after client gave up → row is tentative, swept; record unchanged."""
    proposal = workshop.proposal("first")
    workshop.register(proposal)
    head = workshop.state.head
    zombie = NewVersion(run=proposal.run, artifact=proposal.artifact, nonce="zombie")
    row = workshop.registry.create(zombie, workshop.store)
    assert row is not None and row.version == 2

    assert workshop.register(proposal).version == 1
    assert [row.version for row in workshop.registry.rows(CHURN, proposal.recipe)] == [1]
    assert workshop.state.head == head


def test_c133_a_row_that_a_killed_writer_left_is_used(workshop: Workshop) -> None:
    """Kill −9 between create and record → rerun converges, same version."""
    proposal = workshop.proposal("first")
    workshop.registry.create(NewVersion(run=proposal.run, artifact=proposal.artifact, nonce="killed"), workshop.store)

    done = workshop.register(proposal)
    assert (done.version, done.created) == (1, True)
    assert workshop.state.versions[1].row == "killed"


def test_c131_eight_workers_on_one_key_report_one_version(workshop: Workshop) -> None:
    """8 workers × same key check-then-create → one record per key; all 8 report the same version."""
    proposal = workshop.proposal("first")
    answers: list[Registered] = []
    authors = [workshop.author() for _ in range(8)]
    threads = [
        threading.Thread(target=lambda author=author: answers.append(workshop.register(proposal, author=author)))
        for author in authors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert {answer.version for answer in answers} == {workshop.state.recipes[proposal.recipe]}
    assert sum(answer.created for answer in answers) == 1
    assert sum(isinstance(entry, Registration) for entry in workshop.state.entries) == 1
    assert len(workshop.registry.rows(CHURN, proposal.recipe)) == 1


def test_c136_an_alias_that_somebody_moved_is_drift_and_is_mended(workshop: Workshop) -> None:
    """Alias drift: someone sets `champion` by hand → `status` shows drift; alias repair mends it."""
    workshop.register(workshop.proposal("one"))
    two = workshop.proposal("two")
    workshop.register(two)
    workshop.registry.set_alias(CHURN, "champion", 1)

    assert status(workshop.ledger, workshop.registry).drift == (
        "the alias champion names version 1, the ledger's champion is version 2",
    )
    workshop.register(two)
    assert workshop.registry.aliases(CHURN) == {"champion": 2}
    assert status(workshop.ledger, workshop.registry).drift == ()


class StaleWriter(FakeRegistry):
    """Another writer's late request moves the alias back, a number of times."""

    late = 3

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        super().set_alias(model, alias, version)
        if self.late and version != 1:
            self.late -= 1
            super().set_alias(model, alias, 1)


def test_c137_a_stale_writer_moves_the_alias_back(workshop: Workshop) -> None:
    """Stale writer moves alias back (last writer wins) → verify loop converges; final alias == ledger head."""
    workshop.registry = StaleWriter()
    workshop.register(workshop.proposal("one"))
    workshop.register(workshop.proposal("two"))

    assert workshop.registry.aliases(CHURN) == {"champion": 2}
    workshop.registry.late = 1000
    workshop.registry.set_alias(CHURN, "champion", 1)
    with pytest.raises(ServiceError, match="does not stay"):
        follow(workshop.ledger, workshop.registry, workshop.state, "champion")


def test_c138_a_version_that_was_remade_is_an_integrity_error(workshop: Workshop) -> None:
    """Version deleted, or model deleted+recreated → exit 7 "registry version 3 is not the recorded one"; L0."""
    proposal = workshop.proposal("one")
    workshop.register(proposal)
    head = workshop.state.head
    workshop.registry.remake(CHURN)
    with pytest.raises(IntegrityError, match="registry version 1 is gone"):
        workshop.register(proposal)
    workshop.registry.create(NewVersion(run=proposal.run, artifact=proposal.artifact, nonce="x"), workshop.store)
    with pytest.raises(IntegrityError, match="registry version 1 is not the recorded one"):
        promote(1, workshop.by_hand())
    assert any("not the recorded one" in line for line in status(workshop.ledger, workshop.registry).drift)
    assert workshop.state.head == head


def test_c138_a_registry_that_counts_from_1_again_is_an_integrity_error(workshop: Workshop) -> None:
    """A new version that gets a number which the ledger knows → exit 7, and the ledger is as it was."""
    workshop.register(workshop.proposal("one"))
    head = workshop.state.head
    workshop.registry.remake(CHURN)
    with pytest.raises(IntegrityError, match="registry version 1 is not the recorded one"):
        workshop.register(workshop.proposal("two"))
    assert workshop.state.head == head


def test_c140_an_alias_that_cannot_be_is_refused_first(workshop: Workshop) -> None:
    """alias `latest` → exit 3 before network."""
    with pytest.raises(ConfigurationError):
        workshop.register(msgspec.structs.replace(workshop.proposal("one"), alias="latest"))
    assert workshop.state.head is None


def test_a_ledger_of_another_registry_is_refused(workshop: Workshop) -> None:
    """Version numbers belong to a registry: with another one configured, nothing is written."""
    workshop.register(workshop.proposal("one"))
    workshop.registry = FakeRegistry("https://other.example")

    with pytest.raises(RepositoryError, match="belongs to the registry fake, not to https://other"):
        workshop.register(workshop.proposal("two"))


def test_a_denied_ledger_registers_nothing(workshop: Workshop) -> None:
    """A ledger that may not be pushed is exit 6; the tentative row is used by whoever may."""
    origin = workshop.repo.path.parent / "origin.git"
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    proposal = workshop.proposal("one")
    with pytest.raises(TrustError):
        workshop.register(proposal)
    assert workshop.registry.aliases(CHURN) == {}

    hook.unlink()
    assert workshop.register(proposal).version == 1


def test_a_promotion_that_was_not_come_to_is_made_up_for(workshop: Workshop) -> None:
    """A registration that passed may promote once: the next register of the same recipe does it."""
    workshop.register(workshop.proposal("one", promote="manual"))
    done = workshop.register(workshop.proposal("one"))

    assert (done.created, done.promoted) == (False, True)
    assert sum(isinstance(entry, Promotion) for entry in workshop.state.entries) == 1
