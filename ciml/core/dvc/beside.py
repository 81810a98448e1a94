"""What stands beside the stages of a dvc.yaml: its metrics, plots and artifacts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from ciml.core.dvc.context import Context
from ciml.core.dvc.fans import stage_name
from ciml.core.dvc.values import Scope, Values
from ciml.core.findings import KeyPath
from ciml.core.ids import RepoPath, is_name
from ciml.core.pipeline import ParamValue
from ciml.core.yamltext import Node, Noted

Stages = dict[str, dict[str, Node]]
_NO_GATE = "add a gate: [METRIC > champion.METRIC]"
_OF_MODELS = (".pkl", ".joblib", ".pt", ".pth", ".onnx", ".h5", ".keras", ".safetensors", ".cbm", ".bin")


class Beside:
    """What the top of a dvc.yaml says of what stages make.

    Args:
        document: of dvc.yaml.
        values: what `${…}` means in it.
        context: the repository, and where notes go.
    """

    def __init__(self, document: Mapping[str, ParamValue], values: Values, context: Context) -> None:
        self._document = document
        self._values = values
        self._scope: Scope = values.over({}, {})
        self._context = context

    def declare(self, stages: Stages) -> None:
        """Make metrics and plots of the outputs that the top of the file names so."""
        named = {kind: list(self._named(kind)) for kind in ("metrics", "plots")}
        self._open_folders(stages, {path: kind for kind, paths in named.items() for path, _ in paths})
        for kind, paths in named.items():
            for path, at in paths:
                self._context.look_at(at)
                if not self._promoted(stages, path, kind):
                    self._context.tell(f"{path} is no output of a stage, and is not carried over", "name it there")
        for entry in self._list("params"):
            if isinstance(entry, str):
                self._context.look_at(("params",))
                self._context.params_file(RepoPath(self._joined(entry)))
        if any(isinstance(entry, dict) for entry in self._list("plots")):
            self._context.look_at(("plots",))
            self._context.tell("how plots are drawn is not carried over", "the report draws CSV and JSON by itself")
        if "datasets" in self._document:
            self._context.look_at(("datasets",))
            self._context.tell("datasets are not carried over", "`ciml data add s3://…` makes a manifest for one")

    def models(self, stages: Stages) -> dict[str, Node]:
        """The artifacts of type `model` that a stage makes."""
        artifacts = self._document.get("artifacts")
        models: dict[str, Node] = {}
        for name, entry in artifacts.items() if isinstance(artifacts, dict) else ():
            assert isinstance(entry, dict), "the grammar was checked"
            self._context.look_at(("artifacts", name))
            path = self._joined(str(entry["path"]))
            if entry.get("type") != "model":
                self._context.tell("is not carried over: its type is not `model`", "nothing, if nobody deploys it")
            elif not any(self._held(path, other) for other in self._made(stages)):
                self._context.tell(f"is not carried over: no stage makes {path}", "a model is the output of a stage")
            else:
                models[name if is_name(name) else stage_name(name)] = {"path": Noted(value=path, note=_NO_GATE)}
                self._context.tell("has no gate: nothing is tested, and a person promotes", _NO_GATE)
        return models

    def likely_model(self, stages: Stages) -> str:
        """The output that is probably the model, for a comment; `PATH` where none looks like one."""
        made = [path for stage in stages.values() for path in _texts(stage.get("outputs")) if "${{" not in path]
        likely = [path for path in made if path.endswith(_OF_MODELS) or "model" in posixpath.basename(path)]
        return likely[-1] if likely else "PATH"

    def _list(self, key: str) -> list[ParamValue]:
        entries = self._document.get(key)
        return entries if isinstance(entries, list) else [{k: v} for k, v in _mapping(entries)]

    def _named(self, kind: str) -> Iterator[tuple[str, KeyPath]]:
        """The files that the top-level `metrics` or `plots` name, and where."""
        for index, entry in enumerate(self._list(kind)):
            names = [entry] if isinstance(entry, str) else _plot_files(entry) if isinstance(entry, dict) else []
            for name in names:
                yield self._joined(name), (kind, index)

    def _joined(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._context.folder, self._scope.literal(path)))

    def _made(self, stages: Stages) -> list[str]:
        keys = ("outputs", "metrics", "plots")
        return [
            self._values.plain(path) for stage in stages.values() for key in keys for path in _texts(stage.get(key))
        ]

    def _open_folders(self, stages: Stages, named: Mapping[str, str]) -> None:
        """List the named files of a folder in its place where one is a metric, since no output lies in another."""
        for name, stage in stages.items():
            for folder in _texts(stage.get("outputs")):
                inside = [path for path in named if self._held(path, folder) and path != self._values.plain(folder)]
                if not any(named[path] == "metrics" and path.endswith(".json") for path in inside):
                    continue
                stage["outputs"] = [*(path for path in _texts(stage["outputs"]) if path != folder), *inside]
                self._context.look_at(("metrics",))
                self._context.tell(
                    f"stage {name} names the files of {folder} one by one, so that gates can read the metrics",
                    f"add to its outputs whatever else of {folder} is wanted",
                )

    def _held(self, path: str, output: str) -> bool:
        return f"{path}/".startswith(f"{self._values.plain(output)}/")

    def _promoted(self, stages: Stages, path: str, kind: str) -> bool:
        """Whether a stage makes the file, or a folder with it; an output of its own stands under `kind` from now on."""
        for stage in stages.values():
            outputs = _texts(stage.get("outputs"))
            for output in outputs:
                if self._values.plain(output) == path and (kind == "plots" or path.endswith(".json")):
                    stage[kind] = [*_texts(stage.get(kind)), output]
                    stage["outputs"] = [other for other in outputs if other != output]
                    return True
        return any(self._held(path, output) for output in self._made(stages))


def _plot_files(entry: Mapping[str, ParamValue]) -> list[str]:
    """The files of a plot with options: those of `y`, else the one that it is called by."""
    files = []
    for name, options in entry.items():
        y = options.get("y") if isinstance(options, dict) else None
        files += list(y) if isinstance(y, dict) else [name]
    return files


def _mapping(value: ParamValue) -> list[tuple[str, ParamValue]]:
    return list(value.items()) if isinstance(value, dict) else []


def _texts(paths: Node) -> list[str]:
    return [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
