from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.markdown.layout import Block, characters, octets, page

_TEXT = st.text(st.sampled_from("abé😀"), min_size=1, max_size=40)
_BLOCKS = st.lists(
    st.builds(
        lambda rank, head, rows, foot: Block(rank=rank, head=head, rows=tuple(rows), foot=foot),
        st.integers(1, 4),
        _TEXT,
        st.lists(_TEXT, max_size=60),
        _TEXT,
    ),
    max_size=8,
)


@given(_BLOCKS, st.integers(100, 3000), st.sampled_from([characters, octets]))
def test_a_page_fits_and_what_is_shown_is_whole(blocks: list[Block], limit: int, measure: object) -> None:
    """Every block is there with its first rows and the number of those left out, or not at all."""
    assert callable(measure)
    text = page(blocks, limit=limit, measure=measure, pointer="(cut)")
    assert measure(text) <= limit

    rest = text
    for block in blocks:
        forms = [block.text(count) for count in range(len(block.rows) + 1)]
        found = next((form for form in reversed(forms) if form and rest.startswith(form)), None)
        if found is not None:
            rest = rest.removeprefix(found).removeprefix("\n\n")
    assert rest.strip() in ("", "(cut)")


def test_the_lowest_rank_gets_room_first_and_no_block_takes_it_all() -> None:
    """Three blocks of 1,000 rows: each has its first rows, the most important one the most."""
    blocks = [Block(rank=rank, head=f"head {rank}", rows=tuple("x" * 20 for _ in range(1000))) for rank in (3, 1, 2)]
    text = page(blocks, limit=4000, measure=characters, pointer="(cut)")
    third, first, second = (len(part.split("…")[0].splitlines()) - 1 for part in text.split("head ")[1:])

    assert first > second >= third >= 5


def test_what_is_left_out_is_counted() -> None:
    """In the block, before it is closed; then it is said where all of it is."""
    block = Block(rank=1, head="| a |", rows=tuple(f"| {n} |" for n in range(2000)), foot="</details>", noun="checks")
    text = page([block], limit=300, measure=characters, pointer="(cut)")

    assert re.search(r"\| \d+ \|\n\n…and 1,9\d\d more checks\n\n</details>\n\n\(cut\)\n$", text)


@pytest.mark.parametrize(("text", "units", "size"), [("abc", 3, 3), ("é", 1, 2), ("😀", 2, 4), ("", 0, 0)])
def test_both_limits_are_counted(text: str, units: int, size: int) -> None:
    """UTF-16 units for comments, bytes for summaries."""
    assert (characters(text), octets(text)) == (units, size)
