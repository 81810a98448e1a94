"""The base of every value in the core.

`msgspec.Struct` in place of `dataclass`: as frozen and slotted, but a class costs 60 µs to
create instead of 900 µs, and a plan of a thousand stages is read back in a millisecond.
Start-up time is a feature.
"""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True):
    """A frozen, slotted record that compares by content.

    Subclasses say `frozen=True, kw_only=True` themselves: msgspec does not inherit the second,
    type checkers do not inherit the first.
    """
