"""A target that a command of the user's deploys to."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.adapters.deployers.process import Commands
from ciml.core.deployment import DeployOrder
from ciml.core.errors import DeploymentError


class CommandDeployer:
    """The port Deployer for `run:`.

    Args:
        commands: runs them.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def deploy(self, order: DeployOrder, files: str) -> str:
        """Run the command with the version in its environment."""
        script = order.target.run
        assert script is not None, f"{order.name} has no command"
        self._commands.run(script, order, files, what=f"the command for {order.environment}")
        return ""

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        """Run the command with the version that served before."""
        if before is None or files is None:
            raise DeploymentError("the ledger knows of nothing that served there before")
        self.deploy(before, files)
        return f"version {before.version} was deployed again"


def deployer(commands: Commands, environ: Mapping[str, str]) -> CommandDeployer:
    """The deployer of such targets."""
    del environ  # the commands have it
    return CommandDeployer(commands)
