"""A matrix: one instance of a stage for every combination of values, and the pick that ends it.

What is fanned out with a matrix stage are the stages on the way from it to the one that writes the
picked metric. An instance sees the declared paths; the graph knows them with the instance's mark. The
pick nodes bear the plain names and paths, and all of one matrix share the rule, hence the winner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Literal

from msgspec import UNSET

from ciml.core.dag import upstream
from ciml.core.declarations import text_of
from ciml.core.document import PickKeys
from ciml.core.findings import Findings, KeyPath
from ciml.core.ids import RepoPath, StageName
from ciml.core.paths import folders, marked
from ciml.core.pipeline import PickRule, Scalar, Stage
from ciml.core.placeholders import Lookup, PlaceholderError, names, replaced
from ciml.core.template import Template
from ciml.core.value import Value

MAX_INSTANCES = 10_000
"""Of one matrix; every instance is a stage."""

_UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]")
_STAGE_METRIC = re.compile(r'stages\.(?:"([^"]+)"|([^".]+(?:\.[^".]+)*))\.metrics\.(.+)')

Edges = Mapping[StageName, tuple[StageName, ...]]


class Instance(Value, frozen=True, kw_only=True):
    """One combination of a matrix's values."""

    mark: str
    """`0.1-1`"""
    values: dict[str, Scalar]

    def of(self, stage: StageName) -> StageName:
        """The name of a stage's instance."""
        return StageName(f"{stage}@{self.mark}")


class Fan(Value, frozen=True, kw_only=True):
    """A matrix stage with the stages that are fanned out with it."""

    origin: StageName
    members: frozenset[StageName]
    instances: tuple[Instance, ...]
    metric: str | None = None
    """None: without a pick, the instances stand beside each other."""
    goal: Literal["max", "min"] = "max"
    scorer: StageName | None = None
    """The member that writes the metric."""

    def rule(self, stage: StageName) -> PickRule:
        """What the pick node of a member does."""
        assert self.metric is not None and self.scorer is not None, "only a fan with a pick has a rule"
        candidates = tuple((each.of(stage), each.of(self.scorer)) for each in self.instances)
        return PickRule(metric=self.metric, goal=self.goal, candidates=candidates)


def fans(
    templates: Mapping[StageName, Template],
    edges: Edges,
    readers: Mapping[StageName, list[StageName]],
    found: Findings,
) -> dict[StageName, Fan]:
    """The fan of each stage that is in one, by the stage's name; what is wrong is noted in `found`.

    Args:
        templates: all stages.
        edges: for each those whose outputs it reads.
        readers: the same the other way round.
        found: where problems are noted.
    """
    fan_of: dict[StageName, Fan] = {}
    for name, template in templates.items():
        matrix, pick = template.keys.matrix, template.keys.pick
        if matrix is UNSET:
            if pick is not UNSET:
                found.add((*template.at, "pick"), "there is no matrix to pick from", "add `matrix`, or remove `pick`")
            continue
        instances = _instances(matrix, found, (*template.at, "matrix"))
        fan = Fan(origin=name, members=frozenset([name]), instances=instances)
        if pick is not UNSET:
            picked = _with_pick(fan, pick, templates, upstream(readers, [name]), edges, found)
            if picked is None:
                continue
            fan = picked
        for member in fan.members:
            other = fan_of.setdefault(member, fan)
            if other is not fan:
                message = f"is fanned out with {other.origin} and with {name}"
                found.add(("stages", member), message, "make it one matrix, or read what the first pick leaves")
        _check(fan, templates, found)
    return fan_of


def _instances(matrix: Mapping[str, list[Scalar]], found: Findings, at: KeyPath) -> tuple[Instance, ...]:
    count = prod(len(values) for values in matrix.values())
    if count > MAX_INSTANCES:
        found.add(at, f"makes {count:,} instances; at most {MAX_INSTANCES:,} are made", "remove values")
        return ()
    if not matrix:
        found.add(at, "is empty", "name at least one list of values")
    for axis, values in matrix.items():
        texts = [text_of(value) for value in values]
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            found.add((*at, axis), f"names {twice} twice", "name each value once")
    marks: dict[str, int] = {}
    made = []
    for combination in product(*matrix.values()):
        mark = "-".join(_UNSAFE.sub("_", text_of(value))[:40] for value in combination)
        marks[mark.casefold()] = again = marks.get(mark.casefold(), 0) + 1
        mark = mark if again == 1 else f"{mark}+{again}"
        made.append(Instance(mark=mark, values=dict(zip(matrix, combination, strict=True))))
    return tuple(made)


def _with_pick(
    fan: Fan,
    pick: PickKeys,
    templates: Mapping[StageName, Template],
    after: frozenset[StageName],
    edges: Edges,
    found: Findings,
) -> Fan | None:
    """The fan with its members, `after` being all that comes after its origin."""
    at: KeyPath = ("stages", fan.origin, "pick")
    if (pick.max is UNSET) == (pick.min is UNSET):
        found.add(at, "needs one of max and min", "write {max: METRIC} or {min: METRIC}")
        return None
    metric = pick.max if pick.max is not UNSET else pick.min
    assert metric is not UNSET, "one of the two is set"
    writers = [name for name in templates if name in after and templates[name].skeleton.metrics]
    if qualified := _STAGE_METRIC.fullmatch(metric):
        named = StageName(qualified[1] or qualified[2])
        metric = qualified[3].strip('"')
        if named not in writers:
            why = "writes no metrics" if named in after else f"does not come after {fan.origin}"
            found.add(at, f"stage {named} {why}", f"name one of {', '.join(writers)}" if writers else None)
            return None
        writers = [named]
    if len(writers) != 1:
        if writers:
            hint = f"say which: stages.{writers[-1]}.metrics.{metric}"
            found.add(at, f"{' and '.join(writers)} write metrics, so {metric} could be any one's", hint)
        else:
            found.add(at, f"no stage from {fan.origin} on writes metrics", "list its file under `metrics`")
        return None
    before = upstream(edges, writers)
    goal: Literal["max", "min"] = "max" if pick.max is not UNSET else "min"
    return Fan(
        origin=fan.origin,
        members=after & before & templates.keys(),
        instances=fan.instances,
        metric=metric,
        goal=goal,
        scorer=writers[0],
    )


def _check(fan: Fan, templates: Mapping[StageName, Template], found: Findings) -> None:
    outputs = {place.path: name for name in fan.members for place in templates[name].skeleton.outputs}
    holding = {folder: path for path in outputs for folder in folders(path)}
    for name in fan.members:
        template = templates[name]
        if name != fan.origin and template.keys.matrix is not UNSET:
            message = f"is fanned out with {fan.origin} and has a matrix of its own"
            found.add((*template.at, "matrix"), message, f"move its values to the matrix of {fan.origin}")
        shared = any(not _distinct(place.path, fan) for place in template.skeleton.outputs)
        if shared and template.keys.isolation == "none":
            message = "instances of a matrix would share paths in the work tree"
            found.add(template.at, message, "remove `isolation: none`, or put ${{ matrix.… }} into every output")
        for place in template.skeleton.inputs:
            if path := holding.get(place.path):
                hint = f"name what it reads: {path}"
                found.add(template.at, f"reads {place.path}, which holds an output of {outputs[path]}", hint)


def _distinct(path: str, fan: Fan) -> bool:
    """Whether a declared path names every axis, so that each instance's is its own."""
    try:
        used = names(path)
    except PlaceholderError:
        return True
    return all(f"matrix.{axis}" in used for axis in fan.instances[0].values) if fan.instances else True


class Moves:
    """The graph's paths for one instance's declared paths."""

    def __init__(self, fan: Fan, instance: Instance, templates: Mapping[StageName, Template], value: Lookup) -> None:
        self._value = value
        self._moves: dict[str, RepoPath] = {}
        for name in fan.members:
            for place in templates[name].skeleton.outputs:
                path = self._resolved(place.path)
                self._moves[place.path] = path if _distinct(place.path, fan) else marked(path, instance.mark)

    def _resolved(self, path: str) -> RepoPath:
        try:
            return RepoPath(replaced(path, self._value))
        except PlaceholderError:  # noted where the stage itself is made
            return RepoPath(path)

    def __call__(self, path: RepoPath) -> RepoPath:
        """The path with the mark of the output that it is, or lies in; else just resolved."""
        for whole in (path, *folders(path)):
            if moved := self._moves.get(whole):
                return RepoPath(moved + self._resolved(path[len(whole) :]))
        return self._resolved(path)


def pick_node(template: Template, fan: Fan) -> Stage:
    """The node that bears a member's plain name and paths."""
    skeleton = template.skeleton
    return Stage(
        name=template.name,
        template=template.name,
        pick=fan.rule(template.name),
        outputs=tuple(place for place in skeleton.outputs if "${{" not in place.path),
        metrics=tuple(path for path in skeleton.metrics if "${{" not in path),
        plots=tuple(path for path in skeleton.plots if "${{" not in path),
        description=template.keys.description,
        line=skeleton.line,
    )
