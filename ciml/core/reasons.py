"""Why a stage runs: what changed of the things that it reads, in words a reviewer can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ciml.core.ids import RepoPath, StageName
from ciml.core.inputs import DataInput, TrackedInput
from ciml.core.params import differences
from ciml.core.paths import folders
from ciml.core.pipeline import Stage
from ciml.core.plan import Graph
from ciml.core.value import Value


class Before(Value, frozen=True, kw_only=True):
    """What is known of the state that a plan compares with."""

    unknown: str | None = None
    """Why nothing is known of it, when that is so: then everything counts as changed."""
    changed: frozenset[RepoPath] = frozenset()
    """Tracked paths that differ."""
    params: dict[str, str] = {}
    """Dotted path of a parameter that differs -> `params.yaml: train.lr 0.1 -> 0.05`."""
    stages: dict[StageName, Stage] | None = None
    """The stages as they were declared; None when the declarations are the same."""
    environment: bool = False
    """Whether another environment was asked for."""


class Reasons:
    """Answers why, stage by stage, at the cost of what changed and not of what is there."""

    def __init__(self, graph: Graph, before: Before) -> None:
        self._graph = graph
        self._before = before
        self._changed_folders = frozenset(folder for path in before.changed for folder in folders(path))

    def why(self, name: StageName) -> str:
        """What changed for this stage, clause by clause; "" when nothing is known to have."""
        if self._before.unknown:
            return self._before.unknown
        clauses = [*self._declared(name), *self._params(name), *self._inputs(name)]
        shown = "; ".join(clauses[:3])
        return shown + (f"; and {len(clauses) - 3} more" if len(clauses) > 3 else "")

    def _declared(self, name: StageName) -> list[str]:
        if self._before.stages is None:
            return []
        now, before = self._graph.pipeline.stages[name], self._before.stages.get(name)
        if before is None:
            return ["the stage is new"]
        values = differences(before.params, now.params)
        shared = [name for name in values if name in before.params and name in now.params]
        told = [f"{name} {values[name]}" for name in shared if name not in self._before.params]
        return [*(f"its {part} changed" for part in _parts_that_differ(now, before)), *told]

    def _params(self, name: StageName) -> list[str]:
        if not self._before.params:
            return []
        named = self._graph.pipeline.stages[name].params
        return [clause for path, clause in self._before.params.items() if path in named]

    def _inputs(self, name: StageName) -> list[str]:
        if not self._before.changed:
            return []
        clauses = []
        for item in self._graph.inputs[name]:
            match item:
                case TrackedInput(because=None) if self._differs(item.path):
                    clauses.append(f"{item.path} changed")
                case TrackedInput() if self._differs(item.path):
                    clauses.append(f"{item.path} changed, which {item.because} imports")
                case DataInput() if item.manifest in self._before.changed:
                    clauses.append(f"data {item.path} changed")
        environment = self._graph.pipeline.environment
        if environment and environment.requirements in self._before.changed:
            clauses.append(f"{environment.requirements} changed")
        elif self._before.environment and self._before.stages:
            clauses.append("the environment changed")
        return clauses

    def _differs(self, path: RepoPath) -> bool:
        return path in self._before.changed or path in self._changed_folders


def _parts_that_differ(now: Stage, before: Stage) -> Sequence[str]:
    pairs: Mapping[str, tuple[object, object]] = {
        # The values in a script are parameters, which are told by name.
        "command": ((now.command.script, now.command.argv), (before.command.script, before.command.argv)),
        "params": (now.params.keys(), before.params.keys()),
        "inputs": (now.inputs, before.inputs),
        "outputs": ((now.outputs, now.metrics), (before.outputs, before.metrics)),
        "env": (now.env, before.env),
        "image": (now.image, before.image),
        "workdir": (now.workdir, before.workdir),
        "condition": (now.when, before.when),
        "pick": (now.pick, before.pick),
        "platform": (now.any_platform, before.any_platform),
    }
    return [part for part, (one, other) in pairs.items() if one != other]
