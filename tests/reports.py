"""Reports of a run, as the last job of a workflow makes them."""

from __future__ import annotations

import msgspec

from ciml.core.event import Event, Kind, Run
from ciml.core.ids import CommitSha, ModelName, RepoPath, StageName
from ciml.core.lineage import CheckLine
from ciml.core.report import Curve, DeploymentLine, MetricRow, ModelReport, Report, StageLine

HEAD = CommitSha("4f9d0c1b2a3948576655443322110fedcba98765")
BASE = CommitSha("0123456789abcdef0123456789abcdef01234567")
SITE = "https://github.com/acme/churn"


def event(*, number: int | None = 7, run: int = 12, attempt: int = 1, **changes: object) -> Event:
    """A pull request of the same repository."""
    made = Event(
        kind=Kind.PULL_REQUEST if number else Kind.PUSH,
        name="pull_request" if number else "push",
        repository="acme/churn",
        default_branch="main",
        branch="smaller-trees" if number else "main",
        head=HEAD,
        head_sha=HEAD,
        base=BASE,
        base_branch="main" if number else None,
        number=number,
        actor="ann",
        run=Run(id=str(9000 + run), attempt=attempt, url=f"{SITE}/actions/runs/{9000 + run}", number=run),
    )
    return msgspec.structs.replace(made, **changes)


CHURN = ModelReport(
    name=ModelName("churn"),
    verdict="accepted",
    reason="all 4 checks hold",
    checks=(
        CheckLine(check="auc >= ${{ params.min-auc }}", passed=True, left=0.9134, right=0.8),
        CheckLine(check="auc > champion.auc + 0.002", passed=True, left=0.9134, right=0.9033),
        CheckLine(
            check="accuracy beats champion at 95 %",
            passed=True,
            left=0.871,
            right=0.858,
            detail="gain 0.013, between 0.004 and 0.022 on 2,000 examples",
        ),
        CheckLine(check="latency-ms within 10 % of champion", passed=True, left=3.4, right=3.5),
    ),
    metrics=(
        MetricRow(name="auc", candidate=0.9134, champion=0.9013),
        MetricRow(name="accuracy", candidate=0.871, champion=0.858, interval=(0.004, 0.022)),
        MetricRow(name="latency-ms", candidate=3.4, champion=3.5),
    ),
    champion=3,
    notes=("The champion was judged on other data: it may have trained on some of what it is judged on here.",),
    outcome="Once merged, churn is registered as version 4 and promoted to champion.",
    line=31,
)

STAGES = (
    StageLine(
        name=StageName("prepare"), action="skip", reason="nothing it reads has changed", result="restored", line=9
    ),
    StageLine(
        name=StageName("train"),
        action="run",
        reason="params.yaml: train.depth 6 -> 4",
        result="ran",
        seconds=402.7,
        line=14,
    ),
    StageLine(
        name=StageName("evaluate"), action="run", reason="train must run first", result="ran", seconds=8.2, line=22
    ),
)


def report(**changes: object) -> Report:
    """A pull request whose model is better than the champion."""
    made = Report(
        event=event(),
        head=HEAD,
        base=BASE,
        subject="Use smaller trees",
        title="churn accepted: auc 0.9134 (+0.0121)",
        changed={"code": ("src/train.py",), "params": ("train.depth",)},
        data=("data/raw: 2 files and 14.2 MB more, 1 file changed",),
        stages=STAGES,
        edges=((StageName("prepare"), StageName("train")), (StageName("train"), StageName("evaluate"))),
        models=(CHURN,),
        curves=(
            Curve(
                path=RepoPath("build/roc.csv"),
                x="fpr",
                y="tpr",
                points=tuple((step / 50, (step / 50) ** 0.3) for step in range(51)),
            ),
        ),
    )
    return msgspec.structs.replace(made, **changes)


REJECTED = msgspec.structs.replace(
    CHURN,
    verdict="rejected",
    reason="1 of 4 checks does not hold",
    checks=(
        msgspec.structs.replace(CHURN.checks[0], passed=False, left=0.78, detail="0.78 is below 0.8"),
        *CHURN.checks[1:],
    ),
    outcome="Nothing would be registered.",
)

FAILED = StageLine(
    name=StageName("train"),
    action="run",
    reason="exit code 1 after 12 s",
    result="failed",
    seconds=12.0,
    line=14,
    tail=(
        "Traceback (most recent call last):\n"
        '  File "src/train.py", line 7, in <module>\n'
        "ValueError: no column 'age'\n"
    ),
)

DEPLOYED = DeploymentLine(
    model=ModelName("churn"), environment="production", version=4, state="deployed", detail="smoke passed in 4 s"
)
