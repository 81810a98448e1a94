"""What GitHub makes of Markdown: nothing in it may act that is not ours."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from ciml.core.report import Report
from ciml.core.sticky import marker, marker_of
from tests.reports import SITE

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# What GitHub makes a link, a mention or a reference of in text that is not code.
ACTIVE = re.compile(
    r"@[A-Za-z0-9]|#[0-9]|\bGH-[0-9]|://|\bwww\.|(?<![0-9A-Za-z])[0-9a-f]{7,64}(?![0-9A-Za-z])|\bCVE-[0-9]|\bGHSA-\w"
    r"|:[\w+-]+:",
    re.IGNORECASE,
)

HIDDEN = re.compile(r"[\u202a-\u202e\u2066-\u2069\u200c-\u200f\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def is_harmless(text: str, made: Report) -> None:
    """Assert that what GitHub draws holds nothing but what we put there, to two parsers."""
    first = str(marker(made))
    body = text.removeprefix(f"{first}\n")
    assert marker_of(body) is None
    assert not HIDDEN.search(text)
    assert_plain(GFM.render(body))
    # GitHub's own parser, with tables and with addresses that become links by themselves.
    cmarkgfm = pytest.importorskip("cmarkgfm")
    unsafe = cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE
    assert_plain(cmarkgfm.github_flavored_markdown_to_html(body, options=unsafe))


def assert_plain(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.wrong == []


class Reader(HTMLParser):
    """Collects what is neither ours nor plain text."""

    blocks = frozenset(
        {"h2", "h3", "p", "pre", "ul", "li", "blockquote", "details", "summary", "table", "thead", "tbody"}
    )
    parts = frozenset({"tr", "th", "td", "strong", "em", "a", "code", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {
            "href": f"{SITE}/",
            "align": "",
            "style": "text-align:",
            "class": "language-mermaid",
            "lang": "mermaid",
        }
        known["open"] = ""
        if tag not in self.blocks | self.parts:
            self.wrong.append(f"<{tag}>")
        self.wrong += [f"{name}={value}" for name, value in attrs if not _begins(value, known.get(name))]
        self._quiet += tag in ("a", "code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in ("a", "code", "pre")

    def handle_data(self, data: str) -> None:
        if not self._quiet and ACTIVE.search(data):
            self.wrong.append(data)

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.wrong.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.wrong.append(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self.wrong.append(f"<![{data}>")


def _begins(value: str | None, known: str | None) -> bool:
    return known is not None and (value or "").startswith(known)
