from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.core.errors import ConfigurationError
from ciml.core.evaluation import evaluate
from ciml.core.expression import (
    Names,
    evaluate_condition,
    names,
    parse,
    parse_condition,
    stages_read,
)
from ciml.core.grammar import MAX_DEPTH, MAX_LENGTH, MAX_TOKENS, ExpressionError, read
from ciml.core.ids import StageName
from ciml.core.metrics import Metrics, Undefined
from ciml.core.pipeline import ParamValue
from ciml.core.syntax import (
    Binary,
    Call,
    ChampionMetric,
    Expression,
    Function,
    Literal,
    Metric,
    Negative,
    Not,
    Operator,
    Param,
    StageMetric,
    literal,
    show,
)

MISSING = Undefined(reason="there is no such number")


class Known:
    """Looks names up in one mapping, as an expression writes them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def metric(self, name: str) -> float | Undefined:
        return self._number(name)

    def champion(self, name: str) -> float | Undefined:
        return self._number(f"champion.{name}")

    def stage(self, stage: StageName, name: str) -> float | Undefined:
        return self._number(f"stages.{stage}.metrics.{name}")

    def param(self, name: str) -> ParamValue | Undefined:
        value = self._values.get(f"params.{name}", MISSING)
        assert value is None or isinstance(value, bool | int | float | str | list | dict | Undefined)
        return value

    def _number(self, name: str) -> float | Undefined:
        value = self._values.get(name, MISSING)
        assert isinstance(value, int | float | Undefined)
        return value


def answer(text: str, **values: object) -> object:
    return evaluate(read(text), Known({name.replace("__", "."): value for name, value in values.items()}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc > 0.8", False),
        ("auc >= 0.8", True),
        ("auc < 0.8", False),
        ("auc <= 0.8", True),
        ("auc == 0.8", True),
        ("auc != 0.8", False),
        ("auc > 0.7999999999999999", True),
        ("auc >= 0.8000000000000002", False),
        ("auc < 0.8000000000000002", True),
        ("auc <= 0.7999999999999999", False),
    ],
)
def test_comparisons_at_just_above_and_just_below_the_limit(text: str, expected: bool) -> None:
    """Each comparison is exact at its limit and one double beside it."""
    assert answer(text, auc=0.8) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("10 - 3 - 2 == 5", True),
        ("12 / 3 / 2 == 2", True),
        ("-2 * 3 == -6", True),
        ("2 - -1 == 3", True),
        ("abs(-2) == 2", True),
        ("abs(2) == 2", True),
        ("min(3, 1, 2) == 1", True),
        ("max(3, 1, 2) == 3", True),
        ("not 1 > 2 and 2 > 1", True),
        ("not (1 > 2 or 2 > 1)", False),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("true == false", False),
        ("true != false", True),
        ("false == false", True),
        ("'a' == 'a'", True),
        ("'a' < 'b'", True),
        ("'it''s' == \"x\"", MISSING),
        ("1e-4 == 0.0001", True),
        (".5 == 0.5", True),
    ],
)
def test_precedence_and_values(text: str, expected: object) -> None:
    """Operators bind as in Python, from the left."""
    assert answer(text) == expected


def test_numbers_are_computed_as_they_are_written() -> None:
    """0.7 + 0.1 is 0.8: a metric at its limit is at the limit, whatever the binary fractions."""
    assert answer("auc > champion.auc + 0.1", auc=0.8, champion__auc=0.7) is False
    assert answer("auc >= champion.auc + 0.1", auc=0.3, champion__auc=0.2) is True
    assert answer("auc - 0.1 == champion.auc", auc=0.3, champion__auc=0.2) is True


def test_large_and_small_numbers_keep_their_digits() -> None:
    """No operation rounds to fewer digits than a double has."""
    assert answer("abs(x) == 0.1234567890123456 and -x == 0.1234567890123456", x=-0.1234567890123456) is True
    assert answer("x / 3 * 3 - x < 1e-30 and x - x / 3 * 3 < 1e-30", x=0.7) is True


@pytest.mark.parametrize(
    "text",
    [
        "gone > 1",
        "not (gone > 1)",
        "not (gone <= 1)",
        "gone != 1",
        "gone == gone",
        "gone > 1 or true",
        "true or gone > 1",
        "false and gone > 1",
        "abs(gone) >= 0",
        "max(gone, 1) >= 1",
        "min(1, gone) <= 1",
        "-gone < 1",
        "gone * 0 == 0",
        "champion.gone < 1",
        "stages.x.metrics.gone < 1",
        "params.gone == 'x'",
        "not params.gone",
    ],
)
def test_undefined_is_infectious(text: str) -> None:
    """A missing operand leaves no answer, under `not` and beside `or true` as well."""
    assert answer(text) == MISSING


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("text", ["x > 1", "not (x > 1)", "x != 1", "x == x", "abs(x) >= 0"])
def test_what_is_not_finite_is_undefined(text: str, value: float) -> None:
    """NaN, infinity and numbers beyond any double never reach a comparison."""
    assert answer(text, x=value) == Undefined(reason="x is not finite")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0 > 1", "division by zero"),
        ("not (0 / 0 > 1)", "division by zero"),
        ("1e308 * 10 > 1", "a result is too large for a number"),
        ("0 - 1e308 - 1e308 < 1", "a result is too large for a number"),
        ("params.s > 1", "> cannot take 'word' and 1.0"),
        ("params.s + 1 > 1", "+ cannot take 'word' and 1.0"),
        ("params.s + 'x' == 'wordx'", "+ cannot take 'word' and 'x'"),
        ("params.b > 1", "> cannot take True and 1.0"),
        ("params.b > false", "> cannot take True and False"),
        ("params.b + params.b > 1", "+ cannot take True and True"),
        ("params.b == 1", "== cannot take True and 1.0"),
        ("not params.s", "not cannot take 'word'"),
        ("-params.s > 1", "- cannot take 'word'"),
        ("abs(params.b) > 1", "abs cannot take True"),
        ("params.s and true", "and cannot take 'word' and True"),
        ("1 and params.n", "and cannot take 1.0 and 2.0"),
        ("params.l == 1", "params.l is neither a number, a text, true nor false"),
        ("params.z == 1", "params.z is null"),
        ("gone + params.z > 1", "there is no such number; params.z is null"),
    ],
)
def test_what_cannot_be_computed_says_why(text: str, why: str) -> None:
    """An operator that cannot take its operands gives a reason."""
    values = {"params__s": "word", "params__b": True, "params__n": 2, "params__l": [1], "params__z": None}
    assert answer(text, **values) == Undefined(reason=why)


def test_names_may_hold_dots_hyphens_and_anything_in_quotes() -> None:
    """A hyphen joins, a subtraction stands between spaces, double quotes hold whatever else."""
    assert read("latency-ms") == Metric(name="latency-ms")
    assert read("val.loss") == Metric(name="val.loss")
    assert read('"val/loss"') == Metric(name="val/loss")
    assert read('"champion.auc"') == Metric(name="champion.auc")
    assert read('val."a ""b"""') == Metric(name='val.a "b"')
    assert read("a - b") == Binary(operator=Operator.MINUS, left=Metric(name="a"), right=Metric(name="b"))
    assert read("params.min-auc") == Param(name="min-auc")
    assert read('champion."val/loss"') == ChampionMetric(name="val/loss")
    assert read("stages.train@0.1-1.metrics.val.loss") == StageMetric(stage=StageName("train@0.1-1"), name="val.loss")
    assert read('stages."a metrics".metrics."b/c"') == StageMetric(stage=StageName("a metrics"), name="b/c")
    assert read("min") == Metric(name="min")


def test_names_says_what_is_read() -> None:
    """Metrics, the champion's, parameters and stages' metrics are told apart."""
    text = "not (auc > champion.f1 + params.x) and max(-stages.s.metrics.m, \"v/l\") > 1 and 'auc2' == 'auc2'"
    assert names(parse(text)) == Names(
        metrics=frozenset({"auc", "v/l"}),
        champion=frozenset({"f1"}),
        params=frozenset({"x"}),
        stages=frozenset({(StageName("s"), "m")}),
    )


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "the end stands where a value should be", 1),
        ("auc >", "the end stands where a value should be", 6),
        ("auc > 0.8)", "')' stands where an operator or the end should be", 10),
        ("(auc > 1", "the end stands where ')' should be", 9),
        ("auc > 1 auc", "'auc' stands where an operator", 9),
        ("0 < x < 1", "a second comparison after '<'", 7),
        ("0 < x == 1", "a second comparison after '<'", 7),
        ("a = 1", "'=' means nothing", 3),
        ("a > 10%", "'%' means nothing", 7),
        ("a && b", "'&' means nothing", 3),
        ("a > ${{ params.x }}", "'$' means nothing", 5),
        ('"a > 1', "'\"' means nothing", 1),
        ("'a", '"\'" means nothing', 1),
        ("2x > 1", "'2x' is not a number", 1),
        ("a > 0.8.1", "'0.8.1' is not a number", 5),
        ("a > 1e999", "1e999 is larger than any number", 5),
        ("champion > 1", "champion needs a name", 1),
        ("params == 1", "params needs a name", 1),
        ("stages.x > 1", "names no metric", 1),
        ("stages.metrics.x > 1", "names no metric", 1),
        ("stages.x.metrics > 1", "names no metric", 1),
        ('a."" > 1', "a name is empty", 1),
        ("sqrt(a) > 1", "there is no function 'sqrt'", 1),
        ("abs(a, b) > 1", "abs takes one value, not 2", 1),
        ("min(a) > 1", "min takes two values or more", 1),
        ("max() > 1", "')' stands where a value should be", 5),
        ("a > and", "'and' has nothing before it", 5),
        ("or a", "'or' has nothing before it", 1),
        ("__import__('os') == 1", "there is no function '__import__'", 1),
        ("auc", "this is a number and asks nothing", None),
        ("'x'", "this is a text and asks nothing", None),
        ("a and b > 1", "and takes a yes or no, and a is a number", None),
        ("not a", "not takes a yes or no, and a is a number", None),
        ("a + 'x' > 1", "+ takes a number, and 'x' is a text", None),
        ("-true == 1", "- takes a number, and true is a yes or no", None),
        ("abs('x') > 1", "abs takes a number, and 'x' is a text", None),
        ("auc == 'x'", "== cannot compare a number and a text", None),
        ("true == 1", "== cannot compare a number and a yes or no", None),
        ("true < false", "< has no meaning between a yes and a no", None),
    ],
)
def test_errors_say_what_and_where(text: str, message: str, column: int | None) -> None:
    """A text that is no question is an error with its column, exit code 3."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.column == column
    assert isinstance(caught.value, ConfigurationError)


def test_parameters_may_be_of_any_kind() -> None:
    """What a parameter holds is known at run time only."""
    for text in ("params.x", "not params.x", "params.x == 'a'", "params.x > 1", "-params.x < 1", "params.x == true"):
        parse(text)


def test_length_depth_and_number_of_words_are_bounded() -> None:
    """The last allowed size is read, one more is refused; nothing recurses without bound."""
    assert read("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == Literal(value=1.0)
    longest = "+".join(["1"] * (MAX_TOKENS // 2))
    assert evaluate(read(longest), Known({})) == Decimal(MAX_TOKENS // 2)
    assert read(show(read(longest))) == read(longest)
    assert read("1".ljust(MAX_LENGTH)) == Literal(value=1.0)
    for text in (
        "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH,
        longest + "+1",
        "1".ljust(MAX_LENGTH + 1),
        "not " * 190 + "true",
    ):
        with pytest.raises(ExpressionError):
            read(text)


def test_conditions_read_parameters_and_named_stages_alone() -> None:
    """A `when` with the champion or with a metric of no named stage is refused."""
    assert stages_read("stages.b.metrics.x > 1 and stages.a.metrics.y > params.z") == ("a", "b")
    for text in ("champion.auc > 1", "auc > 1"):
        with pytest.raises(ExpressionError):
            parse_condition(text)


def test_a_condition_is_true_false_or_a_reason() -> None:
    """What has no value says why."""
    metrics = {StageName("a"): Metrics(values={"x": 2.0}, problems={"y": "is not finite"})}
    assert evaluate_condition("stages.a.metrics.x > params.t", metrics, {"t": 1}) is True
    assert evaluate_condition("stages.a.metrics.x > params.t", metrics, {"t": 2}) is False
    assert evaluate_condition("not (stages.a.metrics.y > 1)", metrics, {}) == "metric y is not finite"
    assert evaluate_condition("stages.b.metrics.x > 1", metrics, {}) == "stage b has no metrics"
    assert evaluate_condition("params.t", metrics, {}) == "there is no parameter t"
    assert evaluate_condition("params.t", metrics, {"t": "yes"}) == "yes is neither true nor false"
    assert evaluate_condition("params.t", metrics, {"t": False}) is False


@given(st.text() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**50), 2**50))
def test_a_literal_reads_back_as_its_value(value: bool | float | str) -> None:
    """What stands in a placeholder's place means the placeholder's value."""
    found = evaluate(read(literal(value)), Known({})) if len(literal(value)) <= MAX_LENGTH else value
    assert found == (Decimal(repr(value + 0.0)) if isinstance(value, float) else value)


NAMES = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["auc", "val.loss", "latency-ms", "and", "champion", "true.x"]
)
NUMBERS = st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Literal, value=st.booleans() | NUMBERS | st.text(max_size=5)),
    st.builds(Metric, name=NAMES),
    st.builds(ChampionMetric, name=NAMES),
    st.builds(StageMetric, stage=NAMES.map(StageName), name=NAMES),
    st.builds(Param, name=NAMES),
)


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Not, operand=inner),
        st.builds(Negative, operand=inner),
        st.builds(Binary, operator=st.sampled_from(Operator), left=inner, right=inner),
        st.builds(Call, function=st.just(Function.ABS), arguments=st.tuples(inner)),
        st.builds(Call, function=st.sampled_from([Function.MIN, Function.MAX]), arguments=st.tuples(inner, inner)),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=12)


@given(EXPRESSIONS)
def test_what_is_shown_reads_back_the_same(expression: Expression) -> None:
    """The canonical text has the meaning it was made from."""
    assert read(show(expression)) == expression


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3) | st.just([1])


@given(EXPRESSIONS, st.lists(st.floats() | st.just(MISSING), min_size=4, max_size=4), VALUES)
def test_evaluation_is_total(expression: Expression, numbers: list[float | Undefined], value: ParamValue) -> None:
    """Any expression over any values has an answer, and a number among the answers is finite."""

    class Anything(Known):
        def _number(self, name: str) -> float | Undefined:
            return numbers[len(name) % len(numbers)]

        def param(self, name: str) -> ParamValue | Undefined:
            return value

    found = evaluate(expression, Anything({}))
    assert isinstance(found, bool | str | Undefined) or math.isfinite(float(found))


@given(st.text(alphabet=st.sampled_from("ab.-\"'()<>=!+*/, 019eand or not"), max_size=30))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    """Nothing but ExpressionError comes out of the parser, and what it reads it can show."""
    try:
        expression = read(text)
    except ExpressionError:
        return
    assert read(show(expression)) == expression
