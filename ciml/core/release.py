"""Release tags: which models and which environments a tag's name asks for.

    v1.2.0               every model of ciml.yaml, or the one
    churn@v1.2.0         one model
    churn#production#3   one model to one environment, as GTO writes it
    churn#production     the same by a tag that is meant to move

Which version a tag names is not in its name: that is the version of its commit's recipe.

Source: GTO, https://github.com/iterative/gto, "Git tags format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ciml.core.errors import ConfigurationError, UsageError
from ciml.core.findings import suggestion
from ciml.core.ids import ModelName
from ciml.core.pipeline import DeployTarget, Model
from ciml.core.value import Value

PREFIX = "refs/tags/"

_VERSION = re.compile(r"v\d+(?:\.\d+)*(?:\.?[A-Za-z][0-9A-Za-z.+-]*|[-+][0-9A-Za-z][0-9A-Za-z.+-]*)?(?<![-+.])")
_STAGE = re.compile(r"(?P<model>[^#@]+)#(?P<environment>[^#!]+)(?P<counted>#\d+)?")
_FORMS = "v1.2.0, MODEL@v1.2.0, MODEL#ENVIRONMENT#3"


class ReleaseTag(Value, frozen=True, kw_only=True):
    """What a tag's name asks for."""

    name: str
    """Without `refs/tags/`."""
    model: ModelName | None = None
    """None: every model."""
    environment: str | None = None
    """None: every environment with `after: release`."""
    moves: bool = False
    """A name without version and counter: such a tag is meant to be moved."""


class Target(Value, frozen=True, kw_only=True):
    """One model and one of its environments."""

    model: Model
    target: DeployTarget


def release_tag(name: str, models: Mapping[ModelName, Model], *, patterns: Sequence[str] = ()) -> ReleaseTag:
    """What a tag asks for.

    Args:
        name: of the tag, with or without `refs/tags/`.
        models: of the pipeline.
        patterns: `triggers.release.tags`: a name without a model that matches one is for all models.

    Raises:
        UsageError: it is no release tag, takes a version out of an environment, or names no model of these.
    """
    name = name.removeprefix(PREFIX)
    if found := _STAGE.fullmatch(name):
        model = _model(found["model"], models, name)
        return ReleaseTag(name=name, model=model, environment=found["environment"], moves=not found["counted"])
    left, at, version = name.partition("@")
    if at and _VERSION.fullmatch(version):
        return ReleaseTag(name=name, model=_model(left, models, name))
    if "#" in name or at:
        hint = "A tag that takes a version back is not acted on." if "!" in name else f"Release tags are {_FORMS}."
        raise UsageError(f"{name!r} is not a release tag", hint=hint)
    if _VERSION.fullmatch(name) or any(fnmatchcase(name, pattern) for pattern in patterns):
        return ReleaseTag(name=name)
    raise UsageError(f"{name!r} is not a release tag", hint=f"Release tags are {_FORMS}.")


def _model(name: str, models: Mapping[ModelName, Model], tag: str) -> ModelName:
    if name not in models:
        raise UsageError(
            f"the tag {tag!r} names the model {name!r}, which ciml.yaml has not", hint=suggestion(name, models)
        )
    return ModelName(name)


def of_release(
    tag: ReleaseTag, models: Mapping[ModelName, Model], *, environment: str | None = None
) -> tuple[Target, ...]:
    """The environments that a tag deploys to, in the order of the file.

    Args:
        tag: what was released.
        models: of the tag's commit.
        environment: only this one, whatever it comes after.

    Raises:
        ConfigurationError: an environment that is named does not exist.
        UsageError: the tag names another environment than the caller.
    """
    if tag.environment is not None and environment not in (None, tag.environment):
        raise UsageError(f"the tag {tag.name} is for the environment {tag.environment}, not for {environment}")
    named = tag.environment or environment
    asked = [model for model in models.values() if tag.model in (None, model.name)]
    return _chosen(asked, "release", named)


def of_promotion(models: Mapping[ModelName, Model], *, environment: str | None = None) -> tuple[Target, ...]:
    """The environments that follow the champion, in the order of the file; only those of that name, where one is given.

    Raises:
        ConfigurationError: there is no environment of that name.
        UsageError: it is one that a release tag moves.
    """
    found = _chosen(list(models.values()), "promotion", environment)
    if released := next((item for item in found if item.target.after != "promotion"), None):
        raise UsageError(
            f"{released.target.name} is deployed by a release tag",
            hint=f"ciml deploy --ref TAG --environment {released.target.name}",
        )
    return found


def _chosen(models: Sequence[Model], after: str, named: str | None) -> tuple[Target, ...]:
    every = [Target(model=model, target=target) for model in models for target in model.deploy]
    if named is None:
        return tuple(item for item in every if item.target.after == after)
    found = tuple(item for item in every if item.target.name == named)
    if not found:
        names = dict.fromkeys(item.target.name for item in every)
        whose = models[0].name if len(models) == 1 else "ciml.yaml"
        hint = suggestion(named, names) or f"Environments are {', '.join(names) or 'none'}."
        raise ConfigurationError(f"{whose} has no environment {named!r}", hint=hint)
    return found
