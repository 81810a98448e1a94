"""EventBridge, its Scheduler, S3's notifications and the roles between them, for the trigger of one repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ciml.adapters.account import Account, Kind
from ciml.adapters.aws import asking
from ciml.adapters.eventbridge import Connections, Destinations, Rules
from ciml.adapters.iam import Roles
from ciml.adapters.scheduler import Groups, Schedules
from ciml.core.cloudformation import Found, Where
from ciml.core.trigger import Trigger

CONNECTION = "AWS::Events::Connection"
DESTINATION = "AWS::Events::ApiDestination"
RULE = "AWS::Events::Rule"
ROLE = "AWS::IAM::Role"
GROUP = "AWS::Scheduler::ScheduleGroup"
SCHEDULE = "AWS::Scheduler::Schedule"


class Triggers:
    """The port Cloud.

    Args:
        wanted: whose trigger.
        environ: where region, credentials and endpoint come from.
    """

    def __init__(self, wanted: Trigger, environ: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._account = Account(environ)
        self._rules = Rules(self._account, wanted)
        self._schedules = Schedules(self._account, wanted)
        self._kinds: dict[str, Kind] = {
            CONNECTION: Connections(self._account, wanted),
            DESTINATION: Destinations(self._account, wanted),
            RULE: self._rules,
            ROLE: Roles(self._account, wanted),
            GROUP: Groups(self._account, wanted),
            SCHEDULE: self._schedules,
        }

    @property
    def where(self) -> Where:
        """Account and region of the credentials in force."""
        return self._account.where

    # Resources.

    def look(self, kind: str, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        return self._kinds[kind].look(name)

    def make(self, kind: str, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        return self._kinds[kind].make(name, properties)

    def change(self, kind: str, name: str, properties: Mapping[str, Any]) -> None:
        """Let it have these properties."""
        self._kinds[kind].change(name, properties)

    def remove(self, kind: str, name: str) -> None:
        """Remove it."""
        self._kinds[kind].remove(name)

    def all(self) -> list[tuple[str, str]]:
        """Kind and name of all that bears the mark of this repository, what others need last."""
        base = self._wanted.base
        named = [(RULE, name) for name in self._rules.names(base)]
        named += [(SCHEDULE, name) for name in self._schedules.names()]
        named += [(GROUP, base), (DESTINATION, base), (CONNECTION, base), (ROLE, base), (ROLE, f"{base}-schedule")]
        found = ((kind, name, self.look(kind, name)) for kind, name in named)
        return [(kind, name) for kind, name, there in found if there is not None and there.mine]

    # Buckets.

    def region_of(self, bucket: str) -> str:
        """Where a bucket is."""
        s3 = self._account.client("s3")
        with asking(f"tell where the bucket {bucket} is", action="s3:GetBucketLocation", resource=self._bucket(bucket)):
            told = s3.get_bucket_location(Bucket=bucket).get("LocationConstraint")
        return {"": "us-east-1", "EU": "eu-west-1"}.get(told or "", told or "us-east-1")

    def tells(self, bucket: str) -> bool:
        """Whether S3 tells EventBridge of a bucket."""
        return "EventBridgeConfiguration" in self._notifications(bucket)

    def tell(self, bucket: str) -> None:
        """Let S3 tell EventBridge as well; whom it tells already, it goes on telling."""
        before = self._notifications(bucket)
        s3 = self._account.client("s3")
        wanted = {**before, "EventBridgeConfiguration": {}}
        with asking(
            f"change what the bucket {bucket} notifies",
            action="s3:PutBucketNotification",
            resource=self._bucket(bucket),
        ):
            # Without this S3 sends every queue and topic that is there a test message.
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=wanted, SkipDestinationValidation=True
            )

    def _notifications(self, bucket: str) -> dict[str, Any]:
        s3 = self._account.client("s3")
        with asking(
            f"see what the bucket {bucket} notifies", action="s3:GetBucketNotification", resource=self._bucket(bucket)
        ):
            told = s3.get_bucket_notification_configuration(Bucket=bucket)
        return {name: value for name, value in told.items() if name != "ResponseMetadata"}

    def _bucket(self, bucket: str) -> str:
        return f"arn:{self.where.partition}:s3:::{bucket}"
