"""EventBridge's connections, API destinations and rules, as CloudFormation names their properties."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ciml.adapters.account import Kind
from ciml.core.cloudformation import Found
from ciml.core.errors import ServiceError

_LIVE = ("AUTHORIZED", "AUTHORIZING", "CREATING", "UPDATING", "ACTIVE")


class Connections(Kind):
    """Connections: where a token is kept, and how it is sent."""

    path = "connection/"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        told = self._ask("DescribeConnection", name, lambda: self._client.describe_connection(Name=name))
        if told is None:
            return None
        key = told.get("AuthParameters", {}).get("ApiKeyAuthParameters", {}).get("ApiKeyName", "")
        state = told.get("ConnectionState", "")
        return Found(
            arn=told["ConnectionArn"],
            mine=self._mine(told.get("Description", "")),
            properties={
                "Name": name,
                "Description": told.get("Description", ""),
                "AuthorizationType": told["AuthorizationType"],
                "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": key}},
            },
            faults=() if state in _LIVE else (f"is {state}",),
        )

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        made = self._do("CreateConnection", name, lambda: self._client.create_connection(**properties))
        return str(made["ConnectionArn"])

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""
        self._do("UpdateConnection", name, lambda: self._client.update_connection(**properties))

    def remove(self, name: str) -> None:
        """Remove it."""
        self._ask("DeleteConnection", name, lambda: self._client.delete_connection(Name=name))


class Destinations(Kind):
    """API destinations: what is called, by way of a connection."""

    path = "api-destination/"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        told = self._ask("DescribeApiDestination", name, lambda: self._client.describe_api_destination(Name=name))
        if told is None:
            return None
        state = told.get("ApiDestinationState", "")
        names = ("Name", "Description", "ConnectionArn", "HttpMethod", "InvocationEndpoint")
        return Found(
            arn=told["ApiDestinationArn"],
            mine=self._mine(told.get("Description", "")),
            properties={
                **{key: told.get(key, "") for key in names},
                "InvocationRateLimitPerSecond": told.get("InvocationRateLimitPerSecond", 0),
            },
            faults=() if state in _LIVE else (f"is {state}",),
        )

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        made = self._do("CreateApiDestination", name, lambda: self._client.create_api_destination(**properties))
        return str(made["ApiDestinationArn"])

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""
        self._do("UpdateApiDestination", name, lambda: self._client.update_api_destination(**properties))

    def remove(self, name: str) -> None:
        """Remove it."""
        self._ask("DeleteApiDestination", name, lambda: self._client.delete_api_destination(Name=name))


class Rules(Kind):
    """Rules of the default event bus, with their targets."""

    path = "rule/"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        told = self._ask("DescribeRule", name, lambda: self._client.describe_rule(Name=name))
        if told is None:
            return None
        arn = told["Arn"]
        tags = self._ask("ListTagsForResource", name, lambda: self._client.list_tags_for_resource(ResourceARN=arn))
        return Found(
            arn=arn,
            mine=self._tagged((tags or {}).get("Tags", [])),
            properties={
                "Name": name,
                "Description": told.get("Description", ""),
                "EventPattern": json.loads(told.get("EventPattern") or "{}"),
                "State": told["State"],
                "Targets": self._targets(name),
            },
        )

    def names(self, base: str) -> Iterator[str]:
        """Of all rules whose names begin so."""
        pages = self._client.get_paginator("list_rules").paginate(NamePrefix=f"{base}-")
        found = self._ask("ListRules", f"{base}-", lambda: [rule["Name"] for page in pages for rule in page["Rules"]])
        yield from found or ()

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        arn = self._put(name, properties, {"Tags": properties["Tags"]})
        self._aim(name, properties["Targets"])
        return arn

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""
        self._put(name, properties, {})
        wanted = {target["Id"] for target in properties["Targets"]}
        self._forget(name, [target["Id"] for target in self._targets(name) if target["Id"] not in wanted])
        self._aim(name, properties["Targets"])

    def remove(self, name: str) -> None:
        """Remove it."""
        self._forget(name, [target["Id"] for target in self._targets(name)])
        self._ask("DeleteRule", name, lambda: self._client.delete_rule(Name=name))

    def _put(self, name: str, properties: Mapping[str, Any], more: Mapping[str, Any]) -> str:
        wanted = {key: properties[key] for key in ("Name", "Description", "State")}
        pattern = json.dumps(properties["EventPattern"])
        made = self._do("PutRule", name, lambda: self._client.put_rule(**wanted, EventPattern=pattern, **more))
        return str(made["RuleArn"])

    def _aim(self, name: str, targets: list[Mapping[str, Any]]) -> None:
        told = self._do("PutTargets", name, lambda: self._client.put_targets(Rule=name, Targets=targets))
        self._check(name, told)

    def _forget(self, name: str, ids: list[str]) -> None:
        if ids:
            told = self._ask("RemoveTargets", name, lambda: self._client.remove_targets(Rule=name, Ids=ids))
            self._check(name, told)

    def _check(self, name: str, told: Mapping[str, Any] | None) -> None:
        wrong = (told or {}).get("FailedEntries", ())
        if wrong:
            raise ServiceError(f"the rule {name} takes no such target: {wrong[0].get('ErrorMessage', '')}")

    def _targets(self, name: str) -> list[Any]:
        told = self._ask("ListTargetsByRule", name, lambda: self._client.list_targets_by_rule(Rule=name))
        return list((told or {}).get("Targets", ()))
