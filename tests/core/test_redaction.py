"""Secrets found by value in their encodings."""

from __future__ import annotations

import base64
import json
import os
import random
from urllib.parse import quote

import pytest

from ciml.core.redaction import Redactor

SECRET = 'p&ss "wörd"/+~\\x'
RAW = SECRET.encode()


@pytest.mark.parametrize(
    "leak",
    [
        RAW,
        RAW.hex().encode(),
        RAW.hex().upper().encode(),
        quote(SECRET, safe="").encode(),
        json.dumps(SECRET).encode(),
        json.dumps(SECRET, ensure_ascii=False).encode(),
        *(base64.b64encode(b"user:"[:cut] + RAW + b"/tail") for cut in range(4)),
        *(base64.urlsafe_b64encode(b"user:"[:cut] + RAW) for cut in range(4)),
    ],
)
def test_c105_every_encoding_is_found_and_masked(leak: bytes) -> None:
    """A secret's value is found in each encoding, and masked there."""
    redactor = Redactor({"TOKEN": SECRET})

    assert redactor.find(b"before " + leak + b" after") == "TOKEN"
    masked = redactor.mask(b"before " + leak + b" after")
    assert masked.startswith(b"before ") and masked.endswith(b" after") and b"***" in masked
    assert redactor.find(masked) is None


def test_lines_of_a_long_secret_are_masked() -> None:
    """Each telling line of a secret of several lines is masked by itself."""
    redactor = Redactor({"KEY": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\n}\n"})

    assert redactor.mask(b"x MIIEvQIBADANBgkqh y } -----BEGIN KEY-----") == b"x *** y } -----BEGIN KEY-----"


def test_nothing_to_mask_changes_nothing() -> None:
    """Without a secret, or with one too short to be told from text, bytes stay as they are."""
    for redactor in (Redactor({}), Redactor({"A": "", "B": "abc"})):
        assert not redactor and redactor.mask(b"abc") == b"abc" and redactor.safe_cut(b"abc") == 3


def test_no_cut_lets_a_secret_through() -> None:
    """Masking a stream piece by piece, cut where it is safe, gives what masking it at once gives."""
    redactor = Redactor({"TOKEN": "abcdabcd-canary"})
    draw = random.Random(7)
    for _ in range(300):
        stream = b"".join(draw.choice([b"abcdabcd-canary", b"abcd", b"x" * 40, os.fsencode("é")]) for _ in range(12))
        out, held = b"", b""
        for start in range(0, len(stream), 9):
            held += stream[start : start + 9]
            cut = redactor.safe_cut(held)
            out, held = out + redactor.mask(held[:cut]), held[cut:]
        assert out + redactor.mask(held) == redactor.mask(stream)
