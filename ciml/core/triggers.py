"""What starts the workflow that `ciml workflow` writes, and what a person may set when they start it by hand."""

from __future__ import annotations

from msgspec import UNSET

from ciml.core.document import Document, ParamKeys, PullRequestKeys, PushKeys, ReleaseKeys
from ciml.core.pipeline import Parameter, Scalar, Triggers


def triggers(document: Document) -> Triggers:
    """What `triggers` says, silence included: pushes to the default branch, pull requests, release tags."""
    keys = document.triggers
    schedules = [] if keys.schedule is UNSET else keys.schedule
    return Triggers(
        branches=tuple(keys.push.branches) if isinstance(keys.push, PushKeys) else None,
        pushes=keys.push is not False,
        pull_requests=keys.pull_request is not False,
        require="accepted" if _accepted(keys.pull_request) else "ran",
        tags=_tags(document) if keys.release is not False else (),
        schedules=(schedules,) if isinstance(schedules, str) else tuple(schedules),
        data=() if keys.data is UNSET else tuple(keys.data),
    )


def _accepted(keys: object) -> bool:
    return isinstance(keys, PullRequestKeys) and keys.require == "accepted"


def _tags(document: Document) -> tuple[str, ...]:
    keys = document.triggers.release
    if isinstance(keys, ReleaseKeys) and keys.tags is not UNSET:
        return tuple(keys.tags)
    return ("v*", *(f"{name}@v*" for name in document.models))


def parameters(document: Document) -> tuple[Parameter, ...]:
    """The declared parameters, as a form would ask for them."""
    return tuple(_parameter(name, keys) for name, keys in document.params.items())


def _parameter(name: str, keys: Scalar | ParamKeys) -> Parameter:
    if not isinstance(keys, ParamKeys):
        return Parameter(name=name, default=keys, boolean=isinstance(keys, bool))
    return Parameter(
        name=name,
        default=None if keys.default is UNSET else keys.default,
        boolean=keys.type == "bool",
        allowed=() if keys.enum is UNSET else tuple(keys.enum),
        help=keys.help,
    )
