"""A data manifest: the few committed lines that stand for a file or a directory of data."""

from __future__ import annotations

import posixpath
import shlex

from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Output
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
    """SHA-256 of the file, or of the directory's listing; of a DVC pointer, a name made from its MD5."""
    size: int
    """Bytes in all."""
    files: int
    directory: bool
    source: str | None = None
    """Where the data comes from, such as `s3://bucket/prefix/`."""
    object_version: str | None = None
    """The version of the one object at `source`, where the bucket has versions."""
    etag: str | None = None
    """The ETag of the one object at `source`."""
    index: Digest | None = None
    """Of the objects below `source`: the listing that says which object, ETag and version each file is."""
    md5: str | None = None
    """The name under which DVC's caches have it, `.dir` for a directory; None in a manifest of ciml's own."""

    @property
    def output(self) -> Output:
        """What it stands for, as the store knows it."""
        return Output(path=self.path, digest=self.digest, size=self.size, files=self.files, directory=self.directory)


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


def taking(path: RepoPath, *, source: str | None, md5: str | None) -> str:
    """How an edit on disk becomes what a manifest says, for hints.

    Args:
        path: of the data.
        source: where the manifest says that the bytes are, besides the store.
        md5: the name under which DVC knows them, where a pointer of its own is the manifest.
    """
    if source:
        return "what comes from S3 is changed there"
    command = "dvc add" if md5 else "ciml data update"
    return f"`{command} {shlex.quote(path)}` takes it as it is now"


def manifest_of(output: Output, path: RepoPath) -> Manifest:
    """The manifest for data that lies at `path` and comes from nowhere else."""
    return Manifest(
        file=manifest_paths(path)[0],
        path=path,
        digest=output.digest,
        size=output.size,
        files=output.files,
        directory=output.directory,
    )
