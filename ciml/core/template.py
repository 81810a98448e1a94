"""A stage of `ciml.yaml` on its way to the graph: defaults merged, placeholders replaced, units read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec import UNSET

from ciml.core.document import DefaultsKeys, ResourcesKeys, RetryKeys, StageKeys
from ciml.core.errors import ConfigurationError
from ciml.core.expression import names as names_in
from ciml.core.expression import parse_condition
from ciml.core.findings import Findings, KeyPath
from ciml.core.ids import RepoPath, StageName
from ciml.core.params import Params, pruned
from ciml.core.paths import inside_fault, normal, output_fault
from ciml.core.pipeline import Command, ParamValue, Place, Resources, Retry, Stage
from ciml.core.placeholders import Lookup, PlaceholderError, argv, in_expression, names, replaced, script
from ciml.core.units import seconds, size
from ciml.core.value import Value

P = ParamSpec("P")
T = TypeVar("T")


class Template(Value, frozen=True, kw_only=True):
    """A stage as declared: one node of the graph, or all instances of a matrix."""

    name: StageName
    keys: StageKeys
    """With the defaults merged."""
    skeleton: Stage
    """Its paths with parameters replaced and `${{ matrix.x }}` left, `inside` and `path` alike."""

    @property
    def at(self) -> KeyPath:
        """Where it stands in `ciml.yaml`."""
        return ("stages", self.name)


def merged(defaults: DefaultsKeys, stage: StageKeys) -> StageKeys:
    """The stage with the defaults under it: lists joined, mappings merged, all else the stage's own."""
    changes: dict[str, Any] = {}
    for name in DefaultsKeys.__struct_fields__:
        given = getattr(defaults, name)
        if given is not UNSET:
            own = getattr(stage, name)
            changes[name] = given if own is UNSET else _under(given, own, joined=name != "runs_on")
    return msgspec.structs.replace(stage, **changes) if changes else stage


def _under(given: Any, own: Any, *, joined: bool) -> Any:
    if isinstance(own, list) and isinstance(given, list) and joined:
        return list(dict.fromkeys([*given, *own]))
    if isinstance(own, dict):
        return {**given, **own}
    if isinstance(own, ResourcesKeys | RetryKeys):
        kept = {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not UNSET}
        return msgspec.structs.replace(given, **kept)
    return own


def template(name: str, keys: StageKeys, value: Lookup, found: Findings) -> Template:
    """The template of one stage; paths that may not be are noted in `found`."""
    at: KeyPath = ("stages", name)

    def paths(key: str, texts: list[str], fault: Callable[[str], str | None]) -> list[RepoPath]:
        good = []
        for index, text in enumerate(texts):
            path = _noted(found, (*at, key, index), replaced, text, value, keep_matrix=True)
            if path is None:
                continue
            why = None if "${{" in path else fault(path)
            if why:
                found.add((*at, key, index), f"path '{_visible(path)}' {why}", _PATH_HINT)
            else:
                good.append(normal(path))
        return good

    metrics = paths("metrics", keys.metrics, output_fault)
    plots = paths("plots", keys.plots, output_fault)
    outputs = dict.fromkeys([*paths("outputs", keys.outputs, output_fault), *metrics, *plots])
    inputs = dict.fromkeys(paths("inputs", [] if keys.inputs is UNSET else keys.inputs, _input_fault))
    skeleton = Stage(
        name=StageName(name),
        template=StageName(name),
        inputs=tuple(Place(path=path, inside=path) for path in inputs),
        outputs=tuple(Place(path=path, inside=path) for path in outputs),
        metrics=tuple(dict.fromkeys(metrics)),
        plots=tuple(dict.fromkeys(plots)),
        line=(found.locate(at) or (None,))[0],
    )
    return Template(name=StageName(name), keys=keys, skeleton=skeleton)


_PATH_HINT = "a path is relative to the repository's root, with / between its parts"


def _input_fault(text: str) -> str | None:
    """An input may be the root, and a folder that Git tracks may have any name."""
    return None if text in (".", "./") else inside_fault(text)


def _visible(text: str) -> str:
    return text.encode("unicode_escape").decode() if not text.isprintable() else text


def _noted(found: Findings, at: KeyPath, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What `make` returns, or None when a placeholder or an expression is wrong, which is noted."""
    try:
        return make(*args, **kwargs)
    except PlaceholderError as error:
        error.note(found, at)
    except ConfigurationError as error:
        found.add(at, error.message, error.hint)
    return None


def stage(
    item: Template,
    *,
    name: StageName,
    value: Lookup,
    params: Params,
    matrix: Mapping[str, ParamValue],
    places: Callable[[RepoPath], RepoPath],
    needs: tuple[StageName, ...],
    found: Findings,
) -> Stage:
    """The concrete stage, or one instance of a matrix.

    Args:
        item: its template.
        name: its name, of the instance for an instance.
        value: what its placeholders mean.
        params: all parameters.
        matrix: the instance's values, by name.
        places: the graph's path for a path of the skeleton, placeholders replaced in both.
        needs: the stages it waits for without a file.
        found: where problems are noted.
    """
    keys, at = item.keys, item.at
    command = _noted(found, (*at, "run"), _command, keys.run, value)
    named = _named(item, value, params, found)
    # A params file among the inputs comes with the values in force, not as Git has it.
    inputs = tuple(place for place in item.skeleton.inputs if place.path not in params.files)
    return Stage(
        name=name,
        template=item.name,
        command=command or Command(),
        inputs=_places(item, inputs, value, places, _input_fault, found),
        outputs=_places(item, item.skeleton.outputs, value, places, output_fault, found),
        metrics=tuple(places(path) for path in item.skeleton.metrics),
        plots=tuple(places(path) for path in item.skeleton.plots),
        params={**named, **{f"matrix.{axis}": item for axis, item in matrix.items()}},
        params_files=_files(named, params),
        env=_env(keys, value, found, at),
        when=None if keys.when is UNSET else _condition(keys.when, value, found, (*at, "when")),
        needs=needs,
        line=item.skeleton.line,
        **_settings(item, found),
    )


def _command(run: str | list[str], value: Lookup) -> Command:
    return script(run, value) if isinstance(run, str) else argv(run, value)


def _places(
    item: Template,
    declared: tuple[Place, ...],
    value: Lookup,
    places: Callable[[RepoPath], RepoPath],
    fault: Callable[[str], str | None],
    found: Findings,
) -> tuple[Place, ...]:
    made = []
    for place in declared:
        inside = place.inside
        if "${{" in inside:
            text = _noted(found, item.at, replaced, inside, value)
            if text is None:
                continue
            if why := fault(text):
                found.add(item.at, f"path '{_visible(text)}' {why}", _PATH_HINT)
                continue
            inside = normal(text)
        made.append(Place(path=places(place.path), inside=inside))
    return tuple(made)


def texts(keys: StageKeys) -> Iterator[str]:
    """Every text of a stage in which a placeholder may stand."""
    yield from [keys.run] if isinstance(keys.run, str) else keys.run
    yield from () if keys.inputs is UNSET else keys.inputs
    yield from (*keys.outputs, *keys.metrics, *keys.plots)
    yield from () if keys.env is UNSET else keys.env.values()
    if keys.when is not UNSET:
        yield keys.when


def _named(item: Template, value: Lookup, params: Params, found: Findings) -> dict[str, ParamValue]:
    """Every parameter that the stage names, leaf by leaf: in `params`, in placeholders, by a params file."""
    keys = item.keys
    named: dict[str, ParamValue] = {}
    for index, name in enumerate(() if keys.params is UNSET else keys.params):
        chosen = params.select(name)
        if not chosen:
            found.unknown((*item.at, "params", index), name, params.nearest(name))
        named |= chosen
    for text in texts(keys):
        if "${{" in text:
            # What is wrong with a placeholder is noted where it is replaced.
            for name in _noted(Findings(""), (), names, text) or ():
                if name.startswith("params."):
                    named |= params.select(name[7:])
    if keys.when is not UNSET and "params." in keys.when:
        for name in _read_by(keys.when, value):
            named |= params.select(name)
    for place in item.skeleton.inputs:
        if place.path in params.files:
            named |= {leaf: params.values[leaf] for leaf, file in params.file_of.items() if file == place.path}
    return named


def _read_by(when: str, value: Lookup) -> frozenset[str]:
    try:
        return names_in(parse_condition(in_expression(when, value))).params
    except (PlaceholderError, ConfigurationError):
        return frozenset()


def _files(named: Mapping[str, ParamValue], params: Params) -> dict[RepoPath, dict[str, ParamValue]]:
    """For each params file of which the stage names something: the tree it will find there."""
    files: dict[RepoPath, list[str]] = {}
    for name in named:
        if file := params.file_of.get(name):
            files.setdefault(file, []).append(name)
    return {file: pruned(params.files[file], wanted) for file, wanted in files.items()}


def _env(keys: StageKeys, value: Lookup, found: Findings, at: KeyPath) -> dict[str, str]:
    if keys.env is UNSET:
        return {}
    made = {}
    for name, text in keys.env.items():
        check_variable(name, found, (*at, "env", name))
        made[name] = _noted(found, (*at, "env", name), replaced, text, value) or ""
    return made


def check_variable(name: str, found: Findings, at: KeyPath) -> None:
    """Note where a name cannot be a variable's."""
    if not (name.isascii() and name.isidentifier()):
        found.add(at, f"'{_visible(name)}' cannot name an environment variable", "letters, digits and _")
    elif name.startswith("CIML_"):
        found.add(at, f"{name} is one of ciml's own variables", "choose another name")


def _condition(text: str, value: Lookup, found: Findings, at: KeyPath) -> str | None:
    condition = _noted(found, at, in_expression, text, value)
    if condition is not None:
        _noted(found, at, parse_condition, condition)
    return condition


def _settings(item: Template, found: Findings) -> dict[str, Any]:
    """What of the keys needs no placeholder, by the field of Stage that it sets."""
    keys, at = item.keys, item.at
    for key, variables in (("pass-env", keys.pass_env), ("secrets", keys.secrets)):
        for index, variable in enumerate(() if variables is UNSET else variables):
            check_variable(variable, found, (*at, key, index))
    retry = keys.retry
    settings: dict[str, Any] = {
        "always": keys.always,
        "retry": Retry() if retry is UNSET else _retry(retry),
        "resources": Resources() if keys.resources is UNSET else _resources(keys.resources),
        "any_platform": keys.platform == "any",
        "isolated": keys.isolation != "none",
        "description": keys.description,
    }
    given = {
        "pass_env": _tuple(keys.pass_env),
        "secrets": _tuple(keys.secrets),
        "timeout_s": UNSET if keys.timeout is UNSET else seconds(keys.timeout),
        "checkpoint": _own_path(keys.checkpoint, output_fault, found, (*at, "checkpoint")),
        "runs_on": (keys.runs_on,) if isinstance(keys.runs_on, str) else _tuple(keys.runs_on),
        "image": keys.image,
        "workdir": _own_path(keys.workdir, _input_fault, found, (*at, "workdir")),
        "cache": keys.cache,
        "sagemaker": keys.sagemaker,
    }
    return settings | {name: value for name, value in given.items() if value is not UNSET}


def _tuple(items: Any) -> Any:
    return UNSET if items is UNSET else tuple(items)


def _own_path(text: Any, fault: Callable[[str], str | None], found: Findings, at: KeyPath) -> Any:
    if text is UNSET:
        return UNSET
    if why := fault(text):
        found.add(at, f"path '{_visible(text)}' {why}", _PATH_HINT)
        return UNSET
    return normal(text)


def _resources(keys: ResourcesKeys) -> Resources:
    return Resources(
        cpus=1.0 if keys.cpus is UNSET else keys.cpus,
        memory=0 if keys.memory is UNSET else size(keys.memory),
        gpus=0 if keys.gpus is UNSET else keys.gpus,
    )


def _retry(keys: RetryKeys) -> Retry:
    return Retry(
        attempts=1 if keys.attempts is UNSET else keys.attempts,
        interval_s=0.0 if keys.interval is UNSET else seconds(keys.interval),
        backoff=1.0 if keys.backoff is UNSET else keys.backoff,
        when=() if keys.when is UNSET else tuple(keys.when),
    )
