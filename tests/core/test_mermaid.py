from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ciml.core.mermaid import LONGEST, flowchart, label

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
