"""A report as people read it on GitHub: a comment, a job's summary, the text of a check.

The first two lines say what came of it. What follows is in the order of what a reviewer asks; where
there is too much of it, whole rows are left out, the least important ones first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ciml.core.ids import is_commit_id
from ciml.core.markdown import models as about_models
from ciml.core.markdown import run as about_run
from ciml.core.markdown.layout import Block, characters, octets, page
from ciml.core.markdown.text import inline, plain
from ciml.core.report import Report
from ciml.core.sticky import marker
from ciml.core.value import Value

COMMENT = 65_536
"""Characters of a comment."""
SUMMARY = 1024 * 1024
"""Bytes of a step's summary; a longer one is dropped by the runner."""
CHECK = 65_535
"""Characters of a check's summary, and of its text."""

_TITLE = 255

_RUN = re.compile(r"(https?://[A-Za-z0-9.-]+(?::[0-9]+)?/[\w.-]+/[\w.-]+)/actions/runs/[0-9]+(?:/attempts/[0-9]+)?")


class CheckText(Value, frozen=True, kw_only=True):
    """What a check run says."""

    title: str
    """Plain text."""
    summary: str
    text: str


def comment(report: Report, *, limit: int = COMMENT) -> str:
    """The comment on a pull request, its hidden marker first, of at most `limit` UTF-16 units."""
    blocks = (_head(report, first=f"{marker(report)}\n"), *_verdict(report), *_run(report))
    # Without the last line end, which GitHub does not keep.
    return page(blocks, limit=limit, measure=characters, pointer=_pointer(report)).rstrip()


def summary(report: Report, *, limit: int = SUMMARY) -> str:
    """The same for a job's summary, of at most `limit` bytes."""
    blocks = (_head(report), *_verdict(report), *_run(report))
    return page(blocks, limit=limit, measure=octets, pointer="_The rest is in the job's `report.json`._")


def check_text(report: Report, *, unshown: int = 0, limit: int = CHECK) -> CheckText:
    """What the check run says.

    Args:
        report: of the run.
        unshown: annotations that found no room in the check.
        limit: bytes of the summary, and of the text.
    """
    more = f"…and {unshown:,} more remarks than the annotations here show" if unshown else ""
    blocks = (_head(report), *([Block(rank=0, head=more)] if more else []), *_verdict(report))
    pointer = _pointer(report)
    return CheckText(
        title=plain(report.title, _TITLE),
        summary=page(blocks, limit=limit, measure=octets, pointer=pointer),
        text=page(tuple(_run(report, drawn=False)), limit=limit, measure=octets, pointer=pointer),
    )


def icon(report: Report) -> str:
    """One sign for the whole: what is worst counts."""
    verdicts = {model.verdict for model in report.models}
    if report.error or any(stage.result == "failed" for stage in report.stages) or "rejected" in verdicts:
        return "❌"
    if report.conclusion == "failure" or any(line.state in ("failed", "rolled-back") for line in report.deployments):
        return "❌"
    if "not-judged" in verdicts or report.conclusion == "action-required":
        return "⚠️"
    return "⚪" if verdicts == {"unchanged"} else "✅"


def _head(report: Report, *, first: str = "") -> Block:
    """Title, what becomes of the models, which commit and run, what should be known."""
    parts = [f"{first}## {icon(report)} {inline(report.title)}", _outcome(report), _where(report), _colour(report)]
    return Block(rank=0, head="\n\n".join(part for part in parts if part))


def _outcome(report: Report) -> str:
    """The sentence that tells what a merge would do, or what this run did."""
    if report.error and report.error != report.title:
        return f"**{inline(report.error, 400)}**"
    if len(report.models) == 1 and report.models[0].outcome:
        return f"**{inline(report.models[0].outcome, 400)}**"
    return ""


def _colour(report: Report) -> str:
    """Why a rejection does not turn the check of a pull request red."""
    rejected = any(model.verdict in ("rejected", "not-judged") for model in report.models)
    is_green = report.conclusion == "success" and report.require == "ran" and report.event.number is not None
    return f"_{_GREEN}_" if rejected and is_green else ""


def _where(report: Report) -> str:
    """Commits and run, as links where their address is of GitHub's own form."""
    found = _RUN.fullmatch(report.event.run.url)
    site = found[1] if found and found[1].endswith(f"/{report.event.repository}") else None
    head, base = report.event.head_sha or report.head, report.base
    parts = []
    if head and is_commit_id(head):
        parts.append(f"[`{head[:7]}`]({site}/commit/{head})" if site else f"`{head[:7]}`")
    if report.subject:
        parts.append(inline(report.subject, 100))
    if head and base and is_commit_id(head) and is_commit_id(base):
        parts.append(f"[since `{base[:7]}`]({site}/compare/{base}...{head})" if site else f"since `{base[:7]}`")
    if site:
        parts.append(f"[run {report.event.run.number or ''}]({report.event.run.url})".replace("run ]", "run]"))
    return " · ".join(parts)


_FORK = (
    "Untrusted evaluation: this pull request comes from a fork, and its own code computed what is said here. "
    "Once merged, it is judged anew."
)

_GREEN = (
    "The check is green all the same: `pull-request: {require: ran}` asks that the run went well, "
    "not that every model is accepted."
)


def _verdict(report: Report) -> Iterator[Block]:
    """What a reviewer decides by."""
    notices = (*([_FORK] if report.event.fork else []), *report.notices)
    if notices:
        rows = tuple(f"> - {inline(notice, 400)}" for notice in notices)
        yield Block(rank=1, head="> [!IMPORTANT]", rows=rows, noun="notices")
    yield from about_run.failures(report.stages)
    yield from about_models.overview(report.models)
    yield from about_models.details(report.models)
    yield from about_run.deployments(report.deployments)


def _run(report: Report, *, drawn: bool = True) -> Iterator[Block]:
    """How it came about."""
    yield from about_run.changes(report)
    yield from about_run.plan(report.stages)
    if drawn:
        yield from about_run.graph(report)
        yield from about_run.curves(report.curves)


def _pointer(report: Report) -> str:
    found = _RUN.fullmatch(report.event.run.url)
    if found and found[1].endswith(f"/{report.event.repository}"):
        return f"_Cut to GitHub's limits; all of it is in the [summary of the run]({report.event.run.url})._"
    return "_Cut to GitHub's limits; all of it is in the summary of the job._"
