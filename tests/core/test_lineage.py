from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.descent import ancestry
from ciml.core.drawing import as_json
from ciml.core.errors import IntegrityError
from ciml.core.history import History
from ciml.core.lineage import RunTrace, check_lines, decode, encode, moment, of_model, run_id, trace
from ciml.core.results import Failed
from ciml.core.verdict import Finding
from tests.story import CHURN, DATA, DEEPER, PREPARE, RUNS, TRAIN, changed, d, file


def test_a_record_is_read_back_as_it_was() -> None:
    """Writing and reading a run's record changes nothing, and the same record has the same bytes."""
    for run in RUNS:
        data = encode(run)
        assert decode(data, RunTrace, where="run.json") == run
        assert encode(decode(data, RunTrace, where="run.json")) == data


def test_a_check_of_yes_or_no_is_read_back() -> None:
    """A side of a check may be true, false or a text; the record of the run can be read all the same."""
    finding = Finding(check="params.a == 'x'", passed=False, left=True, right="x", detail="", comparison=False)
    model = msgspec.structs.replace(RUNS[0].models[0], checks=check_lines([finding]))
    run = changed(RUNS[0], models=(model,))

    assert decode(encode(run), RunTrace, where="run.json") == run


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"id": 1}'])
def test_what_is_no_record_is_an_integrity_error(data: bytes) -> None:
    """A torn or foreign file is named, and shows no traceback."""
    with pytest.raises(IntegrityError, match=r"run\.json is not a lineage record"):
        decode(data, RunTrace, where="run.json")


@given(st.integers(min_value=-(2**63), max_value=2**63))
def test_every_commit_time_has_a_text(seconds: int) -> None:
    """Git lets a time be any number; the lineage shows it in the calendar or as a number."""
    text = moment(seconds)

    if text.startswith("@"):
        assert text == f"@{seconds}"
    else:
        assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() == seconds


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (4_300_000_000, "2106-04-06T12:26:40Z"),
        (2**62, f"@{2**62}"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_c073_strange_dates_and_authors_make_valid_json(time: int, shown: str) -> None:
    """Commit date in 1970 or 2106, author with a newline: the lineage is valid JSON."""
    author = 'A\n"B" \x00\x1b[31m\u202e<c@d>'
    commit = msgspec.structs.replace(DEEPER, author=author, time=time, subject="a\r\n::error::b")
    graph = as_json(ancestry([changed(RUNS[1], commit=commit)], History()))
    nodes = json.loads(encode(graph))["nodes"]

    found = next(node for node in nodes if node["kind"] == "commit")
    assert found["time"] == shown
    assert found["author"] == 'A "B" [31m <c@d>'
    assert found["subject"] == "a ::error::b"


def test_a_path_that_is_not_utf8_makes_valid_json() -> None:
    """Bytes of a path that are no text are shown by their number."""
    stage = msgspec.structs.replace(RUNS[0].stages[0], inputs=(file("src/\udcff.py", "01"),))
    data = encode(changed(RUNS[0], stages=(stage,)))

    assert json.loads(data)["stages"][0]["inputs"][0]["path"] == r"src/\xff.py"
    assert decode(data, RunTrace, where="run.json").stages[0].name == PREPARE


def test_runs_sort_by_time() -> None:
    """A later run has a greater id, whatever zone its clock shows."""
    early = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    late = datetime(2026, 11, 22, 0, 40, tzinfo=timezone(timedelta(hours=1)))

    assert run_id(early, "ff") < run_id(late, "00")


def test_a_version_carries_its_own_part_of_the_run() -> None:
    """Stages that neither make nor judge the model are left out of its record, other models too."""
    other = msgspec.structs.replace(RUNS[0].models[0], name=CHURN, stages=(PREPARE, TRAIN))
    part = of_model(changed(RUNS[0], models=(other,)), CHURN)

    assert [stage.name for stage in part.stages] == [PREPARE, TRAIN]
    assert part.models == (other,)


def test_c103_a_record_loses_the_secrets_of_its_addresses() -> None:
    """Presigned URL in a manifest, a message or a remote: the canary signature is absent from the record."""
    failed = Failed(reason="GET https://key:CANARY@b.example/k?X-Amz-Signature=CANARY failed")
    assert "CANARY" in str(DATA.source)
    run = RunTrace(
        id="x",
        repository="https://me:CANARY@github.com/acme/churn?t=CANARY",
        run_url="https://ci.example/1?token=CANARY",
        stages=(trace(PREPARE, d("1"), [DATA], {}, failed),),
    )

    assert run.stages[0].reason == "GET https://b.example/k failed"
    assert run.repository == "https://github.com/acme/churn"
    assert b"CANARY" not in encode(run)
    assert b"CANARY" not in encode(as_json(ancestry(RUNS, History())))
