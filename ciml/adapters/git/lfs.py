"""Git LFS: what a pointer file says, and where the bytes are that it stands for."""

from __future__ import annotations

import hashlib
import os
import re

from ciml.core.errors import RepositoryError
from ciml.core.ids import Digest, RepoPath
from ciml.core.value import Value

LONGEST = 1024
"""Bytes: the specification's limit for a pointer file."""

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n?"
)


class Pointer(Value, frozen=True, kw_only=True):
    """The bytes that a pointer file stands for."""

    digest: Digest
    size: int


def pointer(data: bytes) -> Pointer | None:
    """What `data` points to, if it is a pointer file.

    Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    found = _POINTER.fullmatch(data) if len(data) < LONGEST else None
    return Pointer(digest=Digest(found[1].decode()), size=int(found[2])) if found else None


def is_content(path: str, wanted: Pointer) -> bool:
    """Whether the file at `path` holds the bytes that are wanted."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != wanted.size:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == wanted.digest
    except OSError:
        return False


def cached(common_dir: str, wanted: Pointer) -> str | None:
    """Where Git LFS keeps the bytes in this clone; None where it has them not."""
    path = os.path.join(common_dir, "lfs", "objects", wanted.digest[:2], wanted.digest[2:4], wanted.digest)
    return path if is_content(path, wanted) else None


def missing(path: RepoPath) -> RepositoryError:
    """The error for a pointer whose bytes are not here."""
    return RepositoryError(f"{path} is an LFS pointer, its content is not here", hint="Run `git lfs pull`.")
