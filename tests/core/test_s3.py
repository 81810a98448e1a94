"""Addresses in S3."""

from __future__ import annotations

import pytest

from ciml.core.errors import ConfigurationError, ExitCode
from ciml.core.s3 import S3Address, object_fault, s3_address


@pytest.mark.parametrize(
    ("text", "bucket", "key", "prefix"),
    [
        ("s3://acme-churn/raw/", "acme-churn", "raw/", True),
        ("s3://acme-churn-eu/a b/c=1/ü.csv", "acme-churn-eu", "a b/c=1/ü.csv", False),
        ("s3://bucket", "bucket", "", True),
        ("s3://bucket/", "bucket", "", True),
        ("s3://bucket/100%", "bucket", "100%", False),
    ],
)
def test_addresses(text: str, bucket: str, key: str, prefix: bool) -> None:
    """A bucket, and a key or the prefix of keys; it is written as it was read."""
    found = s3_address(text)
    assert (found.bucket, found.key, found.is_prefix) == (bucket, key, prefix)
    assert s3_address(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3:/b/x",
        "S3://bucket/x",
        "https://bucket.s3.amazonaws.com/x",
        "s3://",
        "s3:///x",
        "s3://b/x",
        "s3://Bucket/x",
        "s3://bucket_1/x",
        "s3://buck..et/x",
        "s3://-bucket/x",
        "s3://bucket./x",
        "s3://10.0.0.1/x",
        "s3://acme.churn/x",
        "s3://bucket.s3.amazonaws.com/x",
        "s3://buck%65t/x",
        "s3://%2e%2e/x",
        "s3://user:secret@bucket/x",
        "s3://secret@bucket/x",
        "s3://bucket:443/x",
        "s3://bucket/../x",
        "s3://bucket/a/./b",
        "s3://bucket//k",
        "s3://bucket/a//",
        "s3://bucket/k?versionId=secret",
        "s3://bucket?versionId=secret",
        "s3://bucket/k?X-Amz-Signature=secret&X-Amz-Expires=60",
        "s3://bucket/k#secret",
        "s3://bucket/a%2e%2e/",
        "s3://bucket/a\\b",
        "s3://bucket/a\nb",
        "s3://bucket/\u202eb",
    ],
)
def test_c102_what_is_no_address(text: str) -> None:
    """Strictly parsed: no other scheme, no user, no query, no climbing, no encoding; exit 3 without the secret."""
    with pytest.raises(ConfigurationError) as caught:
        s3_address(text)
    assert "secret" not in caught.value.message


def test_c102_a_bucket_with_dots() -> None:
    """TLS cannot verify a bucket with dots → exit 3, which says so and what to do; an IP address is nothing at all."""
    with pytest.raises(ConfigurationError) as caught:
        s3_address("s3://acme.churn/raw/")
    assert caught.value.code is ExitCode.CONFIGURATION
    assert caught.value.message == "'s3://acme.churn/raw/' has dots in the bucket's name: TLS cannot prove whose it is"
    assert caught.value.hint is not None and "whose name has no dot" in caught.value.hint


def test_keys_that_can_be_files() -> None:
    """A key is a path that every system can hold below the data."""
    assert object_fault("a/b=1/ü.csv") is None
    for key in ("a//b", "/a", "a/", ".", "a/../b", "a\\b", "a\x00", "x" * 256):
        assert object_fault(key) is not None, key
    assert str(S3Address(bucket="bucket", key="")) == "s3://bucket/"
