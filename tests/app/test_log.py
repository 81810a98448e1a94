from __future__ import annotations

from collections.abc import Iterator, Sequence

from ciml.app.log import log
from ciml.core.history import Happening
from ciml.core.ids import CommitSha
from ciml.core.lineage import Commit, RunTrace
from tests.story import DEEPER, FIRST, RUNS, TWIN, WORDS, ledger

COMMITS = (WORDS, TWIN, DEEPER, FIRST)


class Git:
    """A repository with these commits."""

    def resolve(self, rev: str) -> CommitSha:
        assert rev == "main"
        return WORDS.sha

    def log(self, head: CommitSha, limit: int) -> Sequence[Commit]:
        assert head == WORDS.sha
        return COMMITS[:limit]


class Written:
    """A journal of all runs."""

    def runs(self) -> Iterator[RunTrace]:
        yield from reversed(RUNS)


def test_the_log_is_as_long_as_asked_and_in_git_s_order() -> None:
    """Commits as Git lists them, each with what the ledger says of it; the ledger wins over the journal."""
    rows = log([ledger()], commits=Git(), journal=Written(), limit=3, revision="main")

    assert [row.commit for row in rows] == [WORDS, TWIN, DEEPER]
    assert [event.what for event in rows[0].events] == [Happening.JUDGED]
    assert rows[2].events[1].version == 2


def test_before_the_first_registration_the_log_shows_runs() -> None:
    """With no ledger yet, this clone's runs stand beside their commits."""
    rows = log([], commits=Git(), journal=Written(), limit=4, revision="main")

    assert [[event.what for event in row.events] for row in rows] == [
        [Happening.RAN],
        [],
        [Happening.RAN],
        [Happening.RAN],
    ]
