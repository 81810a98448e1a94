from __future__ import annotations

import json
import math
from collections.abc import Mapping
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core import checks, metrics
from ciml.core.checks import Reads, reads
from ciml.core.contest import SPLIT, Candidate, Champion, Incomparable, NoChampion, Rival
from ciml.core.gate import judge, not_judged
from ciml.core.ids import Digest, ModelName, RepoPath, StageName
from ciml.core.lineage import check_lines
from ciml.core.metrics import Metrics
from ciml.core.pipeline import (
    ChampionPolicy,
    Check,
    Compare,
    ExpressionCheck,
    Model,
    PairedCheck,
    ParamValue,
    PointCheck,
    ToleranceCheck,
)
from ciml.core.verdict import Finding, Opponent, Row, Status, Verdict, rows, shown

TRAIN, EVALUATE = StageName("train"), StageName("evaluate")
SCORES = RepoPath("build/scores.csv")
TEST = RepoPath("data/test")
HERE, THERE = Digest("a" * 64), Digest("b" * 64)


def model(*gate: Check | str, compare: Compare = Compare.RESCORE) -> Model:
    return Model(
        name=ModelName("churn"),
        path=RepoPath("build/model"),
        gate=tuple(ExpressionCheck(expression=check) if isinstance(check, str) else check for check in gate),
        champion=ChampionPolicy(compare=compare),
    )


def candidate(values: Mapping[str, float] | None = None, *, scores: bytes | None = None, **problems: str) -> Candidate:
    return Candidate(
        content=HERE,
        metrics={EVALUATE: Metrics(values=dict(values or {}), problems=problems)},
        writers=(TRAIN, EVALUATE),
        scores={} if scores is None else {SCORES: scores},
        data={TEST: HERE},
    )


def champion(
    values: Mapping[str, float] | None = None, *, scores: bytes | None = None, data: Digest = HERE, **problems: str
) -> Champion:
    return Champion(
        version="7",
        content=THERE,
        metrics={EVALUATE: Metrics(values=dict(values or {}), problems=problems)},
        scores={} if scores is None else {SCORES: scores},
        data={TEST: data},
    )


def judged(
    check: Check | str, new: Candidate, rival: Rival, params: Mapping[str, ParamValue] | None = None
) -> tuple[Verdict, Finding]:
    verdict = judge(model(check), new, rival, params or {})
    assert len(verdict.findings) == 1
    assert (verdict.status is Status.REJECTED) is not verdict.findings[0].passed
    return verdict, verdict.findings[0]


@pytest.mark.parametrize(
    ("auc", "passed"), [(0.8, True), (math.nextafter(0.8, 0), False), (math.nextafter(0.8, 1), True)]
)
def test_a_threshold_holds_at_its_limit(auc: float, passed: bool) -> None:
    """`>=` passes at the limit and above, not one double below."""
    _, finding = judged("auc >= params.min-auc", candidate({"auc": auc}), NoChampion(), {"min-auc": 0.8})
    assert (finding.passed, finding.left, finding.right) == (passed, auc, 0.8)


@pytest.mark.parametrize(
    ("new", "lower", "passed"),
    [(0.802, False, False), (0.8021, False, True), (0.8019, False, False), (0.798, True, False), (0.7979, True, True)],
)
def test_beats_is_strict(new: float, lower: bool, passed: bool) -> None:
    """A gain of exactly `by` is not enough; which way is better is the check's to say."""
    check = PointCheck(metric="m", by=0.002, lower_is_better=lower)
    _, finding = judged(check, candidate({"m": new}), champion({"m": 0.8}))
    assert (finding.passed, finding.left, finding.right) == (passed, new, 0.8)


@pytest.mark.parametrize(
    ("new", "old", "within", "relative", "lower", "passed"),
    [
        (110.0, 100.0, 0.1, True, True, True),
        (110.00001, 100.0, 0.1, True, True, False),
        (109.99999, 100.0, 0.1, True, True, True),
        (0.81, 0.9, 0.1, True, False, True),
        (0.8099999, 0.9, 0.1, True, False, False),
        (-1.1, -1.0, 0.1, True, False, True),
        (-1.11, -1.0, 0.1, True, False, False),
        (0.0, 0.0, 0.5, True, False, True),
        (-1e-10, 0.0, 0.5, True, False, True),
        (-1.01e-10, 0.0, 0.5, True, False, False),
        (1e-10, 0.0, 0.5, True, True, True),
        (1.01e-10, 0.0, 0.5, True, True, False),
        (0.3, 0.4, 0.1, False, False, True),
        (0.29, 0.4, 0.1, False, False, False),
        (0.5, 0.4, 0.1, False, True, True),
        (0.51, 0.4, 0.1, False, True, False),
        (5.0, 0.4, 0.0, True, False, True),
        (0.4, 0.4, 0.0, True, False, True),
        (0.4, 0.4, 0.0, False, True, True),
    ],
)
def test_a_tolerance_holds_at_its_limit(
    new: float, old: float, within: float, relative: bool, lower: bool, passed: bool
) -> None:
    """Not worse than |champion| * within, or within, the limit included; beside zero it is 1e-10."""
    check = ToleranceCheck(metric="m", within=within, relative=relative, lower_is_better=lower)
    _, finding = judged(check, candidate({"m": new}), champion({"m": old}))
    assert finding.passed is passed


BAD_FILES = [
    '{"acc": NaN}',
    '{"acc": Infinity}',
    '{"acc": 1e999}',
    '{"acc": 0.1, "acc": 0.99}',
    "{}",
    '{"acc": null}',
    '{"acc": "0.9"}',
    '{"acc": true}',
    '{"acc": [0.9]}',
    '{"acc": {"acc": 0.9}}',
    '{"acc": ' + "9" * 400 + "}",
    "acc: 0.9",
    "",
]
ALL_CHECKS: list[Check | str] = [
    "acc >= 0",
    "acc <= 1e300",
    "not (acc < 0)",
    "acc != 0.5",
    "acc >= 0 or true",
    "acc > champion.acc",
    "not (acc < champion.acc)",
    "stages.evaluate.metrics.acc >= 0",
    PointCheck(metric="acc"),
    PointCheck(metric="acc", lower_is_better=True),
    ToleranceCheck(metric="acc", within=1e9),
    ToleranceCheck(metric="acc", within=1e300, relative=False, lower_is_better=True),
]


@pytest.mark.parametrize("text", BAD_FILES)
@pytest.mark.parametrize("check", ALL_CHECKS, ids=str)
def test_c086_c087_c088_what_is_no_number_fails_every_check(check: Check | str, text: str) -> None:
    """NaN, infinity, a key given twice, null, text, bool, list, another nesting, 400 digits, no JSON: rejected."""
    new = Candidate(
        content=HERE, metrics={EVALUATE: metrics.parse(text.encode(), RepoPath("m.json"))}, writers=(EVALUATE,)
    )
    for rival in (champion({"acc": 0.1}), NoChampion()):
        verdict = judge(model(check), new, rival, {})
        assert verdict.status is Status.REJECTED
        assert verdict.findings[0].detail


def test_c086_the_reason_names_the_metric() -> None:
    """The report says `metric acc is not finite`, also for a metric that no check reads."""
    new = Candidate(
        content=HERE,
        metrics={EVALUATE: metrics.parse(b'{"acc": NaN, "f1": null, "ok": 1}', RepoPath("m.json"))},
        writers=(EVALUATE,),
    )
    verdict, finding = judged("acc > 0", new, NoChampion())
    assert finding.detail == "metric acc is not finite"
    assert verdict.reason == "the check did not hold: acc > 0 (metric acc is not finite)"
    assert verdict.notes == ("evaluate: metric acc is not finite", "evaluate: metric f1 is null")
    assert verdict.metrics == {"ok": 1.0}


@pytest.mark.parametrize(
    "rival",
    [champion(), champion({"acc": math.nan}), champion({"acc": math.inf}), champion({}, acc="is not finite")],
)
@pytest.mark.parametrize(
    "check", [check for check in ALL_CHECKS if "champion" in str(check) or not isinstance(check, str)]
)
def test_c089_a_champion_without_the_metric_is_not_comparable(check: Check | str, rival: Champion) -> None:
    """A champion whose metric is missing or not finite rejects, with what to do."""
    verdict, finding = judged(check, candidate({"acc": 0.9}), rival)
    assert "champion not comparable" in finding.detail
    assert verdict.hint == SPLIT


def test_c090_without_a_champion_comparisons_are_first_and_absolute_checks_decide() -> None:
    """Comparisons pass as "first"; a threshold still rejects."""
    gate = model("auc >= 0.8", "auc > champion.auc", PointCheck(metric="auc"))
    verdict = judge(gate, candidate({"auc": 0.85}), NoChampion(), {})
    assert (verdict.status, verdict.tested, verdict.champion) == (Status.ACCEPTED, True, None)
    assert [finding.detail for finding in verdict.findings] == [
        "",
        "first: there is no champion yet",
        "first: there is no champion yet",
    ]
    assert [finding.left for finding in verdict.findings] == [0.85, 0.85, 0.85]
    verdict = judge(gate, candidate({"auc": 0.79}), NoChampion(), {})
    assert verdict.status is Status.REJECTED
    assert [finding.passed for finding in verdict.findings] == [False, True, True]
    assert verdict.reason == "1 of 3 checks did not hold: auc >= 0.8"


def test_c090_with_comparisons_alone_the_report_says_that_nothing_was_tested() -> None:
    """The first model passes, untested, and an empty gate tests nothing at all."""
    verdict = judge(model("auc > champion.auc"), candidate({"auc": 0.1}), NoChampion(), {})
    assert (verdict.status, verdict.tested) == (Status.ACCEPTED, False)
    assert verdict.reason == "nothing was tested: there is no champion yet and every check compares with one"
    verdict = judge(model(), candidate({"auc": 0.1}), champion({"auc": 0.9}), {})
    assert (verdict.status, verdict.tested, verdict.findings) == (Status.ACCEPTED, False, ())
    assert verdict.reason == "nothing was tested: the gate is empty"


def test_c090_the_candidates_own_part_of_a_comparison_decides() -> None:
    """What stands between `and`s and reads no champion must hold for the first model too."""
    check = "auc > champion.auc and f1 >= 0.5"
    verdict, finding = judged(check, candidate({"auc": 0.9, "f1": 0.4}), NoChampion())
    assert finding.detail == "f1 >= 0.5 does not hold"
    verdict, finding = judged(check, candidate({"auc": 0.9, "f1": 0.5}), NoChampion())
    assert (verdict.tested, finding.detail) == (True, "first: there is no champion yet")
    _, finding = judged("auc > champion.auc", candidate(), NoChampion())
    assert finding.detail == "no stage writes a metric auc"


def test_c091_higher_is_better_unless_the_check_says_otherwise() -> None:
    """A lower loss is a loss of quality until `lower-is-better: true` turns it."""
    new, old = candidate({"loss": 0.2}), champion({"loss": 0.3})
    assert not judged(PointCheck(metric="loss"), new, old)[1].passed
    assert judged(PointCheck(metric="loss", lower_is_better=True), new, old)[1].passed
    assert checks.describe(PointCheck(metric="loss", lower_is_better=True)) == "loss beats champion, lower is better"


def test_c092_recorded_metrics_of_other_data_are_not_compared() -> None:
    """`recorded-same-data` with another data digest rejects every comparison and says which data."""
    gate = model("auc > champion.auc", "auc > 0.5", compare=Compare.RECORDED_SAME_DATA)
    verdict = judge(gate, candidate({"auc": 0.9}), champion({"auc": 0.1}, data=THERE), {})
    assert verdict.status is Status.REJECTED
    assert [finding.passed for finding in verdict.findings] == [False, True]
    assert verdict.findings[0].detail == ("champion not comparable: data differs from what it was judged on: data/test")
    assert verdict.hint == SPLIT
    same = judge(gate, candidate({"auc": 0.9}), champion({"auc": 0.1}), {})
    assert (same.status, same.hint, same.notes) == (Status.ACCEPTED, None, ())


def test_c092_data_that_only_one_side_had_is_other_data() -> None:
    """A data set that was added since, or is gone, counts as a difference."""
    gate = model("auc > champion.auc", compare=Compare.RECORDED_SAME_DATA)
    old = champion({"auc": 0.1})
    for data in ({}, {TEST: HERE, RepoPath("data/more"): HERE}):
        new = msgspec.structs.replace(candidate({"auc": 0.9}), data=data)
        assert judge(gate, new, old, {}).status is Status.REJECTED


@pytest.mark.parametrize(
    ("compare", "note"),
    [
        (Compare.RESCORE, "the champion may have trained on some of it"),
        (Compare.RECORDED, "its metrics were measured on other data"),
    ],
)
def test_other_data_than_the_champion_was_judged_on_is_noted(compare: Compare, note: str) -> None:
    """A champion scored again on new data may have seen it; `recorded` compares and says so."""
    verdict = judge(
        model("auc > champion.auc", compare=compare), candidate({"auc": 0.9}), champion({"auc": 0.1}, data=THERE), {}
    )
    assert verdict.status is Status.ACCEPTED
    assert verdict.notes == (f"the evaluation data is not what version 7 was judged on (data/test): {note}",)


def test_a_champion_that_cannot_be_scored_rejects_comparisons_alone() -> None:
    """The reason and the way out are the rival's; a gate without comparisons does not need it."""
    rival = Incomparable(version="7", content=THERE, reason="its files are gone", hint="put them back")
    verdict = judge(model("auc > champion.auc", "auc > 0.5"), candidate({"auc": 0.9}), rival, {})
    assert (verdict.status, verdict.hint) == (Status.REJECTED, "put them back")
    assert verdict.findings[0].detail == "champion not comparable: its files are gone"
    assert verdict.champion == Opponent(version="7", metrics={})
    assert judge(model("auc > 0.5"), candidate({"auc": 0.9}), rival, {}).status is Status.ACCEPTED


@pytest.mark.parametrize("kind", ["champion", "incomparable"])
def test_the_champions_own_bytes_are_unchanged(kind: str) -> None:
    """Comparisons are skipped, whatever the champion's metrics; absolute checks still decide."""
    rival: Rival = msgspec.structs.replace(champion({"auc": 0.95}, data=THERE), content=HERE)
    if kind == "incomparable":
        rival = Incomparable(version="7", content=HERE, reason="its files are gone")
    verdict = judge(model("auc > champion.auc", "auc > 0.5"), candidate({"auc": 0.9}), rival, {})
    assert (verdict.status, verdict.reason) == (Status.UNCHANGED, "the model is version 7, byte by byte")
    assert verdict.findings[0].detail == "unchanged: the same bytes as version 7"
    assert verdict.notes == ()
    assert not verdict.lets_through
    verdict = judge(model("auc > champion.auc", "auc > 0.91"), candidate({"auc": 0.9}), rival, {})
    assert verdict.status is Status.REJECTED


def csv(values: list[float]) -> bytes:
    return ("id,score\n" + "\n".join(f"{index},{value}" for index, value in enumerate(values))).encode()


OLD = [Random(index).random() for index in range(100)]
BETTER = csv([value + Random(-index).random() / 10 for index, value in enumerate(OLD)])
PAIRED = PairedCheck(metric="quality", confidence=0.95, scores=SCORES)


def test_a_paired_comparison_passes_above_its_lower_end() -> None:
    """The check holds when the interval's lower end is above `by`, and not at it."""
    new, old = candidate(scores=BETTER), champion(scores=csv(OLD))
    verdict, finding = judged(PAIRED, new, old)
    assert verdict.status is Status.ACCEPTED
    assert "95 % interval [0.0" in finding.detail
    assert "100 examples of which 100 tell the two apart" in finding.detail
    low = float(finding.detail.split("[")[1].split(",")[0])
    assert isinstance(finding.left, float)
    assert isinstance(finding.right, float)
    assert 0 < low < finding.left - finding.right
    constant = candidate(scores=csv([value + 0.5 for value in [1.0] * 100]))
    at = msgspec.structs.replace(PAIRED, by=0.5)
    assert not judged(at, constant, champion(scores=csv([1.0] * 100)))[1].passed
    below = msgspec.structs.replace(PAIRED, by=0.4999)
    assert judged(below, constant, champion(scores=csv([1.0] * 100)))[1].passed


def test_a_paired_comparison_that_fails_says_what_would_be_found() -> None:
    """The same pair the other way round fails and names the gain that these data could show."""
    _, finding = judged(PAIRED, candidate(scores=csv(OLD)), champion(scores=BETTER))
    assert not finding.passed
    assert finding.detail.startswith("the lower end is not above 0: gain -0.0")
    assert finding.detail.endswith("would be found four times in five")
    turned = msgspec.structs.replace(PAIRED, lower_is_better=True)
    assert judged(turned, candidate(scores=csv(OLD)), champion(scores=BETTER))[1].passed


@pytest.mark.parametrize(
    ("new", "old", "changes", "why"),
    [
        (None, csv(OLD), {}, "the candidate has no build/scores.csv"),
        (csv(OLD), None, {}, "champion not comparable: the champion has no build/scores.csv"),
        (b"x", csv(OLD), {}, "build/scores.csv has the columns"),
        (csv(OLD), b"", {}, "champion not comparable: build/scores.csv has the columns"),
        (csv(OLD), csv(OLD[:50]), {}, "50 examples are scored on one side only"),
        (csv(OLD[:19]), csv(OLD[:19]), {}, "too few examples"),
        (csv(OLD), csv(OLD), {}, "the two models do not differ"),
        (BETTER, csv(OLD), {"confidence": 1.0}, "a confidence of 1.0 is not between"),
        (BETTER, csv(OLD), {"confidence": 0.0}, "a confidence of 0.0 is not between"),
        (BETTER, csv(OLD), {"confidence": math.nan}, "a confidence of nan is not between"),
        (BETTER, csv(OLD), {"by": math.nan}, "the lower end is not above nan"),
        (BETTER, csv(OLD), {"by": -math.inf}, "the lower end is not above -inf"),
    ],
)
def test_a_paired_comparison_that_cannot_be_made_fails(
    new: bytes | None, old: bytes | None, changes: dict[str, float], why: str
) -> None:
    """Scores that are missing, broken, unpaired or too few reject with their reason."""
    check = msgspec.structs.replace(PAIRED, **changes)
    _, finding = judged(check, candidate(scores=new), champion(scores=old))
    assert not finding.passed
    assert why in finding.detail


def test_the_first_models_scores_must_be_usable() -> None:
    """Where there is no champion yet the candidate's scores are still read."""
    assert judged(PAIRED, candidate(scores=csv(OLD)), NoChampion())[1].passed
    assert judged(PAIRED, candidate(), NoChampion())[1].detail == "the candidate has no build/scores.csv"
    assert "line 2: 'nan' is not finite" in judged(PAIRED, candidate(scores=b"id,score\na,nan"), NoChampion())[1].detail


def test_a_metric_that_two_stages_write_must_be_qualified() -> None:
    """An unqualified name is an error where two stages write it; stages that are no writers do not count."""
    both = Candidate(
        content=HERE,
        metrics={
            TRAIN: Metrics(values={"auc": 0.99}),
            EVALUATE: Metrics(values={"auc": 0.8, "f1": 0.5}),
            StageName("other"): Metrics(values={"f1": 0.1}),
        },
        writers=(TRAIN, EVALUATE),
    )
    _, finding = judged("auc > 0.5", both, NoChampion())
    assert finding.detail == "auc is written by train and by evaluate: say stages.train.metrics.auc"
    assert judged("f1 >= 0.5", both, NoChampion())[1].passed
    verdict, finding = judged("stages.other.metrics.f1 < stages.train.metrics.auc", both, NoChampion())
    assert finding.passed
    assert verdict.metrics == {"train.auc": 0.99, "evaluate.auc": 0.8, "f1": 0.5}


def test_the_champions_metric_is_that_of_the_candidates_stage() -> None:
    """A champion whose training wrote the same name is read from the stage that writes the candidate's."""
    old = msgspec.structs.replace(
        champion(), metrics={TRAIN: Metrics(values={"auc": 0.99}), EVALUATE: Metrics(values={"auc": 0.7})}
    )
    new = candidate({"auc": 0.8})
    new = msgspec.structs.replace(new, metrics={TRAIN: Metrics(values={"loss": 0.1}), **new.metrics})
    _, finding = judged("auc > champion.auc", new, old)
    assert (finding.passed, finding.right) == (True, 0.7)
    new = msgspec.structs.replace(candidate(), metrics={StageName("score"): Metrics(values={"auc": 0.8})})
    new = msgspec.structs.replace(new, writers=(StageName("score"),))
    _, finding = judged("auc > champion.auc", new, old)
    assert "auc is written by train and by evaluate" in finding.detail


def test_a_champions_metric_of_two_stages_is_ambiguous() -> None:
    """Where the candidate's metric has no single stage, two stages of the champion are not chosen among."""
    both = {TRAIN: Metrics(values={"auc": 0.99}), EVALUATE: Metrics(values={"auc": 0.7})}
    new = msgspec.structs.replace(candidate(), metrics=both)
    _, finding = judged("champion.auc > 0.5", new, msgspec.structs.replace(champion(), metrics=both))
    assert "auc is written by train and by evaluate" in finding.detail


@pytest.mark.parametrize("within", [-0.1, math.nan, math.inf])
def test_a_tolerance_that_is_none_fails(within: float) -> None:
    """A negative or infinite tolerance passes nothing, however good the candidate."""
    check = ToleranceCheck(metric="auc", within=within)
    assert not judged(check, candidate({"auc": 0.9}), champion({"auc": 0.1}))[1].passed


@pytest.mark.parametrize("by", [math.nan, math.inf, -math.inf])
def test_an_amount_that_is_none_fails(by: float) -> None:
    """A candidate cannot be better by infinity, or by less than all."""
    assert not judged(PointCheck(metric="auc", by=by), candidate({"auc": 0.9}), champion({"auc": 0.1}))[1].passed


def test_details_say_what_the_names_stand_for() -> None:
    """Where a side is computed, or there are no two sides, the detail holds the values."""
    new, old = candidate({"auc": 0.81, "f1": 0.5}), champion({"auc": 0.8})
    _, finding = judged("auc > champion.auc + 0.002", new, old)
    assert (finding.left, finding.right, finding.detail) == (0.81, 0.802, "auc = 0.81, champion.auc = 0.8")
    _, finding = judged("auc > 0.9 or f1 > params.t", new, old, {"t": 0.6})
    assert (finding.left, finding.right, finding.detail) == (None, None, "auc = 0.81, f1 = 0.5, params.t = 0.6")
    _, finding = judged("params.t", new, old, {"t": "yes"})
    assert (finding.passed, finding.detail) == (False, "yes is neither true nor false")
    _, finding = judged("auc >", new, old)
    assert not finding.passed
    assert "the end stands where a value should be" in finding.detail


def test_every_check_is_reported() -> None:
    """A gate does not stop at the first check that fails."""
    verdict = judge(model("auc > 1", "auc > 2", "auc > 0"), candidate({"auc": 0.5}), NoChampion(), {})
    assert [finding.passed for finding in verdict.findings] == [False, False, True]
    assert verdict.reason == "2 of 3 checks did not hold: auc > 1, auc > 2"


def test_who_was_not_judged_is_not_let_through() -> None:
    """Where the gate was not asked, the verdict says why and lets nothing through."""
    verdict = not_judged(ModelName("churn"), "train was left out: when is false")
    assert (verdict.status, verdict.lets_through, verdict.tested) == (Status.NOT_JUDGED, False, False)
    assert judge(model("auc > 0"), candidate({"auc": 1}), NoChampion(), {}).lets_through


def test_a_verdict_has_no_defaults() -> None:
    """Nothing passes because a field was forgotten; what older ledgers do not say decides nothing."""
    assert msgspec.structs.fields(Verdict)
    fields = (*msgspec.structs.fields(Verdict), *msgspec.structs.fields(Finding))
    assert {field.name for field in fields if not field.required} == {"difference"}


def test_what_a_gate_reads() -> None:
    """Named stages alone where all are named, every writer else; scores by their file; parameters by name."""
    named = ExpressionCheck(expression="stages.x.metrics.auc > params.t")
    assert reads([named], (TRAIN,)) == Reads(
        stages=frozenset({StageName("x")}), scores=frozenset(), params=frozenset({"t"})
    )
    for check in (
        ExpressionCheck(expression="auc > 1"),
        ExpressionCheck(expression="champion.auc < 1"),
        PointCheck(metric="auc"),
        ToleranceCheck(metric="auc", within=0.1),
    ):
        assert reads([check], (TRAIN, EVALUATE)).stages == {TRAIN, EVALUATE}
    assert reads([PAIRED], (TRAIN,)) == Reads(stages=frozenset(), scores=frozenset({SCORES}), params=frozenset())


def test_checks_are_described_as_a_person_would_write_them() -> None:
    """Each kind of check has one line."""
    assert [
        checks.describe(check)
        for check in (
            ExpressionCheck(expression=" auc >= 0.80 "),
            msgspec.structs.replace(PAIRED, by=0.01),
            PointCheck(metric="auc", by=0.002),
            ToleranceCheck(metric="latency-ms", within=0.1, lower_is_better=True),
            ToleranceCheck(metric="auc", within=0.05, relative=False),
        )
    ] == [
        "auc >= 0.80",
        "quality beats champion by more than 0.01 at 95 %",
        "auc beats champion by more than 0.002",
        "latency-ms within 10 % of champion, lower is better",
        "auc within 0.05 of champion",
    ]


def test_the_table_and_the_json_hold_every_finding() -> None:
    """Rows are text for people, JSON has the contract's fields, and a stored verdict reads back equal."""
    verdict = judge(model("auc > champion.auc", "f1 > 0"), candidate({"auc": 0.80000001}), champion({"auc": 0.8}), {})
    assert rows(verdict.findings) == (
        Row(mark="pass", check="auc > champion.auc", left="0.80000001", right="0.8", detail=""),
        Row(mark="fail", check="f1 > 0", left="–", right="0", detail="no stage writes a metric f1"),
    )
    assert msgspec.to_builtins(check_lines(verdict.findings))[0] == {
        "check": "auc > champion.auc",
        "passed": True,
        "left": 0.80000001,
        "right": 0.8,
        "detail": "",
    }
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
    assert (shown(True), shown("x"), shown(1 / 3), shown(None)) == ("yes", "x", "0.333333", "–")


NUMBERS = st.floats() | st.sampled_from([0.0, 0.5, 1.0, 1e308, -1e308, 5e-324])
SIDES = st.dictionaries(st.sampled_from(["a", "b", "v/l"]), NUMBERS)
CHECKS: st.SearchStrategy[Check] = st.one_of(
    st.builds(
        ExpressionCheck,
        expression=st.sampled_from(
            [
                "a > 0.5",
                "not (a > 0.5)",
                "a > champion.a",
                "a / b < 2 or not a < champion.b",
                '"v/l" != b',
                "a",
                "(",
                "a * b >= a",
            ]
        ),
    ),
    st.builds(PointCheck, metric=st.sampled_from(["a", "b", "c"]), by=NUMBERS, lower_is_better=st.booleans()),
    st.builds(
        ToleranceCheck,
        metric=st.sampled_from(["a", "b", "c"]),
        within=NUMBERS,
        relative=st.booleans(),
        lower_is_better=st.booleans(),
    ),
    st.builds(PairedCheck, metric=st.just("x"), confidence=NUMBERS, scores=st.just(SCORES), by=NUMBERS),
)
RIVALS: st.SearchStrategy[Rival] = st.one_of(
    st.builds(NoChampion),
    st.builds(champion, SIDES, scores=st.none() | st.binary(max_size=20)),
    st.builds(Incomparable, version=st.just("1"), content=st.sampled_from([HERE, THERE]), reason=st.just("gone")),
)


@given(st.lists(CHECKS, max_size=3), SIDES, RIVALS, st.sampled_from(Compare))
def test_the_gate_is_total(gate: list[Check], values: dict[str, float], rival: Rival, compare: Compare) -> None:
    """Any checks over any numbers give a verdict that is JSON, with a finding each, and it passes only if all do."""
    verdict = judge(model(*gate, compare=compare), candidate(values), rival, {})
    assert len(verdict.findings) == len(gate)
    assert (verdict.status is Status.REJECTED) is not all(finding.passed for finding in verdict.findings)
    assert all(finding.passed or finding.detail or finding.left is not None for finding in verdict.findings)
    json.dumps(msgspec.to_builtins(check_lines(verdict.findings)), allow_nan=False)


@given(CHECKS, st.sampled_from([math.nan, math.inf, -math.inf]), RIVALS)
def test_no_check_passes_on_a_number_that_is_not_finite(check: Check, value: float, rival: Rival) -> None:
    """NaN and infinity in every metric fail whatever reads one of them."""
    verdict = judge(model(check), candidate(dict.fromkeys(["a", "b", "v/l"], value)), rival, {})
    assert verdict.status is Status.REJECTED or (isinstance(check, PairedCheck))
