"""EventBridge Scheduler's groups and schedules, as CloudFormation names their properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ciml.adapters.account import Kind
from ciml.core.cloudformation import Found

_KEPT = (
    "Name",
    "GroupName",
    "Description",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "FlexibleTimeWindow",
    "State",
)
_TARGET = ("Arn", "RoleArn", "EventBridgeParameters", "Input", "RetryPolicy")


class Groups(Kind):
    """Groups of schedules; a group's end is that of its schedules."""

    service = "scheduler"
    path = "schedule-group/"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        told = self._ask("GetScheduleGroup", name, lambda: self._client.get_schedule_group(Name=name))
        if told is None or told["State"] == "DELETING":
            return None
        arn = told["Arn"]
        tags = self._ask("ListTagsForResource", name, lambda: self._client.list_tags_for_resource(ResourceArn=arn))
        return Found(arn=arn, mine=self._tagged((tags or {}).get("Tags", [])), properties={"Name": name})

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        made = self._do("CreateScheduleGroup", name, lambda: self._client.create_schedule_group(**properties))
        return str(made["ScheduleGroupArn"])

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Nothing: a group is its name."""

    def remove(self, name: str) -> None:
        """Remove it."""
        self._ask("DeleteScheduleGroup", name, lambda: self._client.delete_schedule_group(Name=name))


class Schedules(Kind):
    """The schedules of this repository's group."""

    service = "scheduler"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        group = self._wanted.base
        told = self._ask("GetSchedule", name, lambda: self._client.get_schedule(Name=name, GroupName=group))
        if told is None:
            return None
        target = {key: told["Target"][key] for key in _TARGET if key in told["Target"]}
        return Found(
            arn=told["Arn"],
            mine=self._mine(told.get("Description", "")),
            properties={**{key: told[key] for key in _KEPT if key in told}, "Target": target},
        )

    def names(self) -> Iterator[str]:
        """Of all schedules in the group."""
        group = self._wanted.base
        pages = self._client.get_paginator("list_schedules").paginate(GroupName=group)
        found = self._ask("ListSchedules", "", lambda: [item["Name"] for page in pages for item in page["Schedules"]])
        yield from found or ()

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        made = self._do("CreateSchedule", name, lambda: self._client.create_schedule(**properties))
        return str(made["ScheduleArn"])

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""
        self._do("UpdateSchedule", name, lambda: self._client.update_schedule(**properties))

    def remove(self, name: str) -> None:
        """Remove it."""
        group = self._wanted.base
        self._ask("DeleteSchedule", name, lambda: self._client.delete_schedule(Name=name, GroupName=group))

    def _arn(self, name: str) -> str:
        return self._account.where.arn(self.service, f"schedule/{self._wanted.base}/{name}")
