"""What a dvc.yaml may hold: keys and types, each mistake with its place.

Source: dvc, `dvc/schema.py` and `dvc/output.py`; https://dvc.org/doc/user-guide/project-structure/dvcyaml-files
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.pipeline import ParamValue

_TOP = ("stages", "vars", "params", "metrics", "plots", "artifacts", "datasets")
_STAGE = (
    "cmd", "wdir", "deps", "outs", "params", "metrics", "plots", "frozen", "always_changed", "meta", "desc", "vars",
    "matrix",
)  # fmt: skip
_OUTPUT = ("cache", "persist", "remote", "push", "desc", "type", "labels", "meta", "checkpoint")
_PLOT = (*_OUTPUT, "x", "y", "x_label", "y_label", "title", "header", "template")
_ARTIFACT = ("path", "type", "desc", "labels", "meta")


def check(document: ParamValue, found: Findings) -> None:
    """Note in `found` whatever DVC itself would refuse."""
    if not isinstance(document, dict):
        found.add((), "is no mapping", "is this a dvc.yaml?")
        return
    _unknown(document, _TOP, (), found)
    stages = document.get("stages")
    if not isinstance(stages, dict) or not stages:
        found.add(("stages",) if "stages" in document else (), "has no stages", "is this a dvc.yaml?")
        return
    for name, entry in stages.items():
        _entry(entry, ("stages", name), found)
    _texts_and_mappings(document, "vars", (), found)
    for key in ("metrics", "params"):
        _texts_and_mappings(document, key, (), found)
    artifacts = _wanted(document, "artifacts", dict, (), "a mapping of names", found)
    for name, artifact in artifacts.items() if isinstance(artifacts, dict) else ():
        if not isinstance(artifact, dict) or not isinstance(artifact.get("path"), str):
            found.add(("artifacts", name), "has no path", "write {path: FILE, type: model}")
        else:
            _unknown(artifact, _ARTIFACT, ("artifacts", name), found)


def _entry(entry: ParamValue, at: KeyPath, found: Findings) -> None:
    if not isinstance(entry, dict):
        found.add(at, "is no mapping", "a stage has at least `cmd`")
    elif "foreach" in entry:
        _unknown(entry, ("foreach", "do"), at, found)
        _wanted(entry, "foreach", dict | list | str, at, "a list, a mapping, or ${…}", found)
        if isinstance(body := entry.get("do"), dict):
            _stage(body, (*at, "do"), found)
        else:
            found.add(at, "`foreach` has no `do`", "put the stage under `do`")
    else:
        _stage(entry, at, found)


def _stage(stage: Mapping[str, ParamValue], at: KeyPath, found: Findings) -> None:
    _unknown(stage, _STAGE, at, found)
    command = stage.get("cmd")
    lines = command if isinstance(command, list) else [command]
    if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        found.add((*at, "cmd"), "has no command" if "cmd" not in stage else "must be a text, or a list of texts")
    for key in ("wdir", "desc"):
        _wanted(stage, key, str, at, "a text", found)
    for key in ("frozen", "always_changed"):
        _wanted(stage, key, bool, at, "true or false", found)
    deps = _wanted(stage, "deps", list, at, "a list of paths", found)
    for index, path in enumerate(deps if isinstance(deps, list) else ()):
        if not isinstance(path, str):
            found.add((*at, "deps", index), "must be a path")
    for key, known in (("outs", _OUTPUT), ("metrics", _OUTPUT), ("plots", _PLOT)):
        for place, options in _texts_and_mappings(stage, key, at, found):
            _unknown(options, known, place, found)
    for key in ("params", "vars"):
        _texts_and_mappings(stage, key, at, found)
    axes = _wanted(stage, "matrix", dict, at, "a mapping of lists", found)
    for name, axis in axes.items() if isinstance(axes, dict) else ():
        if not isinstance(axis, list | str):
            found.add((*at, "matrix", name), "must be a list, or ${…}")


def _texts_and_mappings(
    parent: Mapping[str, ParamValue], key: str, at: KeyPath, found: Findings
) -> list[tuple[KeyPath, Mapping[str, ParamValue]]]:
    """The options of each entry of a list that has some, with their place."""
    entries = _wanted(parent, key, list, at, "a list", found)
    options: list[tuple[KeyPath, Mapping[str, ParamValue]]] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        place: KeyPath = (*at, key, index)
        if isinstance(entry, dict):
            options += [((*place, name), given) for name, given in entry.items() if isinstance(given, dict)]
        elif not isinstance(entry, str):
            found.add(place, "must be a text, or a mapping with options")
    return options


def _wanted(
    parent: Mapping[str, ParamValue], key: str, kind: object, at: KeyPath, words: str, found: Findings
) -> ParamValue:
    """The value of a key; None where there is none, or one of another type, which is noted."""
    value = parent.get(key)
    if value is None or isinstance(value, kind):  # type: ignore[arg-type]  # a type, or a union of types
        return value
    found.add((*at, key), f"must be {words}")
    return None


def _unknown(given: Mapping[str, ParamValue], known: Iterable[str], at: KeyPath, found: Findings) -> None:
    for key in given:
        if key not in known:
            hint = suggestion(key, known) or f"DVC knows {', '.join(known)}"
            found.add((*at, key), f"unknown key '{key}'", hint)
