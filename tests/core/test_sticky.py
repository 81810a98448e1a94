from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.ids import CommitSha, RepoPath
from ciml.core.sticky import Marker, marker, marker_of
from tests.reports import HEAD, event, report

_NUMBERS = st.integers(-(10**30), 10**30)


@given(st.text(), _NUMBERS, _NUMBERS, _NUMBERS, st.one_of(st.none(), st.text()))
def test_whatever_is_marked_is_read_back_and_stays_hidden(
    folder: str, number: int, run: int, attempt: int, head: str | None
) -> None:
    """Any folder, number, run and commit, also forged ones: one HTML comment on one line, which reads back the same."""
    made = event()
    told = msgspec.structs.replace(
        made,
        number=number,
        head_sha=CommitSha(head) if head is not None else None,
        head=None,
        run=msgspec.structs.replace(made.run, number=run, attempt=attempt),
    )
    ours = marker(report(event=told, folder=RepoPath(folder)))
    text = str(ours)

    assert marker_of(f"{text}\n## title") == ours
    assert text.startswith("<!-- ciml:report v1 key=")
    assert text.index("-->") == len(text) - 3
    assert text.isascii() and text.isprintable()


def test_it_names_pipeline_pull_request_run_and_commit() -> None:
    """As it stands in the comment's first line."""
    assert str(marker(report())) == f"<!-- ciml:report v1 key=./7 run=12.1 head={HEAD} -->"
    assert str(marker(report(folder=RepoPath("a b/é")))).startswith("<!-- ciml:report v1 key=a%20b/%C3%A9/7 run=")


def test_only_what_a_comment_begins_with_is_a_marker() -> None:
    """Quoted, indented or in the middle it is text."""
    text = str(marker(report()))

    assert marker_of(f" {text}") is marker_of(f"> {text}") is marker_of(f"x\n{text}") is marker_of("") is None
    assert marker_of(text.replace("v1", "v2")) is None


def test_runs_are_ordered_by_number_then_attempt() -> None:
    """Not as text: run 9 is older than run 10."""
    orders = [Marker(key="./7", number=number, attempt=attempt).order for number, attempt in ((9, 3), (10, 1), (10, 2))]

    assert orders == sorted(orders)
