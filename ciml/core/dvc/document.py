"""A whole dvc.yaml as a ciml.yaml."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from ciml.core.dvc import fans
from ciml.core.dvc.beside import Beside, Stages
from ciml.core.dvc.context import Context, Note, Read
from ciml.core.dvc.fans import Item, Loop, stage_name
from ciml.core.dvc.grammar import check
from ciml.core.dvc.stages import Paths, check_graph, converted, paths_of, texts_at, texts_in
from ciml.core.dvc.values import Scope, Values, broken
from ciml.core.findings import Findings, KeyPath
from ciml.core.ids import RepoPath
from ciml.core.params import leaves
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.value import Value
from ciml.core.yamltext import Node, Remarked, text

_HEADER = """\
# Made from {file} by `ciml init --from {file}`. What differs from DVC:
#  - A stage runs in a directory of its own that holds its inputs and nothing else of the repository.
#  - A text in `run` is for `bash -euo pipefail`: the first command that fails ends it.
#  - Nothing like dvc.lock is committed: what was made from what is in the store, found by its key.
"""
_NO_MODELS = """
# A model is judged by its gate, and registered:
# models:
#   NAME: {{path: {path}, gate: [METRIC > champion.METRIC]}}
"""


class Converted(Value, frozen=True, kw_only=True):
    """What came of a dvc.yaml."""

    text: str
    """Of ciml.yaml."""
    stages: int
    notes: tuple[Note, ...]
    """What is not carried over, or not as it was, in the order of the file."""


def convert(
    document: ParamValue, *, file: RepoPath, files: Collection[RepoPath], read: Read, found: Findings
) -> Converted:
    """The ciml.yaml that does what a dvc.yaml does.

    Args:
        document: of dvc.yaml.
        file: its path.
        files: all files that Git tracks, or would.
        read: for params files and files of `vars`.
        found: where mistakes in it are noted; it may hold some already.

    Raises:
        ConfigurationError: DVC itself would refuse it; with all problems at once.
    """
    check(document, found)
    found.stop_if_any()
    assert isinstance(document, dict), "the grammar was checked"
    context = Context(file, files, read, found)
    return _Conversion(document, context).made(file)


class _Named(Value, frozen=True, kw_only=True):
    """A stage of dvc.yaml, or what a loop is about."""

    name: str
    definition: dict[str, ParamValue]
    loop: Loop | None = None
    source: str | None = None
    """The expression that says what it loops over."""

    @property
    def at(self) -> KeyPath:
        """Where what a stage says stands."""
        return ("stages", self.name, "do") if self.loop and self.loop.body else ("stages", self.name)


class _Conversion:
    def __init__(self, document: Mapping[str, ParamValue], context: Context) -> None:
        self._document = document
        self._context = context
        self._values = self._all_values()

    def made(self, file: RepoPath) -> Converted:
        named = [*self._named()]
        for item in named:
            self._check_expressions(item)
        self._context.found.stop_if_any()
        check_graph({item.at: self._paths(item) for item in named}, self._context.found)
        self._context.found.stop_if_any()
        stages, remarks = self._stages(named)
        self._context.found.stop_if_any()
        beside = Beside(self._document, self._values, self._context)
        beside.declare(stages)
        models = beside.models(stages)
        made: dict[str, Node] = {"version": 1}
        declared = text({"stages": stages})
        if used := {name: value for name, value in self._values.used.items() if f"params.{name} }}" in declared}:
            made["params"] = dict(used)
        if self._context.trees:
            made["params-files"] = list(self._context.trees)
        made["stages"] = {name: _with_remarks(stage, remarks.get(name, ())) for name, stage in stages.items()}
        if models:
            made["models"] = models
        notes = sorted(self._context.notes, key=lambda note: note.line or 0)
        body = text(made, blank_before=frozenset({"stages"}))
        end = "" if models else _NO_MODELS.format(path=beside.likely_model(stages))
        return Converted(text=_HEADER.format(file=file) + body + end, stages=len(stages), notes=tuple(notes))

    # Values.

    def _all_values(self) -> Values:
        """params.yaml beside dvc.yaml, and what `vars` names."""
        default = RepoPath(posixpath.join(self._context.folder, "params.yaml"))
        entries = self._document.get("vars")
        tree: dict[str, ParamValue] = {}
        files: dict[RepoPath, dict[str, ParamValue]] = {}
        inline: dict[str, Scalar] = {}
        if (found := self._context.tree(default)) is not None:
            files[default] = found
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, str):
                files |= self._file_of_values(entry)
            elif isinstance(entry, dict):
                tree |= entry
                inline |= {n: v for n, v in leaves(entry).items() if isinstance(v, bool | int | float | str)}
        for values in files.values():
            tree = _merged(tree, values)
        return Values(tree, files, inline, lambda path: self._context.params_file(path) is not None)

    def _file_of_values(self, entry: str) -> dict[RepoPath, dict[str, ParamValue]]:
        """A file of `vars`, as `params.json` or `params.json:model,data`."""
        name, _, keys = entry.partition(":")
        path = RepoPath(posixpath.join(self._context.folder, name))
        found = self._context.tree(path)
        if found is None:
            self._context.found.add(("vars",), f"{path} cannot be read", "ciml reads values from YAML, JSON and TOML")
            return {}
        wanted = [key.strip() for key in keys.split(",")] if keys else list(found)
        return {path: {key: found[key] for key in wanted if key in found}}

    # Stages.

    def _stages(self, named: Sequence[_Named]) -> tuple[Stages, dict[str, tuple[str, ...]]]:
        """The stages, and what was decided about some, by the first that it is about."""
        read = frozenset(path for item in named for each in self._paths(item) for path in each.read)
        stages: Stages = {}
        remarks: dict[str, tuple[str, ...]] = {}
        for item in named:
            before = len(self._context.notes)
            made = self._stage(item, read)
            remarks[next(iter(made))] = tuple(note.text for note in self._context.notes[before:])
            stages |= made
        return stages, remarks

    def _named(self) -> Iterator[_Named]:
        stages = self._document["stages"]
        assert isinstance(stages, dict), "the grammar was checked"
        for name, definition in stages.items():
            assert isinstance(definition, dict), "the grammar was checked"
            kind = "foreach" if "foreach" in definition else "matrix"
            if kind not in definition:
                yield _Named(name=name, definition=definition)
            elif self._known(definition[kind], ("stages", name, kind)):
                found = self._looped(name, definition, kind)
                if found is None:
                    wanted = "a list or a mapping" if kind == "foreach" else "a mapping of lists"
                    self._context.found.add(("stages", name, kind), f"must be {wanted} that is not empty")
                else:
                    yield found

    def _looped(self, name: str, definition: dict[str, ParamValue], kind: str) -> _Named | None:
        scope = self._values.over({}, {})
        over = scope.resolved(definition[kind])
        [source] = found if len(found := scope.expressions(str(definition[kind]))) == 1 else [None]
        if kind == "matrix":
            loop = fans.matrix(over) if isinstance(over, dict) else None
            return _Named(name=name, definition=definition, loop=loop, source=source) if loop else None
        loop = fans.foreach(over, source)
        body = definition["do"]
        return _Named(name=name, definition=body, loop=loop, source=source) if loop and isinstance(body, dict) else None

    def _known(self, value: ParamValue, at: KeyPath, scope: Scope | None = None) -> bool:
        """Whether every `${…}` in a value is one, and names something; what does not is noted."""
        scope = scope or self._values.over({}, {})
        before = len(self._context.found.problems)
        for where, words in texts_at(value, at):
            for piece in broken(words):
                hint = "a variable of the shell is written \\${NAME}"
                self._context.found.add(where, f"{piece} is no expression of DVC", hint)
            for name in () if [*broken(words)] else scope.expressions(words):
                if not scope.knows(name):
                    self._context.found.add(where, f"nothing is called ${{{name}}}", scope.nearest(name))
        return len(self._context.found.problems) == before

    def _check_expressions(self, item: _Named) -> None:
        for each in item.loop.items if item.loop else (Item(suffix="", values={}),):
            scope = self._values.over(self._own(item, each.values), {})
            rest = {
                key: value for key, value in item.definition.items() if key not in ("matrix", "vars", "desc", "meta")
            }
            if not self._known(rest, item.at, scope):
                return

    def _paths(self, item: _Named) -> list[Paths]:
        """What each stage of an entry reads and writes."""
        return [
            paths_of(
                stage_name(item.name, each.suffix) if item.loop else item.name,
                item.definition,
                self._values.over(self._own(item, each.values), {}),
                self._context.folder,
            )
            for each in (item.loop.items if item.loop else (Item(suffix="", values={}),))
        ]

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

    def _stage(self, item: _Named, read: frozenset[str]) -> Stages:
        loop = item.loop
        name = stage_name(item.name)
        self._context.look_at(item.at)
        self._tell_own(item)
        if loop is None:
            return {name: converted(item.definition, self._values.over(self._own(item, {}), {}), self._context)}
        if item.source and (not loop.names or loop.matrix):
            self._context.tell(f"the values of {item.source} stand in ciml.yaml as they are today", "change them there")
        if loop.matrix and not self._needs_values(item, loop, read):
            scope = self._values.over(self._own(item, {}), loop.expressions)
            return {name: converted(item.definition, scope, self._context, loop=loop)}
        names = [stage_name(item.name, each.suffix) for each in loop.items]
        shown = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        self._context.tell(f"written out as {shown}: {self._why(item, loop, read)}")
        return {made: self._one_of(item, each) for made, each in zip(names, loop.items, strict=True)}

    def _tell_own(self, item: _Named) -> None:
        """Say which of a stage's own `vars` become plain values: ciml's parameters are those of the whole project."""
        own = self._own(item, {})
        scope = self._values.over(own, {})
        said = [value for key, value in item.definition.items() if key != "vars"]
        named = {name for text in texts_in(said) for name in scope.expressions(text)}
        if used := sorted(name for name in named if re.split(r"[.\[]", name)[0] in own):
            self._context.tell(
                f"what its own vars say stands in ciml.yaml as it is today: {', '.join(used)}",
                "change it there, or let params.yaml say it",
                at=("vars",),
            )

    def _one_of(self, item: _Named, each: Item) -> dict[str, Node]:
        scope = self._values.over(self._own(item, each.values), {}, each.names)
        return converted(item.definition, scope, self._context)

    def _needs_values(self, item: _Named, loop: Loop, read: frozenset[str]) -> bool:
        """Whether the stages of a loop must stand by themselves."""
        if self._is_read(item, read):
            return True
        scope = self._values.over(self._own(item, {}), loop.expressions)
        named = {expression for text in texts_in(item.definition) for expression in scope.expressions(text)}
        loops = {name for name in named if name.partition(".")[0] in ("item", "key")}
        elsewhere = [*texts_in(item.definition.get("params")), *texts_in(item.definition.get("wdir"))]
        if loops - loop.expressions.keys() or any(set(scope.expressions(text)) & loops for text in elsewhere):
            return True
        return any(scope.matrix_is_refused(text) for text in texts_in(item.definition.get("cmd")))

    def _is_read(self, item: _Named, read: frozenset[str]) -> bool:
        return any(each.written & read for each in self._paths(item))

    def _why(self, item: _Named, loop: Loop, read: frozenset[str]) -> str:
        if not loop.matrix:
            return "a matrix has lists of plain values"
        return "other stages read what one of them makes" if self._is_read(item, read) else "a matrix cannot say it"


def _with_remarks(stage: dict[str, Node], remarks: tuple[str, ...]) -> Node:
    made = {key: value for key, value in stage.items() if value != []}
    return Remarked(node=made, remarks=remarks) if remarks else made


def _merged(tree: Mapping[str, ParamValue], more: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Both, mappings merged at every depth; DVC refuses other overlaps."""
    made = dict(tree)
    for key, value in more.items():
        present = made.get(key)
        made[key] = _merged(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return made
