"""The record of a run: which commit, data, parameters and code made which model, and what was decided.

Every run writes one (`runs/<id>/run.json`); what belongs to one model of it is the
`ciml/lineage.json` of its registered version. Both are this value, so both are read alike.
It holds names of secrets at most, never a value, and addresses without users and queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import msgspec

from ciml.core import verdict
from ciml.core.errors import IntegrityError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath, StageName
from ciml.core.inputs import DataInput, Input
from ciml.core.judged import Judged
from ciml.core.pipeline import ParamValue
from ciml.core.results import Cancelled, Failed, Output, Ran, Record, Skipped, StageResult, Told, record_of, told
from ciml.core.url import bare, without_secrets
from ciml.core.value import Value
from ciml.core.verdict import Finding, Shown

FORMAT = "ciml/run/1"

T = TypeVar("T")


class Commit(Value, frozen=True, kw_only=True):
    """One commit, as far as a lineage speaks of it. Who and when are informational."""

    sha: CommitSha
    tree: GitOid
    parents: tuple[CommitSha, ...] = ()
    author: str = ""
    time: int = 0
    """Committer's, in seconds since 1970 UTC; Git lets it be any number."""
    subject: str = ""


class StageTrace(Value, frozen=True, kw_only=True):
    """What one stage read, what came of it, and under which recipe and key."""

    name: StageName
    recipe: Digest
    inputs: tuple[Input, ...] = ()
    params: dict[str, ParamValue] = {}
    """The parameters that it names, with the values in force."""
    params_files: tuple[RepoPath, ...] = ()
    """The files that those of them stand in which are no parameters of ciml.yaml."""
    result: Told
    reason: str = ""
    record: Record | None = None
    """Key, outputs by digest, metrics, platform and packages; None where nothing was made."""


class CheckLine(Value, frozen=True, kw_only=True):
    """One check of a gate as it came out."""

    check: str
    passed: bool
    left: Shown = None
    right: Shown = None
    detail: str = ""


def check_lines(findings: Iterable[Finding]) -> tuple[CheckLine, ...]:
    """The findings of a gate as records, reports and `--json` have them."""
    return tuple(
        CheckLine(check=found.check, passed=found.passed, left=found.left, right=found.right, detail=found.detail)
        for found in findings
    )


def check_text(check: CheckLine, plain: Callable[[str], str]) -> str:
    """`✗ auc > champion.auc: why it did not hold`, every free text in it made `plain`."""
    sides = " and ".join(plain(verdict.shown(side)) for side in (check.left, check.right) if side is not None)
    because = plain(check.detail) or (f"with {sides}" if sides else "")
    return f"✗ {plain(check.check)}" + (f": {because}" if because else "")


class ChampionLine(Value, frozen=True, kw_only=True):
    """Whom the model was compared with."""

    version: int
    metrics: dict[str, float] = {}


class ModelTrace(Value, frozen=True, kw_only=True):
    """One model of a run: what it is, how it was judged, what became of it."""

    name: ModelName
    recipe: Digest
    path: RepoPath
    stages: tuple[StageName, ...] = ()
    """The stages whose results it or its gate uses, directly or not; empty means all of the run."""
    artifact: Output | None = None
    metrics: dict[str, float] = {}
    champion: ChampionLine | None = None
    verdict: Literal["accepted", "rejected", "unchanged", "not-judged"] = "not-judged"
    reason: str = ""
    checks: tuple[CheckLine, ...] = ()
    policy: Digest | None = None
    version: int | None = None
    promoted: bool = False


class RunTrace(Value, frozen=True, kw_only=True):
    """One run. Who, when and where are informational: nothing is decided by them."""

    format: str = FORMAT
    id: str
    commit: Commit | None = None
    """None before a repository's first commit."""
    dirty: bool = False
    """The work tree differed from the commit: then the commit alone does not explain the result."""
    branch: str | None = None
    repository: str = ""
    """Address of `origin`; made bare here, whoever fills it in."""
    event: str = "local"
    """`push`, `pull-request`, `schedule`, …, as the CI event says; `local` on a laptop."""
    actor: str = ""
    run_url: str = ""
    started: str = ""
    """UTC, RFC 3339, seconds."""
    seconds: float = 0.0
    ciml: str = ""
    """Version of ciml."""
    builder: str = ""
    """URI of the CI service's workflow with its ref; empty outside CI."""
    pipeline: Digest | None = None
    """Of ciml.yaml's bytes."""
    requirements: GitOid | None = None
    stages: tuple[StageTrace, ...] = ()
    models: tuple[ModelTrace, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "repository", bare(self.repository))
        msgspec.structs.force_setattr(self, "run_url", bare(self.run_url))


def run_id(moment: datetime, token: str) -> str:
    """The name of a run: later ones sort after earlier ones.

    Args:
        moment: when it starts, with a time zone.
        token: a few random hex digits, against two runs in one second.
    """
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}"


def trace(
    name: StageName,
    recipe: Digest,
    inputs: Sequence[Input],
    params: dict[str, ParamValue],
    result: StageResult,
    *,
    params_files: Iterable[RepoPath] = (),
) -> StageTrace:
    """What a run's record keeps of one stage."""
    reason = ""
    match result:
        case Ran(note=note):
            reason = note or ""
        case Skipped() | Failed() | Cancelled():
            reason = result.reason
    return StageTrace(
        name=name,
        recipe=recipe,
        inputs=tuple(_without_query(item) for item in inputs),
        params=params,
        params_files=tuple(params_files),
        result=told(result),
        reason=without_secrets(reason),
        record=record_of(result),
    )


def model_trace(judged: Judged, *, version: int | None = None) -> ModelTrace:
    """What a run's record keeps of one model."""
    verdict = judged.verdict
    champion = verdict.champion
    return ModelTrace(
        name=judged.model.name,
        recipe=judged.recipe,
        path=judged.model.path,
        stages=judged.stages,
        artifact=judged.artifact,
        metrics=verdict.metrics,
        champion=ChampionLine(version=int(champion.version), metrics=champion.metrics) if champion else None,
        verdict=verdict.status.value,
        reason=verdict.reason,
        checks=check_lines(verdict.findings),
        policy=judged.policy,
        version=version,
    )


def _without_query(item: Input) -> Input:
    """The input without what a presigned address would let anybody do."""
    if isinstance(item, DataInput) and item.source is not None:
        return msgspec.structs.replace(item, source=bare(item.source))
    return item


def of_model(run: RunTrace, name: ModelName) -> RunTrace:
    """The part of a run that belongs to one of its models: what its version carries."""
    model = next(model for model in run.models if model.name == name)
    wanted = set(model.stages) or {stage.name for stage in run.stages}
    return msgspec.structs.replace(
        run, stages=tuple(stage for stage in run.stages if stage.name in wanted), models=(model,)
    )


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode(value: object) -> bytes:
    """Valid JSON of any value of a lineage; a path that is not UTF-8 is shown with `\\xNN`."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_readable(msgspec.to_builtins(value)))


def _readable(part: object) -> object:
    match part:
        case str():
            return part.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case list() | tuple():
            return [_readable(item) for item in part]
        case dict():
            return {_readable(key): _readable(value) for key, value in part.items()}
    return part


def decode(data: bytes, kind: type[T], *, where: str) -> T:
    """The value that `data` holds.

    Raises:
        IntegrityError: it is not what ciml wrote there.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{where} is not a lineage record: {error}") from error


def moment(seconds: int) -> str:
    """A commit's time as RFC 3339 in UTC, or `@<seconds>` where the calendar ends (year 1, year 9999)."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")
    except OverflowError:
        return f"@{seconds}"


def one_line(text: str) -> str:
    """`text` on one line without control characters: for whatever a person may have typed."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def shown(value: object) -> str:
    """A parameter or a metric as a person reads it: text as it is, a float with six digits, the rest as JSON."""
    match value:
        case str():
            return one_line(value)
        case float():
            return f"{value:.6g}"
    return encode(value).decode()
