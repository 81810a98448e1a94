"""`ciml log`."""

from __future__ import annotations

from tests.cli.calls import Calls


def happenings(ciml: Calls, *words: str) -> list[list[tuple[str, int | None, str]]]:
    """What happened to each commit, youngest first."""
    rows = ciml.json("log", *words)["commits"]
    return [[(event["what"], event["version"], event["verdict"]) for event in row["events"]] for row in rows]


FIRST = [("judged", None, "accepted"), ("registered", 1, ""), ("promoted", 1, "")]


def test_commits_with_what_became_of_them(registered: Calls) -> None:
    """Verdicts, versions, promotions and rollbacks beside the commits that they belong to."""
    registered.repo.commit({"src.txt": "0.6\n"}, "worse")
    registered("run")
    registered.repo.commit({"src.txt": "0.8\n"}, "better")
    registered.ok("run")
    registered.ok("register")
    registered.ok("rollback", "m", "--reason", "too slow")

    assert happenings(registered) == [
        [("judged", None, "accepted"), ("registered", 2, ""), ("promoted", 2, "")],
        [("judged", None, "rejected")],
        [*FIRST, ("rolled-back", 1, "")],
    ]
    out = registered.ok("log").out
    assert all(word in out for word in ("better", "worse", "a first model", "auc 0.8", "too slow"))
    assert happenings(registered, "-n", "1", "HEAD~1") == [[("judged", None, "rejected")]]


def test_a_run_that_no_ledger_tells(registered: Calls) -> None:
    """A dirty run is shown at its commit of this clone, where no ledger has anything to say of it."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.repo.write({"src.txt": "0.9\n"})
    registered.ok("run")

    [dirty, first] = happenings(registered)
    assert dirty == [("ran", None, "accepted")]
    assert first == FIRST


def test_a_commit_with_the_same_tree(registered: Calls) -> None:
    """It asks for the same version, and the log says so."""
    registered.repo.commit({}, "nothing")

    assert happenings(registered) == [[("same-tree", 1, "")], FIRST]


def test_an_unknown_revision(registered: Calls) -> None:
    """An error of the user's, and no traceback."""
    answer = registered("log", "nowhere")

    assert answer.code in (2, 3, 4)
    assert "nowhere" in answer.err
