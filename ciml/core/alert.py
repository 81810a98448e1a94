"""What an alert says. Its text is for any service: names in it can neither mention, link nor mark up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from ciml.core.history import DeploymentLine
from ciml.core.ids import Digest, RepoPath
from ciml.core.key import digest
from ciml.core.lineage import ModelTrace, RunTrace, StageTrace, check_lines, check_text, one_line
from ciml.core.url import bare, without_secrets
from ciml.core.value import Value
from ciml.core.verdict import Finding

LONGEST = 200
"""Characters of one free text."""

VARIABLE = "CIML_ALERT_URLS"
"""The environment variable with Apprise URLs, apart by white space or commas."""


class Occasion(StrEnum):
    """What alerts are about; `alerts:` in ciml.yaml names them."""

    REJECTED = "rejected"
    FAILED = "failed"
    DEPLOY_FAILED = "deploy-failed"


class Alert(Value, frozen=True, kw_only=True):
    """One message, the same for everybody who gets it."""

    occasion: Occasion
    key: Digest
    """Two alerts with one key are one alert: it is sent once to each address."""
    title: str
    body: str


class Sent(Value, frozen=True, kw_only=True, tag="sent"):
    """The service took the alert."""

    target: str
    """Service and host, without anything secret."""
    alert: Digest


class NotSent(Value, frozen=True, kw_only=True, tag="not-sent"):
    """The service did not take the alert; a later run tries again unless `given_up`."""

    target: str
    alert: Digest | None
    """None where nothing can be sent there at all."""
    reason: str
    given_up: bool = False


Delivery = Sent | NotSent


def rejected(model: ModelTrace, run: RunTrace, *, verdict: Digest) -> Alert:
    """A model was not let through.

    Args:
        model: what was judged, with all checks.
        run: where.
        verdict: the judgement's key: the same judgement is told once, however often it is met.
    """
    failed = [check for check in model.checks if not check.passed]
    lines = [check_text(check, plain) for check in failed] or [plain(model.reason)]
    return Alert(
        occasion=Occasion.REJECTED,
        key=digest("ciml/alert/1", Occasion.REJECTED, verdict),
        title=f"{plain(model.name)} was rejected{_at(run)}",
        body="\n".join((*lines, *_where(run))),
    )


def data_rejected(path: RepoPath, reason: str, findings: Sequence[Finding], run: RunTrace, *, data: Digest) -> Alert:
    """Data was not let through, so no stage ran.

    Args:
        path: of the data.
        reason: one sentence.
        findings: all checks.
        run: where.
        data: its digest: the same data is told of once, as long as the same checks fail.
    """
    failed = [finding for finding in findings if not finding.passed]
    lines = [check_text(line, plain) for line in check_lines(failed)]
    return Alert(
        occasion=Occasion.REJECTED,
        key=digest("ciml/alert/1", "data", bare(run.repository), path, data, [item.check for item in failed]),
        title=f"the data {plain(path)} was rejected{_at(run)}",
        body="\n".join((*(lines or [plain(reason)]), *_where(run))),
    )


def failed(stage: StageTrace, run: RunTrace) -> Alert:
    """A stage failed. Each run tells of it once: a schedule that fails every night is told every night."""
    return Alert(
        occasion=Occasion.FAILED,
        key=digest("ciml/alert/1", Occasion.FAILED, bare(run.repository), run.id, stage.name),
        title=f"stage {plain(stage.name)} failed{_at(run)}",
        body="\n".join((plain(stage.reason), *_where(run))),
    )


def deploy_failed(line: DeploymentLine, run: RunTrace, *, reason: str) -> Alert:
    """A version did not reach an environment."""
    what = f"{plain(line.model)}/{line.version}"
    identity = (bare(run.repository), run.id, line.environment, line.model, line.version)
    return Alert(
        occasion=Occasion.DEPLOY_FAILED,
        key=digest("ciml/alert/1", Occasion.DEPLOY_FAILED, *identity),
        title=f"{what} was not deployed to {plain(line.environment)}",
        body="\n".join((plain(reason), *_where(run))),
    )


def plain(text: str) -> str:
    """Free text on one line that no service takes for a mention, a link, a command or markup.

    Slack reads `<!channel>`, Discord and GitHub `@name`, Markdown `[text](address)` and backticks,
    many make links of addresses. Look-alikes and a zero-width space break each of them and leave
    the text readable, whatever the service escapes or does not.
    """
    safe = one_line(without_secrets(text)).replace("`", "ʼ").replace("](", "]\u200b(")
    for pattern, replacement in _ACTIVE:
        safe = pattern.sub(replacement, safe)
    return safe if len(safe) <= LONGEST else f"{safe[: LONGEST - 1]}…"


_ACTIVE = (
    (re.compile(r"<(?=[^\s=])"), "‹"),  # not in `auc < 0.9`, not in `auc <= 0.9`
    (re.compile(r"@(?=\S)"), "@\u200b"),
    (re.compile(r"(?i)(?<=[a-z]):(?=//)"), ":\u200b"),
    (re.compile(r"(?i)\bwww\."), "www\u200b."),
    (re.compile(r"^(?=[#/!>*+=|-])"), "\u200b"),
)


def _at(run: RunTrace) -> str:
    if run.commit is None:
        return ""
    dirty = " with local changes" if run.dirty else ""
    return f" at {run.commit.sha[:7]}{dirty}"


def _where(run: RunTrace) -> list[str]:
    """Commit, branch and the CI run: the one address in an alert that may become a link."""
    lines = []
    if run.commit:
        author = f" by {plain(run.commit.author)}" if run.commit.author else ""
        lines.append(f"{plain(run.commit.subject)}{author}")
    if run.branch:
        lines.append(f"branch {plain(run.branch)}, {plain(run.event)}")
    if run.run_url:
        lines.append(bare(one_line(run.run_url).split(" ")[0]))
    return lines
