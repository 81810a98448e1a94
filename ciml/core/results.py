"""What stages made: records, and results in which failure is a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ciml.core.errors import ExitCode
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.metrics import Metrics
from ciml.core.value import Value


class Output(Value, frozen=True, kw_only=True):
    """One output of a stage, by content."""

    path: RepoPath
    """As the graph knows it."""
    digest: Digest
    """Of the file's bytes, or of the directory's listing."""
    size: int
    """Bytes in all."""
    files: int = 1
    directory: bool = False
    executable: bool = False


class Record(Value, frozen=True, kw_only=True):
    """What one stage made under one key: the store's `actions/<key>`.

    It carries its own key, so a record that lies under another key is not believed.
    """

    format: str = "ciml/record/1"
    key: Digest
    recipe: Digest
    """The recipe that first made it; other recipes may lead to the same key."""
    stage: StageName
    outputs: tuple[Output, ...] = ()
    metrics: dict[RepoPath, Metrics] = {}
    """By metrics file."""
    platform: str
    packages: dict[str, str] = {}
    """Name -> version of what `environment:` installed."""
    started: str = ""
    """UTC, RFC 3339, seconds."""
    seconds: float = 0.0
    """Wall time of the attempt that succeeded."""


class Miss(Value, frozen=True, kw_only=True):
    """No usable record, and why."""

    reason: str = "no record"


class Ran(Value, frozen=True, kw_only=True, tag="ran"):
    """The stage ran and its outputs are in the store."""

    record: Record
    attempts: int = 1
    log: str = ""
    """Where the whole log is."""
    note: str | None = None
    """For instance that the stage is not deterministic: the store kept another run's bytes."""


class Restored(Value, frozen=True, kw_only=True, tag="restored"):
    """The store had a record for the key; nothing was run."""

    record: Record


class Skipped(Value, frozen=True, kw_only=True, tag="skipped"):
    """Nothing to do, or `when` is false; the reason says which."""

    reason: str
    record: Record | None = None
    """What the work tree already holds; None when the stage was left out."""


class Failed(Value, frozen=True, kw_only=True, tag="failed"):
    """The stage did not make its outputs; nothing of it is kept but its log."""

    reason: str
    exit_code: int | None = None
    """Of the process, 128 + signal when it was killed; None when it never started."""
    attempts: int = 1
    seconds: float = 0.0
    log: str = ""
    tail: str = ""
    """The end of the log."""
    configuration: bool = False
    """The fault is in what was declared (exit 3), not in what the stage did (exit 11)."""
    untrusted: bool = False
    """A path or a secret left its bounds (exit 6)."""


class Cancelled(Value, frozen=True, kw_only=True, tag="cancelled"):
    """Not started, because another stage failed or the run was stopped."""

    reason: str


StageResult = Ran | Restored | Skipped | Failed | Cancelled

Told = Literal["ran", "restored", "skipped", "failed", "cancelled"]


def told(result: StageResult) -> Told:
    """The result in a word."""
    match result:
        case Ran():
            return "ran"
        case Restored():
            return "restored"
        case Skipped():
            return "skipped"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"


def record_of(result: StageResult) -> Record | None:
    """What the stage made, where it made something."""
    return result.record if isinstance(result, Ran | Restored | Skipped) else None


def exit_code_of(failed: Sequence[Failed]) -> ExitCode:
    """The exit code for stages that failed; the gravest cause decides. OK where none did."""
    if any(result.untrusted for result in failed):
        return ExitCode.TRUST
    if any(result.configuration for result in failed):
        return ExitCode.CONFIGURATION
    return ExitCode.STAGE if failed else ExitCode.OK
