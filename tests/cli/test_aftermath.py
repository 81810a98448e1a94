"""What a run leaves behind: verdicts in the ledger, runs in the registry, alerts."""

from __future__ import annotations

import pytest

from ciml.core.entries import Judgement
from tests.cli.calls import Calls
from tests.cli.ledgers import entries, runs, state, versions


def verdicts(ciml: Calls) -> list[str]:
    return [str(entry.verdict.status) for entry in entries(ciml.repo, Judgement)]


def test_verdicts_are_in_the_ledger(registered: Calls) -> None:
    """Accepted and rejected alike, with commit and metrics; a run that judged nothing anew adds none."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")
    sha = registered.repo.commit({"src.txt": "0.6\n"})
    assert registered("run").code == 10
    registered.ok("run")

    assert verdicts(registered) == ["accepted", "accepted", "rejected"]
    last = entries(registered.repo, Judgement)[-1]
    assert (last.commit, last.verdict.metrics, last.actor) == (sha, {"auc": 0.6}, "Ada <ada@example.com>")


def test_a_dirty_tree_leaves_no_verdict(registered: Calls) -> None:
    """What no commit explains is judged and shown, and neither ledger nor registry hears of it."""
    head, tracked = state(registered.repo).head, runs(registered.path)
    registered.repo.write({"src.txt": "0.6\n"})

    assert registered("run").code == 10
    assert (state(registered.repo).head, runs(registered.path)) == (head, tracked)


def test_every_run_is_tracked(registered: Calls) -> None:
    """A rejected and a failed run are MLflow runs without a version; asking again adds none."""
    registered.repo.commit({"src.txt": "0.6\n"})
    registered("run")
    registered("register")
    registered.repo.commit({"src.txt": "# no number\n"})
    assert registered("run").code == 11

    assert runs(registered.path) == [("FINISHED", "accepted"), ("FINISHED", "rejected"), ("FAILED", "not-judged")]
    assert versions(registered.path) == [1]


def test_a_rejection_is_told_once(registered: Calls, inbox: list[str]) -> None:
    """One alert for one verdict, whatever is run again; a failure is told by each run that fails."""
    registered.repo.commit({"src.txt": "0.6\n"})
    for words in (("run",), ("run", "--force"), ("register",), ("gate",)):
        registered(*words)
    registered.repo.commit({"README.md": "words"})
    registered("run")
    assert [title.partition(" at ")[0] for title in inbox] == ["m was rejected"]
    registered.repo.commit({"src.txt": "# no number\n"})
    registered("run")

    assert [title.partition(" at ")[0] for title in inbox] == ["m was rejected", "stage train failed"]


def test_an_alert_that_cannot_be_sent(registered: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning that names no address, and the outcome is the same."""
    monkeypatch.setenv("CIML_ALERT_URLS", "json://user:CANARY@127.0.0.1:9/")
    registered.repo.commit({"src.txt": "0.6\n"})

    answer = registered("run")
    assert answer.code == 10
    assert "an alert was not sent to json" in answer.err
    assert "CANARY" not in answer.err + answer.out
