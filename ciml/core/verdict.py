"""What a gate found, check by check, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from ciml.core.ids import ModelName
from ciml.core.value import Value

Shown = bool | float | str | None
"""One side of a check; None where it has no value, or where a check has no two sides."""


class Status(StrEnum):
    """What the gate says of a model."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNCHANGED = "unchanged"
    """The model's bytes are the champion's, and it still passes the absolute checks."""
    NOT_JUDGED = "not-judged"
    """Nobody asked the gate: there is no candidate, or the champion may not be read here."""


class Difference(Value, frozen=True, kw_only=True):
    """The interval of the candidate's metric less the champion's, on the same examples."""

    metric: str
    low: float
    high: float


class Finding(Value, frozen=True, kw_only=True):
    """One check and how it came out."""

    check: str
    """As a person would write it."""
    passed: bool
    left: Shown
    right: Shown
    detail: str
    """One clause: why it did not pass, or what stands behind a pass. May be empty."""
    comparison: bool
    """Whether it compares with the champion."""
    difference: Difference | None = None
    """Of a metric, where a paired comparison was made."""


class Opponent(Value, frozen=True, kw_only=True):
    """The champion as it was compared with."""

    version: str
    metrics: dict[str, float]


class Verdict(Value, frozen=True, kw_only=True):
    """The gate's answer for one model, with every finding. No field has a default: nothing passes by omission."""

    model: ModelName
    status: Status
    reason: str
    """One sentence for the status."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What does not decide and should be known, one sentence each."""
    hint: str | None
    """What to do, where the model could not be compared."""
    tested: bool
    """Whether any check looked at the candidate; a report says so where none did."""
    metrics: dict[str, float]
    champion: Opponent | None

    @property
    def lets_through(self) -> bool:
        """Whether the model may be registered and promoted."""
        return self.status is Status.ACCEPTED


class Row(Value, frozen=True, kw_only=True):
    """One line of the table of findings, as text."""

    mark: str
    """`pass` or `fail`"""
    check: str
    left: str
    right: str
    detail: str


def rows(findings: Iterable[Finding]) -> tuple[Row, ...]:
    """The table of findings, a row per check in the order given, for the console and for reports."""
    return tuple(
        Row(
            mark="pass" if finding.passed else "fail",
            check=finding.check,
            left=shown(finding.left, beside=finding.right),
            right=shown(finding.right, beside=finding.left),
            detail=finding.detail,
        )
        for finding in findings
    )


def shown(value: Shown, *, beside: Shown = None) -> str:
    """A value in few digits, in all of them where it would look like a different one `beside` it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case _:
            short = f"{value:.6g}"
            alike = isinstance(beside, float) and beside != value and f"{beside:.6g}" == short
            return repr(value) if alike else short
