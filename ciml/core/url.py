"""Addresses without the secrets that people and services put into them."""

from __future__ import annotations

import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^\s\"'<>`]+)")
_AUTHORITY = re.compile(r"[^/?#\\]*")
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d*)?")
_SIGNED = re.compile(r"\?[^\s\"'<>`?]*(?:x-amz-|signature=)[^\s\"'<>`]*", re.IGNORECASE)
"""The query of a presigned address whose host stands elsewhere, as HTTP libraries tell it."""
_SCP = re.compile(r"(?P<user>[^\s/:@]+):[^\s/@]*@(?=[^\s/:@]+:)")


def bare(url: str) -> str:
    """The address without user, password, query and fragment.

    A presigned URL keeps its secret in the query, a token stands before the `@`; neither tells
    what is behind the address. What is not a URL comes back as it is (`git@host:path` is none).
    """
    return without_secrets(url)


def without_secrets(text: str) -> str:
    """`text` with every URL in it made bare, and the queries of presigned ones wherever their host stands."""
    if not any(mark in text for mark in ("@", "://", "?")):
        return text
    return _SIGNED.sub("", _SCP.sub(r"\g<user>@", _URL.sub(_bare, text)))


def _bare(match: re.Match[str]) -> str:
    rest = match["rest"]
    authority = _authority(rest)
    path = re.split(r"[?#]", rest[len(authority) :], maxsplit=1)[0]
    return f"{match['scheme']}://{authority.rpartition('@')[2]}{path}"


def _authority(rest: str) -> str:
    """Host and port with the user before it, also where a password holds an unescaped slash."""
    found = _AUTHORITY.match(rest)
    authority = found.group() if found else ""
    if "@" not in authority and "@" in rest and not _PORT.fullmatch(authority):
        return rest[: rest.rindex("@") + 1] + (_AUTHORITY.match(rest, rest.rindex("@") + 1) or [""])[0]
    return authority
