"""Packages that a call will need, asked for before anything is begun."""

from __future__ import annotations

from importlib.util import find_spec

from ciml.adapters.signing import KEY_VARIABLE
from ciml.cli.ci.call import Call
from ciml.core.alert import VARIABLE
from ciml.core.errors import MissingExtraError


def require_extras(call: Call) -> None:
    """Check that all is installed that registering and telling will need.

    A job that finds nothing to do needs none of it; one that would find it missing half-way would
    have judged, and a verdict that is on record is told to nobody again.

    Raises:
        MissingExtraError: names the extra.
    """
    judges = any(name not in call.choice.settled for name in call.project.pipeline.models)
    environ = call.invocation.environ
    registers = (judges and call.registers) or call.resumes
    tells = (judges or bool(call.choice.jobs)) and bool(environ.get(VARIABLE, "").strip())
    wanted = {
        "mlflow": ("mlflow", registers),
        "provenance": ("securesystemslib", registers and bool(environ.get(KEY_VARIABLE))),
        "alerts": ("apprise", tells),
    }
    for extra, (module, needed) in wanted.items():
        if needed:
            _require(extra, module)


def require_alerts(call: Call) -> None:
    """Check that what is needed to tell people is installed, where somebody wants to be told.

    Raises:
        MissingExtraError: it is not.
    """
    if call.invocation.environ.get(VARIABLE, "").strip():
        _require("alerts", "apprise")


def _require(extra: str, module: str) -> None:
    if find_spec(module) is None:
        raise MissingExtraError(f"this run needs {module}, which is not installed", extra=extra)
