from __future__ import annotations

import msgspec

from ciml.core.report import masked
from tests.reports import DEPLOYED, FAILED, REJECTED, report


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
