"""`ciml gate`."""

from __future__ import annotations

from tests.cli.calls import Calls
from tests.cli.ledgers import state


def test_a_rejection_is_judged_again(registered: Calls) -> None:
    """Exit 10 each time, with every check; the recorded verdict stands, and the ledger does not grow."""
    registered.repo.commit({"src.txt": "0.6\n"})
    registered("run")
    head = state(registered.repo).head

    answer = registered("--json", "gate")
    assert answer.code == 10
    [model] = answer.json["models"]
    assert (model["verdict"], model["version"], model["metrics"]) == ("rejected", None, {"auc": 0.6})
    assert model["champion"] == {"version": 1, "metrics": {"auc": 0.7}}
    assert [(check["check"], check["passed"]) for check in model["checks"]] == [
        ("auc >= 0.5", True),
        ("auc > champion.auc", False),
    ]
    assert "recorded" not in registered("gate", "m").out
    assert state(registered.repo).head == head


def test_a_threshold_for_this_call(registered: Calls) -> None:
    """`-P` is part of the policy: the same model passes one threshold and not the other."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")

    assert registered.ok("gate").out.count("pass") == 2
    assert registered("gate", "-P", "min-auc=0.9").code == 10
    assert registered("gate", "-P", "min-auk=0.9").code in (2, 3)


def test_without_results(registered: Calls) -> None:
    """A commit that was not run: exit 4, and no stage is run."""
    registered.repo.commit({"src.txt": "0.8\n"})

    answer = registered("gate")
    assert answer.code == 4
    assert "hint: ciml run" in answer.err


def test_an_unknown_model(registered: Calls) -> None:
    """Exit 2."""
    assert registered("gate", "n").code == 2
