"""Secrets, found by value in whatever encoding they leave a stage."""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = b"***"

SHORTEST = 4
"""Characters. A shorter value cannot be told from ordinary text, so it is neither masked nor found."""

_SHORTEST_LINE = 12
"""Characters. Shorter lines of a secret of several lines are braces, brackets and the like."""


class Redactor:
    """Masks the values of declared secrets in a stream of bytes, and finds them in files.

    It knows a value as it is, in base64 (at its three offsets within other text) and base64url,
    URL-encoded, in hex, JSON-escaped, and each line of one that has several. A value that a stage
    splits, reverses or encrypts is not found.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names = {form: name for name, value in secrets.items() for form in forms(value)}
        # The longest first: a line of a secret must not leave the rest of the secret standing.
        ordered = sorted(self._names, key=lambda form: (-len(form), form))
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        self.longest = max(map(len, ordered), default=0)
        """Bytes of the longest form: what a reader of pieces has to hold back, less one."""

    def __bool__(self) -> bool:
        return self._pattern is not None

    def mask(self, data: bytes) -> bytes:
        """`data` with every known form of a secret replaced by `***`."""
        return self._pattern.sub(MASK, data) if self._pattern else data

    def safe_cut(self, data: bytes) -> int:
        """How many leading bytes of `data` can be masked alone: no form goes on into what follows."""
        if self._pattern is None:
            return len(data)
        cut = max(len(data) - self.longest + 1, 0)
        for match in self._pattern.finditer(data):
            if match.start() < cut < match.end():
                return match.start()
        return cut

    def find(self, data: bytes) -> str | None:
        """The name of a secret that is in `data`, or None."""
        for form, name in self._names.items():
            if form in data:
                return name
        return None


def forms(value: str) -> frozenset[bytes]:
    """Every spelling of a secret that is looked for."""
    if len(value) < SHORTEST:
        return frozenset()
    texts = {value, value.strip()} | {line.strip() for line in value.splitlines() if _telling(line.strip())}
    return frozenset(form for text in texts if len(text) >= SHORTEST for form in _spellings(text))


def _telling(line: str) -> bool:
    return len(line) >= _SHORTEST_LINE and not line.startswith("-----")


def _spellings(text: str) -> set[bytes]:
    # Most stages have no secrets, and then no use for these.
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    raw = text.encode("utf-8", "surrogateescape")
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    found |= {_json(text, ascii_only=True), _json(text, ascii_only=False)}
    for quoted in (quote(raw, safe=""), quote(raw, safe="/"), quote_plus(raw)):
        found |= {quoted.encode(), re.sub(r"%..", lambda code: code.group().lower(), quoted).encode()}
    for offset in range(3):
        # Characters that depend on the secret's neighbours are left out at both ends.
        start, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        piece = b64encode(bytes(offset) + raw)[start:end]
        found |= {piece, piece.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def _json(text: str, *, ascii_only: bool) -> bytes:
    import json

    return json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogateescape")
