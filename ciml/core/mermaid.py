"""Mermaid charts whose labels are data: no text can end a label, begin a directive or be markup."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import isfinite

LONGEST = 80
"""Characters of a label; a longer one is cut."""

_STEPS = 40
"""Lines that a drawn curve is made of."""

_PLAIN = frozenset(" ./,:+-()…")


def label(text: str) -> str:
    """`text` as it may stand between quotes: all but letters, digits and a few signs become `#code;`.

    Mermaid refuses a label that is empty, so that becomes a dash.
    """
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    coded = "".join(char if char.isalnum() or char in _PLAIN else _coded(char) for char in shown)
    return coded if coded.strip() else "-"


def _coded(char: str) -> str:
    """A printable character by its number; what cannot be printed, or is half a character, as a blank."""
    return f"#{ord(char)};" if char.isprintable() else " "


def flowchart(
    nodes: Mapping[str, tuple[str, str]], edges: Sequence[tuple[str, str, str | None]], styles: Mapping[str, str]
) -> str:
    """A flowchart from left to right.

    Args:
        nodes: id -> (label, class); ids may hold anything, they are numbered.
        edges: (from, to, label or None), between ids of `nodes`.
        styles: class -> CSS properties.
    """
    numbers = {name: f"n{number}" for number, name in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {numbers[name]}["{label(text)}"]:::{kind}' for name, (text, kind) in nodes.items()]
    lines += [f"    {numbers[source]} {_arrow(how)} {numbers[target]}" for source, target, how in edges]
    lines += [f"    classDef {kind} {style}" for kind, style in styles.items()]
    return "\n".join(lines) + "\n"


def _arrow(how: str | None) -> str:
    return "-->" if how is None else f'-->|"{label(how)}"|'


def line_chart(title: str, x: str, y: str, points: Sequence[tuple[float, float]]) -> str | None:
    """One curve, None where its numbers cannot be drawn.

    Mermaid spreads values evenly over an axis and knows no exponents, so the curve is read off at even
    distances; where it jumps, at the upper end.

    Args:
        title: what is drawn.
        x: name of the horizontal axis.
        y: name of the vertical axis.
        points: (x, y), in any order.
    """
    known = sorted(point for point in points if isfinite(point[0]) and isfinite(point[1]))
    places, heights = [point[0] for point in known], [point[1] for point in known]
    if not known or not (_can_be_written(places[0], places[-1]) and _can_be_written(min(heights), max(heights))):
        return None
    left, width = places[0], places[-1] - places[0]
    values = [_height(places, heights, left + width * step / _STEPS) for step in range(_STEPS + 1)]
    lines = (
        "xychart-beta",
        f'    title "{label(title)}"',
        f'    x-axis "{label(x)}" {_decimal(left)} --> {_decimal(places[-1])}',
        f'    y-axis "{label(y)}" {_decimal(min(heights))} --> {_decimal(max(heights))}',
        f"    line [{', '.join(map(_decimal, values))}]",
    )
    return "\n".join(lines) + "\n"


def _can_be_written(low: float, high: float) -> bool:
    """Whether six decimals tell the numbers of an axis apart."""
    return high - low >= 1e-3 and max(abs(low), abs(high)) < 1e9


def _height(places: Sequence[float], heights: Sequence[float], at: float) -> float:
    """The curve's value, on the straight line between its neighbours."""
    after = bisect_right(places, at)
    if after == 0 or after == len(places):
        return heights[max(after - 1, 0)]
    share = (at - places[after - 1]) / (places[after] - places[after - 1])
    return heights[after - 1] + share * (heights[after] - heights[after - 1])


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
