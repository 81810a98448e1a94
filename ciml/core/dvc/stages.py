"""One stage of dvc.yaml as one of ciml.yaml.

Source: https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#stage-entries
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from ciml.core.dag import cycle
from ciml.core.dvc.context import Context
from ciml.core.dvc.fans import Loop
from ciml.core.dvc.values import Scope, value_at
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import RepoPath
from ciml.core.params import leaves
from ciml.core.paths import folders, inside_fault
from ciml.core.pipeline import ParamValue
from ciml.core.stage_env import allowed
from ciml.core.value import Value
from ciml.core.yamltext import Block, Node

_WORD = re.compile(r"(?<![\w./{}$-])[\w.-][\w./-]*")
_MODULE = re.compile(r"(?:^|[\s/])python[\d.]*(?:\s+-[a-zA-Z]+)*?\s+-m\s+([\w.]+)")
_VARIABLE = re.compile(r"(?<!\\)\$\{?([A-Za-z_]\w*)\}?")
_ASSIGNED = re.compile(
    r"(?:^|[\s;&|(])(?:export\s+|for\s+|read\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)(?==|\s+in\s)", re.MULTILINE
)

_OF_A_SHELL = re.compile(
    r"(?:^|[;&|(]\s*)(?:cd|pushd|export|set|umask|source|ulimit|trap|\.)\s|^\w+=\S*\s*$", re.MULTILINE
)
"""What a command leaves behind in its shell."""
_QUOTED = re.compile(r"'[^']*'")
_LOST = {
    "persist": "a stage starts without its last outputs; what must survive is its `checkpoint`",
    "checkpoint": "name the file as the stage's `checkpoint`",
    "remote": "all bytes lie in one `store`",
    "push": "all results lie in the `store`; nothing is left to do",
}
"""Option of an output that has no word in ciml.yaml -> what to do."""
_DRAWN = frozenset({"x", "y", "x_label", "y_label", "title", "header", "template"})
_OF_BASH = ("PWD", "OLDPWD", "RANDOM", "SECONDS", "LINENO", "IFS", "HOSTNAME", "UID", "EUID", "PIPESTATUS", "REPLY")


def converted(
    definition: Mapping[str, ParamValue], scope: Scope, context: Context, *, loop: Loop | None = None
) -> dict[str, Node]:
    """A stage's keys in ciml.yaml, in the order in which people read them.

    Args:
        definition: of dvc.yaml, templates and all.
        scope: what `${…}` means in it.
        context: the repository, and where notes go.
        loop: where the stage stands for several and stays one.
    """
    return _Stage(definition, scope, context).keys(loop)


class _Stage:
    def __init__(self, definition: Mapping[str, ParamValue], scope: Scope, context: Context) -> None:
        self._of = definition
        self._scope = scope
        self._context = context
        wdir = definition.get("wdir")
        self._folder = _joined(context.folder, scope.literal(wdir) if isinstance(wdir, str) else "")

    def keys(self, loop: Loop | None) -> dict[str, Node]:
        outputs, metrics, plots = self._outputs()
        run = self._run()
        inputs = self._inputs(run, {*outputs, *metrics, *plots})
        params, files = self._params()
        always = bool(self._of.get("always_changed")) or not (inputs or params or outputs or metrics or plots)
        description = self._of.get("desc")
        made: dict[str, Node] = {
            "description": self._scope.literal(" ".join(description.split())) if isinstance(description, str) else "",
            "matrix": dict(loop.matrix) if loop and loop.matrix else {},
            "run": Block(text=run) if "\n" in run or '"' in run or "\\" in run else run,
            "workdir": self._folder,
            "inputs": list(dict.fromkeys([*inputs, *files])),
            "params": params,
            "outputs": outputs,
            "metrics": metrics,
            "plots": plots,
            "pass-env": self._variables(run),
        }
        if always:
            made["cache"] = False
        self._leave_out()
        return {key: value for key, value in made.items() if value not in ("", [], {})}

    # The command.

    def _run(self) -> str:
        command = self._of.get("cmd")
        lines = command if isinstance(command, list) else [command]
        texts = [self._scope.command(line.strip()) for line in lines if isinstance(line, str)]
        if self._scope.fixed:
            names = ", ".join(self._scope.fixed)
            self._context.tell(f"`run` holds the values of {names} as they are today", "change them there", at=("cmd",))
        # DVC gives each command of a list a shell of its own.
        return "\n".join([*(f"({text})" if _OF_A_SHELL.search(text) else text for text in texts[:-1]), texts[-1]])

    def _variables(self, run: str) -> list[str]:
        """The environment variables that the command names and that a stage would not get."""
        script = _QUOTED.sub("", run)
        known = {*_ASSIGNED.findall(script), *_OF_BASH}
        named = dict.fromkeys(_VARIABLE.findall(script))
        found = [name for name in named if name not in known and not allowed({name: ""})]
        if found:
            self._context.tell(
                f"the command reads {', '.join(found)}, handed through by `pass-env`",
                "it is no part of the stage's key; what changes the result belongs under `env`",
                at=("cmd",),
            )
        return found

    # What it reads.

    def _inputs(self, run: str, outputs: set[str]) -> list[str]:
        deps = enumerate(_texts(self._of.get("deps")))
        inputs = [path for index, text in deps if (path := self._path(text, "dependency", ("deps", index)))]
        for path in self._named_in(run):
            if path not in outputs and not any(_holds(other, path) for other in inputs):
                self._context.tell(f"{path} is an input: the command names it, and `deps` does not")
                inputs.append(path)
        return inputs

    def _named_in(self, run: str) -> Iterator[RepoPath]:
        """The repository's files that a command names."""
        words = [match[0] for match in _WORD.finditer(run)]
        for module in _MODULE.findall(run):
            below = module.replace(".", "/")
            words += [f"{below}.py", f"{below}/__main__.py"]
        for word in dict.fromkeys(words):
            path = RepoPath(_joined(self._folder, word))
            if path in self._context.files:
                yield path

    def _path(self, text: str, what: str, at: KeyPath) -> str | None:
        """A path from the root of the repository; None, and a note, where it lies outside."""
        if "://" in text:
            do = (
                f"`ciml data add {text}` makes a manifest for it"
                if text.startswith("s3://")
                else "put it into Git or S3"
            )
            self._context.tell(f"the {what} {text} is not carried over", do, at=at)
            return None
        path = _joined(self._folder, self._scope.path(text))
        if fault := inside_fault(path):
            self._context.tell(
                f"the {what} {text} is not carried over: it {fault}", "move it into the repository", at=at
            )
            return None
        return path

    # Its parameters.

    def _params(self) -> tuple[list[str], list[str]]:
        """The names of parameters, and the files that are inputs because they cannot be params files."""
        names: list[str] = []
        files: list[str] = []
        for file, keys in self._named_params():
            path = RepoPath(_joined(self._folder, file))
            tree = self._context.params_file(path)
            if tree is None:
                files.append(path)
            elif not keys:
                names += list(tree)
            else:
                self._check_names(keys, tree, path)
                names += keys
        return list(dict.fromkeys(names)), files

    def _check_names(self, keys: list[str], tree: dict[str, ParamValue], path: RepoPath) -> None:
        for key in keys:
            if value_at(tree, key) is None:
                hint = suggestion(key, leaves(tree))
                self._context.found.add((*self._context.at, "params"), f"{path} has no parameter {key}", hint)

    def _named_params(self) -> Iterator[tuple[str, list[str]]]:
        entries = self._of.get("params")
        for entry in entries if isinstance(entries, list) else []:
            match entry:
                case str():
                    yield "params.yaml", [self._scope.literal(entry)]
                case dict():
                    for file, keys in entry.items():
                        yield self._scope.literal(file), [self._scope.literal(key) for key in _texts(keys)]

    # What it writes.

    def _outputs(self) -> tuple[list[str], list[str], list[str]]:
        outputs = self._written("outs")
        metrics = []
        for path in self._written("metrics"):
            if path.endswith(".json"):
                metrics.append(path)
            else:
                self._context.tell(f"{path} is an output and no metric", "write metrics as JSON", at=("metrics",))
                outputs.append(path)
        return outputs, metrics, self._written("plots")

    def _written(self, key: str) -> list[str]:
        paths = []
        for index, (text, options) in enumerate(_entries(self._of.get(key))):
            path = self._path(text, "output", (key, index))
            if path is None:
                continue
            paths.append(path)
            for option, do in _LOST.items():
                if option in options and options[option] is not (option == "push"):
                    shown = "push: false" if option == "push" else option
                    self._context.tell(f"{text}: `{shown}` is not carried over", do, at=(key, index, text, option))
        if key == "plots" and any(options.keys() & _DRAWN for _, options in _entries(self._of.get(key))):
            self._context.tell(
                "how plots are drawn is not carried over", "the report draws CSV and JSON by itself", at=(key,)
            )
        return paths

    def _leave_out(self) -> None:
        """Note the keys that have no word in ciml.yaml."""
        if self._of.get("frozen"):
            do = "`ciml data add` its output and remove the stage, if it must never run again"
            self._context.tell("`frozen` is not carried over: it runs when what it reads changes", do, at=("frozen",))
        if self._of.get("meta"):
            self._context.tell("`meta` is not carried over", "keep it as a comment", at=("meta",))


class Paths(Value, frozen=True, kw_only=True):
    """What a stage reads and what it writes, with the values themselves in the paths."""

    name: str
    read: frozenset[str]
    written: frozenset[str]


def paths_of(name: str, definition: Mapping[str, ParamValue], scope: Scope, folder: str) -> Paths:
    """The paths of one stage."""
    wdir = definition.get("wdir")
    at = _joined(folder, scope.literal(wdir) if isinstance(wdir, str) else "")
    read = frozenset(_joined(at, scope.literal(text)) for text in _texts(definition.get("deps")))
    keys = ("outs", "metrics", "plots")
    written = frozenset(_joined(at, scope.literal(text)) for key in keys for text in _texts(definition.get(key)))
    return Paths(name=name, read=read, written=written)


def check_graph(paths: Mapping[KeyPath, Sequence[Paths]], found: Findings) -> None:
    """Note cycles, and outputs that two stages make or that lie in another.

    Args:
        paths: place in dvc.yaml -> the paths of its stages.
        found: where it is noted.
    """
    stages = [(at, stage) for at, each in paths.items() for stage in each]
    makers: dict[str, str] = {}
    for at, stage in stages:
        for path in sorted(stage.written):
            if whole := next((other for other in (path, *folders(path)) if other in makers), None):
                found.add((*at, "outs"), f"{path} is made by {makers[whole]} too", "every path is made by one stage")
            makers[path] = stage.name
    edges = {
        stage.name: [
            makers[whole]
            for path in stage.read
            if (whole := next((other for other in (path, *folders(path)) if other in makers), None))
        ]
        for _, stage in stages
    }
    if round_ := cycle(edges):
        at = next(at for at, stage in stages if stage.name == round_[0])
        found.add(at, f"cycle: {' -> '.join(reversed(round_))}", "no stage can come first: remove one of these deps")


def _joined(folder: str, path: str) -> str:
    """A path from the root, with "" for the root itself."""
    made = posixpath.normpath(posixpath.join(folder, path))
    return "" if made == "." else made


def _holds(folder: str, path: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def _texts(value: ParamValue) -> list[str]:
    """The texts of a list; of an entry with options its path."""
    return [text for text, _ in _entries(value)]


def _entries(value: ParamValue) -> Iterator[tuple[str, Mapping[str, ParamValue]]]:
    """Path and options of each entry: a list of paths and of mappings, or one path."""
    for entry in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        match entry:
            case str():
                yield entry, {}
            case dict():
                for path, options in entry.items():
                    yield path, options if isinstance(options, dict) else {}


def texts_at(value: ParamValue, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text in a value, with its place."""
    match value:
        case str():
            yield at, value
        case list():
            for index, item in enumerate(value):
                yield from texts_at(item, (*at, index))
        case dict():
            for key, item in value.items():
                yield (*at, key), key
                yield from texts_at(item, (*at, key))


def texts_in(value: ParamValue) -> list[str]:
    """Every text in a value."""
    return [text for _, text in texts_at(value, ())]
