"""Mermaid flowcharts whose labels are data: no text can end a label, begin a directive or be markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LONGEST = 80
"""Characters of a label; a longer one is cut."""

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
    nodes: Mapping[str, tuple[str, str]], edges: Sequence[tuple[str, str, str]], styles: Mapping[str, str]
) -> str:
    """A flowchart from left to right.

    Args:
        nodes: id -> (label, class); ids may hold anything, they are numbered.
        edges: (from, to, label), between ids of `nodes`.
        styles: class -> CSS properties.
    """
    numbers = {name: f"n{number}" for number, name in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {numbers[name]}["{label(text)}"]:::{kind}' for name, (text, kind) in nodes.items()]
    lines += [f'    {numbers[source]} -->|"{label(how)}"| {numbers[target]}' for source, target, how in edges]
    lines += [f"    classDef {kind} {style}" for kind, style in styles.items()]
    return "\n".join(lines) + "\n"
