from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ciml.adapters.github.forge import GitHub
from ciml.core.ids import StageName
from ciml.core.report import StageLine
from tests.githubserver import GitHubServer
from tests.reports import CHURN, FAILED, HEAD, REJECTED, STAGES, report

Make = Callable[..., GitHub]


def failed(count: int) -> tuple[StageLine, ...]:
    return tuple(
        StageLine(name=StageName(f"s{number}"), action="run", reason="exit code 1", result="failed", line=number + 1)
        for number in range(count)
    )


@pytest.mark.parametrize("count", [1, 50, 51, 100, 1000])
def test_c026_annotations_go_in_batches_and_the_rest_is_counted(server: GitHubServer, github: Make, count: int) -> None:
    """51 or 1,000 annotations: 50 in a request, 100 in all, the rest in the summary as "and N more"."""
    assert github().publish(report(stages=failed(count), edges=(), conclusion="failure")) == ()

    (check,) = server.check_runs(HEAD)
    told = server.annotations(check["id"])
    assert len(told) == min(count, 100)
    assert [item["start_line"] for item in told] == list(range(1, min(count, 100) + 1))
    assert (f"…and {count - 100:,} more remarks" in check["output"]["summary"]) == (count > 100)
    assert check["status"] == "completed"


def test_a_rejection_is_told_at_the_model_s_line(server: GitHubServer, github: Make) -> None:
    """Level, line and the checks that do not hold; a failing stage at its own line, first."""
    made = report(models=(REJECTED,), stages=(STAGES[0], FAILED), conclusion="failure")
    assert github().publish(made) == ()

    stage, model = server.annotations(server.check_runs(HEAD)[0]["id"])
    assert (stage["path"], stage["start_line"], stage["annotation_level"]) == ("ciml.yaml", 14, "failure")
    assert "ValueError: no column 'age'" in stage["message"]
    assert (model["start_line"], model["title"]) == (31, "churn: rejected")
    assert "✗ auc >= ${{ params.min-auc }}: 0.78 is below 0.8" in model["message"]


@pytest.mark.parametrize("conclusion", ["failure", "action-required"])
def test_c027_a_gate_that_could_not_be_evaluated_never_passes(
    server: GitHubServer, github: Make, conclusion: str
) -> None:
    """Gate not evaluable: the check concludes `failure` (or asks for action) and says why; neutral would pass."""
    model = msgspec.structs.replace(CHURN, verdict="not-judged", reason="metric auc is NaN", checks=(), outcome="")
    made = report(models=(model,), title="churn: gate could not be evaluated", conclusion=conclusion)
    assert github().publish(made) == ()

    (check,) = server.check_runs(HEAD)
    assert check["conclusion"] == conclusion.replace("-", "_")
    assert "Gate could not be evaluated**: metric auc is NaN" in check["output"]["summary"]
    assert server.statuses(HEAD)[0]["state"] == "failure"


@pytest.mark.parametrize("fault", ["502", "lost", "500", "drop"])
def test_a_lost_answer_leaves_one_check_run(server: GitHubServer, github: Make, fault: str) -> None:
    """Written or not when the answer is lost: there is one of this attempt, with all annotations once."""
    server.fault(fault, method="POST", path="check-runs")
    server.fault(fault, method="PATCH", path="check-runs")
    assert github().publish(report(stages=failed(70), edges=())) == ()

    (check,) = server.check_runs(HEAD)
    assert len(server.annotations(check["id"])) == 70


def test_a_title_and_a_description_of_any_length_fit(server: GitHubServer, github: Make) -> None:
    """255 characters of a title, 140 of a status."""
    assert github().publish(report(title="é" * 1000, stages=failed(2000), edges=())) == ()

    assert len(server.check_runs(HEAD)[0]["output"]["title"]) <= 255
    assert len(server.statuses(HEAD)[0]["description"]) <= 140
