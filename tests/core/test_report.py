from __future__ import annotations

import msgspec
import pytest

from ciml.core.report import masked, thinned
from tests.reports import DEPLOYED, FAILED, REJECTED, report


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6, 1000])
def test_points_are_thinned_evenly(count: int) -> None:
    """No more than asked for, in order, the first and the last among them; few are all there."""
    points = [(float(number), 0.0) for number in range(count)]
    kept = thinned(points, 5)
    assert list(kept) == sorted(set(kept)) and len(kept) == min(count, 5)
    assert {*points[:1], *points[-1:]} <= set(kept)


def test_every_free_text_is_masked_and_nothing_else() -> None:
    """Texts, lists of them, names of what changed; words of a choice and the event stay, and so does the form."""
    made = report(
        title="churn failed",
        models=(REJECTED,),
        stages=(FAILED,),
        deployments=(DEPLOYED,),
        notices=("failed", "success"),
        changed={"code": ("failed.py",)},
    )
    told = masked(made, lambda text: text.replace("failed", "***").replace("success", "***"))

    assert (told.title, told.notices, told.changed) == ("churn ***", ("***", "***"), {"code": ("***.py",)})
    assert told.stages[0].result == "failed"
    assert told.conclusion == "success"
    assert told.event is made.event
    assert msgspec.convert(msgspec.to_builtins(told), type(told)) == told
