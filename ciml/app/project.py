"""What the use-cases work with: one repository, its pipeline, its tree, its store, its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ciml.app.evidence import InPlace
from ciml.app.ports import Store, Tree
from ciml.core.changes import Base
from ciml.core.ids import CommitSha, Digest, GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName
from ciml.core.manifest import Manifest
from ciml.core.pipeline import ParamValue, Pipeline
from ciml.core.results import Output, Record
from ciml.core.value import Value


class Memory(Protocol):
    """What is remembered between calls; losing it costs time and nothing else."""

    @property
    def imports(self) -> dict[GitOid, tuple[ImportedName, ...]]:
        """What each Python file imports."""
        ...

    @property
    def digests(self) -> dict[GitOid, tuple[Digest, int]]:
        """SHA-256 and size of tracked files' bytes."""
        ...

    def flush(self) -> None:
        """Write what was added."""
        ...


class Documents(Protocol):
    """Reads and writes the files that users write."""

    def pipeline(self, tree: Tree) -> Pipeline:
        """The pipeline of a tree's `ciml.yaml`, with the call's profile and parameters."""
        ...

    def manifest(self, text: bytes, file: RepoPath) -> Manifest:
        """A data manifest."""
        ...

    def params(self, tree: Tree, file: RepoPath) -> dict[str, ParamValue]:
        """The leaves of a params file as it is in a tree, by dotted path; none where there is no such file."""
        ...

    def dump(self, path: RepoPath, tree: Mapping[str, ParamValue]) -> str:
        """The text of a params file."""
        ...


class WorkTree(InPlace, Protocol):
    """The outputs that users see."""

    def place(self, name: StageName, record: Record) -> None:
        """Put a record's outputs where the stage's places say."""
        ...


class History(Protocol):
    """What the use-cases ask of Git besides trees."""

    def resolve(self, rev: str) -> CommitSha:
        """The commit that a revision names."""
        ...

    def base(self, before: str) -> Base:
        """The commit of that full id, fetched where the clone has it not; or why it cannot be had."""
        ...

    def commit_tree(self, commit: CommitSha) -> Tree:
        """The tracked files of a commit."""
        ...

    def changed(self, base: CommitSha, head: CommitSha | None) -> frozenset[RepoPath]:
        """The paths that differ between two commits, or between a commit and the work tree."""
        ...


class DataOnDisk(Protocol):
    """What lies at the paths of manifests."""

    def is_edited(self, path: RepoPath, digest: Digest) -> bool:
        """Whether something lies there that has not this digest."""
        ...


class DataSupply(Protocol):
    """Brings the bytes behind manifests, from wherever they can be had."""

    def pointed(self, pointer: Digest) -> Output | None:
        """What a pointer of DVC's stands for, where its bytes were seen before."""
        ...

    def part(self, manifest: Manifest, inside: str) -> Output | None:
        """What lies at a path below a directory of data; None where nothing does. Needs its listing alone."""
        ...

    def bring(self, manifest: Manifest, part: str = "") -> Output:
        """What a manifest stands for, or a part of it, whose bytes are in the store from now on."""
        ...


class Project(Value, frozen=True, kw_only=True):
    """One repository, ready to plan and run."""

    history: History
    tree: Tree
    documents: Documents
    pipeline: Pipeline
    store: Store
    memory: Memory
    platform: str
    root: str | None
    """Of the work tree; None where there is none, or where another commit is looked at."""
    outputs: Callable[[Pipeline], WorkTree] | None
    """None where `root` is."""
    last_commit: CommitSha | None
    """The commit of the last run here."""
    data: DataOnDisk | None = None
    """The work tree's; None where there is none."""
    supply: Callable[[Store], DataSupply]
    """Where data comes from, beside the store that is given."""
