"""From a pipeline and a tree to a graph: every input resolved, every recipe known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ciml.app.ports import Tree
from ciml.app.sources import Resolver
from ciml.core import dag, expression
from ciml.core import key as keys
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName
from ciml.core.inputs import Input, ProducedInput
from ciml.core.key import Runtime
from ciml.core.manifest import Manifest
from ciml.core.pipeline import Pipeline, Stage
from ciml.core.plan import Graph
from ciml.core.results import Output


def graph_of(
    pipeline: Pipeline,
    tree: Tree,
    *,
    imported: dict[GitOid, tuple[ImportedName, ...]],
    parse_manifest: Callable[[bytes, RepoPath], Manifest],
    part_of: Callable[[Manifest, str], Output | None],
    platform: str,
) -> Graph:
    """The graph of a pipeline in one tree.

    Args:
        pipeline: what `ciml.yaml` asks for.
        tree: a commit's, or the work tree's.
        imported: what each Python file imports, by Git object id; filled as files are read.
        parse_manifest: reads a manifest's bytes.
        part_of: what lies at a path below a directory of data.
        platform: system and architecture of the worker.

    Raises:
        ConfigurationError: an input that is nothing, or stages that wait for each other.
    """
    resolver = Resolver(pipeline, tree, imported=imported, parse_manifest=parse_manifest, part_of=part_of)
    inputs = resolver.resolve()
    conditions = {
        name: _conditions(stage, pipeline) for name, stage in pipeline.stages.items() if stage.when is not None
    }
    waits = {name: _waits(stage, inputs[name], conditions.get(name, ())) for name, stage in pipeline.stages.items()}
    order = _ordered(waits)
    runtime = _runtime(pipeline, tree, platform)
    recipes: dict[StageName, Digest] = {}
    for name in order:
        recipes[name] = keys.recipe(pipeline.stages[name], inputs[name], runtime, recipes, conditions.get(name, ()))
    return Graph(
        pipeline=pipeline,
        order=order,
        inputs=inputs,
        conditions=conditions,
        waits=waits,
        recipes=recipes,
        runtime=runtime,
        producers=resolver.producers,
        folders=resolver.folders,
    )


def _waits(stage: Stage, inputs: tuple[Input, ...], conditions: tuple[StageName, ...]) -> tuple[StageName, ...]:
    makers = [item.stage for item in inputs if isinstance(item, ProducedInput)]
    candidates = [name for pair in stage.pick.candidates for name in pair] if stage.pick else []
    return tuple(dict.fromkeys([*makers, *conditions, *candidates, *stage.needs]))


def _ordered(waits: Mapping[StageName, tuple[StageName, ...]]) -> tuple[StageName, ...]:
    try:
        return dag.order(waits)
    except dag.CycleError as error:
        problem = Problem(message=f"stages wait for each other: {error}", key="stages")
        raise ConfigurationError(problems=[problem]) from error


def _conditions(stage: Stage, pipeline: Pipeline) -> tuple[StageName, ...]:
    """The stages whose metrics a `when` reads."""
    assert stage.when is not None, f"{stage.name} has no condition"
    return tuple(name for name in expression.stages_read(stage.when) if name in pipeline.stages)


def _runtime(pipeline: Pipeline, tree: Tree, platform: str) -> Runtime:
    environment = pipeline.environment
    if environment is None:
        return Runtime(python=None, requirements=None, platform=platform)
    requirements = None
    if environment.requirements:
        entry = tree.entries([environment.requirements]).get(environment.requirements)
        if entry is None:
            problem = Problem(
                message=f"{environment.requirements!r} does not exist",
                key="environment.requirements",
                hint="Write it, or leave the key out.",
            )
            raise ConfigurationError(problems=[problem])
        requirements = entry.oid
    return Runtime(
        python=environment.python, requirements=requirements, platform=f"{platform} python-{environment.python}"
    )
