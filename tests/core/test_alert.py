from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.alert import LONGEST, Occasion, deploy_failed, failed, plain, rejected
from ciml.core.history import DeploymentLine
from ciml.core.ids import ModelName
from ciml.core.lineage import CheckLine, trace
from ciml.core.results import Failed
from tests.story import CHURN, PREPARE, RUNS, changed, commit, d

REJECTED = RUNS[2]


def test_a_rejection_says_which_checks_failed() -> None:
    """Model, commit, each check that failed with its numbers, who and where."""
    run = changed(REJECTED, run_url="https://github.com/acme/churn/actions/runs/7")
    alert = rejected(run.models[0], run, verdict=d("77"))

    assert alert.occasion is Occasion.REJECTED
    assert alert.title == "churn was rejected at d4d4d4d"
    assert (
        alert.body
        == """\
✗ accuracy >= 0.9: with 0.87 and 0.9
Explain it in the README by Ann
branch main, local
https://github.com/acme/churn/actions/runs/7"""
    )


def test_a_failure_says_which_stage_and_why() -> None:
    """One line of reason; the log stays where it is, for it may hold anything."""
    stage = trace(PREPARE, d("1"), (), {}, Failed(reason="exit code 3", tail="CANARY in the log"))
    alert = failed(stage, changed(REJECTED, dirty=True))

    assert alert.title == "stage prepare failed at d4d4d4d with local changes"
    assert alert.body.startswith("exit code 3\n")
    assert "CANARY" not in alert.body


def test_a_failed_deployment_says_what_did_not_arrive_where() -> None:
    """Version, environment and reason."""
    line = DeploymentLine(environment="production", model=CHURN, version=2)

    assert deploy_failed(line, REJECTED, reason="smoke: exit code 1").title == "churn/2 was not deployed to production"


def test_the_same_judgement_is_one_alert_and_each_run_s_failure_is_its_own() -> None:
    """Keys tell what is the same: a verdict met again is not told again, a nightly failure is."""
    one, other = rejected(REJECTED.models[0], REJECTED, verdict=d("77")), RUNS[0]
    stage = trace(PREPARE, d("1"), (), {}, Failed(reason="x"))

    assert rejected(REJECTED.models[0], changed(REJECTED, id="later"), verdict=d("77")).key == one.key
    assert rejected(REJECTED.models[0], REJECTED, verdict=d("78")).key != one.key
    assert failed(stage, REJECTED).key != failed(stage, other).key


HOSTILE = "<!channel> <@U123> @everyone @here [x](https://evil.example) `a` *b* https://a:CANARY@h/x?t=CANARY www."


def test_c155_a_name_cannot_mention_link_or_mark_up() -> None:
    """Alert text contains a model name with Slack's `<!channel>`: it is escaped, as is every other free text."""
    model = msgspec.structs.replace(
        REJECTED.models[0],
        name=ModelName(HOSTILE),
        checks=(CheckLine(check=HOSTILE, passed=False, left=HOSTILE, detail=HOSTILE),),
    )
    run = changed(REJECTED, branch=HOSTILE, commit=commit("d4", HOSTILE), event=HOSTILE, actor=HOSTILE)
    alert = rejected(model, run, verdict=d("77"))
    text = f"{alert.title}\n{alert.body}"

    assert "CANARY" not in text
    assert not re.search(r"<[^\s=]|\]\(|`|@[^\u200b\s]|[a-z]://|www\.", text)
    assert "‹!channel>" in text


@given(st.text())
def test_plain_text_is_one_short_line_without_anything_active(text: str) -> None:
    """Whatever is put in."""
    safe = plain(text)

    assert len(safe) <= LONGEST
    assert not re.search(
        r"<(?![\s=]|$)|\]\(|[`\n\r\x00-\x1f\u202a-\u202e\u2066-\u2069]|@(?![\u200b\s]|$)|[a-zA-Z]://", safe
    )


@pytest.mark.parametrize(
    "text", ["accuracy 0.87 is below 0.9", "exit code 137 (killed)", "src/train.py: é 漢字", "a <= 1 and b > 2 * [c]"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """What is harmless is not touched."""
    assert plain(text) == text
