"""One stage of dvc.yaml as one of ciml.yaml.

Source: https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#stage-entries
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from ciml.core.dvc.fans import Loop
from ciml.core.dvc.surroundings import Surroundings
from ciml.core.dvc.values import Scope
from ciml.core.ids import RepoPath
from ciml.core.paths import inside_fault
from ciml.core.pipeline import ParamValue
from ciml.core.stage_env import allowed
from ciml.core.yamltext import Block, Node

_KEYS = frozenset(
    {
        "cmd", "wdir", "deps", "outs", "params", "metrics", "plots", "frozen", "always_changed", "meta", "desc", "vars",
        "foreach", "do", "matrix",
    }
)  # fmt: skip
_WORD = re.compile(r"(?<![\w./{}$-])[\w.-][\w./-]*")
_MODULE = re.compile(r"(?:^|[\s/])python[\d.]*(?:\s+-[a-zA-Z]+)*?\s+-m\s+([\w.]+)")
_VARIABLE = re.compile(r"(?<!\\)\$\{?([A-Za-z_]\w*)\}?")
_ASSIGNED = re.compile(
    r"(?:^|[\s;&|(])(?:export\s+|for\s+|read\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)(?==|\s+in\s)", re.MULTILINE
)

_QUOTED = re.compile(r"'[^']*'")
_OF_BASH = ("PWD", "OLDPWD", "RANDOM", "SECONDS", "LINENO", "IFS", "HOSTNAME", "UID", "EUID", "PIPESTATUS", "REPLY")


def converted(
    definition: Mapping[str, ParamValue], scope: Scope, around: Surroundings, *, loop: Loop | None = None
) -> dict[str, Node]:
    """A stage's keys in ciml.yaml, in the order in which people read them.

    Args:
        definition: of dvc.yaml, templates and all.
        scope: what `${…}` means in it.
        around: the repository, and where notes go.
        loop: where the stage stands for several and stays one.
    """
    return _Stage(definition, scope, around).keys(loop)


class _Stage:
    def __init__(self, definition: Mapping[str, ParamValue], scope: Scope, around: Surroundings) -> None:
        self._of = definition
        self._scope = scope
        self._around = around
        wdir = definition.get("wdir")
        self._folder = _joined(around.folder, scope.literal(wdir) if isinstance(wdir, str) else "")

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
        if not texts:
            self._around.tell("it has no command: write one")
        return "\n".join(texts)

    def _variables(self, run: str) -> list[str]:
        """The environment variables that the command names and that a stage would not get."""
        script = _QUOTED.sub("", run)
        known = {*_ASSIGNED.findall(script), *_OF_BASH}
        named = dict.fromkeys(_VARIABLE.findall(script))
        found = [name for name in named if name not in known and not allowed({name: ""})]
        if found:
            self._around.tell(f"the command reads {', '.join(found)}: handed through, and not part of the stage's key")
        return found

    # What it reads.

    def _inputs(self, run: str, outputs: set[str]) -> list[str]:
        inputs = [path for text in _texts(self._of.get("deps")) if (path := self._path(text, "dependency"))]
        for path in self._named_in(run):
            if path not in outputs and not any(_holds(other, path) for other in inputs):
                self._around.tell(f"{path} is an input now: the command names it, and `deps` does not")
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
            if path in self._around.files:
                yield path

    def _path(self, text: str, what: str) -> str | None:
        """A path from the root of the repository; None, and a note, where it lies outside."""
        if "://" in text:
            self._around.tell(f"the {what} {text} is not carried over: `ciml data add {text}` makes a manifest for it")
            return None
        path = _joined(self._folder, self._scope.path(text))
        if fault := inside_fault(path):
            self._around.tell(f"the {what} {text} is not carried over: it {fault}")
            return None
        return path

    # Its parameters.

    def _params(self) -> tuple[list[str], list[str]]:
        """The names of parameters, and the files that are inputs because they cannot be params files."""
        names: list[str] = []
        files: list[str] = []
        for file, keys in self._named_params():
            path = RepoPath(_joined(self._folder, file))
            tree = self._around.params_file(path)
            if tree is None:
                files.append(path)
            elif not keys:
                names += tree
            else:
                names += keys
        return list(dict.fromkeys(names)), files

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
        outputs = [path for path, _ in self._written("outs")]
        metrics = []
        for path, _ in self._written("metrics"):
            if path.endswith(".json"):
                metrics.append(path)
            else:
                self._around.tell(f"{path} is an output and no metric: metrics are read from JSON")
                outputs.append(path)
        plots = [path for path, _ in self._written("plots")]
        return outputs, metrics, plots

    def _written(self, key: str) -> Iterator[tuple[str, Mapping[str, ParamValue]]]:
        for text, options in _entries(self._of.get(key)):
            path = self._path(text, "output")
            if path is None:
                continue
            if options.get("persist"):
                self._around.tell(
                    f"{path}: `persist` is not carried over; a stage starts without its outputs (see `checkpoint`)"
                )
            if options.get("remote"):
                self._around.tell(f"{path}: `remote` is not carried over; all bytes lie in one store")
            if options.get("push") is False:
                self._around.tell(f"{path}: `push: false` is not carried over")
            yield path, options

    def _leave_out(self) -> None:
        """Note the keys that have no word in ciml.yaml."""
        if self._of.get("frozen"):
            self._around.tell("`frozen` is not carried over: the stage runs when something that it reads changes")
        if self._of.get("meta"):
            self._around.tell("`meta` is not carried over")
        for key in self._of.keys() - _KEYS:
            self._around.tell(f"`{key}` is not known")


def paths_of(definition: Mapping[str, ParamValue], scope: Scope, folder: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a stage reads and what it writes, with the values themselves in the paths."""
    wdir = definition.get("wdir")
    at = _joined(folder, scope.literal(wdir) if isinstance(wdir, str) else "")
    read = frozenset(_joined(at, scope.literal(text)) for text in _texts(definition.get("deps")))
    keys = ("outs", "metrics", "plots")
    return read, frozenset(
        _joined(at, scope.literal(text)) for key in keys for text, _ in _entries(definition.get(key))
    )


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


def texts_in(value: ParamValue) -> Sequence[str]:
    """Every text in a value."""
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in texts_in(item)]
        case dict():
            return [text for key, item in value.items() for text in (key, *texts_in(item))]
    return []
