"""What is told at a line of ciml.yaml: the stages that failed there, the models that did not pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeGuard

from ciml.core.lineage import check_text
from ciml.core.markdown.text import plain, visible
from ciml.core.report import ModelReport, Report, StageLine
from ciml.core.value import Value

Level = Literal["notice", "warning", "failure"]

_TITLE = 255
_MESSAGE = 4_000
"""Characters. GitHub takes 64 KB in a check run, but shows 4,096 of those that a log brings."""
_TAIL = 20
"""Lines of a failed stage's log."""


class Annotation(Value, frozen=True, kw_only=True):
    """One remark at one line of a file of the repository. Its text is not Markdown."""

    path: str
    line: int
    """From 1."""
    level: Level
    title: str
    message: str


def annotated(report: Report) -> tuple[Annotation, ...]:
    """All remarks of a report: failures first, then by line."""
    path = "/".join(part for part in (visible(report.folder), "ciml.yaml") if part)
    found = [*_of_stages(report, path), *_of_models(report, path)]
    return tuple(sorted(found, key=lambda remark: (remark.level != "failure", remark.line)))


def _of_stages(report: Report, path: str) -> Iterator[Annotation]:
    for stage in report.stages:
        if stage.result == "failed" and _is_line(stage.line):
            title = plain(f"stage {stage.name} failed", _TITLE)
            yield Annotation(path=path, line=stage.line, level="failure", title=title, message=_failure(stage))


def _is_line(line: int | None) -> TypeGuard[int]:
    """Whether GitHub takes it for one."""
    return line is not None and 0 < line < 2**31


def _failure(stage: StageLine) -> str:
    tail = [visible(line) for line in stage.tail.splitlines()[-_TAIL:]]
    return "\n".join((plain(stage.reason) or "it failed", *tail))[:_MESSAGE]


def _of_models(report: Report, path: str) -> Iterator[Annotation]:
    level: Level = "warning" if report.conclusion == "success" else "failure"
    for model in report.models:
        if _is_line(model.line) and model.verdict in ("rejected", "not-judged"):
            title = plain(f"{model.name}: {_VERDICTS[model.verdict]}", _TITLE)
            yield Annotation(path=path, line=model.line, level=level, title=title, message=_rejection(model))


_VERDICTS = {"rejected": "rejected", "not-judged": "the gate could not be evaluated"}


def _rejection(model: ModelReport) -> str:
    failed = [check_text(check, plain) for check in model.checks if not check.passed]
    return "\n".join((plain(model.reason) or "no reason is known", *failed))[:_MESSAGE]
