"""The head's pipeline under the policy of what it would be merged into."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ciml.app.base import History, policy_of
from ciml.app.ports import Tree
from ciml.app.project import Project
from ciml.core.errors import ConfigurationError, ServiceError, UsageError
from ciml.core.event import Event
from ciml.core.params import NOT_GIVEN
from ciml.core.pipeline import Pipeline
from ciml.core.policy import with_base_policy
from ciml.core.value import Value

Read = Callable[[Tree, str | None, Mapping[str, str]], Pipeline]
"""The pipeline of a tree, with a profile and values for parameters."""


class Given(Value, frozen=True, kw_only=True):
    """What a call says besides the commit. It is the head's to choose, since the workflow that gives it is its own."""

    profile: str | None
    params: dict[str, str]


def under_base_policy(
    project: Project, event: Event, history: History, given: Given, read: Read
) -> tuple[Pipeline, tuple[str, ...]]:
    """The pipeline by which the head is judged, and what is to be said of it.

    Args:
        project: of the head.
        event: what would be merged, and into what.
        history: Git's, the remote's included.
        given: what this call says besides.
        read: reads the base's pipeline.

    Raises:
        ServiceError: there is a base, and it cannot be found.
        UsageError: the base's policy could be read, with other values than this call gives.
    """
    found = policy_of(event, history)
    if found.commit is None and (event.base or event.base_branch or event.default_branch):
        raise ServiceError(f"the policy that counts cannot be found: {found.reason}", hint="Run this again.")
    base: Pipeline | None = None
    if found.commit is None:
        notes = [f"The policy that counts cannot be found: {found.reason}."]
    else:
        try:
            base, notes = _policy(project.history.commit_tree(found.commit), given, read)
        except ConfigurationError as error:
            notes = [f"The base has no policy that can be read: {error.message}"]
    pipeline, differences = with_base_policy(project.pipeline, base)
    return pipeline, (*notes, *differences)


def _policy(tree: Tree, given: Given, read: Read) -> tuple[Pipeline, list[str]]:
    """The pipeline of a commit whose policy counts, as far as that commit alone can say, and what is to be said of it.

    What the call gives serves only where that commit has no value, or has that profile too; where it
    lacks a value that is not given, or not given right, the head's own gate must not stand in for it.

    Raises:
        ConfigurationError: it has no ciml.yaml, or none that can be read.
        UsageError: it could be read, with other values than this call gives.
    """
    if given.profile is None:
        return _with_values(tree, None, given.params, read)
    try:
        return _with_values(tree, given.profile, given.params, read)
    except ConfigurationError:
        return _with_values(tree, None, given.params, read)


def _with_values(tree: Tree, profile: str | None, params: Mapping[str, str], read: Read) -> tuple[Pipeline, list[str]]:
    """The pipeline with values of this call for parameters that have none there."""
    try:
        return read(tree, profile, {}), []
    except ConfigurationError as error:
        lacking = {problem.key for problem in error.problems if problem.message == NOT_GIVEN}
        if not lacking or len(lacking) < len(error.problems):
            raise
    serve = {name: value for name, value in params.items() if f"params.{name}" in lacking}
    try:
        pipeline = read(tree, profile, serve)
    except ConfigurationError as error:
        told = "; ".join(f"{problem.key or problem.file} {problem.message}" for problem in error.problems)
        hint = "Give them as the base's own runs do: -P NAME=VALUE, or `params` of the Action."
        raise UsageError(f"the base's policy counts, and lacks values: {told}", hint=hint) from error
    return pipeline, [f"`params.{name}` has no value at the base: gates read what this run gives." for name in serve]
