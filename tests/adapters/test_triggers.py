"""The trigger's resources in an AWS account, against moto, whose event bus and notifications are at work."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ciml.adapters.triggers import Triggers
from ciml.app.trigger import State, install, remove, status
from ciml.core.errors import ConfigurationError, TrustError
from ciml.core.trigger import Trigger, trigger
from tests.awsserver import Aws, aws_server
from tests.githubserver import GitHubServer
from tests.test_githubserver import ask

TOKEN = "github_pat_0123456789abcdef"
OTHER = "github_pat_fedcba9876543210"
BASE = "ciml-acme-churn-704e4e5a"


@pytest.fixture(scope="module")
def running() -> Iterator[Aws]:
    with aws_server() as running:
        running.forget()
        yield running


@pytest.fixture
def service(running: Aws) -> Iterator[Aws]:
    """An account with one bucket and no trigger."""
    running.telling.clear()
    running.client("s3").create_bucket(Bucket="acme-churn")
    yield running
    running.denied.clear()
    remove(cloud(running, wanted()))
    s3 = running.client("s3")
    for item in s3.list_objects_v2(Bucket="acme-churn").get("Contents", ()):
        s3.delete_object(Bucket="acme-churn", Key=item["Key"])
    s3.delete_bucket(Bucket="acme-churn")


def wanted(*data: str, schedules: tuple[str, ...] = ()) -> Trigger:
    return trigger(repository="Acme/churn", data=data or ("s3://acme-churn/raw/",), schedules=schedules)


def cloud(service: Aws, asked: Trigger, **environ: str) -> Triggers:
    return Triggers(asked, {**service.environ, **environ})


def done(service: Aws, asked: Trigger, token: str | None = None) -> dict[str, list[str]]:
    """What was done -> the kinds that it was done to."""
    found: dict[str, list[str]] = {}
    for item in install(asked, cloud(service, asked), token=token):
        found.setdefault(item.did, []).append(item.kind.rpartition("::")[2])
    return found


def states(service: Aws, asked: Trigger) -> dict[str, list[str]]:
    """State -> the kinds that are so."""
    found: dict[str, list[str]] = {}
    for item in status(asked, cloud(service, asked)):
        found.setdefault(item.state, []).append(item.kind.rpartition("::")[2])
    return found


ALL = ["Connection", "ApiDestination", "Role", "Rule"]


def test_installed_once(service: Aws) -> None:
    """All is made; a second install changes nothing and says so; so does one without the token."""
    assert states(service, wanted()) == {"missing": [*ALL, "Bucket"]}
    assert done(service, wanted(), TOKEN) == {"made": ALL, "changed": ["Bucket"]}
    assert done(service, wanted(), TOKEN) == {"unchanged": [*ALL, "Bucket"]}
    assert done(service, wanted()) == {"unchanged": [*ALL, "Bucket"]}
    assert states(service, wanted()) == {"ok": [*ALL, "Bucket"]}


def test_the_token_is_kept_by_aws_alone(service: Aws) -> None:
    """It lies in Secrets Manager, as a header's value, and another one replaces it."""
    done(service, wanted(), TOKEN)
    connection = service.client("events").describe_connection(Name=BASE)
    assert TOKEN not in connection["Description"]
    secret = service.client("secretsmanager").get_secret_value(SecretId=connection["SecretArn"])["SecretString"]
    assert json.loads(secret)["api_key_value"] == f"Bearer {TOKEN}"

    assert done(service, wanted(), OTHER) == {"changed": ["Connection"], "unchanged": [*ALL[1:], "Bucket"]}
    assert done(service, wanted(), OTHER) == {"unchanged": [*ALL, "Bucket"]}


def test_no_token_no_trigger(service: Aws) -> None:
    """Nothing is made before the token is there; the error says which token it must be."""
    with pytest.raises(ConfigurationError) as caught:
        done(service, wanted())
    assert "CIML_TRIGGER_TOKEN" in caught.value.message and "Contents: read and write" in str(caught.value.hint)
    assert states(service, wanted()) == {"missing": [*ALL, "Bucket"]}


def test_what_was_there_goes_on(service: Aws) -> None:
    """Queues that a bucket notifies, and rules of others, are there before and after."""
    queue = service.client("sqs").create_queue(QueueName="others")["QueueUrl"]
    arn = service.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    s3, events = service.client("s3"), service.client("events")
    entry = {"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="acme-churn", NotificationConfiguration={"QueueConfigurations": [entry]}
    )
    events.put_rule(Name=f"{BASE}-of-others", EventPattern='{"source":["aws.s3"]}', State="ENABLED")

    done(service, wanted(), TOKEN)
    told = s3.get_bucket_notification_configuration(Bucket="acme-churn")
    assert told["QueueConfigurations"] == [entry] and told["EventBridgeConfiguration"] == {}
    gone = {(item.kind.rpartition("::")[2], item.did) for item in remove(cloud(service, wanted()))}
    assert gone == {(kind, "removed") for kind in ALL}
    assert [rule["Name"] for rule in events.list_rules()["Rules"]] == [f"{BASE}-of-others"]
    assert s3.get_bucket_notification_configuration(Bucket="acme-churn")["QueueConfigurations"] == [entry]
    assert remove(cloud(service, wanted())) == []
    events.delete_rule(Name=f"{BASE}-of-others")


def test_what_differs_is_told_and_mended(service: Aws) -> None:
    """A rule that was switched off, a policy that was widened, a destination that was turned: each by its property."""
    done(service, wanted(), TOKEN)
    events, iam = service.client("events"), service.client("iam")
    [rule] = events.list_rules(NamePrefix=BASE)["Rules"]
    events.disable_rule(Name=rule["Name"])
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=BASE, PolicyName="wide", PolicyDocument=json.dumps(wide))
    attached = iam.create_policy(PolicyName="all", PolicyDocument=json.dumps(wide))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=BASE, PolicyArn=attached)
    events.update_api_destination(Name=BASE, InvocationEndpoint="https://evil.example/dispatches")

    found = {item.kind.rpartition("::")[2]: item.differs for item in status(wanted(), cloud(service, wanted()))}
    assert found == {
        "Connection": (),
        "ApiDestination": ("InvocationEndpoint",),
        "Role": ("ManagedPolicyArns", "Policies"),
        "Rule": ("State",),
        "Bucket": (),
    }
    assert done(service, wanted()) == {
        "unchanged": ["Connection", "Bucket"],
        "changed": ["ApiDestination", "Role", "Rule"],
    }
    assert states(service, wanted()) == {"ok": [*ALL, "Bucket"]}


def test_prefixes_come_and_go(service: Aws) -> None:
    """A prefix that ciml.yaml does not name any more is told as unwanted, and its rule goes with the next install."""
    two = wanted("s3://acme-churn/raw/", "s3://acme-churn/labels/")
    done(service, two, TOKEN)

    assert states(service, wanted()) == {
        "ok": ["Connection", "ApiDestination", "Rule", "Bucket"],
        "differs": ["Role"],
        "unwanted": ["Rule"],
    }
    assert done(service, wanted())["removed"] == ["Rule"]
    assert len(service.client("events").list_rules(NamePrefix=BASE)["Rules"]) == 1


def test_schedules(service: Aws) -> None:
    """EventBridge Scheduler keeps them in a group of its own; they go with it."""
    asked = wanted(schedules=("0 3 1 * 1",))
    done(service, asked, TOKEN)
    assert states(service, asked) == {"ok": [*ALL, "ScheduleGroup", "Role", "Rule", "Schedule", "Schedule", "Bucket"]}
    assert done(service, asked).keys() == {"unchanged"}

    done(service, wanted())
    assert service.client("scheduler").list_schedules()["Schedules"] == []
    assert states(service, wanted()) == {"ok": [*ALL, "Bucket"]}


def test_a_name_that_another_has(service: Aws) -> None:
    """A role of that name which does not bear the mark is neither used nor changed nor removed."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    service.client("iam").create_role(RoleName=BASE, AssumeRolePolicyDocument=trust)

    assert states(service, wanted())[State.FOREIGN] == ["Role"]
    with pytest.raises(ConfigurationError) as caught:
        done(service, wanted(), TOKEN)
    assert BASE in caught.value.message
    assert remove(cloud(service, wanted())) == []
    assert states(service, wanted())[State.MISSING] == ["Connection", "ApiDestination", "Rule", "Bucket"]
    service.client("iam").delete_role(RoleName=BASE)


def test_a_bucket_in_another_region(service: Aws) -> None:
    """S3 tells EventBridge of its own region: a rule elsewhere would hear nothing, so nothing is made."""
    asked = wanted()
    with pytest.raises(ConfigurationError) as caught:
        install(asked, cloud(service, asked, AWS_REGION="eu-west-1"), token=TOKEN)
    assert "us-east-1" in caught.value.message and "AWS_REGION=us-east-1" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("operation", "lacking", "told"),
    [
        ("CreateConnection", "events:CreateConnection", f"connection/{BASE}"),
        (
            "CreateConnection",
            "secretsmanager:CreateSecret on resource: arn:aws:x",
            "secretsmanager:CreateSecret on arn:aws:x",
        ),
        (
            "PutTargets",
            f"iam:PassRole on resource: arn:aws:iam::123456789012:role/{BASE}",
            f"iam:PassRole on arn:aws:iam::123456789012:role/{BASE}",
        ),
    ],
)
def test_a_permission_that_is_missing(service: Aws, operation: str, lacking: str, told: str) -> None:
    """Action and resource are named, also where it is another action than the one that was asked for: exit 6."""
    service.denied[operation] = lacking

    with pytest.raises(TrustError) as caught:
        done(service, wanted(), TOKEN)
    assert told in str(caught.value.hint) and lacking.partition(" ")[0] in str(caught.value.hint)
    assert TOKEN not in f"{caught.value.message}{caught.value.hint}"
    service.denied.clear()
    assert "unchanged" in done(service, wanted(), TOKEN) or operation == "CreateConnection"
    assert states(service, wanted()) == {"ok": [*ALL, "Bucket"]}


@pytest.mark.parametrize(
    ("key", "arrives"), [("raw/1.csv", True), ('raw/a "b"\\ü <c>.csv', True), ("rawer/1.csv", False)]
)
def test_an_arrival_becomes_a_dispatch(service: Aws, key: str, arrives: bool) -> None:
    """An object below the prefix, and no other, makes a body that GitHub's description of the endpoint allows."""
    done(service, wanted(), TOKEN)
    events, sqs = service.client("events"), service.client("sqs")
    [rule] = events.list_rules(NamePrefix=BASE)["Rules"]
    [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    events.remove_targets(Rule=rule["Name"], Ids=[target["Id"]])
    queue = sqs.create_queue(QueueName="beside")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:beside"
    events.put_targets(Rule=rule["Name"], Targets=[{"Id": "beside", "Arn": arn}])

    service.client("s3").put_object(Bucket="acme-churn", Key=key, Body=b"x")
    arrivals = [json.loads(message["Body"]) for message in _received(sqs, queue, least=int(arrives))]
    sqs.delete_queue(QueueUrl=queue)
    assert len(arrivals) == arrives
    for body in (_transformed(arrival, **target["InputTransformer"]) for arrival in arrivals):
        with GitHubServer("acme/churn") as github:
            github.token("arrival", permissions={"contents": "write"})
            assert ask(github, "POST", "/repos/acme/churn/dispatches", json.loads(body), token="arrival")[0] == 204
            payload = {"bucket": "acme-churn", "key": key}
            assert github.dispatched == [
                {"event": "repository_dispatch", "event_type": "ciml-data", "client_payload": payload}
            ]


def _transformed(event: Any, InputPathsMap: dict[str, str], InputTemplate: str) -> str:  # noqa: N803 -- AWS names them
    """What an input transformer makes of an event: a placeholder outside of quotes becomes JSON, which moto leaves out.

    Source: EventBridge user guide, "Input transform examples".
    """
    for name, path in InputPathsMap.items():
        value = event
        for step in path.split(".")[1:]:
            value = value[step]
        InputTemplate = re.sub(rf"(?<=[:,])<{name}>(?=[,}}])", lambda _: json.dumps(value), InputTemplate)  # noqa: B023, N806
    return InputTemplate


def _received(sqs: Any, queue: str, *, least: int) -> list[Any]:
    """What a queue has, once it has so much; at once where that is nothing, since moto delivers as it answers."""
    found: list[Any] = []
    deadline = time.monotonic() + 20
    while True:
        found += sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0).get("Messages", [])
        if len(found) >= least or time.monotonic() > deadline:
            return found
