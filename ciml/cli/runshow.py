"""What came of a run, as a user sees it: stages, checks on data, verdicts; in lines, and as `--json` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ciml.app.perform import Performance
from ciml.cli.commands.plan import changes_document
from ciml.cli.console import Console
from ciml.core.ids import CommitSha, StageName
from ciml.core.judged import Judged
from ciml.core.lineage import check_lines
from ciml.core.plan import Decision
from ciml.core.results import Cancelled, Failed, Ran, Skipped, StageResult, told
from ciml.core.verdict import Finding, rows, shown

if TYPE_CHECKING:
    from ciml.core.datachecks import DataVerdict


def show(
    head: CommitSha | None,
    made: Performance,
    versions: Mapping[str, int],
    console: Console,
    *,
    data: Sequence[DataVerdict] = (),
) -> None:
    """Print what came of a run.

    Args:
        head: the commit that was run.
        made: the run.
        versions: model -> registered version of its recipe, where there is one.
        console: where to.
        data: what the checks on data said before.
    """
    checked = {"data": data_document(data)} if data else {}
    console.document(document(head, made, versions) | checked)
    show_data(data, console)
    counts: dict[str, int] = {}
    for result in made.results.values():
        counts[_word(result)] = counts.get(_word(result), 0) + 1
    idle = counts.keys() <= {"up to date", "left out"}
    shown = ", ".join(f"{count} {word}" for word, count in counts.items()) or "no stage was run"
    console.line(f"Nothing to do: {shown}." if idle and counts else f"{shown} in {made.seconds:.1f} s.")
    for judged in made.judged:
        show_verdict(judged, console)


def show_verdict(judged: Judged, console: Console) -> None:
    """Print a verdict: one line, then a line a check."""
    verdict = judged.verdict
    again = " (recorded: nothing was judged again)" if judged.recorded else ""
    failed = [finding.detail for finding in verdict.findings if not finding.passed]
    # The details stand below, with their checks.
    reason = verdict.reason.removesuffix(f" ({failed[0]})") if failed else verdict.reason
    console.gap()
    console.line(f"{verdict.model}: {verdict.status} – {reason}{again}")
    if verdict.findings:
        show_findings(verdict.findings, console)
    for note in verdict.notes:
        console.line(f"note: {note}")
    if verdict.hint:
        console.line(f"hint: {verdict.hint}")


def document(head: CommitSha | None, made: Performance, versions: Mapping[str, int]) -> dict[str, object]:
    """The run as `--json` prints it."""
    prepared = made.prepared
    return {
        "base": prepared.base,
        "head": head,
        "dirty": prepared.dirty,
        "changes": changes_document(prepared.changes),
        "stages": [_stage(name, made, made.decisions.get(name), result) for name, result in made.results.items()],
        "models": [model_document(judged, versions.get(judged.model.name)) for judged in made.judged],
    }


def model_document(judged: Judged, version: int | None) -> dict[str, object]:
    """A judged model as `--json` prints it."""
    verdict = judged.verdict
    champion = verdict.champion
    return {
        "name": verdict.model,
        "metrics": verdict.metrics,
        "champion": {"version": int(champion.version), "metrics": champion.metrics} if champion else None,
        "verdict": verdict.status,
        "reason": verdict.reason,
        "checks": check_lines(verdict.findings),
        "recipe": judged.recipe,
        "version": version,
    }


def _stage(name: StageName, made: Performance, decision: Decision | None, result: StageResult) -> dict[str, object]:
    exit_code = seconds = None
    match result:
        case Ran():
            exit_code, seconds = 0, result.record.seconds
        case Failed():
            exit_code, seconds = result.exit_code, result.seconds
    reason = result.reason if isinstance(result, Failed | Cancelled) else decision.reason if decision else ""
    return {
        "name": name,
        "action": decision.action if decision else "run",
        "reason": reason,
        "recipe": made.prepared.graph.recipes[name],
        "key": decision.key if decision else None,
        "result": _result(result),
        "seconds": seconds,
        "exit_code": exit_code,
    }


def _result(result: StageResult) -> str:
    """As `--json` has it: to whoever reads that, a stage that was not started was left out."""
    return "skipped" if isinstance(result, Cancelled) else told(result)


def _word(result: StageResult) -> str:
    match result:
        case Skipped(record=None):
            return "left out"
        case Skipped():
            return "up to date"
        case Cancelled():
            return "not run"
        case _:
            return _result(result)


def show_data(found: Sequence[DataVerdict], console: Console) -> None:
    """Print what the checks say: a line for each path, then a line for each check."""
    for verdict in found:
        size = f" ({verdict.rows:,} rows, {verdict.columns} columns)" if verdict.rows is not None else ""
        console.line(f"data {verdict.path}: {verdict.status} – {verdict.reason}{size}")
        if verdict.findings and (console.verbose or not verdict.lets_through):
            show_findings(verdict.findings, console)
        for note in verdict.notes:
            console.line(f"note: {note}")


def show_findings(findings: Sequence[Finding], console: Console) -> None:
    """A line a check, with what stands behind it on a line of its own."""
    table = rows(findings)
    width = max(len(row.check) for row in table)
    sides = max(len(row.left) for row in table)
    for row in table:
        against = f"  against {row.right}" if row.right != shown(None) else ""
        console.columns([(row.mark, f"{row.check:{width}}", f"{row.left:>{sides}}{against}")])
        for clause in filter(None, row.detail.split("; ")):
            console.line(f"      {clause}")


def data_document(found: Sequence[DataVerdict]) -> list[dict[str, object]]:
    """The checks as `--json` prints them."""
    return [
        {
            "path": verdict.path,
            "digest": verdict.digest,
            "verdict": verdict.status,
            "reason": verdict.reason,
            "rows": verdict.rows,
            "columns": verdict.columns,
            "checks": check_lines(verdict.findings),
        }
        for verdict in found
    ]
