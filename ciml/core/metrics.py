"""Metrics of a stage: the numbers, and what was found in a number's place."""

from __future__ import annotations

from ciml.core.value import Value


class Metrics(Value, frozen=True, kw_only=True):
    """What a stage's metrics files say, nested keys joined with dots."""

    values: dict[str, float] = {}
    """Finite numbers only."""
    problems: dict[str, str] = {}
    """Metric name -> why it is not a finite number (`is not finite`, `is text`, `is given twice`, ...)."""
