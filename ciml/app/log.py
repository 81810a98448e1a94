"""The repository's commits, each with the versions, metrics, verdicts and deployments that belong to it."""

from __future__ import annotations

from collections.abc import Sequence

from ciml.app.ports import Commits, Journal
from ciml.core import history
from ciml.core.history import LogRow
from ciml.core.ledger import LedgerState


def log(
    states: Sequence[LedgerState], *, commits: Commits, journal: Journal, limit: int, revision: str = "HEAD"
) -> tuple[LogRow, ...]:
    """What happened at the last commits, from new to old.

    Args:
        states: the ledgers of all models.
        commits: where Git's history is read.
        journal: the runs of this clone.
        limit: how many commits.
        revision: the commit to start from.

    Raises:
        RepositoryError: there is no such revision.
    """
    return history.log(commits.log(commits.resolve(revision), limit), states, journal.runs())
