"""A whole dvc.yaml as a ciml.yaml."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping

from ciml.core.dvc import fans
from ciml.core.dvc.fans import Item, Loop, stage_name
from ciml.core.dvc.stages import converted, paths_of, texts_in
from ciml.core.dvc.surroundings import Note, Read, Surroundings
from ciml.core.dvc.values import UnknownError, Values
from ciml.core.findings import Locate
from ciml.core.ids import RepoPath, is_name
from ciml.core.params import leaves
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.value import Value
from ciml.core.yamltext import Node, text

_TOP = ("stages", "vars", "params", "metrics", "plots", "artifacts")

_HEADER = """\
# Made from {file} by `ciml init --from {file}`. What differs from DVC:
#  - A stage runs in a directory of its own that holds its inputs and nothing else of the repository.
#  - A text in `run` is for `bash -euo pipefail`: the first command that fails ends it.
#  - Nothing like dvc.lock is committed: what was made from what is in the store, found by its key.
"""


class Converted(Value, frozen=True, kw_only=True):
    """What came of a dvc.yaml."""

    text: str
    """Of ciml.yaml."""
    stages: int
    notes: tuple[Note, ...]
    """What is not carried over, or not as it was, in the order of the file."""


def convert(
    document: Mapping[str, ParamValue], *, file: RepoPath, files: Collection[RepoPath], read: Read, locate: Locate
) -> Converted:
    """The ciml.yaml that does what a dvc.yaml does.

    Args:
        document: of dvc.yaml.
        file: its path.
        files: all files that Git tracks, or would.
        read: for params files and files of `vars`.
        locate: lines of dvc.yaml.
    """
    around = Surroundings(file, files, read, locate)
    return _Conversion(document, around).made(file)


class _Named(Value, frozen=True, kw_only=True):
    """A stage of dvc.yaml, or what a loop is about."""

    name: str
    definition: dict[str, ParamValue]
    loop: Loop | None = None


class _Conversion:
    def __init__(self, document: Mapping[str, ParamValue], around: Surroundings) -> None:
        self._document = document
        self._around = around
        self._values = self._all_values()

    def made(self, file: RepoPath) -> Converted:
        stages = self._stages()
        self._declare_top(stages)
        models = self._models(stages)
        for name in self._values.named:
            self._around.params_file(name)
        made: dict[str, Node] = {"version": 1}
        if self._values.used:
            made["params"] = dict(self._values.used)
        if self._around.trees:
            made["params-files"] = list(self._around.trees)
        made["stages"] = dict(stages)
        if models:
            made["models"] = models
        around = sorted(self._around.notes, key=lambda note: note.line or 0)
        body = text(made, blank_before=frozenset({"stages"}))
        return Converted(text=_HEADER.format(file=file) + body, stages=len(stages), notes=tuple(around))

    # Values.

    def _all_values(self) -> Values:
        """params.yaml beside dvc.yaml, and what `vars` names."""
        default = RepoPath(posixpath.join(self._around.folder, "params.yaml"))
        entries = self._document.get("vars")
        tree: dict[str, ParamValue] = {}
        files: dict[RepoPath, dict[str, ParamValue]] = {}
        inline: dict[str, Scalar] = {}
        if (found := self._around.tree(default)) is not None:
            files[default] = found
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, str):
                files |= self._file_of_values(entry)
            elif isinstance(entry, dict):
                tree |= entry
                inline |= {n: v for n, v in leaves(entry).items() if isinstance(v, bool | int | float | str)}
        for values in files.values():
            tree = _merged(tree, values)
        return Values(tree, files, inline)

    def _file_of_values(self, entry: str) -> dict[RepoPath, dict[str, ParamValue]]:
        """A file of `vars`, as `params.json` or `params.json:model,data`."""
        name, _, keys = entry.partition(":")
        path = RepoPath(posixpath.join(self._around.folder, name))
        self._around.look_at(("vars",))
        found = self._around.tree(path)
        if found is None:
            self._around.tell(f"{path} cannot be read, so nothing is known of its values")
            return {}
        wanted = [key.strip() for key in keys.split(",")] if keys else list(found)
        return {path: {key: found[key] for key in wanted if key in found}}

    # Stages.

    def _stages(self) -> dict[str, dict[str, Node]]:
        named = [*self._named()]
        read = frozenset(path for item in named for path in self._paths(item)[0])
        stages: dict[str, dict[str, Node]] = {}
        for item in named:
            self._around.look_at(("stages", item.name))
            try:
                stages |= self._stage(item, read)
            except UnknownError as error:
                self._around.tell(f"left out: nothing is called ${{{error.args[0]}}}")
        return stages

    def _named(self) -> Iterator[_Named]:
        stages = self._document.get("stages")
        for name, definition in stages.items() if isinstance(stages, dict) else []:
            self._around.look_at(("stages", name))
            if not isinstance(definition, dict):
                self._around.tell("left out: it is no mapping")
                continue
            try:
                found = self._looped(name, definition)
            except UnknownError as error:
                self._around.tell(f"left out: nothing is called ${{{error.args[0]}}}")
                continue
            if found is None:
                self._around.tell("left out: what it loops over is neither a list nor a mapping")
            else:
                yield found

    def _looped(self, name: str, definition: dict[str, ParamValue]) -> _Named | None:
        scope = self._values.over({}, {})
        if "foreach" in definition:
            body = definition.get("do")
            loop = fans.foreach(scope.resolved(definition["foreach"]))
            return _Named(name=name, definition=body, loop=loop) if loop and isinstance(body, dict) else None
        if "matrix" in definition:
            axes = scope.resolved(definition["matrix"])
            loop = fans.matrix(axes) if isinstance(axes, dict) else None
            return _Named(name=name, definition=definition, loop=loop) if loop else None
        return _Named(name=name, definition=definition)

    def _paths(self, item: _Named) -> tuple[frozenset[str], frozenset[str]]:
        """All that the stages of one entry read, and all that they write."""
        read: set[str] = set()
        written: set[str] = set()
        for each in item.loop.items if item.loop else (Item(suffix="", values={}),):
            try:
                more = paths_of(
                    item.definition, self._values.over(self._own(item, each.values), {}), self._around.folder
                )
            except UnknownError:
                continue
            read |= more[0]
            written |= more[1]
        return frozenset(read), frozenset(written)

    def _own(self, item: _Named, values: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
        """The values of an item, and those of the stage's own `vars`."""
        own: dict[str, ParamValue] = dict(values)
        entries = item.definition.get("vars")
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                own |= entry
            elif isinstance(entry, str):
                for tree in self._file_of_values(entry).values():
                    own |= tree
        return own

    def _stage(self, item: _Named, read: frozenset[str]) -> dict[str, dict[str, Node]]:
        loop = item.loop
        name = stage_name(item.name)
        if loop is None:
            return {name: converted(item.definition, self._values.over(self._own(item, {}), {}), self._around)}
        if loop.matrix and not self._needs_values(item, loop, read):
            scope = self._values.over(self._own(item, {}), loop.expressions)
            return {name: converted(item.definition, scope, self._around, loop=loop)}
        names = [stage_name(item.name, each.suffix) for each in loop.items]
        self._around.tell(
            f"written out as {', '.join(names[:3])}{', …' if len(names) > 3 else ''}: {self._why(item, loop)}"
        )
        return {
            made: converted(item.definition, self._values.over(self._own(item, each.values), {}), self._around)
            for made, each in zip(names, loop.items, strict=True)
        }

    def _needs_values(self, item: _Named, loop: Loop, read: frozenset[str]) -> bool:
        """Whether the stages of a loop must stand by themselves."""
        if self._paths(item)[1] & read:
            return True
        scope = self._values.over(self._own(item, {}), loop.expressions)
        named = {expression for text in texts_in(item.definition) for expression in scope.expressions(text)}
        loops = {name for name in named if name.partition(".")[0] in ("item", "key")}
        elsewhere = [*texts_in(item.definition.get("params")), *texts_in(item.definition.get("wdir"))]
        if loops - loop.expressions.keys() or any(set(scope.expressions(text)) & loops for text in elsewhere):
            return True
        return any(scope.matrix_is_refused(text) for text in texts_in(item.definition.get("cmd")))

    def _why(self, item: _Named, loop: Loop) -> str:
        if not loop.matrix:
            return "a matrix has lists of plain values"
        return "other stages read what one of them makes" if self._paths(item)[1] else "a matrix cannot say it"

    # What stands beside the stages.

    def _declare_top(self, stages: dict[str, dict[str, Node]]) -> None:
        for key in self._document.keys() - set(_TOP):
            self._around.look_at((key,))
            self._around.tell("is not carried over")
        for kind in ("metrics", "plots"):
            self._around.look_at((kind,))
            for path in self._top_paths(kind):
                if not _promote(stages, path, kind):
                    self._around.tell(f"{path} is no output of a stage, and is not carried over")
        if self._document.get("plots"):
            self._around.look_at(("plots",))
            self._around.tell("how plots are drawn is not carried over; their files are")

    def _top_paths(self, kind: str) -> Iterator[str]:
        """The files that the top-level `metrics` or `plots` name."""
        entries = self._document.get(kind)
        for entry in entries if isinstance(entries, list) else []:
            names = [entry] if isinstance(entry, str) else _plot_files(entry) if isinstance(entry, dict) else []
            for name in names:
                yield posixpath.normpath(posixpath.join(self._around.folder, name))

    def _models(self, stages: Mapping[str, Mapping[str, Node]]) -> dict[str, Node]:
        """The artifacts of type `model` that a stage makes."""
        artifacts = self._document.get("artifacts")
        models: dict[str, Node] = {}
        for name, entry in artifacts.items() if isinstance(artifacts, dict) else []:
            self._around.look_at(("artifacts", name))
            path = entry.get("path") if isinstance(entry, dict) else None
            if not isinstance(entry, dict) or not isinstance(path, str) or entry.get("type") != "model":
                self._around.tell("is not carried over: it is no model")
                continue
            path = posixpath.normpath(posixpath.join(self._around.folder, path))
            if not any(path in _outputs(stage) for stage in stages.values()):
                self._around.tell(f"is not carried over: no stage makes {path}")
                continue
            models[name if is_name(name) else stage_name(name)] = {"path": path}
            self._around.tell("has no gate yet: nothing is tested, and a person promotes")
        return models


def _merged(tree: Mapping[str, ParamValue], more: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Both, mappings merged at every depth; DVC refuses other overlaps."""
    made = dict(tree)
    for key, value in more.items():
        present = made.get(key)
        made[key] = _merged(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return made


def _plot_files(entry: Mapping[str, ParamValue]) -> list[str]:
    """The files of a plot with options: those of `y`, else the one that it is called by."""
    files = []
    for name, options in entry.items():
        y = options.get("y") if isinstance(options, dict) else None
        files += list(y) if isinstance(y, dict) else [name]
    return files


def _outputs(stage: Mapping[str, Node]) -> list[str]:
    found: list[str] = []
    for key in ("outputs", "metrics", "plots"):
        paths = stage.get(key)
        found += [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return found


def _promote(stages: dict[str, dict[str, Node]], path: str, kind: str) -> bool:
    """Whether a stage makes the file, or a folder with it; an output of its own stands under `kind` from now on."""
    for stage in stages.values():
        made = _outputs(stage)
        outputs = stage.get("outputs")
        if isinstance(outputs, list) and path in outputs and (kind == "plots" or path.endswith(".json")):
            kept = [other for other in outputs if other != path]
            listed = stage.get(kind)
            stage[kind] = [*(listed if isinstance(listed, list) else []), path]
            if kept:
                stage["outputs"] = kept
            else:
                del stage["outputs"]
            return True
        if any(f"{path}/".startswith(f"{other}/") for other in made):
            return True
    return False
