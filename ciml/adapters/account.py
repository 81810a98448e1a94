"""One AWS account: who and where it is, and how its resources are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from ciml.adapters.aws import asking, client, code_of
from ciml.core.cloudformation import Found, Where
from ciml.core.trigger import TAG, Trigger

_GONE = ("ResourceNotFoundException", "NoSuchEntity")


class Account:
    """The account and region of the credentials in force.

    Args:
        environ: where region, credentials and endpoint come from.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """boto3's client of a service, made once."""
        if service not in self._clients:
            self._clients[service] = client(service, self._environ)
        return self._clients[service]

    @cached_property
    def where(self) -> Where:
        """Account and region."""
        sts = self.client("sts")
        with asking("tell which account this is", action="sts:GetCallerIdentity", resource="*"):
            told = sts.get_caller_identity()
            return Where(
                partition=told["Arn"].split(":")[1],
                account=told["Account"],
                region=self.client("events").meta.region_name,
            )


class Kind(ABC):
    """Resources of one kind, looked at and changed alike, for the trigger of one repository.

    Args:
        account: where they are.
        wanted: whose they are.
    """

    service = "events"
    path = ""
    """What stands before the name in an ARN."""

    def __init__(self, account: Account, wanted: Trigger) -> None:
        self._account = account
        self._wanted = wanted

    @property
    def _client(self) -> Any:
        return self._account.client(self.service)

    @abstractmethod
    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""

    @abstractmethod
    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""

    @abstractmethod
    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove it."""

    def _ask(self, action: str, name: str, ask: Callable[[], Any]) -> Any:
        """The answer to a request; None where there is no such resource."""
        from botocore.exceptions import ClientError

        def asked() -> Any:
            try:
                return ask()
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise

        return self._do(action, name, asked)

    def _do(self, action: str, name: str, ask: Callable[[], Any]) -> Any:
        """The answer to a request."""
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in action).strip()
        with asking(f"{words} {name}".rstrip(), action=f"{self.service}:{action}", resource=self._arn(name)):
            return ask()

    def _arn(self, name: str) -> str:
        return self._account.where.arn(self.service, f"{self.path}{name}")

    def _mine(self, description: str) -> bool:
        """Whether a description begins with this repository's mark."""
        mark = self._wanted.mark
        return description == mark or description.startswith(f"{mark},")

    def _tagged(self, tags: list[dict[str, str]]) -> bool:
        return {"Key": TAG, "Value": self._wanted.repository.casefold()} in tags
