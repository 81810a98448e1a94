"""What the use-cases need of the outside world. Adapters fit by shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    # A plan imports this module, and needs none of the values that only registering knows.
    from ciml.core.approval import Reviews
    from ciml.core.entries import Registration
    from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
    from ciml.core.ledger import LedgerState
    from ciml.core.lineage import Commit, RunTrace
    from ciml.core.order import WorkOrder
    from ciml.core.registry import NewVersion, Row, TrackedRun
    from ciml.core.report import Report
    from ciml.core.results import Miss, Output, Record, StageResult
    from ciml.core.tree import TreeEntry


class Tree(Protocol):
    """The tracked files of one commit, or of HEAD with the work tree laid over it.

    Nothing that Git has hashed is hashed again; what differs from HEAD is hashed as Git would,
    from the bytes on disk, so the same bytes have the same object id before and after a commit.
    """

    commit: CommitSha | None
    """None before the first commit."""
    dirty: frozenset[RepoPath]
    """Paths that differ from `commit`, tracked or admitted; empty for a commit's own tree."""

    @property
    def converted(self) -> AbstractSet[RepoPath]:
        """Files that were fetched from Git since a checkout had changed their bytes: line ends or a filter."""
        ...

    def entries(self, paths: Iterable[RepoPath]) -> Mapping[RepoPath, TreeEntry]:
        """The entries of those paths that exist; a directory has its tree's object id."""
        ...

    def files(self, directory: RepoPath, *, modules: bool = True) -> Sequence[TreeEntry]:
        """All files below a directory ("" is the root), sorted by path, no directories; `modules`: submodules' too."""
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

    def untracked(self, *under: RepoPath) -> list[RepoPath]:
        """The files at or below these paths that Git neither tracks nor ignores, sorted; none in a commit."""
        ...

    def ignores(self, path: RepoPath) -> bool:
        """Whether something lies at or below `path` on disk that Git was told to ignore."""
        ...

    def admit(self, paths: Iterable[RepoPath]) -> None:
        """Let files on disk count as if they were tracked, from now on; a commit holds what it holds."""
        ...

    def locate(self, entry: TreeEntry) -> str | None:
        """The absolute path of a large file that holds the bytes `fetch` would give.

        None where there is none, or where the file is small enough to be held in memory.
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

    def part(self, output: Output, inside: str) -> Output | None:
        """What lies at `inside` in a directory, as an output of its own; None where nothing does."""
        ...

    def holds(self, digest: Digest) -> bool:
        """Whether an object of that name lies in the store (not verified)."""
        ...

    def size(self, digest: Digest) -> int | None:
        """The bytes of an object (not verified); None where there is none."""
        ...

    def record(self, key: Digest) -> Record | Miss:
        """The record of a key whose outputs are all there."""
        ...

    def publish(self, record: Record) -> Record:
        """The record that now stands for the key: the first one wins."""
        ...

    def admit(self, records: Iterable[Record], *, to: str) -> None:
        """Let these records stand in another space too; the first one of a key wins there as well."""
        ...

    def flush(self) -> None:
        """Make durable what was published so far."""
        ...


class Meter(Protocol):
    """Is told what is to be moved, and what has been. From several threads at once."""

    def expect(self, objects: int, size: int) -> None:
        """So many more objects, and so many more bytes, are to be moved."""
        ...

    def advance(self, objects: int, size: int) -> None:
        """So many have been moved; less than nothing where some must be moved again."""
        ...


class Remote(Protocol):
    """The bytes that others have too, beside this clone's own."""

    def has(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of the objects that everybody can have, by name."""
        ...

    def push(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let everybody have these objects of the clone's own store; what is there is not sent again.

        Raises:
            IntegrityError: one is not in the clone's own store, or is damaged there.
        """
        ...

    def pull(self, digests: Iterable[Digest], meter: Meter | None = None) -> None:
        """Let the clone's own store have these objects.

        Raises:
            IntegrityError: one is not there, or is damaged there.
        """
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


class Journal(Protocol):
    """The runs of this clone."""

    def runs(self) -> Iterator[RunTrace]:
        """What is recorded of each run, from new to old."""
        ...


class VersionTraces(Protocol):
    """What a registry keeps with each version."""

    def trace(self, model: ModelName, version: int) -> RunTrace | None:
        """The version's `ciml/lineage.json`, None where it has none."""
        ...


class Commits(Protocol):
    """Git's history."""

    def resolve(self, rev: str) -> CommitSha:
        """The commit that a revision names; ConfigurationError or RepositoryError where it names none."""
        ...

    def log(self, head: CommitSha, limit: int) -> Sequence[Commit]:
        """The last commits up to `head`, the youngest first."""
        ...


class Ledger(Protocol):
    """The append-only history of one model."""

    def read(self) -> LedgerState:
        """What it says now, asked of its source and checked as a chain."""
        ...

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        """Try to put entries on top of the state that was read, all or none; whether it worked, `read` tells."""
        ...


class Registry(Protocol):
    """Where people and services find versions. It is told what to show; it is evidence of nothing."""

    identity: str
    """What a ledger calls it."""

    def rows(self, model: ModelName, recipe: Digest) -> Sequence[Row]:
        """All versions that were ever asked for on behalf of a recipe, lowest first."""
        ...

    def row(self, model: ModelName, version: int) -> Row | None:
        """A version, or None where there is none (any more)."""
        ...

    def create(self, new: NewVersion, store: Store) -> Row | None:
        """The new, tentative row; None when it is not known whether there is one. Its files have arrived, verified."""
        ...

    def verifies(self, row: Row, artifact: Output) -> bool:
        """Whether every byte of the row's files is what it should be."""
        ...

    def fetch(self, row: Row, artifact: Output, target: str) -> None:
        """Bring a version's files to `target`, verified."""
        ...

    def confirm(self, row: Row) -> None:
        """Show people that the row is a registered version."""
        ...

    def discard(self, row: Row, *, keep: Row) -> None:
        """Remove a row that no record names; `keep` is the one that the record names."""
        ...

    def file(self, run: str, path: str) -> bytes | None:
        """A small file of a version's run, None where the run has none."""
        ...

    def aliases(self, model: ModelName) -> Mapping[str, int]:
        """Alias -> version, as people see them now."""
        ...

    def set_alias(self, model: ModelName, alias: str, version: int) -> None:
        """Show people a version under a name."""
        ...

    def log(self, run: TrackedRun) -> str:
        """The id of a run that shows this outcome, without a version; one for each key."""
        ...


class FetchVersion(Protocol):
    """Brings a registered version's files."""

    def __call__(self, model: ModelName, registration: Registration) -> None:
        """Put the files of a model's version into the store, verified by their digest.

        Raises:
            CimlError: they cannot be had, or are not what the ledger says.
        """
        ...


class Forge(Protocol):
    """The service that hosts the repository: its runs, pull requests and deployments, and where people read reports.

    All but `publish` raise ServiceError where it refuses or cannot be reached.
    """

    def last_success(self, workflow: str, branch: str) -> CommitSha | None:
        """The commit of the last push to a branch whose run succeeded; the workflow by file, path or `workflow_ref`."""
        ...

    def run_state(
        self, commit: CommitSha, workflow: str, branch: str
    ) -> Literal["none", "running", "success", "failure"]:
        """What became of a commit's own runs on a branch; a run for a tag or a pull request is not one of them."""
        ...

    def merged_pull_requests(self, commit: CommitSha) -> tuple[int, ...]:
        """The merged pull requests of the repository's own branches that brought a commit in."""
        ...

    def head_of(self, number: int) -> CommitSha | None:
        """The commit at the head of a pull request now, None where there is no such pull request."""
        ...

    def reviews(self, run: str) -> Reviews:
        """What people said of the deployments of a run, and who began it."""
        ...

    def publish(self, report: Report) -> tuple[str, ...]:
        """Tell people of a run; what could not be told, one sentence each, with the permission that lacks."""
        ...

    def open_deployment(self, *, ref: str, environment: str, description: str, key: str) -> int:
        """The id of the deployment with this key: one that is there, else a new one."""
        ...

    def deployment_status(
        self,
        deployment: int,
        state: Literal["in_progress", "success", "failure", "inactive"],
        *,
        description: str = "",
        url: str = "",
    ) -> None:
        """Say how a deployment stands."""
        ...

    def create_pull_request(self, *, branch: str, base: str, title: str, body: str) -> str:
        """The page of the open pull request from one of our branches: it is opened, or brought up to date."""
        ...


class Ledgers(Protocol):
    """The histories of a pipeline's models."""

    def read(self, model: ModelName) -> LedgerState:
        """What a model's ledger says; empty where it has none yet."""
        ...
