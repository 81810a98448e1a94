"""The models of `ciml.yaml`, concrete: paths, gates, champions, targets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import UNSET

from ciml.core.dag import upstream
from ciml.core.document import CheckKeys, DeployKeys, ModelKeys
from ciml.core.errors import ConfigurationError
from ciml.core.expression import names as names_in
from ciml.core.expression import parse
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import ModelName, RepoPath, StageName, is_name
from ciml.core.matrix import Fan
from ciml.core.paths import has_invisible, normal, output_fault
from ciml.core.pipeline import (
    ChampionPolicy,
    Check,
    Compare,
    DeployTarget,
    ExpressionCheck,
    Model,
    PairedCheck,
    PointCheck,
    ToleranceCheck,
)
from ciml.core.placeholders import Lookup, PlaceholderError, in_expression, replaced
from ciml.core.producers import Producers, is_glob, matches
from ciml.core.template import Template, check_variable
from ciml.core.units import SHARE, seconds, share
from ciml.core.value import Value

_LOSS = re.compile(
    r"loss|error|(?:^|[^a-z])(?:r?mse|mae|mape|rmsle|brier|perplexity|latency|wer|cer|fpr|fnr)(?:[^a-z]|$)"
)


class Declared(Value, frozen=True, kw_only=True):
    """What the file declares besides models, as far as these are read against it."""

    templates: dict[StageName, Template]
    producers: Producers
    """Of the templates."""
    readers: dict[StageName, list[StageName]]
    """For each template, folder and pattern those that read what it makes or holds."""
    fan_of: dict[StageName, Fan]
    value: Lookup


def name_fault(name: str) -> str | None:
    """Why a stage or a model may not be called so, or None where it may."""
    if has_invisible(name):
        return "holds a control or bidi character"
    return None if is_name(name) else "may hold letters, digits, dots, hyphens and _, and starts with a letter or digit"


def model(name: str, keys: ModelKeys, declared: Declared, found: Findings) -> tuple[Model, list[str]]:
    """The model, and warnings about it; what is wrong is noted in `found`."""
    at: KeyPath = ("models", name)
    if fault := name_fault(name):
        found.add(at, f"the name {fault}")
    path = normal(keys.path)
    after = _after(path, keys, declared, found, at)
    warnings: list[str] = []
    gate = [_check(item, declared, found, (*at, "gate", index)) for index, item in enumerate(keys.gate)]
    for index, check in enumerate(gate):
        if check and (warning := _direction(check, f"models.{name}.gate.{index}")):
            warnings.append(warning)
        _known_stages(check, declared, found, (*at, "gate", index))
    return (
        Model(
            name=ModelName(name),
            path=path,
            gate=tuple(check for check in gate if check),
            champion=_champion(keys, after, declared, found, at),
            promote=keys.promote if keys.promote is not UNSET else "auto" if keys.gate else "manual",
            deploy=tuple(_target(target, item, found, (*at, "deploy", target)) for target, item in keys.deploy.items()),
            line=(found.locate(at) or (None,))[0],
        ),
        warnings,
    )


def _after(path: RepoPath, keys: ModelKeys, declared: Declared, found: Findings, at: KeyPath) -> frozenset[StageName]:
    """The stages downstream of the model's path, its maker not among them."""
    if fault := output_fault(keys.path):
        found.add((*at, "path"), f"path '{keys.path}' {fault}")
        return frozenset()
    maker = declared.producers.maker(path)
    if maker is None:
        outputs = declared.producers.paths
        below = next((output for output in outputs if output.startswith(f"{path}/")), None)
        hint = f"stage outputs are smaller: {below}" if below else suggestion(path, outputs)
        found.add((*at, "path"), f"no stage makes {path}", hint or "list it under a stage's `outputs`")
        return frozenset()
    fan = declared.fan_of.get(maker)
    if fan and fan.metric is None:
        hint = f"add `pick: {{max: METRIC}}` to stage {fan.origin}"
        found.add((*at, "path"), f"{path} is made by every instance of {fan.origin}, and none is picked", hint)
    first = [name for name in declared.readers[maker] if name != maker and _reads(name, path, declared)]
    return upstream(declared.readers, first) & declared.templates.keys()


def _reads(name: StageName, path: RepoPath, declared: Declared) -> bool:
    """Whether a reader of the path's maker reads the path itself, something in it, or what holds it."""
    if name not in declared.templates:
        return matches(path, name) if is_glob(name) else f"{path}/".startswith(name) or name == "/"
    places = [place.path for place in declared.templates[name].skeleton.inputs]
    return any(f"{read}/".startswith(f"{path}/") or f"{path}/".startswith(f"{read}/") for read in places)


def _check(item: str | CheckKeys, declared: Declared, found: Findings, at: KeyPath) -> Check | None:
    try:
        if isinstance(item, str):
            text = in_expression(item, declared.value)
            parse(text)
            return ExpressionCheck(expression=text)
        return _comparison(item, declared.value, found, at)
    except PlaceholderError as error:
        error.note(found, at)
    except ConfigurationError as error:
        found.add(at, error.message, error.hint)
    return None


def _comparison(item: CheckKeys, value: Lookup, found: Findings, at: KeyPath) -> Check | None:
    by = 0.0 if item.by is UNSET else _number(item.by, value, found, (*at, "by"))
    if (item.beats is UNSET) == (item.within is UNSET):
        found.add(at, "needs one of `beats` and `within`", "write {metric: M, beats: champion} or {…, within: 10%}")
        return None
    if item.within is not UNSET:
        for key, given in (("confidence", item.confidence), ("scores", item.scores), ("by", item.by)):
            if given is not UNSET:
                found.add((*at, key), f"{key} belongs to `beats`, not to `within`", f"remove `{key}`")
        text = replaced(item.within, value) if isinstance(item.within, str) else item.within
        relative = isinstance(text, str) and re.match(SHARE, text) is not None
        within = share(str(text)) if relative else _number(text, value, found, (*at, "within"))
        return ToleranceCheck(
            metric=item.metric, within=within, relative=relative, lower_is_better=item.lower_is_better
        )
    if (item.confidence is UNSET) != (item.scores is UNSET):
        missing = "scores" if item.scores is UNSET else "confidence"
        found.add(at, f"needs `{missing}` too", "an interval needs a confidence and the scores of every example")
        return None
    if item.confidence is UNSET or item.scores is UNSET:
        return PointCheck(metric=item.metric, by=by, lower_is_better=item.lower_is_better)
    return PairedCheck(
        metric=item.metric,
        confidence=_number(item.confidence, value, found, (*at, "confidence")),
        scores=normal(item.scores),
        by=by,
        lower_is_better=item.lower_is_better,
    )


def _number(given: float | str, value: Lookup, found: Findings, at: KeyPath) -> float:
    if isinstance(given, float):
        return given
    text = replaced(given, value)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0:
        found.add(at, f"{given} is {text}, and a number is wanted")
        return 0.0
    if at[-1] == "confidence" and not 0 < number < 1:
        found.add(at, f"{given} is {text}, and a number between 0 and 1 is wanted")
    return number


def _direction(check: Check, key: str) -> str | None:
    """A warning for a metric that is named like a loss and for which more is said to be better."""
    if isinstance(check, ExpressionCheck) or check.lower_is_better or not _LOSS.search(check.metric.lower()):
        return None
    return f"{key}: {check.metric} is named like a loss, and higher counts as better; else say `lower-is-better: true`"


def _known_stages(check: Check | None, declared: Declared, found: Findings, at: KeyPath) -> None:
    """Note what the check reads of stages and is not there."""
    if isinstance(check, ExpressionCheck):
        for name, _ in sorted(names_in(parse(check.expression)).stages):
            note_metrics_of(name, declared.templates, declared.fan_of, found, at)
    elif isinstance(check, PairedCheck) and declared.producers.maker(check.scores) is None:
        hint = suggestion(check.scores, declared.producers.paths) or "list it under a stage's `outputs`"
        found.add((*at, "scores"), f"no stage makes {check.scores}", hint)


def note_metrics_of(
    name: StageName,
    templates: Mapping[StageName, Template],
    fan_of: Mapping[StageName, Fan],
    found: Findings,
    at: KeyPath,
) -> None:
    """Note where a stage whose metrics an expression reads does not exist, writes none, or is many."""
    if name not in templates:
        found.add(at, f"unknown stage '{name}'", suggestion(name, templates))
    elif not templates[name].skeleton.metrics:
        found.add(at, f"stage {name} writes no metrics", f"list its file under stages.{name}.metrics")
    elif (fan := fan_of.get(name)) and fan.metric is None:
        found.add(at, f"stage {name} has {len(fan.instances)} instances and none is picked", "add `pick`")


def _champion(
    keys: ModelKeys, after: frozenset[StageName], declared: Declared, found: Findings, at: KeyPath
) -> ChampionPolicy:
    """Whom the candidate is compared with; rescored where exactly one stage downstream writes metrics."""
    champion = keys.champion
    if champion.rescore is not UNSET:
        stage = StageName(champion.rescore)
        key = (*at, "champion", "rescore")
        if champion.compare is not UNSET:
            found.add((*at, "champion", "compare"), "excludes `rescore`", "keep one of the two")
        if stage not in declared.templates:
            found.add(key, f"unknown stage '{stage}'", suggestion(stage, declared.templates))
        elif stage not in after and declared.producers.covers(normal(keys.path)):
            hint = f"stages downstream are {', '.join(sorted(after))}" if after else "let a stage read it"
            found.add(key, f"stage {stage} is not downstream of {keys.path}", hint)
        return ChampionPolicy(alias=champion.alias, compare=Compare.RESCORE, rescore=stage)
    if champion.compare is not UNSET:
        return ChampionPolicy(alias=champion.alias, compare=Compare(champion.compare))
    writers = [name for name in declared.templates if name in after and declared.templates[name].skeleton.metrics]
    if len(writers) == 1:
        return ChampionPolicy(alias=champion.alias, compare=Compare.RESCORE, rescore=writers[0])
    return ChampionPolicy(alias=champion.alias)


def _target(name: str, keys: DeployKeys, found: Findings, at: KeyPath) -> DeployTarget:
    if fault := name_fault(name):
        found.add(at, f"the name {fault}")
    ways = {"run": keys.run, "lambda": keys.function, "sagemaker": keys.sagemaker}
    given = [way for way, value in ways.items() if value is not UNSET]
    if len(given) != 1:
        found.add(at, f"needs one of run, lambda and sagemaker, found {' and '.join(given) or 'none'}")
    labels = [] if keys.runs_on is UNSET else [keys.runs_on] if isinstance(keys.runs_on, str) else keys.runs_on
    for number, variable in enumerate(keys.secrets):
        check_variable(variable, found, (*at, "secrets", number))
    return DeployTarget(
        name=name,
        after=keys.after,
        run=None if keys.run is UNSET else keys.run,
        lambda_function=None if keys.function is UNSET else keys.function,
        sagemaker_endpoint=None if keys.sagemaker is UNSET else keys.sagemaker,
        smoke=None if keys.smoke is UNSET else keys.smoke,
        timeout_s=3600.0 if keys.timeout is UNSET else seconds(keys.timeout),
        secrets=tuple(dict.fromkeys(keys.secrets)),
        runs_on=tuple(labels),
        approval=keys.approval is not UNSET,
    )
