"""What a stage reads, resolved: tracked by Git, data behind a manifest, or made by another stage."""

from __future__ import annotations

from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.value import Value


class TrackedInput(Value, frozen=True, kw_only=True, tag="tracked"):
    """A file, a link, a submodule or a whole directory that Git tracks."""

    inside: RepoPath
    """Where the stage sees it."""
    path: RepoPath
    mode: int
    oid: GitOid
    because: RepoPath | None = None
    """The input that imports this module; None for what `ciml.yaml` declares."""


class DataInput(Value, frozen=True, kw_only=True, tag="data"):
    """A file or directory that a manifest in Git stands for."""

    inside: RepoPath
    path: RepoPath
    manifest: RepoPath
    digest: Digest
    size: int
    directory: bool
    source: str | None = None
    """Where the bytes also are: `s3://…`."""
    part: str = ""
    """A path below what the manifest stands for when the stage reads just that; "" for the whole."""
    whole: Digest | None = None
    """Of what the manifest stands for, where this is a part of it."""
    md5: str | None = None
    """The name under which DVC's caches have it, where a DVC pointer is the manifest."""

    @property
    def stood_for(self) -> RepoPath:
        """What the manifest stands for."""
        return RepoPath(self.path.removesuffix(f"/{self.part}")) if self.part else self.path


class ProducedInput(Value, frozen=True, kw_only=True, tag="produced"):
    """An output of another stage, or a part of one."""

    inside: RepoPath
    stage: StageName
    output: RepoPath
    """The output as its maker sees it (`Place.inside`)."""
    part: str = ""
    """A path below `output` when the stage reads just that; "" for the whole."""


Input = TrackedInput | DataInput | ProducedInput

_CODE = (
    ".py",
    ".pyx",
    ".sh",
    ".bash",
    ".r",
    ".jl",
    ".ipynb",
    ".js",
    ".ts",
    ".java",
    ".scala",
    ".c",
    ".cc",
    ".cpp",
    ".h",
)
_ENVIRONMENT = ("requirements", "pyproject.toml", "setup.cfg", "environment.yml", "environment.yaml")


def is_code(path: RepoPath) -> bool:
    """Whether a tracked input is code, or says what code runs with; anything else may be data."""
    name = path.rpartition("/")[2].lower()
    return name.endswith(_CODE) or name.startswith(_ENVIRONMENT)
