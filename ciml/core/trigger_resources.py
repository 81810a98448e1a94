"""The resources in AWS that let arrivals in S3 start a workflow on GitHub, as values and as a template.

S3 ─ event ─► rule ─ role ─► API destination ─ connection (the token) ─► POST /repos/OWNER/NAME/dispatches
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ciml.core.cloudformation import TOKEN_PARAMETER, Arn, Part, Resource, Sub, Token, template
from ciml.core.cron import aws_cron
from ciml.core.key import digest
from ciml.core.s3 import S3Address
from ciml.core.trigger import EVENT_TYPE, TAG, Trigger
from ciml.core.yamltext import Node

SOURCE = "ciml.schedule"
"""Of the events that a schedule puts onto the event bus."""

RATE = 1
"""Dispatches a second, at the most."""

OLDEST_S = 3600
"""Seconds for which a dispatch is tried. Of a burst that GitHub could not take in that time, what came last tells
as much as what came first."""

_ON_RULES = ("Object Created", "Object Deleted")


def resources(wanted: Trigger) -> tuple[Resource, ...]:
    """All that is needed, each after what it needs."""
    rules = [_rule(wanted, prefix, number) for number, prefix in enumerate(wanted.prefixes, 1)]
    scheduled = _scheduled(wanted) if wanted.schedules else []
    sending = [item.name for item in (*rules, *scheduled) if item.type == "AWS::Events::Rule"]
    return (_connection(wanted), _destination(wanted), _role(wanted, sending), *rules, *scheduled)


def _connection(wanted: Trigger) -> Resource:
    key: Part = {"ApiKeyName": "Authorization", "ApiKeyValue": Token(before="Bearer ")}
    return Resource(
        id="Connection",
        type="AWS::Events::Connection",
        name=wanted.base,
        properties={
            "Name": wanted.base,
            "Description": wanted.mark,
            "AuthorizationType": "API_KEY",
            "AuthParameters": {"ApiKeyAuthParameters": key},
        },
    )


def _destination(wanted: Trigger) -> Resource:
    return Resource(
        id="Destination",
        type="AWS::Events::ApiDestination",
        name=wanted.base,
        properties={
            "Name": wanted.base,
            "Description": wanted.mark,
            "ConnectionArn": Arn(of="Connection"),
            "HttpMethod": "POST",
            "InvocationEndpoint": f"{wanted.api}/repos/{wanted.repository}/dispatches",
            "InvocationRateLimitPerSecond": RATE,
        },
    )


def _role(wanted: Trigger, rules: Sequence[str]) -> Resource:
    return _role_of(
        wanted,
        place="Role",
        name=wanted.base,
        service="events.amazonaws.com",
        sources=[_arn("events", f"rule/{name}") for name in rules],
        action="events:InvokeApiDestination",
        resource=_arn("events", f"api-destination/{wanted.base}/*"),
    )


def _role_of(
    wanted: Trigger, *, place: str, name: str, service: str, sources: Sequence[Sub], action: str, resource: Sub
) -> Resource:
    """A role that one service may take on behalf of these sources, to do one thing."""
    trusts: Part = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": Sub(text="${AWS::AccountId}")},
            "ArnEquals": {"aws:SourceArn": list(sources)},
        },
    }
    may: Part = {"Effect": "Allow", "Action": action, "Resource": resource}
    return Resource(
        id=place,
        type="AWS::IAM::Role",
        name=name,
        properties={
            "RoleName": name,
            "Description": wanted.mark,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trusts]},
            "ManagedPolicyArns": [],
            "Policies": [{"PolicyName": "ciml", "PolicyDocument": {"Version": "2012-10-17", "Statement": [may]}}],
            "Tags": _tags(wanted),
        },
    )


def _rule(wanted: Trigger, prefix: S3Address, number: int) -> Resource:
    detail: dict[str, Part] = {"bucket": {"name": [prefix.bucket]}}
    if prefix.key:
        detail["object"] = {"key": [{"prefix": prefix.key} if prefix.is_prefix else prefix.key]}
    # A placeholder without quotes becomes a JSON string, whatever characters a key has.
    body = f'{{"event_type":"{EVENT_TYPE}","client_payload":{{"bucket":<bucket>,"key":<key>}}}}'
    return _rule_of(
        wanted,
        place=f"Rule{number}",
        name=f"{wanted.base}-{digest('ciml/trigger-prefix/1', str(prefix))[:8]}",
        about=str(prefix),
        pattern={"source": ["aws.s3"], "detail-type": list(_ON_RULES), "detail": detail},
        sent={
            "InputTransformer": {
                "InputPathsMap": {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
                "InputTemplate": body,
            }
        },
    )


def _rule_of(wanted: Trigger, *, place: str, name: str, about: str, pattern: Part, sent: dict[str, Part]) -> Resource:
    target: dict[str, Part] = {
        "Id": "github",
        "Arn": Arn(of="Destination"),
        "RoleArn": Arn(of="Role"),
        **sent,
        "RetryPolicy": {"MaximumEventAgeInSeconds": OLDEST_S, "MaximumRetryAttempts": 185},
    }
    return Resource(
        id=place,
        type="AWS::Events::Rule",
        name=name,
        properties={
            "Name": name,
            "Description": f"{wanted.mark}, {about}"[:512],
            "EventPattern": pattern,
            "State": "ENABLED",
            "Targets": [target],
            "Tags": _tags(wanted),
        },
    )


def _scheduled(wanted: Trigger) -> list[Resource]:
    """A schedule puts an event onto the bus, and a rule sends that on: Scheduler itself calls no API destination."""
    group = wanted.base
    name = f"{wanted.base}-schedule"
    bus = _arn("events", "event-bus/default")
    body = json.dumps({"event_type": EVENT_TYPE, "client_payload": {"schedule": True}}, separators=(",", ":"))
    found = [
        Resource(
            id="ScheduleGroup",
            type="AWS::Scheduler::ScheduleGroup",
            name=group,
            properties={"Name": group, "Tags": _tags(wanted)},
        ),
        _role_of(
            wanted,
            place="ScheduleRole",
            name=name,
            service="scheduler.amazonaws.com",
            sources=[_arn("scheduler", f"schedule-group/{group}")],
            action="events:PutEvents",
            resource=bus,
        ),
        _rule_of(
            wanted,
            place="ScheduleRule",
            name=name,
            about="schedules",
            pattern={"source": [SOURCE], "detail-type": [wanted.repository.casefold()]},
            sent={"Input": body},
        ),
    ]
    times = dict.fromkeys(expression for time in wanted.schedules for expression in aws_cron(time))
    return found + [_schedule(wanted, expression, number, bus) for number, expression in enumerate(times, 1)]


def _schedule(wanted: Trigger, expression: str, number: int, bus: Sub) -> Resource:
    name = f"{wanted.base}-{digest('ciml/trigger-schedule/1', expression)[:8]}"
    return Resource(
        id=f"Schedule{number}",
        type="AWS::Scheduler::Schedule",
        name=name,
        after=("ScheduleGroup",),
        properties={
            "Name": name,
            "GroupName": wanted.base,
            "Description": wanted.mark,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": bus,
                "RoleArn": Arn(of="ScheduleRole"),
                "EventBridgeParameters": {"DetailType": wanted.repository.casefold(), "Source": SOURCE},
                "Input": "{}",
                "RetryPolicy": {"MaximumEventAgeInSeconds": OLDEST_S, "MaximumRetryAttempts": 185},
            },
        },
    )


def _tags(wanted: Trigger) -> list[Part]:
    return [{"Key": TAG, "Value": wanted.repository.casefold()}]


def _arn(service: str, resource: str) -> Sub:
    return Sub(text=f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")


# As a template.

_HEADER = """\
# Written by `ciml trigger install --print` from ciml.yaml.
# It needs a secret in Secrets Manager whose text is a token of GitHub's, for {repository} alone, with
# "Contents: read and write".
# And S3 must tell EventBridge of {buckets}. In the template of a bucket that is
#   NotificationConfiguration: {{EventBridgeConfiguration: {{EventBridgeEnabled: true}}}}
# For one that no template made, add it by hand: the command line's put-bucket-notification-configuration
# replaces what is there.
"""


def stack(wanted: Trigger) -> str:
    """The CloudFormation template, in YAML, of the resources."""
    header = _HEADER.format(repository=wanted.repository, buckets=", ".join(wanted.buckets))
    about = f"Arrivals in S3 start the workflow of {wanted.repository}"
    secret: Node = {
        "Type": "String",
        "Description": "Name or ARN of the secret in Secrets Manager whose text is the token of GitHub's",
    }
    return header + template(resources(wanted), about=about, parameters={TOKEN_PARAMETER: secret})
