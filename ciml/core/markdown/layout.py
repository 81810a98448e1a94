"""Markdown that fits: whole rows are left out, the least important ones first, and it is said how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ciml.core.value import Value

Measure = Callable[[str], int]

_ROUNDS = (1, 4, 20, None)
"""How many times its first rows each block may have before the next one gets more."""


def characters(text: str) -> int:
    """UTF-16 units, of which no text has fewer than characters: GitHub's limits name neither."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def octets(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


class Block(Value, frozen=True, kw_only=True):
    """A part of a page, of which rows can be left out."""

    rank: int
    """0 must be there; of others the lowest gets room first."""
    head: str = ""
    """Stands before the rows; a table's heading."""
    rows: tuple[str, ...] = ()
    foot: str = ""
    """Stands behind the rows, and behind what is said of those left out."""
    noun: str = "rows"
    """What the rows are."""
    first: int = 5
    """Rows that it needs before blocks of a higher rank get any."""

    def text(self, shown: int) -> str:
        """The block with its first rows, so many."""
        left = len(self.rows) - shown
        more = [f"\n…and {left:,} more {self.noun}"] if left else []
        ends = [f"\n{self.foot}" if more else self.foot] if self.foot else []
        return "\n".join((*([self.head] if self.head else []), *self.rows[:shown], *more, *ends))


def page(blocks: Sequence[Block], *, limit: int, measure: Measure, pointer: str) -> str:
    """The blocks in their order, within a limit.

    Args:
        blocks: of those with rank 0 nothing is left out.
        limit: in what `measure` counts.
        measure: the size of a text; that of two texts together is the sum of theirs.
        pointer: stands at the end where something was left out.
    """
    whole = "\n\n".join(block.text(len(block.rows)) for block in blocks) + "\n"
    if measure(whole) <= limit:
        return whole
    shown = _shares(blocks, limit - measure(pointer) - 2, measure)
    parts = [block.text(count) for block, count in zip(blocks, shown, strict=True) if count is not None]
    return "\n\n".join((*parts, pointer)) + "\n"


def _shares(blocks: Sequence[Block], room: int, measure: Measure) -> list[int | None]:
    """How many rows each block gets, None for a block that is not there at all."""
    shown: list[int | None] = [None] * len(blocks)
    sizes = [[measure(row) + 1 for row in block.rows] for block in blocks]
    order = sorted(range(len(blocks)), key=lambda place: blocks[place].rank)
    for times in _ROUNDS:
        for place in order:
            block, sizes_here = blocks[place], sizes[place]
            cost = 0
            count = shown[place] or 0
            if shown[place] is None:
                # As it is with no row: with what is said of those left out.
                cost = measure(block.text(0)) + 2
                if block.rows:
                    cost += sizes_here[0]
                    count = 1
                if block.rank and cost > room:
                    continue
            end = len(block.rows) if times is None else min(times * block.first, len(block.rows))
            while count < end and cost + sizes_here[count] <= room:
                cost += sizes_here[count]
                count += 1
            shown[place] = count
            room -= cost
    return shown


def table(heads: Sequence[str], alignments: str) -> str:
    """The first two lines of a table; alignments: `<`, `>` or `^` for each column."""
    marks = {"<": ":--", ">": "--:", "^": ":-:"}
    return f"{row(*heads)}\n|{'|'.join(marks[mark] for mark in alignments)}|"


def row(*cells: str) -> str:
    """One line of a table. Its cells are Markdown already."""
    return f"| {' | '.join(cells)} |"
