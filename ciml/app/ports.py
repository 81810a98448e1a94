"""What the use-cases need of the outside world. Adapters fit by shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ciml.core.ids import CommitSha, Digest, RepoPath
from ciml.core.order import WorkOrder
from ciml.core.results import Miss, Output, Record, StageResult
from ciml.core.tree import TreeEntry

__all__ = ["Executor", "Miss", "Store", "Tree", "TreeEntry"]


class Tree(Protocol):
    """The tracked files of one commit, or of HEAD with the work tree laid over it.

    Nothing that Git has hashed is hashed again; what differs from HEAD is hashed as Git would,
    from the bytes on disk, so the same bytes have the same object id before and after a commit.
    """

    commit: CommitSha | None
    """None before the first commit."""
    dirty: frozenset[RepoPath]
    """Tracked paths that differ from `commit`; empty for a commit's own tree."""

    def entries(self, paths: Iterable[RepoPath]) -> Mapping[RepoPath, TreeEntry]:
        """The entries of those paths that exist; a directory has its tree's object id."""
        ...

    def files(self, directory: RepoPath) -> Sequence[TreeEntry]:
        """All files below a directory ("" is the root), sorted by path; no directories."""
        ...

    def read(self, path: RepoPath) -> bytes | None:
        """The bytes of a file (work tree: from disk), or None where there is none."""
        ...

    def fetch(self, entry: TreeEntry) -> bytes:
        """The bytes of a file or the text of a link, as Git has hashed them; of an LFS pointer, what it points to.

        Raises:
            RepositoryError: a submodule or LFS content that is not here.
            TrustError: a link that leaves the repository.
            RaceError: the file changed on disk since it was hashed.
        """
        ...


class Store(Protocol):
    """Content-addressed bytes and the records of what made them."""

    def put_bytes(self, data: bytes) -> Digest:
        """The digest under which `data` is now stored."""
        ...

    def put_path(self, path: str, *, name: RepoPath) -> Output:
        """The file or directory at `path`, stored; symlinks that leave it raise TrustError."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The bytes, verified. Raises IntegrityError where they are gone or corrupt (then quarantined)."""
        ...

    def materialise(self, output: Output, target: str, *, link: bool = False, read_only: bool = False) -> None:
        """Put the bytes at `target`, verified, all or nothing; an existing `target` is replaced.

        `link=True` allows a read-only hard link for a large file; else reflink or copy.
        """
        ...

    def holds(self, digest: Digest) -> bool:
        """Whether an object of that name lies in the store (not verified)."""
        ...

    def record(self, key: Digest) -> Record | Miss:
        """The record of a key whose outputs are all there."""
        ...

    def publish(self, record: Record) -> Record:
        """The record that now stands for the key: the first one wins."""
        ...

    def flush(self) -> None:
        """Make durable what was published so far."""
        ...


class Executor(Protocol):
    """Carries work orders out."""

    def has_room(self, order: WorkOrder) -> bool:
        """Whether the order fits beside those that run now."""
        ...

    def start(self, order: WorkOrder) -> None:
        """Begin; the outcome comes from `wait`."""
        ...

    def wait(self) -> tuple[WorkOrder, StageResult]:
        """The next order that ended. Never raises for a stage's own failure."""
        ...

    def stop(self) -> None:
        """End what still runs, processes and all, leaving nothing half-done."""
        ...
