from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.url import bare, without_secrets


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@host/x?token=1#part", "https://host/x"),
        ("https://ghp_abc@github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://user:p/w@host/x", "https://host/x"),
        ("user:pw@host:path", "user@host:path"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("s3://bucket/key?X-Amz-Signature=1", "s3://bucket/key"),
        ("https://host:8443/a@b", "https://host:8443/a@b"),
        ("https://[::1]:8/x", "https://[::1]:8/x"),
        ("/a/path?x", "/a/path?x"),
        ("/bucket/key?a=1&X-Amz-Security-Token=1", "/bucket/key"),
        ("with url: /b/k?AWSAccessKeyId=1&Signature=1&Expires=2 (Caused by x)", "with url: /b/k (Caused by x)"),
        ("what? x-amz-signature", "what? x-amz-signature"),
    ],
)
def test_bare(url: str, expected: str) -> None:
    """User, password, query and fragment go; host, port and path stay."""
    assert bare(url) == expected


_ORDINARY = st.text(st.characters(codec="ascii", exclude_characters="@/?#\\:\"'<>`", categories=("L", "N", "P", "S")))


@given(_ORDINARY.filter(lambda text: len(text) > 3), _ORDINARY)
def test_c103_no_part_of_a_presigned_url_that_is_secret_remains(canary: str, around: str) -> None:
    """Presigned URL in a manifest or a debug line: the query is stripped; the canary is absent."""
    secret = f"CANARY{canary}"
    text = f"{around} GET https://me:{secret}@b.s3.amazonaws.com/key?X-Amz-Signature={secret}&x=1#{secret} {around}"

    assert secret not in without_secrets(text)
    assert "b.s3.amazonaws.com/key" in without_secrets(text)
