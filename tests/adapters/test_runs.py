from __future__ import annotations

import os
from pathlib import Path

import pytest

from ciml.adapters.runs import KEPT, RunJournal
from ciml.core.errors import ConfigurationError
from tests.story import DEEPER, RUNS


@pytest.fixture
def journal(tmp_path: Path) -> RunJournal:
    return RunJournal(str(tmp_path / "runs"), work_tree="/work/a")


def test_runs_are_read_back_from_new_to_old(journal: RunJournal) -> None:
    """Whatever the order of writing, the newest comes first, whole."""
    for run in (RUNS[1], RUNS[0], RUNS[2]):
        journal.write(run)

    assert list(journal.runs()) == list(reversed(RUNS))
    assert journal.run(RUNS[0].id) == RUNS[0]


def test_the_last_run_is_that_of_this_work_tree(journal: RunJournal, tmp_path: Path) -> None:
    """Work trees share a journal; each has its own base for the next plan."""
    other = RunJournal(str(tmp_path / "runs"), work_tree="/work/b")
    journal.write(RUNS[0])
    journal.write(RUNS[1])
    other.write(RUNS[2])
    last = journal.last_run()

    assert last is not None
    assert last.commit is not None
    assert last.commit.sha == DEEPER.sha
    assert last.id == RUNS[1].id


def test_a_run_that_was_killed_has_no_record(journal: RunJournal, tmp_path: Path) -> None:
    """Logs without a record, a torn record and a stray file are left out, and harm nobody."""
    journal.folder_of("20261121T020000Z-aa")
    journal.write(RUNS[0])
    torn = Path(journal.folder_of("20261122T020000Z-aa"), "run.json")
    torn.write_bytes(b'{"work_tree": "/work/a", "run": {"id": "x"')
    (tmp_path / "runs" / "stray").write_text("x")

    assert list(journal.runs()) == [RUNS[0]]
    last = journal.last_run()
    assert last is not None
    assert last.id == RUNS[0].id


def test_an_empty_journal_is_no_error(journal: RunJournal) -> None:
    """Before the first run there is nothing, and nothing is made."""
    assert list(journal.runs()) == []
    assert journal.last_run() is None
    assert journal.run("x") is None


def test_the_oldest_runs_are_let_go_with_their_logs(journal: RunJournal, tmp_path: Path) -> None:
    """The journal is bounded: the newest stay."""
    for number in range(KEPT + 5):
        Path(journal.folder_of(f"20250101T{number:06}Z-aa"), "train.log").write_text("x")
    journal.write(RUNS[0])
    left = sorted(os.listdir(tmp_path / "runs"))

    assert len(left) == KEPT
    assert left[0] == "20250101T000006Z-aa"
    assert left[-1] == RUNS[0].id


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Exit 3 with the path."""
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(ConfigurationError, match="runs"):
        RunJournal(str(tmp_path / "runs"), work_tree="/w").write(RUNS[0])
