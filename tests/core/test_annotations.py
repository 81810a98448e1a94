from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.annotations import annotated
from ciml.core.ids import RepoPath
from tests.reports import CHURN, FAILED, REJECTED, STAGES, report


def test_failures_come_first_each_at_its_line() -> None:
    """The stage with its log's end, then the model with the checks that do not hold."""
    stage, model = annotated(report(models=(REJECTED,), stages=(*STAGES, FAILED), conclusion="failure"))

    assert (stage.line, stage.level, stage.title) == (14, "failure", "stage train failed")
    assert stage.message.splitlines()[0] == "exit code 1 after 12 s"
    assert stage.message.splitlines()[-1] == "ValueError: no column 'age'"
    assert (model.line, model.level, model.title) == (31, "failure", "churn: rejected")
    assert model.message == "1 of 4 checks does not hold\n✗ auc >= ${{ params.min-auc }}: 0.78 is below 0.8"


def test_a_rejection_that_fails_nothing_is_a_warning() -> None:
    """Where a pull request need only have run, its check is green and the remark yellow."""
    (remark,) = annotated(report(models=(REJECTED,)))

    assert remark.level == "warning"


def test_what_is_well_is_not_remarked_on() -> None:
    """Neither accepted nor unchanged models, nor stages that ran."""
    unchanged = msgspec.structs.replace(CHURN, verdict="unchanged")

    assert annotated(report(models=(CHURN, unchanged))) == ()


def test_a_pipeline_in_a_folder_has_its_file_there() -> None:
    """GitHub shows a remark only at a path of the repository."""
    (remark,) = annotated(report(models=(REJECTED,), folder=RepoPath("services/churn")))

    assert remark.path == "services/churn/ciml.yaml"


@given(st.text(), st.text())
def test_remarks_of_any_text_fit_and_show_every_character(reason: str, tail: str) -> None:
    """No control character, no half of one, no more than GitHub takes."""
    stage = msgspec.structs.replace(FAILED, reason=reason, tail=tail * 50)
    (remark,) = annotated(report(models=(), stages=(stage,)))

    assert len(remark.message) <= 4000
    assert len(remark.title) <= 255
    assert all(line.isprintable() for line in remark.message.replace("\u200b", "").split("\n"))
    assert remark.message


@pytest.mark.parametrize("line", [None, 0, -3, 2**31])
def test_a_line_that_is_none_is_not_remarked_on(line: int | None) -> None:
    """A report may be forged; GitHub would refuse all of the check for one such line."""
    stage = msgspec.structs.replace(FAILED, line=line)

    assert annotated(report(models=(msgspec.structs.replace(REJECTED, line=line),), stages=(stage,))) == ()
