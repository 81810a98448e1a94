"""How much, as people read it: bytes, files, differences, the first of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciml.core.dataset import Tally

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def bytes_text(size: int) -> str:
    """A number of bytes as people read it: `1.2 MB`; powers of 1,000."""
    value, unit = float(size), 0
    while abs(value) >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{size} bytes" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def files_text(files: int) -> str:
    """`1 file`, `1,200 files`."""
    return f"{files:,} file{'' if files == 1 else 's'}"


def tally_text(tally: Tally) -> str:
    """`2 added, 1 removed, 3 changed (+1.2 MB, -300 bytes)`."""
    counts = [
        f"{count:,} {word}"
        for count, word in ((tally.added, "added"), (tally.removed, "removed"), (tally.changed, "changed"))
        if count
    ]
    if not counts:
        return "nothing differs"
    return f"{', '.join(counts)} (+{bytes_text(tally.bytes_added)}, -{bytes_text(tally.bytes_removed)})"


def some_of(items: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the first of them, at most so many."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
