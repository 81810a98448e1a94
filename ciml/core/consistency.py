"""Whether the stages of a file go together: each check notes what is wrong between them in `found`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import UNSET

from ciml.core.dag import cycle
from ciml.core.errors import ConfigurationError
from ciml.core.expression import stages_read
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import RepoPath, StageName
from ciml.core.matrix import Fan
from ciml.core.models import name_fault, note_metrics_of
from ciml.core.params import Params
from ciml.core.paths import folders, without_case
from ciml.core.pipeline import Stage
from ciml.core.placeholders import PlaceholderError, in_expression, lookup
from ciml.core.producers import Producers
from ciml.core.template import Template


def check_templates(templates: Mapping[StageName, Template], producers: Producers, found: Findings) -> None:
    """Stages have names that they may have, `needs` name stages, and nothing waits for itself."""
    for name, item in templates.items():
        if fault := name_fault(name):
            found.add(item.at, f"the name {fault}")
        for index, other in enumerate(item.keys.needs):
            if other not in templates:
                found.add((*item.at, "needs", index), f"unknown stage '{other}'", suggestion(other, templates))
    if round_ := cycle({name: _named_edges(item, templates, producers) for name, item in templates.items()}):
        hint = "no stage can come first: remove one of these inputs or `needs`"
        found.add(("stages", round_[0]), f"cycle: {' -> '.join(reversed(round_))}", hint)


def _named_edges(item: Template, templates: Mapping[StageName, Template], producers: Producers) -> list[StageName]:
    """The stages that must come before one whatever Git tracks: of outputs read by name, and of `needs`."""
    made = [whole.stage for place in item.skeleton.inputs if (whole := producers.at(place))]
    return [*made, *(StageName(other) for other in item.keys.needs if other in templates)]


def check_condition(
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


def check_outputs(stages: Iterable[Stage], found: Findings) -> None:
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


def check_readers(
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
