"""A target that an AWS Lambda function deploys to: it is invoked with the order as JSON and waited for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from ciml.adapters.aws import asking, client
from ciml.core.deployment import DeployOrder
from ciml.core.errors import DeploymentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciml.adapters.deployers.process import Commands

_LONGEST_S = 930
"""A function runs for 900 s at most."""

_LONGEST_TEXT = 300


class LambdaDeployer:
    """The port Deployer for `lambda:`.

    The function gets the order (model, version, files and their digests, `uri`, `id`) and deploys
    it: an answer means that the version serves, an error that it does not. The order's `id` is the
    same whenever the same is asked for again, so that the function can tell.

    Args:
        connect: makes the client of the region and credentials in force.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def deploy(self, order: DeployOrder, files: str) -> str:
        """Invoke the function with the order."""
        del files  # they are in the registry, and in the store where that is shared
        name = order.target.lambda_function
        assert name is not None, f"{order.name} has no function"
        lambda_ = self._connect()
        with asking(f"invoke the function {name}", action="lambda:InvokeFunction", resource=name):
            answer = lambda_.invoke(FunctionName=name, InvocationType="RequestResponse", Payload=payload(order))
            told = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise DeploymentError(f"the function {name} failed: {_text(told)}")
        return _text(told)

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        """Invoke the function with the version that served before."""
        if before is None:
            raise DeploymentError("the ledger knows of nothing that served there before")
        self.deploy(before, files or "")
        return f"version {before.version} was deployed again"


def payload(order: DeployOrder) -> bytes:
    """What the function gets: the order, with what it would have to work out besides."""
    plain: dict[str, Any] = msgspec.to_builtins(order)
    return json.dumps({**plain, "uri": order.uri, "environment": order.environment}).encode()


def _text(told: bytes) -> str:
    """What the function said, on a line."""
    try:
        value: object = json.loads(told)
    except ValueError:
        value = told.decode("utf-8", "replace")
    if isinstance(value, dict) and isinstance(value.get("errorMessage"), str):
        value = value["errorMessage"]
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return " ".join(text[:_LONGEST_TEXT].split())


def deployer(commands: Commands, environ: Mapping[str, str]) -> LambdaDeployer:
    """The deployer of such targets."""
    del commands
    # One attempt: a function whose answer was lost has run.
    return LambdaDeployer(lambda: client("lambda", environ, read_timeout_s=_LONGEST_S, attempts=1))
