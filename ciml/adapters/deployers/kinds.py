"""The deployer of a target, by what its `deploy` entry names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from ciml.core.deployment import DeployOrder
from ciml.core.pipeline import DeployTarget

if TYPE_CHECKING:
    from ciml.adapters.deployers.process import Commands

MODULES = {
    "run": "ciml.adapters.deployers.command",
    "lambda": "ciml.adapters.deployers.lambda_",
    "sagemaker": "ciml.adapters.deployers.sagemaker",
}
"""Kind of target -> the module whose `deployer` makes its deployer: imported when it is used."""


class Deployer(Protocol):
    """The port of that name, as the deployers fit it."""

    def deploy(self, order: DeployOrder, files: str) -> str:
        """Make a version serve."""
        ...

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        """Make serve again what served before."""
        ...


def kind_of(target: DeployTarget) -> str:
    """`run`, `lambda` or `sagemaker`."""
    if target.lambda_function is not None:
        return "lambda"
    return "sagemaker" if target.sagemaker_endpoint is not None else "run"


def deployer_for(target: DeployTarget, commands: Commands, environ: Mapping[str, str]) -> Deployer:
    """The deployer of a target.

    Args:
        target: of ciml.yaml.
        commands: runs the user's commands.
        environ: names region and credentials.

    Raises:
        ConfigurationError: an extra that it needs is not installed.
    """
    made: Deployer = import_module(MODULES[kind_of(target)]).deployer(commands, environ)
    return made
