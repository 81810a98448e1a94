"""What is told about a run in a pull request, a job's summary and a check: the values.

A report is data. A job without any right writes it down (of a fork's pull request, say), and
another one that never ran a line of that code reads it, strictly, and makes Markdown of it
(`ciml.core.markdown.pages`). So nothing in it is trusted to be short, harmless or true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from ciml.core.event import Event
from ciml.core.ids import CommitSha, ModelName, RepoPath, StageName
from ciml.core.lineage import CheckLine
from ciml.core.value import Value

FORMAT = "ciml/report/1"

T = TypeVar("T")

_CHOICES = frozenset({"format", "event", "conclusion", "require", "verdict", "result", "state"})
"""Fields that hold one of a few words, or where the event comes from: no text of a stage."""


class StageLine(Value, frozen=True, kw_only=True):
    """One stage: what was decided for it, why, and what came of it."""

    name: StageName
    action: str
    reason: str
    result: Literal["ran", "restored", "skipped", "failed", "cancelled", ""] = ""
    """Empty in a plan."""
    seconds: float | None = None
    line: int | None = None
    """Where ciml.yaml declares it, from 1."""
    tail: str = ""
    """The end of a failed stage's log."""


class MetricRow(Value, frozen=True, kw_only=True):
    """One metric beside the champion's."""

    name: str
    candidate: float | None
    champion: float | None
    interval: tuple[float, float] | None = None
    """Of the difference, where a paired check made one."""


class ModelReport(Value, frozen=True, kw_only=True):
    """One model: how it was judged, and what became or would become of it."""

    name: ModelName
    verdict: Literal["accepted", "rejected", "unchanged", "not-judged"]
    reason: str
    recorded: bool = False
    checks: tuple[CheckLine, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    notes: tuple[str, ...] = ()
    hint: str | None = None
    champion: int | None = None
    """Version that it was compared with."""
    outcome: str = ""
    """One sentence: what was, or would be, registered and promoted."""
    version: int | None = None
    """Registered version of its recipe."""
    uri: str = ""
    line: int | None = None
    """Where ciml.yaml declares it, from 1."""


class Curve(Value, frozen=True, kw_only=True):
    """A plot file's numbers, thinned out: GitHub draws them, no picture leaves the repository."""

    path: RepoPath
    x: str
    y: str
    points: tuple[tuple[float, float], ...]


def thinned(points: Sequence[tuple[float, float]], most: int) -> tuple[tuple[float, float], ...]:
    """At most so many of the points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return tuple(points)
    return tuple(points[place * (len(points) - 1) // (most - 1)] for place in range(most))


class DeploymentLine(Value, frozen=True, kw_only=True):
    """One environment and what serves there now."""

    model: ModelName
    environment: str
    version: int
    state: Literal["deployed", "already", "failed", "rolled-back", "pending"]
    detail: str = ""


def deployments_text(lines: Iterable[DeploymentLine]) -> str:
    """What became of deployments, as a title says it: `churn 3 deployed in production; …`."""
    return "; ".join(f"{line.model} {line.version} {line.state} in {line.environment}" for line in lines)


class Report(Value, frozen=True, kw_only=True):
    """All that is told about one run."""

    format: str = FORMAT
    event: Event
    head: CommitSha | None
    base: CommitSha | None
    folder: RepoPath = RepoPath("")
    """Where ciml.yaml lies: "" is the root. Each pipeline of a repository has a comment of its own."""
    subject: str = ""
    """The head commit's first line."""
    conclusion: Literal["success", "failure", "action-required"] = "success"
    title: str = "nothing to do"
    """One line: `churn accepted: auc 0.91 (+0.02)`."""
    changed: dict[str, tuple[str, ...]] = {}
    """`code`, `data`, `params` -> paths and names that changed."""
    data: tuple[str, ...] = ()
    """One line for each manifest that changed: files and bytes added and lost."""
    stages: tuple[StageLine, ...] = ()
    edges: tuple[tuple[StageName, StageName], ...] = ()
    """(stage, stage that waits for it)."""
    models: tuple[ModelReport, ...] = ()
    curves: tuple[Curve, ...] = ()
    deployments: tuple[DeploymentLine, ...] = ()
    notices: tuple[str, ...] = ()
    """What should be known, one sentence each: a policy that counts only once merged, an untrusted evaluation."""
    error: str = ""
    """Why the run ended early."""
    require: Literal["ran", "accepted"] = "ran"


def masked(value: T, mask: Callable[[str], str]) -> T:
    """A report, or a part of one, with every free text in it masked.

    It is done before Markdown is made of it: escapes would stand between the characters of a secret.
    """
    changed: object = value
    match value:
        case str():
            changed = mask(value)
        case tuple():
            changed = tuple(masked(part, mask) for part in value)
        case dict():
            changed = {masked(name, mask): masked(part, mask) for name, part in value.items()}
        case msgspec.Struct():
            names = [name for name in value.__struct_fields__ if name not in _CHOICES]
            changed = msgspec.structs.replace(value, **{name: masked(getattr(value, name), mask) for name in names})
    return changed  # type: ignore[return-value]
