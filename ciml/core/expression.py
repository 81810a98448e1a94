"""The gate's and `when`'s small language: what a text asks, and what it reads.

What an expression says of given values is in `ciml.core.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ciml.core.grammar import ExpressionError, read
from ciml.core.ids import StageName
from ciml.core.kinds import Kind, kind
from ciml.core.metrics import Metrics
from ciml.core.pipeline import ParamValue
from ciml.core.syntax import ChampionMetric, Expression, Metric, Param, StageMetric, references, show
from ciml.core.value import Value


class Names(Value, frozen=True, kw_only=True):
    """What an expression reads."""

    metrics: frozenset[str] = frozenset()
    champion: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    stages: frozenset[tuple[StageName, str]] = frozenset()
    """(stage, metric)"""


def parse(text: str) -> Expression:
    """The yes-or-no question that `text` asks.

    Raises:
        ExpressionError: it is no expression, or its operands cannot be compared or computed
            whatever their values are, or it is a number and asks nothing.
    """
    expression = read(text)
    if (found := kind(expression, text)) not in (Kind.TRUTH, Kind.ANY):
        hint = f"compare it: {show(expression)} >= 0.8" if found is Kind.NUMBER else None
        raise ExpressionError(text, f"this is {found.value} and asks nothing", hint=hint)
    return expression


def parse_condition(text: str) -> Expression:
    """The question that a stage's `when` asks, which may read parameters and named stages' metrics.

    Raises:
        ExpressionError: as `parse`, or it reads the champion or a metric without its stage.
    """
    expression = parse(text)
    read = names(expression)
    if read.champion:
        raise ExpressionError(text, "a condition cannot read the champion", hint="only a model's gate can")
    if read.metrics:
        name = min(read.metrics)
        raise ExpressionError(text, f"no stage is named for {name}", hint=f"stages.NAME.metrics.{name}")
    return expression


def stages_read(text: str) -> tuple[StageName, ...]:
    """The stages whose metrics a condition reads, sorted."""
    return tuple(sorted({stage for stage, _ in names(parse_condition(text)).stages}))


def evaluate_condition(text: str, metrics: Mapping[StageName, Metrics], params: Mapping[str, ParamValue]) -> bool | str:
    """The value of a `when`, or one clause on why it has none.

    Raises:
        ExpressionError: as `parse_condition`.
    """
    # Imported here: it brings decimal, and most plans have no condition to evaluate.
    from ciml.core.evaluation import holds

    return holds(parse_condition(text), metrics, params)


def names(expression: Expression) -> Names:
    """Which metrics, champion's metrics, parameters and stages' metrics the expression reads."""
    found = tuple(references(expression))
    return Names(
        metrics=frozenset(item.name for item in found if isinstance(item, Metric)),
        champion=frozenset(item.name for item in found if isinstance(item, ChampionMetric)),
        params=frozenset(item.name for item in found if isinstance(item, Param)),
        stages=frozenset((item.stage, item.name) for item in found if isinstance(item, StageMetric)),
    )
