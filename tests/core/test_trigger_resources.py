from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ciml.core.cloudformation import Resource, Where, resolved
from ciml.core.trigger import Trigger, trigger
from ciml.core.trigger_resources import OLDEST_S, RATE, resources, stack

HERE = Where(partition="aws", account="123456789012", region="us-east-1")
BASE = "ciml-acme-churn-704e4e5a"


def wanted(*data: str, schedules: tuple[str, ...] = ()) -> Trigger:
    return trigger(repository="Acme/churn", data=data or ("s3://acme-churn/raw/",), schedules=schedules)


def made(asked: Trigger) -> dict[str, Any]:
    """Id -> properties, with values put in."""
    arns = {item.id: f"arn-of-{item.id}" for item in resources(asked)}
    return {item.id: resolved(item.properties, HERE, arns, "TOKEN") for item in resources(asked)}


def test_the_way_from_an_arrival_to_github() -> None:
    """Bucket and prefix, a role that may invoke one destination, a POST to one repository, the token as a header."""
    found = made(wanted())

    assert found["Rule1"]["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": {"bucket": {"name": ["acme-churn"]}, "object": {"key": [{"prefix": "raw/"}]}},
    }
    assert found["Destination"]["InvocationEndpoint"] == "https://api.github.com/repos/Acme/churn/dispatches"
    assert (found["Destination"]["HttpMethod"], found["Destination"]["InvocationRateLimitPerSecond"]) == ("POST", 1)
    assert found["Connection"]["AuthParameters"] == {
        "ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "Bearer TOKEN"}
    }
    [target] = found["Rule1"]["Targets"]
    assert (target["Arn"], target["RoleArn"]) == ("arn-of-Destination", "arn-of-Role")


def test_the_role_has_the_least_that_will_do() -> None:
    """Only EventBridge, on behalf of these rules of this account, may take it; it may do one thing to one resource."""
    role = made(wanted())["Role"]

    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnEquals": {"aws:SourceArn": [f"arn:aws:events:us-east-1:123456789012:rule/{BASE}-d4cbdcdd"]},
    }
    [policy] = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "events:InvokeApiDestination",
            "Resource": f"arn:aws:events:us-east-1:123456789012:api-destination/{BASE}/*",
        }
    ]


@pytest.mark.parametrize(
    ("address", "keys"),
    [("s3://b-1/a/b/", [{"prefix": "a/b/"}]), ("s3://b-1/one.csv", ["one.csv"]), ("s3://b-1", None)],
)
def test_prefixes_keys_and_whole_buckets(address: str, keys: object) -> None:
    """`raw` is one object and not what merely begins so; a bucket alone is all of it."""
    detail = made(wanted(address))["Rule1"]["EventPattern"]["detail"]
    assert detail.get("object", {}).get("key") == keys


def test_a_prefix_that_comes_or_goes_renames_nothing_else() -> None:
    """A rule's name follows from repository and prefix alone."""
    names = [
        {item.name for item in resources(wanted(*data))} for data in (("s3://b-1/a/", "s3://b-1/b/"), ("s3://b-1/b/",))
    ]
    assert names[1] < names[0] and len(names[0] - names[1]) == 1


def test_schedules_go_by_way_of_the_bus() -> None:
    """Scheduler puts an event onto the bus, in a group of its own, and a rule sends that on."""
    found = made(wanted(schedules=("0 3 1 * 1",)))

    assert [found[name]["ScheduleExpression"] for name in ("Schedule1", "Schedule2")] == [
        "cron(0 3 1 * ? *)",
        "cron(0 3 ? * MON *)",
    ]
    sent = found["Schedule1"]["Target"]["EventBridgeParameters"]
    assert found["ScheduleRule"]["EventPattern"] == {"source": [sent["Source"]], "detail-type": [sent["DetailType"]]}
    [target] = found["ScheduleRule"]["Targets"]
    assert json.loads(target["Input"])["event_type"] == "ciml-data"
    [trust] = found["ScheduleRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["ArnEquals"]["aws:SourceArn"] == [
        f"arn:aws:scheduler:us-east-1:123456789012:schedule-group/{BASE}"
    ]
    assert BASE in str(found["Role"]) and f"rule/{BASE}-schedule" in str(found["Role"])


@pytest.mark.parametrize("schedules", [(), ("0 3 * * 1", "0 3 1 * 1")])
def test_the_template_is_clean(tmp_path: Path, schedules: tuple[str, ...]) -> None:
    """cfn-lint finds nothing in what `--print` prints, and it holds no token."""
    text = stack(wanted("s3://acme-churn/raw/", 's3://acme-churn/it\'s: [odd], "really".csv', schedules=schedules))
    (tmp_path / "t.yaml").write_text(text)

    done = subprocess.run(
        [f"{Path(sys.executable).parent}/cfn-lint", "--regions", "us-east-1", "--", str(tmp_path / "t.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert 'ApiKeyValue: !Sub "Bearer {{resolve:secretsmanager:${TokenSecret}}}"' in text


def test_the_template_and_the_requests_say_the_same() -> None:
    """What is read back from the YAML is what requests are made of, resource by resource."""
    asked = wanted("s3://acme-churn/raw/", 's3://acme-churn/it\'s: [odd], "really".csv', schedules=("0 3 * * 1",))

    class Loader(yaml.SafeLoader):
        pass

    put_in = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}

    def substituted(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        text = str(loader.construct_scalar(node)).replace("{{resolve:secretsmanager:${TokenSecret}}}", "TOKEN")
        return re.sub(r"\$\{(.*?)\}", lambda match: put_in[match[1]], text)

    def attribute(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        return f"arn-of-{str(loader.construct_scalar(node)).removesuffix('.Arn')}"

    Loader.add_constructor("!Sub", substituted)
    Loader.add_constructor("!GetAtt", attribute)
    written = yaml.load(stack(asked), Loader)

    assert {name: item["Properties"] for name, item in written["Resources"].items()} == made(asked)


def test_a_burst_is_slow_to_send_and_forgotten_in_time() -> None:
    """One dispatch a second; what was not taken in an hour is dropped, since a later one tells as much."""
    [target] = made(wanted())["Rule1"]["Targets"]
    assert (RATE, target["RetryPolicy"]["MaximumEventAgeInSeconds"]) == (1, OLDEST_S)


def test_every_resource_bears_its_repository() -> None:
    """By a tag, or where EventBridge has none for its kind, by what its description begins with."""

    def marked(item: Resource) -> bool:
        tags = item.properties.get("Tags")
        if tags is not None:
            return tags == [{"Key": "ciml:repository", "Value": "acme/churn"}]
        return str(item.properties["Description"]).startswith("ciml: acme/churn")

    assert all(marked(item) for item in resources(wanted(schedules=("0 3 * * 1",))))
