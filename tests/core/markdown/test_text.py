from __future__ import annotations

import pytest

from ciml.core.markdown.text import code, fence, inline, plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("a\x1b[0m\x00", "a\\u001b[0m\\u0000"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\tb\nc\u00a0d\u2028e", "a b c d e"),
        ("漢字 é 😀 ⚠️", "漢字 é 😀 ⚠️"),
    ],
)
def test_every_character_is_to_be_seen(text: str, shown: str) -> None:
    """Controls, turns of direction, what has no width, bytes that are no text: by their numbers; blanks as blanks."""
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@acme/team", "@|acme/team"),
        ("ann@acme.example", "ann@|acme.example"),
        ("fixes #12", "fixes #|12"),
        ("acme/churn#14", "acme/churn#|14"),
        ("gh-13 GH-13", "gh-|13 GH-|13"),
        ("https://x.example/a?token=CANARY", "https:|//x.example/a"),
        ("WWW.x.example", "WWW|.x.example"),
        ("4f9d0c1b2a3948", "4f9d0c|1b2a39|48"),
        ("(4f9d0c1)", "(4f9d0c|1)"),
        ("CVE-2024-1 GHSA-abcd-ef12-3456", "CVE-|2024-1 GHSA-|abcd-ef12-3456"),
        (":tada:", ":|tada:"),
        ("0.1 -> 0.05, a: b, 50 % @ 3, # 4, 1048576x", "0.1 -> 0.05, a: b, 50 % @ 3, # 4, 1048576x"),
    ],
)
def test_what_github_would_act_on_is_broken(text: str, shown: str) -> None:
    """Mentions, issues, addresses, commits, advisories and pictures, where no Markdown is read either."""
    assert plain(text) == shown.replace("|", "\u200b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "*a* _b_ `c` [d](e) <f> ~g~ &amp; \\ $h$",
            "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) \\<f> \\~g\\~ \\&amp; \\\\ \\$h\\$",
        ),
        ("a | b", "a &#124; b"),
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("> a", "\\> a"),
        ("1. a", "1\u200b. a"),
        ("0.91 is better", "0.91 is better"),
    ],
)
def test_markup_is_text(text: str, shown: str) -> None:
    """Every sign of Markdown's, and what begins a block."""
    assert inline(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("src/a_b.py", "`src/a_b.py`"), ("a`b", "a\\`b"), ("a|b", "a&#124;b"), ("", "\\-"), ("  ", "\\-")],
)
def test_code_is_code_where_code_can_hold_it(text: str, shown: str) -> None:
    """Otherwise it is text like other text."""
    assert code(text) == shown


def test_a_fence_is_longer_than_those_inside() -> None:
    """However long they are; colours are taken out and tabs keep their place."""
    assert fence("a\n`````\n\tb\x1b[1;31mc\x1b[0m") == "``````\na\n`````\n    bc\n``````"


def test_a_long_text_is_cut_between_characters() -> None:
    """And says so."""
    assert plain("😀" * 300, 10) == "😀" * 9 + "…"
    assert 245 <= len(plain("#1" * 300, 255)) <= 255
    assert plain("@@@@@@ deadbeef1G", 20) == "@\u200b@\u200b@\u200b@\u200b@\u200b@ deadbe…"
