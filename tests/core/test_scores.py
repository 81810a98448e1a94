from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core import scores
from ciml.core.ids import RepoPath
from ciml.core.metrics import Undefined
from ciml.core.scores import Comparison, Scores, compare, parse

FILE = RepoPath("build/scores.csv")


def read(text: str) -> Scores:
    found = parse(text.encode(), FILE)
    assert isinstance(found, Scores), found
    return found


def compared(
    metric: str, candidate: Scores, champion: Scores, *, level: float = 0.95, lower_is_better: bool = False
) -> Comparison:
    found = compare(metric, candidate, champion, level=level, lower_is_better=lower_is_better)
    assert isinstance(found, Comparison), found
    return found


def why(metric: str, candidate: Scores, champion: Scores) -> str:
    found = compare(metric, candidate, champion, level=0.95, lower_is_better=False)
    assert isinstance(found, Undefined), found
    return found.reason


def predictions(values: Sequence[object], labels: Sequence[object]) -> Scores:
    rows = [f"{index},{label},{value}" for index, (label, value) in enumerate(zip(labels, values, strict=True))]
    return read("\n".join(["id,label,prediction", *rows]))


def test_rows_are_sorted_by_id_whatever_their_order() -> None:
    """Neither the order of rows, nor of columns, nor a column beside them matters."""
    plain = read("id,score\nb,2\na,1\n")
    assert plain == Scores(ids=("a", "b"), values=("1", "2"), labels=None)
    assert read("score,note,id\r\n1,x,a\r\n\r\n2,y,b\r\n") == plain
    assert read("\ufeffid, label ,prediction\na,1,0.5") == Scores(ids=("a",), values=("0.5",), labels=("1",))
    assert read('id,score\n"a,\u2028""b""",1') == Scores(ids=('a,\u2028"b"',), values=("1",), labels=None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has the columns '', not id,score or id,label,prediction"),
        ("a,1\n", "has the columns 'a,1'"),
        ("id,label\n1,0\n", "has the columns 'id,label'"),
        ("id,id,score\n1,1,1\n", "has the columns 'id,id,score'"),
        ("id,label,prediction,score\n1,1,1,1\n", "has the columns"),
        ("id,score\n", "has no examples"),
        ("id,score\na,1\na,2\n", "line 3: id 'a' is given twice"),
        ("id,score\n,1\n", "line 2: the id is empty"),
        ("id,score\na,\n", "line 2: a cell is empty"),
        ("id,score\na,x\n", "line 2: the score 'x' is not a number"),
        ("id,score\na,1_0\n", "line 2: the score '1_0' is not a number"),
        ("id,score\na,nan\n", "line 2: 'nan' is not finite"),
        ("id,score\na,1e999\n", "line 2: '1e999' is not finite"),
        ("id,score\na,-inf\n", "line 2: '-inf' is not finite"),
        ("id,label,prediction\na,NaN,1\n", "line 2: 'NaN' is not finite"),
        ("id,label,prediction\na,1,inf\n", "line 2: 'inf' is not finite"),
        ("id,score\na\n", "line 2 has 1 cells, the header 2"),
        ("id,score\na,1,2\n", "line 2 has 3 cells, the header 2"),
        ('id,score\n"a"b,1\n', "is not CSV"),
        ("id,score\n" + "a" * 200_000 + ",1\n", "is not CSV"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: str, reason: str) -> None:
    """Duplicates, holes, text, NaN, infinity and other columns are reasons, never guesses."""
    found = parse(text.encode(), FILE)
    assert isinstance(found, Undefined)
    assert reason in found.reason
    assert FILE in found.reason


def test_bytes_that_are_no_text_and_files_that_are_too_large_say_so() -> None:
    """Not UTF-8 and beyond the limit are reasons."""
    found = parse(b"id,score\n\xff,1", FILE)
    assert found == Undefined(reason=f"{FILE} is not UTF-8: invalid start byte at byte 9")

    class Huge(bytes):
        def __len__(self) -> int:
            return scores.MAX_BYTES + 1

    assert parse(Huge(), FILE) == Undefined(reason=f"{FILE} is larger than 256 MiB")


def test_scores_are_averaged() -> None:
    """Of `id,score` the mean is compared, under whatever name."""
    generator = Random(1)
    old = [generator.random() for _ in range(50)]
    new = [value + generator.random() for value in old]
    sides = [
        read("id,score\n" + "\n".join(f"{index},{value}" for index, value in enumerate(side))) for side in (new, old)
    ]
    found = compared("f1-by-document", *sides)
    assert found.candidate == pytest.approx(math.fsum(new) / 50)
    assert found.champion == pytest.approx(math.fsum(old) / 50)
    assert found.interval.gain == pytest.approx(found.candidate - found.champion)
    assert found.interval.low > 0
    turned = compared("f1-by-document", *sides, lower_is_better=True)
    assert turned.interval.gain == pytest.approx(-found.interval.gain)
    assert turned.interval.high < 0


LABELS: Sequence[object] = [1, 0] * 20
GOOD: Sequence[object] = [*[0.9, 0.2] * 14, *[0.4, 0.6] * 6]
BAD: Sequence[object] = [*[0.3, 0.8] * 14, *[0.4, 0.6] * 6]


def test_every_metric_of_labels_and_predictions() -> None:
    """Accuracy cuts probabilities at one half; the losses are means over the examples; AUC ranks."""
    good, bad = predictions(GOOD, LABELS), predictions(BAD, LABELS)
    assert compared("accuracy", good, bad).candidate == 28 / 40
    assert compared("accuracy", good, bad).champion == 0
    squares = (28 * 0.1**2 / 2 + 28 * 0.2**2 / 2 + 12 * 0.6**2) / 40
    assert compared("mse", good, bad, lower_is_better=True).candidate == pytest.approx(squares)
    assert compared("mae", good, bad, lower_is_better=True).candidate == pytest.approx(
        (14 * 0.1 + 14 * 0.2 + 12 * 0.6) / 40
    )
    logs = -(14 * math.log(0.9) + 14 * math.log(0.8) + 12 * math.log(0.4)) / 40
    assert compared("log-loss", good, bad, lower_is_better=True).candidate == pytest.approx(logs)
    assert compared("log_loss", good, bad, lower_is_better=True).interval.low > 0
    ranked = compared("auc", good, bad)
    assert ranked.candidate == pytest.approx((14 * 20 + 6 * 14) / 400)
    assert ranked.champion == pytest.approx(0)
    assert ranked.interval.gain == pytest.approx(ranked.candidate)
    assert compared("auc", good, bad, lower_is_better=True).interval.gain == pytest.approx(-ranked.candidate)


def test_a_probability_of_one_half_speaks_for_zero() -> None:
    """The cut is above one half, as argmax over (1 - p, p) has it."""
    labels = [1, 1, 1, 0] * 10
    half = predictions([0.5] * 40, labels)
    right = predictions([0.6, 0.51, 0.6, 0.4] * 10, labels)
    found = compared("accuracy", right, half)
    assert (found.candidate, found.champion) == (1, 0.25)


def test_classes_are_compared_as_numbers_or_texts() -> None:
    """1 and 1.0 are one class, true is 1, cat is cat; classes beside probabilities agree."""
    labels: Sequence[object] = ["cat", "dog"] * 20
    right = predictions(labels, labels)
    wrong = predictions(["dog", "dog"] * 20, labels)
    assert (compared("accuracy", right, wrong).candidate, compared("accuracy", right, wrong).champion) == (1, 0.5)
    found = compared("accuracy", predictions(["1.0", "false"] * 20, LABELS), predictions([0.3, 0.1] * 20, LABELS))
    assert (found.candidate, found.champion) == (1, 0.5)
    digits: Sequence[object] = [0, 1, 2, 3] * 10
    assert compared("accuracy", predictions(digits, digits), predictions([0] * 40, digits)).champion == 0.25


def test_a_certain_mistake_costs_no_infinity() -> None:
    """Probabilities of zero and one have a finite log-loss."""
    sure = predictions([0, 1] * 20, LABELS)
    assert compared("log-loss", sure, predictions(GOOD, LABELS), lower_is_better=True).candidate == pytest.approx(
        -math.log(1e-15)
    )


@pytest.mark.parametrize(
    ("metric", "values", "labels", "reason"),
    [
        ("f1", GOOD, LABELS, "f1 cannot be computed from labels and predictions"),
        ("auc", GOOD, [1, 2] * 20, "auc needs labels that are 0 or 1"),
        ("auc", GOOD, [1] * 40, "auc needs examples of both labels"),
        ("auc", ["x"] * 40, LABELS, "'x' is not a number"),
        ("mse", GOOD, ["x"] * 40, "'x' is not a number"),
        ("mse", [1e200] * 40, LABELS, "a score is larger than 1e+100"),
        ("log-loss", [1.5] * 40, LABELS, "log-loss needs labels that are 0 or 1, and probabilities"),
        ("log-loss", GOOD, [2] * 40, "log-loss needs labels that are 0 or 1, and probabilities"),
        ("accuracy", [-1.5, 2.5] * 20, LABELS, "accuracy needs predictions that are classes or probabilities"),
        ("accuracy", [0.5, "x"] * 20, LABELS, "accuracy needs predictions that are classes or probabilities"),
        ("accuracy", GOOD, LABELS, "do not differ on any of 40 examples"),
    ],
)
def test_what_cannot_be_computed_says_why(
    metric: str, values: Sequence[object], labels: Sequence[object], reason: str
) -> None:
    """A metric that these cells do not support is a reason."""
    side = predictions(values, labels)
    assert reason in why(metric, side, side)


def test_files_of_other_examples_are_not_compared() -> None:
    """Ids on one side only, other labels and other kinds of file are reasons that name an example."""
    base = read("id,score\na,1\nb,2\n")
    assert why("x", base, read("id,score\na,1\n")) == (
        "1 examples are scored on one side only, id 'b' not by the champion"
    )
    assert why("x", read("id,score\nb,1\n"), base) == (
        "1 examples are scored on one side only, id 'a' not by the candidate"
    )
    labelled = read("id,label,prediction\na,1,1\nb,0,0\n")
    assert why("accuracy", labelled, base) == "one side has scores, the other labels and predictions"
    other = read("id,label,prediction\na,1,1\nb,1,0\n")
    assert why("accuracy", labelled, other) == "the data differs: id 'b' has the label '0' here, '1' for the champion"


def test_labels_that_are_written_otherwise_are_the_same_labels() -> None:
    """1, 1.0 and true are one label."""
    one = predictions(GOOD, [1, 0] * 20)
    other = predictions(BAD, ["1.0", "false"] * 20)
    assert compared("accuracy", one, other).candidate == 28 / 40


CELLS = st.one_of(st.floats().map(repr), st.text(max_size=4), st.sampled_from(["0", "1", "0.5", "x", "true"]))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    """Whatever a stage writes is scores or a reason."""
    parse(data, FILE)
    parse(b"id,score\n" + data, FILE)


@given(
    st.sampled_from(["accuracy", "auc", "log-loss", "mse", "mae", "f1"]),
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=20, max_size=24),
    st.booleans(),
)
def test_any_cells_are_compared_without_raising(metric: str, cells: list[tuple[str, str, str]], lower: bool) -> None:
    """Any two files have a finite comparison or a reason."""
    ids = tuple(str(index) for index in range(len(cells)))
    labels = tuple(label for label, _, _ in cells)
    new = Scores(ids=ids, labels=labels, values=tuple(value for _, value, _ in cells))
    old = Scores(ids=ids, labels=labels, values=tuple(value for _, _, value in cells))
    found = compare(metric, new, old, level=0.9, lower_is_better=lower)
    assert isinstance(found, Undefined) or math.isfinite(found.interval.low)
