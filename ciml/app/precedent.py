"""What a ledger says already of a candidate, and whether it still counts."""

from __future__ import annotations

import msgspec

from ciml.core.entries import Judgement
from ciml.core.ids import Digest
from ciml.core.judged import Judged
from ciml.core.ledger import LedgerState
from ciml.core.verdict import Status


def own_judgement(judged: Judged, ledger: LedgerState) -> Judgement | None:
    """The judgement that let the champion through, where the candidate is the champion's own recipe."""
    champion = ledger.champion
    if champion is None or ledger.recipes.get(judged.recipe) != champion.version:
        return None
    before = ledger.verdicts.get(ledger.versions[champion.version].verdict or Digest(""))
    return before if before and before.recipe == judged.recipe else None


def recorded(judged: Judged, before: Judgement) -> Judged:
    """The model with the verdict that is on record."""
    return msgspec.structs.replace(judged, verdict=before.verdict, recorded=True, recorded_at=before.commit)


def stands(before: Judgement, judged: Judged, ledger: LedgerState) -> bool:
    """Whether a recorded verdict still stands: it lets no other bytes through than those it was given on.

    Other bytes come of a stage that is not deterministic. Those of a registered recipe are never registered.
    """
    if judged.artifact is None or judged.recipe in ledger.recipes or before.verdict.status is Status.REJECTED:
        return True
    return before.artifact in (None, judged.artifact.digest)
