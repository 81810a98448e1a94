"""The gate: checks x candidate x champion -> Verdict with every finding.

Total and fail-closed. A check passes only where both its sides are finite numbers that were
compared; whatever is missing, not finite, ambiguous or not comparable fails with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from ciml.core import checks
from ciml.core.checks import Contest, Outcome
from ciml.core.contest import SPLIT, Candidate, Champion, Incomparable, NoChampion, Rival
from ciml.core.ids import ModelName
from ciml.core.metrics import FILE
from ciml.core.pipeline import Check, Compare, Model, ParamValue
from ciml.core.verdict import Finding, Opponent, Status, Verdict


def judge(model: Model, candidate: Candidate, rival: Rival, params: Mapping[str, ParamValue]) -> Verdict:
    """What the model's gate says of the candidate, with a finding for every check.

    Where there is no champion, or the candidate is the champion byte by byte, comparisons are
    passed over and the other checks decide. Where the champion cannot be compared, comparisons fail.

    Args:
        model: its gate and whom it is compared with.
        candidate: what this run made.
        rival: the champion as it scores on the candidate's data (`compare: rescore`) or as recorded.
        params: the values in force, by dotted name.
    """
    unchanged = not isinstance(rival, NoChampion) and rival.content == candidate.content
    opponent = rival if unchanged else _comparable(rival, candidate, model.champion.compare)
    contest = Contest(candidate, opponent if isinstance(opponent, Champion) else None, params)
    findings = tuple(_finding(check, contest, opponent, unchanged=unchanged) for check in model.gate)
    tested = any(_is_tested(check, opponent, unchanged=unchanged) for check in model.gate)
    status = _status(findings, unchanged=unchanged)
    return Verdict(
        model=model.name,
        status=status,
        reason=_reason(status, findings, opponent, tested=tested),
        findings=findings,
        notes=(*_data_notes(candidate, rival, model.champion.compare, unchanged=unchanged), *_metric_notes(candidate)),
        hint=_hint(findings, opponent),
        tested=tested,
        metrics=_flat(candidate),
        champion=_opponent(rival),
    )


def not_judged(model: ModelName, reason: str) -> Verdict:
    """The verdict where the gate could not be asked: no candidate, or a champion that may not be read here."""
    return Verdict(
        model=model,
        status=Status.NOT_JUDGED,
        reason=reason,
        findings=(),
        notes=(),
        hint=None,
        tested=False,
        metrics={},
        champion=None,
    )


def _comparable(rival: Rival, candidate: Candidate, compare: Compare) -> Rival:
    """The rival, unless its recorded metrics speak of other data and the policy minds."""
    if not isinstance(rival, Champion) or compare is not Compare.RECORDED_SAME_DATA:
        return rival
    moved = _moved(candidate, rival)
    if not moved:
        return rival
    reason = f"data differs from what it was judged on: {', '.join(moved)}"
    return Incomparable(version=rival.version, content=rival.content, reason=reason, hint=SPLIT)


def _moved(candidate: Candidate, champion: Champion) -> list[str]:
    """The evaluation data that is not what the champion was judged on."""
    either = candidate.data.keys() | champion.data.keys()
    return sorted(path for path in either if candidate.data.get(path) != champion.data.get(path))


def _finding(check: Check, contest: Contest, rival: Rival, *, unchanged: bool) -> Finding:
    comparison = checks.is_comparison(check)
    outcome = (
        _compared(check, contest, rival, unchanged=unchanged) if comparison else checks.judge_check(check, contest)
    )
    return Finding(
        check=checks.describe(check),
        passed=outcome.passed,
        left=outcome.left,
        right=outcome.right,
        detail=outcome.detail,
        comparison=comparison,
        difference=outcome.difference,
    )


def _compared(check: Check, contest: Contest, rival: Rival, *, unchanged: bool) -> Outcome:
    """How a comparison comes out, or what stands in its place where there is nothing to compare."""
    match rival:
        case NoChampion():
            return _noted(checks.judge_alone(check, contest), "first: there is no champion yet")
        case Champion(version=version) | Incomparable(version=version) if unchanged:
            return _noted(checks.judge_alone(check, contest), f"unchanged: the same bytes as version {version}")
        case Incomparable(reason=reason):
            return Outcome(passed=False, left=None, right=None, detail=f"champion not comparable: {reason}")
        case Champion():
            return checks.judge_check(check, contest)
        case _:
            assert_never(rival)


def _noted(outcome: Outcome, note: str) -> Outcome:
    """The outcome, which says why nothing was compared where it passed."""
    if not outcome.passed:
        return outcome
    return Outcome(passed=True, left=outcome.left, right=outcome.right, detail=note)


def _is_tested(check: Check, rival: Rival, *, unchanged: bool) -> bool:
    """Whether the check looks at more than whether the candidate has such a metric."""
    compared = isinstance(rival, Champion) and not unchanged
    return compared or not checks.is_comparison(check) or bool(checks.own_parts(check))


def _status(findings: tuple[Finding, ...], *, unchanged: bool) -> Status:
    if not all(finding.passed for finding in findings):
        return Status.REJECTED
    return Status.UNCHANGED if unchanged else Status.ACCEPTED


def _reason(status: Status, findings: tuple[Finding, ...], rival: Rival, *, tested: bool) -> str:
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        count = f"{len(failed)} of {len(findings)} checks" if len(findings) > 1 else "the check"
        detail = f" ({failed[0].detail})" if failed[0].detail and len(failed) == 1 else ""
        return f"{count} did not hold: {', '.join(finding.check for finding in failed)}{detail}"
    if status is Status.UNCHANGED and not isinstance(rival, NoChampion):
        return f"the model is version {rival.version}, byte by byte"
    if not findings:
        return "nothing was tested: the gate is empty"
    if not tested:
        return "nothing was tested: there is no champion yet and every check compares with one"
    return "all checks hold" if len(findings) > 1 else "the check holds"


def _data_notes(candidate: Candidate, rival: Rival, compare: Compare, *, unchanged: bool) -> tuple[str, ...]:
    """What the reader of a comparison should know of its data."""
    if unchanged or not isinstance(rival, Champion) or not (moved := _moved(candidate, rival)):
        return ()
    paths = ", ".join(moved)
    other = f"the evaluation data is not what version {rival.version} was judged on ({paths})"
    if compare is Compare.RESCORE:
        return (f"{other}: the champion may have trained on some of it",)
    return (f"{other}: its metrics were measured on other data",)


def _metric_notes(candidate: Candidate) -> tuple[str, ...]:
    """Everything in the metrics files that is not a number, whether a check reads it or not."""
    return tuple(
        f"{stage}: {problem if name == FILE else f'metric {name} {problem}'}"
        for stage, metrics in candidate.metrics.items()
        for name, problem in metrics.problems.items()
    )


def _hint(findings: tuple[Finding, ...], rival: Rival) -> str | None:
    """What to do where a comparison failed for want of something to compare with."""
    if not any(not finding.passed and "champion not comparable" in finding.detail for finding in findings):
        return None
    return rival.hint if isinstance(rival, Incomparable) else SPLIT


def _flat(candidate: Candidate) -> dict[str, float]:
    """All metrics of the model, those of one name in two stages with their stage before them."""
    written = [(stage, candidate.metrics[stage].values) for stage in candidate.writers if stage in candidate.metrics]
    flat: dict[str, float] = {}
    for stage, values in written:
        for name, value in values.items():
            alone = sum(name in others for _, others in written) == 1
            flat[name if alone else f"{stage}.{name}"] = value
    return flat


def _opponent(rival: Rival) -> Opponent | None:
    match rival:
        case NoChampion():
            return None
        case Incomparable(version=version):
            return Opponent(version=version, metrics={})
        case Champion(version=version, metrics=metrics):
            flat = {name: value for stage in metrics.values() for name, value in stage.values.items()}
            return Opponent(version=version, metrics=flat)
        case _:
            assert_never(rival)
