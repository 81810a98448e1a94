"""From what the user wrote to a concrete pipeline: merge, resolve, expand, check."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import UNSET

from ciml.core.dag import cycle, reverse
from ciml.core.datarules import data_lines, data_rules
from ciml.core.declarations import declarations
from ciml.core.document import Document, ReleaseKeys
from ciml.core.errors import ConfigurationError
from ciml.core.expression import stages_read
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import ModelName, RepoPath, StageName
from ciml.core.matrix import Fan, Instance, Moves, fans, pick_node
from ciml.core.models import Declared, model, name_fault, note_metrics_of
from ciml.core.params import Params, in_force
from ciml.core.paths import folders, inside_fault, look_alikes, normal, without_case
from ciml.core.pipeline import Environment, Model, ParamValue, Pipeline, Place, Release, Stage
from ciml.core.placeholders import PlaceholderError, in_expression, lookup
from ciml.core.places import check_places
from ciml.core.producers import Producers, is_glob
from ciml.core.template import Template, merged, stage, template
from ciml.core.triggers import parameters, triggers
from ciml.core.unheeded import not_acted_on
from ciml.core.units import seconds


def pipeline_from(
    document: Document,
    files: Mapping[RepoPath, dict[str, ParamValue]],
    *,
    overrides: Mapping[str, str],
    profile: str | None,
    found: Findings,
) -> Pipeline:
    """The concrete pipeline.

    Args:
        document: what `ciml.yaml` says.
        files: the trees of its params files, in its order.
        overrides: `-P NAME=VALUE`, as text.
        profile: the name of the profile in force.
        found: where every problem is noted; it may hold some already.

    Raises:
        ConfigurationError: with all problems at once.
    """
    params = _params(document, files, overrides, profile, found)
    value = lookup(params, None)
    templates = {
        StageName(name): template(name, merged(document.defaults, keys), value, found)
        for name, keys in document.stages.items()
    }
    producers = Producers(item.skeleton for item in templates.values())
    edges = _edges(templates, producers)
    readers = reverse(edges)
    fan_of = fans(templates, edges, readers, found)
    _check_templates(templates, producers, found)
    stages = _stages(templates, fan_of, params, found)
    _check_outputs(stages.values(), found)
    _check_readers(stages, fan_of, producers, found)
    declared = Declared(templates=templates, producers=producers, readers=readers, fan_of=fan_of, value=value)
    models: dict[ModelName, Model] = {}
    warnings = [
        f"the inputs {one!a} and {other!a} are two paths here, and one where case and spelling are ignored"
        for one, other in look_alikes(place.path for item in stages.values() for place in item.inputs)
    ]
    for name, keys in document.models.items():
        models[ModelName(name)], more = model(name, keys, declared, found)
        warnings += more
    if unheeded := not_acted_on(document):
        warnings.append(f"this version reads these keys and does not act on them: {', '.join(unheeded)}")
    pipeline = _pipeline(document, stages, models, params, warnings, found)
    found.stop_if_any()
    return pipeline


def _told(profiles: Collection[str]) -> str:
    return f"profiles are {', '.join(profiles)}" if profiles else "ciml.yaml has no `profiles`"


def _params(
    document: Document,
    files: Mapping[RepoPath, dict[str, ParamValue]],
    overrides: Mapping[str, str],
    profile: str | None,
    found: Findings,
) -> Params:
    if profile is not None and profile not in document.profiles:
        hint = suggestion(profile, document.profiles) or _told(document.profiles)
        found.add(("profiles",), f"unknown profile '{profile}'", hint)
    chosen = document.profiles.get(profile or "")
    return in_force(
        declarations(document, found),
        files,
        overrides=overrides,
        profile=chosen.params if chosen else {},
        profile_name=profile,
        found=found,
    )


def _edges(templates: Mapping[StageName, Template], producers: Producers) -> dict[StageName, tuple[StageName, ...]]:
    """For each template those whose outputs it reads: an output, something in it, or a folder or pattern over it.

    A folder or a pattern is a node of its own, named so that no stage can have its name: a thousand
    stages that read a folder of a thousand outputs are two thousand edges, not a million.
    """
    edges: dict[StageName, tuple[StageName, ...]] = {}
    for name, item in templates.items():
        made: dict[StageName, None] = {}
        for place in item.skeleton.inputs:
            if whole := producers.at(place):
                made[whole.stage] = None
                continue
            over = StageName(place.path if is_glob(place.path) else f"{place.path}/")
            if over not in edges:
                edges[over] = _makers_below(place, producers)
            made[over] = None
        edges[name] = tuple(made)
    return edges


def _makers_below(place: Place, producers: Producers) -> tuple[StageName, ...]:
    nobody = Stage(name=StageName(""), template=StageName(""))
    look = producers.below(place, reader=nobody)
    if is_glob(place.path):
        look = producers.matching(place.path, reader=nobody)
    return tuple(dict.fromkeys(part.stage for part in look))


def _named_edges(item: Template, templates: Mapping[StageName, Template], producers: Producers) -> list[StageName]:
    """The stages that must come before one whatever Git tracks: of outputs read by name, and of `needs`."""
    made = [whole.stage for place in item.skeleton.inputs if (whole := producers.at(place))]
    return [*made, *(StageName(other) for other in item.keys.needs if other in templates)]


def _check_templates(templates: Mapping[StageName, Template], producers: Producers, found: Findings) -> None:
    """Names, `needs` and cycles."""
    for name, item in templates.items():
        if fault := name_fault(name):
            found.add(item.at, f"the name {fault}")
        for index, other in enumerate(item.keys.needs):
            if other not in templates:
                found.add((*item.at, "needs", index), f"unknown stage '{other}'", suggestion(other, templates))
    if round_ := cycle({name: _named_edges(item, templates, producers) for name, item in templates.items()}):
        hint = "no stage can come first: remove one of these inputs or `needs`"
        found.add(("stages", round_[0]), f"cycle: {' -> '.join(reversed(round_))}", hint)


def _stages(
    templates: Mapping[StageName, Template], fan_of: Mapping[StageName, Fan], params: Params, found: Findings
) -> dict[StageName, Stage]:
    stages: dict[StageName, Stage] = {}
    moves_of: dict[tuple[StageName, str], Moves] = {}
    plain = lookup(params, None)
    for name, item in templates.items():
        _check_condition(item, templates, fan_of, params, found)
        fan = fan_of.get(name)
        if fan is None:
            needs = _needs(item, None, None, fan_of)
            stages[name] = stage(
                item, name=name, value=plain, params=params, matrix={}, places=_same, needs=needs, found=found
            )
            continue
        for instance in fan.instances:
            value = lookup(params, instance.values)
            moves = moves_of.get((fan.origin, instance.mark)) or Moves(fan, instance, templates, value)
            moves_of[fan.origin, instance.mark] = moves
            made = stage(
                item,
                name=instance.of(name),
                value=value,
                params=params,
                matrix=instance.values,
                places=moves,
                needs=_needs(item, fan, instance, fan_of),
                found=found,
            )
            stages[made.name] = made
        if fan.metric is not None:
            stages[name] = pick_node(item, fan)
    for made in stages.values():
        if not made.isolated and (moved := params.moved & made.params.keys()):
            message = f"{min(moved)} is set at run time, and a stage with `isolation: none` reads the file itself"
            found.add(("stages", made.template), message, "remove `isolation: none`, or change the file")
    return stages


def _same(path: RepoPath) -> RepoPath:
    return path


def _needs(
    item: Template, fan: Fan | None, instance: Instance | None, fan_of: Mapping[StageName, Fan]
) -> tuple[StageName, ...]:
    """The stages that `needs` means: of the same matrix the same instance, of another its pick or all."""
    meant: list[StageName] = []
    for name in map(StageName, item.keys.needs):
        other = fan_of.get(name)
        if other and other is fan and instance:
            meant.append(instance.of(name))
        elif other and other.metric is None:
            meant += (each.of(name) for each in other.instances)
        else:
            meant.append(name)
    return tuple(meant)


def _check_condition(
    item: Template,
    templates: Mapping[StageName, Template],
    fan_of: Mapping[StageName, Fan],
    params: Params,
    found: Findings,
) -> None:
    """The stages whose metrics `when` reads exist, write some, and are not instances beside this one."""
    fan = fan_of.get(item.name)
    if item.keys.when is UNSET:
        return
    values = fan.instances[0].values if fan and fan.instances else None
    try:
        read = stages_read(in_expression(item.keys.when, lookup(params, values)))
    except (PlaceholderError, ConfigurationError):
        return  # noted where the stage is made
    at: KeyPath = (*item.at, "when")
    for name in read:
        note_metrics_of(name, templates, fan_of, found, at)
        if fan and fan_of.get(name) is fan:
            found.add(at, f"{name} is fanned out with this stage, and its winner is known only after it")


def _check_outputs(stages: Iterable[Stage], found: Findings) -> None:
    """No output equals, holds or differs only in case from another: the later one is noted."""
    owner: dict[str, tuple[Stage, RepoPath]] = {}
    holder: dict[str, tuple[Stage, RepoPath]] = {}
    for item in stages:
        for place in item.outputs:
            folded = without_case(place.path)
            above = folders(folded)
            clash = owner.get(folded) or holder.get(folded)
            clash = clash or next((owner[folder] for folder in above if folder in owner), None)
            if clash:
                _note_clash(item, place.path, *clash, found)
                continue
            owner[folded] = (item, place.path)
            for folder in above:
                holder.setdefault(folder, (item, place.path))


def _note_clash(item: Stage, path: RepoPath, other: Stage, its: RepoPath, found: Findings) -> None:
    whose = "this stage" if other.template == item.template else f"stage {other.template}"
    if path == its:
        message = f"{path} is made by {whose} too"
    elif path.casefold() == its.casefold():
        message = f"{path} and {its} of {whose} are one path where case is ignored"
    elif its.startswith(f"{path}/"):
        message = f"{path} holds {its} of {whose}"
    elif path.startswith(f"{its}/"):
        message = f"{path} lies inside {its} of {whose}"
    else:
        message = f"{path} and {its} of {whose} are one path, or one in the other, on some systems"
    found.add(("stages", item.template, "outputs"), message, "every path is made by one stage, once")


def _check_readers(
    stages: Mapping[StageName, Stage],
    fan_of: Mapping[StageName, Fan],
    producers: Producers,
    found: Findings,
) -> None:
    """Nobody reads the plain path of a matrix that picks none: it does not exist."""
    if not any(fan.metric is None for fan in fan_of.values()):
        return
    for item in stages.values():
        for place in item.inputs:
            made = producers.at(place)
            fan = fan_of.get(made.stage) if made else None
            if fan and made and fan.metric is None and item.template not in fan.members:
                paths = [output.path for each in fan.instances[:2] for output in stages[each.of(fan.origin)].outputs]
                hint = f"add `pick` to stage {fan.origin}, or read {', '.join(paths)}, … or a pattern"
                at = ("stages", item.template, "inputs")
                found.add(at, f"{place.path} is made by {len(fan.instances)} instances, each under its own path", hint)


def _pipeline(
    document: Document,
    stages: dict[StageName, Stage],
    models: dict[ModelName, Model],
    params: Params,
    warnings: list[str],
    found: Findings,
) -> Pipeline:
    check_places(document, found)
    if not document.stages:
        found.add(("stages",), "there is no stage", "`ciml init` writes a first one")
    return Pipeline(
        stages=stages,
        models=models,
        environment=_environment(document, found),
        params=params.values,
        params_files=tuple(params.files),
        store=None if document.store is UNSET else document.store,
        registry=None if document.registry is UNSET else document.registry,
        ledger=None if document.ledger is UNSET else document.ledger,
        reuse=document.trust.reuse,
        signers=_inside(document.trust.signers, found, ("trust", "signers")),
        release=_release(document),
        triggers=triggers(document),
        data=data_rules(document, found),
        data_lines=data_lines(document, found),
        action=None if document.action is UNSET else document.action,
        parameters=parameters(document),
        alerts=("rejected", "failed", "deploy-failed") if document.alerts is UNSET else tuple(document.alerts),
        on_rejection=document.on_rejection,
        link=document.link,
        warnings=tuple(warnings),
    )


def _environment(document: Document, found: Findings) -> Environment | None:
    if document.environment is UNSET:
        return None
    requirements = _inside(document.environment.requirements, found, ("environment", "requirements"))
    return Environment(python=document.environment.python, requirements=requirements)


def _release(document: Document) -> Release:
    keys = document.triggers.release
    if not isinstance(keys, ReleaseKeys):
        return Release()
    return Release(
        tags=() if keys.tags is UNSET else tuple(keys.tags),
        wait_s=0.0 if keys.wait is UNSET else seconds(keys.wait),
    )


def _inside(text: object, found: Findings, at: KeyPath) -> RepoPath | None:
    if not isinstance(text, str):
        return None
    if fault := inside_fault(text):
        found.add(at, f"path '{text}' {fault}")
        return None
    return normal(text)
