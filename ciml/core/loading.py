"""From what the user wrote to a concrete pipeline: merge, resolve, expand."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import UNSET

from ciml.core.consistency import check_condition, check_outputs, check_readers, check_templates
from ciml.core.dag import reverse
from ciml.core.datarules import data_lines, data_rules
from ciml.core.declarations import declarations
from ciml.core.document import Document, ReleaseKeys
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import ModelName, RepoPath, StageName
from ciml.core.matrix import Fan, Instance, Moves, fans, pick_node
from ciml.core.models import Declared, model
from ciml.core.params import Params, in_force
from ciml.core.paths import inside_fault, look_alikes, normal
from ciml.core.pipeline import Environment, Model, ParamValue, Pipeline, Place, Release, Stage
from ciml.core.placeholders import lookup
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
    check_templates(templates, producers, found)
    stages = _stages(templates, fan_of, params, found)
    check_outputs(stages.values(), found)
    check_readers(stages, fan_of, producers, found)
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


def _stages(
    templates: Mapping[StageName, Template], fan_of: Mapping[StageName, Fan], params: Params, found: Findings
) -> dict[StageName, Stage]:
    stages: dict[StageName, Stage] = {}
    moves_of: dict[tuple[StageName, str], Moves] = {}
    plain = lookup(params, None)
    for name, item in templates.items():
        check_condition(item, templates, fan_of, params, found)
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
