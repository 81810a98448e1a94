"""Work orders: from a decided stage to all that a worker needs."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.app.project import Project
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput
from ciml.core.order import OrderEnvironment, OrderInput, WorkOrder
from ciml.core.pipeline import ParamValue, Place
from ciml.core.plan import Evidence, Graph, Known, State, made_inputs
from ciml.core.results import Output
from ciml.core.tree import DIRECTORY, EXECUTABLE, LINK, SUBMODULE, TreeEntry


class Orders:
    """Makes the orders of one graph, and sees to it that the store holds what they name.

    Args:
        project: where bytes come from, and the store in which a worker will find them.
        graph: the pipeline, resolved.
        evidence: finds parts of directories.
    """

    def __init__(self, project: Project, graph: Graph, evidence: Evidence) -> None:
        self._project = project
        self._graph = graph
        self._tree = project.tree
        self._store = project.store
        self._evidence = evidence

    def order(
        self, name: StageName, key: Digest, states: Mapping[StageName, State], *, fresh: bool = False
    ) -> WorkOrder:
        """The order for a stage whose inputs are all known; `fresh` runs it although there is a record."""
        stage = self._graph.pipeline.stages[name]
        dump = self._project.documents.dump
        return WorkOrder(
            stage=name,
            recipe=self._graph.recipes[name],
            key=key,
            script=stage.command.script,
            argv=stage.command.argv,
            env={**stage.env, **stage.command.arguments},
            pass_env=stage.pass_env,
            secrets=stage.secrets,
            workdir=stage.workdir,
            inputs=tuple(self._inputs(name, states)),
            # Sorted, as in the key: equal keys see equal bytes, however the files are arranged.
            params=_sorted(_nested(stage.params)),
            params_files={path: dump(path, _sorted(tree)) for path, tree in stage.params_files.items()},
            # A record speaks of the paths that the stage sees, so that instances may share it.
            outputs=tuple(Place(path=place.inside, inside=place.inside) for place in stage.outputs),
            metrics=tuple(place.inside for place in stage.outputs if place.path in stage.metrics),
            environment=self._environment(),
            platform=self._graph.runtime.platform_of(stage),
            checkpoint=stage.checkpoint,
            timeout_s=stage.timeout_s,
            retry=stage.retry,
            resources=stage.resources,
            # What runs every time must not be answered from the store.
            cache=stage.reusable,
            fresh=fresh,
            isolated=stage.isolated,
        )

    def _environment(self) -> OrderEnvironment | None:
        environment = self._graph.pipeline.environment
        if environment is None:
            return None
        requirements = None
        if environment.requirements:
            entry = self._tree.entries([environment.requirements])[environment.requirements]
            requirements = self._stored(entry)[0]
        return OrderEnvironment(python=environment.python, requirements=requirements)

    def _inputs(self, name: StageName, states: Mapping[StageName, State]) -> list[OrderInput]:
        inputs = self._graph.inputs[name]
        makers = {item.stage for item in inputs if isinstance(item, ProducedInput)}
        known = {maker: state for maker in makers if isinstance(state := states.get(maker), Known)}
        made = made_inputs(inputs, known, self._evidence)
        orders: list[OrderInput] = []
        for item in inputs:
            match item:
                case TrackedInput():
                    orders += self._tracked(item)
                case DataInput():
                    # A pointer of DVC's names data in keys, and its content what a worker gets: the output's digest.
                    orders.append(_linked(item.inside, self._brought(item)))
                case ProducedInput():
                    orders.append(_linked(item.inside, made[item.stage, item.output, item.part]))
        return orders

    def _brought(self, item: DataInput) -> Output:
        """The data that a manifest stands for, or a part of it, whose bytes the store has from now on."""
        project = self._project
        manifest = project.documents.manifest(self._tree.read(item.manifest) or b"", item.manifest)
        return project.supply(self._store).bring(manifest, item.part)

    def _tracked(self, item: TrackedInput) -> list[OrderInput]:
        if item.mode not in (DIRECTORY, SUBMODULE):
            return [self._file(item.inside, TreeEntry(path=item.path, mode=item.mode, oid=item.oid))]
        return [
            self._file(RepoPath(item.inside + entry.path[len(item.path) :]), entry)
            for entry in self._tree.files(item.path)
        ]

    def _file(self, inside: RepoPath, entry: TreeEntry) -> OrderInput:
        digest, size = self._stored(entry)
        link = self._store.read(digest).decode("utf-8", "surrogateescape") if entry.mode == LINK else None
        return OrderInput(inside=inside, digest=digest, size=size, executable=entry.mode == EXECUTABLE, link=link)

    def _stored(self, entry: TreeEntry) -> tuple[Digest, int]:
        """Digest and size of a tracked file's bytes, which the store holds from now on."""
        digests = self._project.memory.digests
        known = digests.get(entry.oid)
        if known and self._store.holds(known[0]):
            return known
        if path := self._tree.locate(entry):
            output = self._store.put_path(path, name=entry.path)
            stored = (output.digest, output.size)
        else:
            data = self._tree.fetch(entry)
            stored = (self._store.put_bytes(data), len(data))
        digests[entry.oid] = stored
        return stored


def _linked(inside: RepoPath, output: Output) -> OrderInput:
    """What is large more often than not: a worker may link it, read-only."""
    return OrderInput(
        inside=inside,
        digest=output.digest,
        size=output.size,
        directory=output.directory,
        executable=output.executable,
        copy=False,
    )


def _sorted(tree: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """The same tree with its keys in order, at every depth."""
    return {key: _ordered(value) for key, value in sorted(tree.items())}


def _ordered(value: ParamValue) -> ParamValue:
    match value:
        case dict():
            return _sorted(value)
        case list():
            return [_ordered(item) for item in value]
    return value


def _nested(params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Dotted paths as a tree."""
    tree: dict[str, ParamValue] = {}
    for path, value in params.items():
        node = tree
        *parents, leaf = path.split(".")
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                child = node[parent] = {"": child}
            node = child
        node[leaf] = value
    return tree
