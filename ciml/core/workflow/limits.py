"""What no workflow can be made of, and what it can offer: GitHub's limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ciml.core.errors import ConfigurationError
from ciml.core.pipeline import Parameter, Pipeline, Triggers
from ciml.core.workflow.order import declared, slug

LARGEST = 500_000
"""Bytes of a workflow file that GitHub takes."""

MOST_INPUTS = 25
"""Of a workflow that is started by hand."""

_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PATTERN = re.compile(r"[^\x00-\x20\x7f~^:\\]+")
"""GitHub's patterns match names that Git can have: https://git-scm.com/docs/git-check-ref-format"""
_CRON = re.compile(r"\s*([0-9*,/A-Za-z-]+\s+){4}[0-9*,/A-Za-z-]+\s*")


def refuse(pipeline: Pipeline) -> None:
    """Check that a workflow can be made of the pipeline.

    Raises:
        ConfigurationError: a job would lack its packages, GitHub could not tell two names apart, or a trigger
            could never fire.
    """
    stages = declared(pipeline)
    bare = [name for name, stage in stages.items() if stage.image is None]
    if pipeline.environment is None and bare:
        raise ConfigurationError(
            f"a CI job would lack the stages' packages: ciml.yaml has no `environment`, and {bare[0]} has no `image`",
            hint='environment: {python: "3.11", requirements: requirements.txt}',
        )
    _refuse_alike("stages", stages, str.lower)
    targets = dict.fromkeys(target.name for model in pipeline.models.values() for target in model.deploy)
    _refuse_alike("environments", targets, lambda name: slug(name).lower())
    _refuse_triggers(pipeline.triggers)


def _refuse_triggers(triggers: Triggers) -> None:
    for what, patterns in (("branch", triggers.branches or ()), ("tag", triggers.tags)):
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ConfigurationError(
                    f"triggers: {pattern!r} matches no {what}", hint="Patterns are such as main, release/** or v*."
                )
    for time in triggers.schedules:
        if not _CRON.fullmatch(time):
            raise ConfigurationError(
                f"triggers.schedule: {time!r} is no time in cron's form",
                hint='Five fields: minute, hour, day, month, day of the week, such as "0 3 * * 1".',
            )


def _refuse_alike(what: str, names: Iterable[str], as_github: Callable[[str], str]) -> None:
    """GitHub compares text without regard to case, in expressions and names of environments alike."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(as_github(name), name)
        if other != name:
            raise ConfigurationError(
                f"{what} {other} and {name} are the same to GitHub", hint="Give one of them another name."
            )


def offered(pipeline: Pipeline) -> list[Parameter]:
    """The parameters that a person is asked for who starts the workflow by hand."""
    named = {item.name.lower(): item for item in reversed(pipeline.parameters) if _INPUT.fullmatch(item.name)}
    return [item for item in pipeline.parameters if named.get(item.name.lower()) is item][:MOST_INPUTS]


def not_offered(pipeline: Pipeline) -> list[str]:
    """The names of those that GitHub has no form for: too many, or not named as its inputs are."""
    there = {item.name for item in offered(pipeline)}
    return [item.name for item in pipeline.parameters if item.name not in there]
