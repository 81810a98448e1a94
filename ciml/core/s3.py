"""An address in S3, read strictly: what it names is what it says, on every client."""

from __future__ import annotations

import re

from ciml.core.errors import ConfigurationError
from ciml.core.paths import has_invisible
from ciml.core.url import bare
from ciml.core.value import Value

SCHEME = "s3://"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_DOTTED = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9])){1,61}[a-z0-9]")
_NUMERIC = re.compile(r"[\d.]+")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")

_FORM = "An address is s3://BUCKET/KEY, or s3://BUCKET/PREFIX/."
_DOTLESS = f"{_FORM} Copy the objects into a bucket whose name has no dot (`aws s3 sync`), and name that one."


class S3Address(Value, frozen=True, kw_only=True):
    """A bucket and a key, or the prefix of keys."""

    bucket: str
    key: str
    """"" is the whole bucket; one that ends in a slash is a prefix."""

    @property
    def is_prefix(self) -> bool:
        """Whether it names all keys that start so."""
        return not self.key or self.key.endswith("/")

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def s3_address(text: str) -> S3Address:
    """The address that `s3://bucket/key` or `s3://bucket/prefix/` names.

    Raises:
        ConfigurationError: it is none, or one that not every client would read alike. A query, which may be
            a presigned secret, is not repeated.
    """
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if fault := _fault(text):
        raise ConfigurationError(f"{bare(text)!r} {fault}", hint=_DOTLESS if _is_dotted(bucket) else _FORM)
    return S3Address(bucket=bucket, key=key)


def _fault(text: str) -> str | None:
    if not text.startswith(SCHEME):
        return "does not start with s3://"
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if has_invisible(text):
        return "holds a control or bidi character"
    if "?" in text or "#" in text:
        return "has a query: an object's version is the manifest's `object-version`"
    if "@" in bucket or ":" in bucket:
        return "has a user or a port, where a bucket's name stands alone"
    if not _BUCKET.fullmatch(bucket):
        dotted = "has dots in the bucket's name: TLS cannot prove whose it is"
        return dotted if _is_dotted(bucket) else f"names {bucket!r}, which no bucket can be called"
    if _ENCODED.search(key):
        return "is percent-encoded: write the key as it is"
    parts = key.removesuffix("/").split("/") if key else []
    if key_fault := object_fault("/".join(parts)) if parts else None:
        return key_fault
    return None


def _is_dotted(bucket: str) -> bool:
    """Whether it is a bucket's name but for dots.

    The certificate is for *.s3.REGION.amazonaws.com, and the star stands for one name without dots:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    return "." in bucket and bool(_DOTTED.fullmatch(bucket)) and not _NUMERIC.fullmatch(bucket)


def object_fault(path: str) -> str | None:
    """Why an object's key cannot be the path of a file, or None where it can."""
    parts = path.split("/")
    if "" in parts:
        return "has an empty part between slashes"
    if "." in parts or ".." in parts:
        return "holds `.` or `..`"
    if "\\" in path:
        return "holds a backslash"
    if has_invisible(path):
        return "holds a control or bidi character"
    if any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
        return "has a part longer than 255 bytes"
    return None
