"""How ciml was called: the options that all commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ciml.core.errors import UsageError
from ciml.core.value import Value

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Invocation(Value, frozen=True, kw_only=True):
    """The options before the command, and the environment."""

    arguments: tuple[str, ...] = ()
    """All words of the call."""
    directory: str
    """Absolute."""
    profile: str | None = None
    json: bool = False
    verbosity: int = 0
    """`-v` counts up, `-q` counts down."""
    environ: dict[str, str] = {}


def with_params(command: _Command) -> _Command:
    """Add `-P name=value`, as often as wanted; the command gets `params`, a mapping."""
    return click.option(
        "-P", "params", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="Set a parameter for this call."
    )(command)


def _pairs(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise UsageError(f"-P {value}: a parameter is set as NAME=VALUE")
        if name in pairs:
            raise UsageError(f"-P {name} is given twice")
        pairs[name] = text
    return pairs
