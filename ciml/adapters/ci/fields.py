"""Single fields of foreign payloads and environments, as ours: strictly, and capped in size.

What is read here was written by strangers. A field is the text that it should be, or the whole
payload counts as unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from ciml.core.errors import ConfigurationError
from ciml.core.ids import CommitSha, is_commit_id, is_no_commit
from ciml.core.url import bare

_REFERENCE = r"\A[^\x00-\x20\x7f\ud800-\udfff]{1,1024}\Z"
_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"

Reference = Annotated[str, Meta(pattern=_REFERENCE)]
"""The name of a branch, a tag or a ref, as Git allows them, short enough for any server."""
Sha = Annotated[str, Meta(pattern=r"\A(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")]
"""A commit id, or zeros."""
Number = Annotated[int, Meta(gt=0, lt=2**53)]
"""Of an issue, a pull request, a run."""
Short = Annotated[str, Meta(max_length=255)]

T = TypeVar("T")

_WORD = re.compile(r"[\w.+@/\[\]-][\w .+@/\[\]-]{0,254}", re.ASCII)
_ADDRESS = re.compile(r"https?://[\w.-]+(?::\d{1,5})?(?:/[\w.~%/?&=+-]*)?", re.ASCII)


class Payload(msgspec.Struct, frozen=True):
    """The base of what payloads are read as: unknown fields are passed over, known ones must fit."""


def unreadable(why: str) -> ConfigurationError:
    """The error for an event that cannot be told for certain: nothing at all is done."""
    return ConfigurationError(
        f"event payload unreadable: {why}",
        hint="Nothing was run. Start the run again; outside a CI service say what has happened with --event.",
    )


def read(payload: Mapping[str, object], kind: type[T]) -> T:
    """The payload as a value of that type.

    Raises:
        ConfigurationError: a field is missing, too long, or not what it should be.
    """
    try:
        return msgspec.convert(dict(payload), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise unreadable(str(error)) from error


def commit(text: str | None) -> CommitSha | None:
    """The commit of that id; None for zeros and for what is no id."""
    return CommitSha(text) if text and is_commit_id(text) and not is_no_commit(text) else None


def reference(text: str, what: str) -> str:
    """The name of a branch, a tag or a ref, checked.

    Raises:
        ConfigurationError: Git would not allow it.
    """
    if re.match(_REFERENCE, text) is None:
        raise unreadable(f"{what} is no name that Git allows")
    return text


def branch_of(ref: str | None) -> str | None:
    """The branch that a full ref names; None for another ref."""
    return ref.removeprefix(_BRANCHES) or None if ref and ref.startswith(_BRANCHES) else None


def tag_of(ref: str | None) -> str | None:
    """The tag that a full ref names; None for another ref."""
    return ref.removeprefix(_TAGS) or None if ref and ref.startswith(_TAGS) else None


def count(text: str | None) -> int:
    """The number that a variable holds; 0 where it holds none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,15}", text) else 0


def word(text: str | None) -> str:
    """A name to show, such as an actor's; empty where it is none."""
    return text if text and _WORD.fullmatch(text) else ""


def address(text: str | None) -> str:
    """An address to link to, without user and password; empty where it is none."""
    found = bare(text) if text and len(text) <= 2048 else ""
    return found if _ADDRESS.fullmatch(found) else ""
