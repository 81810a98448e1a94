"""Metrics of a stage: the numbers, and what was found in a number's place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ciml.core.findings import suggestion
from ciml.core.ids import RepoPath, StageName
from ciml.core.value import Value

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32

FILE = ""
"""The name under which `Metrics.problems` holds what is wrong with a file as a whole."""


class Undefined(Value, frozen=True, kw_only=True):
    """Stands where a number or an answer cannot be had; whatever is computed from it is undefined too."""

    reason: str
    """One clause: `metric auc is not finite`."""


class Metrics(Value, frozen=True, kw_only=True):
    """What a stage's metrics files say, nested keys joined with dots."""

    values: dict[str, float] = {}
    """Finite numbers only."""
    problems: dict[str, str] = {}
    """Metric name -> why it is not a finite number (`is not finite`, `is text`, `is given twice`, ...)."""


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it was written, keys that come twice included."""


def parse(data: bytes, file: RepoPath) -> Metrics:
    """The numbers of one metrics file, and a reason for everything in it that is not one.

    Never raises: what is wrong with the whole file is the problem named `FILE`. Nothing is
    coerced (a bool, a text and a list are problems) and of a key that comes twice neither counts.
    Whole numbers become the nearest double, -0.0 becomes 0.0.

    Args:
        data: JSON, UTF-8, an object at the top.
        file: named in the reasons.
    """
    if len(data) > MAX_BYTES:
        return _broken(f"{file} is larger than {MAX_BYTES // 1024**2} MiB")
    # json is imported here: plans read records, whose metrics are parsed already.
    import json

    try:
        # float() for whole numbers as well: int() refuses more than 4,300 digits.
        tree = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_Pairs, parse_int=float, parse_constant=float)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return _broken(f"{file} is not JSON: {error}")
    except RecursionError:
        return _broken(f"{file} is nested deeper than {MAX_DEPTH}")
    if not isinstance(tree, _Pairs):
        return _broken(f"{file} holds {_kind(tree)} where an object of metrics should be")
    return _collect(_leaves(tree, "", depth=1, twice=False))


def combine(files: Mapping[RepoPath, Metrics]) -> Metrics:
    """The metrics of all files of one stage; a name that two files give is a problem, whatever its values."""
    leaves: list[tuple[str, float | str]] = []
    for metrics in files.values():
        leaves += [*metrics.values.items(), *metrics.problems.items()]
    return _collect(leaves)


def lookup(name: str, stages: Mapping[StageName, Metrics]) -> float | Undefined:
    """The metric that exactly one of `stages` writes, or why there is no such number."""
    writers = [stage for stage, metrics in stages.items() if _mentions(metrics, name)]
    if len(writers) > 1:
        qualified = f"stages.{writers[0]}.metrics.{name}"
        return Undefined(reason=f"{name} is written by {' and by '.join(writers)}: say {qualified}")
    if writers:
        return of_stage(name, stages[writers[0]])
    broken = [metrics.problems[FILE] for metrics in stages.values() if FILE in metrics.problems]
    names = sorted({known for metrics in stages.values() for known in metrics.values})
    near = suggestion(name, names)
    return Undefined(reason="; ".join([f"no stage writes a metric {name}", *filter(None, [near]), *broken]))


def of_stage(name: str, metrics: Metrics) -> float | Undefined:
    """A metric of one stage, or why there is no such number."""
    value = metrics.values.get(name)
    if value is not None and math.isfinite(value):
        return value
    if value is not None:
        return Undefined(reason=f"metric {name} is not finite")
    if name != FILE and name in metrics.problems:
        return Undefined(reason=f"metric {name} {metrics.problems[name]}")
    return Undefined(reason=metrics.problems.get(FILE, f"there is no metric {name}"))


def _mentions(metrics: Metrics, name: str) -> bool:
    return name in metrics.values or (name != FILE and name in metrics.problems)


def _broken(reason: str) -> Metrics:
    return Metrics(problems={FILE: reason})


def _collect(leaves: Iterable[tuple[str, float | str]]) -> Metrics:
    """Names that come once with a number are values, all others are problems."""
    values: dict[str, float] = {}
    problems: dict[str, str] = {}
    for name, value in leaves:
        if name in values or name in problems:
            values.pop(name, None)
            problems[name] = f"{problems.get(name, '')}; {value}".strip("; ") if name == FILE else "is given twice"
        elif isinstance(value, str):
            problems[name] = value
        else:
            values[name] = value
    return Metrics(values=values, problems=problems)


def _leaves(node: _Pairs, prefix: str, *, depth: int, twice: bool) -> Iterator[tuple[str, float | str]]:
    """(dotted name, number or reason) of everything below an object.

    Below a key that comes twice everything is a problem: readers disagree on which one counts.
    """
    times = Counter(key for key, _ in node)
    for key, value in node:
        name = (prefix + key).encode("utf-8", "backslashreplace").decode()
        again = twice or times[key] > 1
        if isinstance(value, _Pairs) and depth < MAX_DEPTH:
            yield from _leaves(value, f"{name}.", depth=depth + 1, twice=again)
        elif again:
            yield name, "is given twice"
        elif not name:
            yield FILE, "a metric has an empty name"
        else:
            yield name, _number(value)


def _number(value: object) -> float | str:
    """A finite number as it is, anything else as what it is."""
    if not isinstance(value, float):
        return f"is {_kind(value)}"
    return value + 0.0 if math.isfinite(value) else "is not finite"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false, not a number"
        case None:
            return "null"
        case str():
            return "text"
        case _Pairs():
            return f"nested deeper than {MAX_DEPTH}"
        case list():
            return "a list"
        case _:
            return "a number"
