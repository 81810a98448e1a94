"""Identifiers: strings that must not be mixed up."""

from __future__ import annotations

import re
from typing import NewType

CommitSha = NewType("CommitSha", str)
"""A full Git commit id: 40 hex digits, or 64 in a SHA-256 repository."""

GitOid = NewType("GitOid", str)
"""A full Git object id of a blob, a tree or a submodule's commit."""

Digest = NewType("Digest", str)
"""A SHA-256 as 64 lower-case hex digits: of content, or of a tagged list (`ciml.core.key`)."""

StageName = NewType("StageName", str)
"""A stage's name; an instance of a matrix is `train@0.1-1`."""

ModelName = NewType("ModelName", str)
"""A model's name in `ciml.yaml`, in the registry and in the ledger's branch."""

RepoPath = NewType("RepoPath", str)
"""A path inside the repository: relative to its root, `/` between parts, normalised.

Bytes that are not UTF-8 are kept as surrogates (`os.fsdecode`).
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_name(text: str) -> bool:
    """Whether `text` may name a model or a stage: it reaches branches, URLs and paths."""
    return _NAME.fullmatch(text) is not None and not text.endswith((".lock", ".")) and ".." not in text


def is_commit_id(text: str) -> bool:
    """Whether `text` is a full commit id, or the zeros that an event has where there is no commit."""
    return _COMMIT.fullmatch(text) is not None


def is_no_commit(text: str) -> bool:
    """Whether `text` is the zeros that an event has where there is no commit: a first push, a deleted branch."""
    return is_commit_id(text) and not text.strip("0")


def is_digest(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return _DIGEST.fullmatch(text) is not None
