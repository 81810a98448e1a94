"""Orders carried out and recorded: what comes of a deployment, whatever the target does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ciml.app.deploy import LONGEST, Recorded, Stand, carry_out, order_for, record
from ciml.app.release import champion
from ciml.core.deployment import DeployOrder, Receipt
from ciml.core.entries import Deployment, FailedDeployment
from ciml.core.errors import DeploymentError, IntegrityError, InterruptedRunError, ServiceError
from ciml.core.ids import Digest, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import DeployTarget, Model
from tests.app.conftest import CHURN, Workshop

TARGET = DeployTarget(name="staging", after="promotion", run="x", smoke="y")
MODEL = Model(name=CHURN, path=RepoPath("m"), deploy=(TARGET,))


class Target:
    """A target in memory: what serves there, and what it refuses."""

    def __init__(self) -> None:
        self.serves = ""
        self.log: list[str] = []
        self.refuses: dict[int, Exception] = {}
        self.fails: set[str] = set()

    def deploy(self, order: DeployOrder, files: str) -> str:
        self.log.append(f"deploy {order.version}")
        if error := self.refuses.get(order.version):
            raise error
        self.serves = Path(files).read_text()
        return f"serves {order.version}"

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        self.log.append(f"restore {before.version if before else None}")
        if before is None or files is None:
            raise DeploymentError("nothing served there")
        return self.deploy(before, files)

    def smoke(self, order: DeployOrder, files: str) -> None:
        self.log.append(f"smoke {order.version}")
        assert Path(files).read_text() == self.serves
        if self.serves in self.fails:
            raise DeploymentError("exit code 3")


class Yard:
    """Versions of a model, a target, and what the ledger says of it."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop = workshop
        self.target = Target()
        self._folder = folder
        self._count = 0

    def version(self, name: str) -> None:
        self.workshop.register(self.workshop.proposal(name))

    def order(self) -> DeployOrder:
        state = self.workshop.state
        found = champion(MODEL, state)
        assert found is not None
        return order_for(found, state, TARGET, files={"m": found.record.artifact.digest})

    def carry_out(self, order: DeployOrder, *, smoke: Callable[[DeployOrder, str], None] | None = None) -> Receipt:
        self._count += 1
        stand = Stand(
            store=self.workshop.store,
            folder=str(self._folder / str(self._count)),
            deployer=self.target,
            smoke=smoke or self.target.smoke,
            now=lambda: "2026-11-21T02:30:00Z",
            nonce=str(self._count),
        )
        return carry_out(order, stand)

    def record(self, order: DeployOrder, receipt: Receipt) -> Recorded:
        registry = self.workshop.registry
        ledger = self.workshop.another_ledger()
        return record(order, receipt, self.workshop.author(), ledger=ledger, registry=registry, alias="champion")

    def deploy(self) -> Receipt:
        order = self.order()
        receipt = self.carry_out(order)
        assert self.record(order, receipt).written
        return receipt

    @property
    def state(self) -> LedgerState:
        return self.workshop.state


@pytest.fixture
def yard(workshop: Workshop, tmp_path: Path) -> Yard:
    made = Yard(workshop, tmp_path / "deployments")
    made.version("first")
    return made


def test_deployed_and_recorded(yard: Yard) -> None:
    """Deployed, then smoked; the ledger has one entry with the receipt's digest, however often it is recorded."""
    order = yard.order()
    receipt = yard.carry_out(order)

    assert (receipt.outcome, receipt.detail) == ("deployed", "serves 1")
    assert yard.target.log == ["deploy 1", "smoke 1"] and yard.target.serves == "bytes of first"
    assert [yard.record(order, receipt).written for _ in range(3)] == [True, False, False]
    [entry] = [entry for entry in yard.state.entries if isinstance(entry, Deployment)]
    assert (entry.environment, entry.version, entry.commit) == ("staging", 1, order.commit)


def test_a_failed_smoke_test(yard: Yard) -> None:
    """What served before is put back and tested too; the ledger says that it serves."""
    yard.deploy()
    yard.version("second")
    yard.target.fails.add("bytes of second")
    receipt = yard.deploy()

    assert (receipt.outcome, receipt.reason) == ("rolled-back", "the smoke test failed: exit code 3")
    assert yard.target.log[2:] == ["deploy 2", "smoke 2", "restore 1", "deploy 1", "smoke 1"]
    assert yard.target.serves == "bytes of first"
    assert yard.state.deployments["staging"].version == 1 and not yard.state.unsettled


def test_what_was_put_back_does_not_work_either(yard: Yard) -> None:
    """Nobody knows what serves, and the ledger says so."""
    yard.deploy()
    yard.version("second")
    yard.target.fails |= {"bytes of first", "bytes of second"}
    receipt = yard.deploy()

    assert receipt.outcome == "failed" and "was put back, and its smoke test failed too" in receipt.detail
    assert yard.state.unsettled["staging"].version == 2


def test_what_cannot_be_put_back(yard: Yard) -> None:
    """The target refuses the version before, its bytes are gone, or nothing served before: failed, and told why."""
    yard.target.fails.add("bytes of first")
    assert "nothing served there" in yard.deploy().detail
    yard.target.fails = {"bytes of second"}
    yard.deploy()
    yard.version("second")
    yard.target.refuses[1] = ServiceError("no room")
    assert yard.deploy().detail == "version 1 could not be put back: no room"

    yard.target.refuses.clear()
    yard.target.fails = {"bytes of second"}
    order = yard.order()
    assert order.previous
    lost = msgspec.structs.replace(order.previous.artifact, digest=Digest("0" * 64))
    gone = msgspec.structs.replace(order, previous=msgspec.structs.replace(order.previous, artifact=lost))
    assert yard.carry_out(gone).outcome == "failed"


def test_a_deployment_that_fails(yard: Yard) -> None:
    """Nothing more is done to a target in an unknown state; the next deployment settles it."""
    yard.deploy()
    yard.version("second")
    yard.target.refuses[2] = DeploymentError("exit code 9")
    receipt = yard.deploy()

    assert (receipt.outcome, receipt.reason) == ("failed", "exit code 9")
    assert yard.target.log[-1] == "deploy 2"
    [entry] = [entry for entry in yard.state.entries if isinstance(entry, FailedDeployment)]
    assert entry.reason == "exit code 9" and yard.state.deployments["staging"].version == 1
    yard.target.refuses.clear()
    assert yard.deploy().outcome == "deployed"
    assert not yard.state.unsettled and yard.state.deployments["staging"].version == 2


def test_a_ledger_keeps_as_much_of_a_failure_as_a_person_reads(yard: Yard) -> None:
    """A deployment's job may hand on a receipt of any length; nothing is ever taken out of a ledger again."""
    yard.target.refuses[1] = DeploymentError("x" * 100_000)
    receipt = yard.deploy()
    assert len(receipt.reason) == 100_000
    [entry] = [entry for entry in yard.state.entries if isinstance(entry, FailedDeployment)]
    assert entry.reason == "x" * LONGEST


def test_c151_an_interruption_leaves_no_receipt(yard: Yard) -> None:
    """Whether it hits the deployment, the smoke test or the way back: no receipt, nothing in the ledger."""
    yard.deploy()
    yard.version("second")
    before, order = yard.state.head, yard.order()
    stop = InterruptedRunError()

    def interrupt(order: DeployOrder, files: str) -> None:
        raise stop

    yard.target.refuses[2] = stop
    with pytest.raises(InterruptedRunError):
        yard.carry_out(order)
    yard.target.refuses = {}
    with pytest.raises(InterruptedRunError):
        yard.carry_out(order, smoke=interrupt)
    yard.target.fails, yard.target.refuses = {"bytes of second"}, {}
    count = 0

    def second_time(order: DeployOrder, files: str) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise stop
        yard.target.smoke(order, files)

    with pytest.raises(InterruptedRunError):
        yard.carry_out(order, smoke=second_time)
    assert yard.state.head == before
    assert yard.order().id == order.id


def test_bytes_that_are_not_what_the_ledger_says(yard: Yard) -> None:
    """Exit 7 before anything is begun."""
    wrong = msgspec.structs.replace(yard.order().artifact, digest=Digest("0" * 64))
    with pytest.raises(IntegrityError):
        yard.carry_out(msgspec.structs.replace(yard.order(), artifact=wrong))
    assert yard.target.log == []


def test_a_receipt_of_another_order_is_not_recorded(yard: Yard) -> None:
    """A deployment job that hands on a receipt for another environment writes nothing: exit 7."""
    order = yard.order()
    receipt = yard.carry_out(order)
    before = yard.state.head
    with pytest.raises(IntegrityError, match="is not its order's"):
        yard.record(order, msgspec.structs.replace(receipt, environment="production"))
    wrong = msgspec.structs.replace(order, artifact=msgspec.structs.replace(order.artifact, digest=Digest("0" * 64)))
    with pytest.raises(IntegrityError, match="the ledger has no churn version 1 with these bytes"):
        yard.record(wrong, msgspec.structs.replace(receipt, artifact=Digest("0" * 64)))
    assert yard.state.head == before


def test_the_alias_is_mended(yard: Yard) -> None:
    """Recording a deployment mends what somebody did to the champion's alias."""
    yard.version("second")
    yard.workshop.registry.set_alias(CHURN, "champion", 1)
    yard.deploy()
    assert yard.workshop.registry.aliases(CHURN) == {"champion": 2}


def test_what_a_person_overrode_is_in_the_ledger(yard: Yard) -> None:
    """What spoke against it, and why that did not count."""
    state = yard.state
    found = champion(MODEL, state)
    assert found is not None
    order = order_for(found, state, TARGET, files={}, overridden="nobody signed", reason="it is late")
    done = yard.record(order, yard.carry_out(order)).state.deployments["staging"]
    assert (done.overridden, done.reason) == ("nobody signed", "it is late")
    assert order_for(found, state, TARGET, files={}, reason="not needed").reason == ""
