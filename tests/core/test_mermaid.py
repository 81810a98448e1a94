from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ciml.core.mermaid import LONGEST, flowchart, label, line_chart

_SAFE = re.compile(r"(?:[^\W_]|[ ./,:+()…-]|#[0-9]+;)+")


@given(st.text(), st.text())
def test_no_text_leaves_its_label(name: str, how: str) -> None:
    """Whatever a label says, each line of the chart keeps its form: no quote, directive, markup or line end."""
    chart = flowchart({name: (name, "code"), f"{name}2": (how, "data")}, [(name, f"{name}2", how)], {"code": "x"})
    lines = chart.splitlines()

    assert len(lines) == 5
    assert re.fullmatch(r'    n0\["(.*)"\]:::code', lines[1])
    assert re.fullmatch(r'    n0 -->\|"(.*)"\| n1', lines[3])
    assert all(_SAFE.fullmatch(label(text)) for text in (name, how))


def test_a_label_says_what_it_was_given() -> None:
    """What is coded decodes to the text itself, and a long text is cut."""
    text = 'src/a_b.py "x" <b>&amp; %%{i}%% `*y*` $$z$$ [q](r) é 漢'
    decoded = re.sub(r"#([0-9]+);", lambda match: chr(int(match[1])), label(text))

    assert decoded == text
    assert label("") == label("\n") == "-"
    assert label("x" * 1000) == "x" * (LONGEST - 1) + "…"


def test_an_arrow_may_say_nothing() -> None:
    """A label of None is no label."""
    assert "    n0 --> n1\n" in flowchart({"a": ("a", "code"), "b": ("b", "code")}, [("a", "b", None)], {})


_NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.text(), st.text(), st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=60))
def test_a_curve_is_drawn_in_plain_numbers_or_not_at_all(
    title: str, axis: str, points: list[tuple[float, float]]
) -> None:
    """Any names and numbers: five lines of a form that Mermaid reads, no exponent, nothing beyond the axes."""
    chart = line_chart(title, axis, title, points)
    if chart is None:
        return
    number = r"-?[0-9]+(?:\.[0-9]+)?"
    kind, heading, x, y, line = chart.splitlines()

    assert kind == "xychart-beta"
    assert re.fullmatch(r'    title "[^"]*"', heading)
    assert re.fullmatch(rf'    x-axis "[^"]*" {number} --> {number}', x)
    ends = re.fullmatch(rf'    y-axis "[^"]*" ({number}) --> ({number})', y)
    values = re.fullmatch(rf"    line \[({number}(?:, {number})*)\]", line)
    assert ends is not None and values is not None
    assert all(float(ends[1]) - 1e-5 <= float(value) <= float(ends[2]) + 1e-5 for value in values[1].split(", "))


def test_a_curve_is_read_off_at_even_distances() -> None:
    """Straight lines between the points, in whatever order they come; at a jump its upper end."""
    chart = line_chart("t", "x", "y", [(4, 1), (0, 0), (2, 0.5), (4, 3)])

    assert chart is not None
    values = [float(value) for value in re.findall(r"[0-9.]+", chart.splitlines()[4])]
    assert (values[0], values[10], values[20], values[40]) == (0, 0.25, 0.5, 3)
    assert chart.splitlines()[2] == '    x-axis "x" 0 --> 4'


def test_what_cannot_be_drawn_is_not() -> None:
    """No point, one place, one height, numbers of astronomers."""
    for points in ([], [(1.0, 1.0)], [(1.0, 1.0), (1.0, 2.0)], [(0.0, 1.0), (1.0, 1.0)], [(0.0, 0.0), (1e12, 1.0)]):
        assert line_chart("t", "x", "y", points) is None
