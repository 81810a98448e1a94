"""A data manifest: the few committed lines that stand for a file or a directory of data."""

from __future__ import annotations

import posixpath

from ciml.core.ids import Digest, RepoPath
from ciml.core.value import Value

SUFFIX = ".manifest.yaml"
DVC_SUFFIX = ".dvc"


class Manifest(Value, frozen=True, kw_only=True):
    """What a manifest says of the data beside it."""

    file: RepoPath
    """The manifest itself."""
    path: RepoPath
    """What it stands for."""
    digest: Digest
    """SHA-256 of the file, or of the directory's listing."""
    size: int
    """Bytes in all."""
    files: int
    directory: bool
    source: str | None = None
    """Where the data comes from, such as `s3://bucket/prefix/`."""


def manifest_paths(path: RepoPath) -> tuple[RepoPath, RepoPath]:
    """Where a manifest for `path` may lie: ciml's own, then a DVC pointer."""
    plain = path.rstrip("/")
    return RepoPath(plain + SUFFIX), RepoPath(plain + DVC_SUFFIX)


def stands_for(manifest: RepoPath) -> RepoPath | None:
    """The path that a manifest file stands for, or None where it is no manifest's name."""
    for suffix in (SUFFIX, DVC_SUFFIX):
        if manifest.endswith(suffix) and posixpath.basename(manifest) != suffix:
            return RepoPath(manifest.removesuffix(suffix))
    return None
