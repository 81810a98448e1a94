"""Use-cases: let arrivals in S3 start the workflow, see whether they do, and end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from ciml.core.cloudformation import Found, Plain, Resource, Where, differences, resolved
from ciml.core.errors import ConfigurationError
from ciml.core.trigger import Trigger, fingerprint
from ciml.core.trigger_resources import resources
from ciml.core.value import Value

CONNECTION = "AWS::Events::Connection"
BUCKET = "AWS::S3::Bucket"
"""The kind of the one thing that is not ciml's own: S3 telling EventBridge of a bucket."""


class Cloud(Protocol):
    """The port to an AWS account, as far as it concerns the trigger of one repository."""

    @property
    def where(self) -> Where:
        """Account and region."""
        ...

    def look(self, kind: str, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        ...

    def make(self, kind: str, name: str, properties: Mapping[str, Plain]) -> str:
        """Make it, and answer its ARN."""
        ...

    def change(self, kind: str, name: str, properties: Mapping[str, Plain]) -> None:
        """Let it have these properties."""
        ...

    def remove(self, kind: str, name: str) -> None:
        """Remove it."""
        ...

    def all(self) -> Sequence[tuple[str, str]]:
        """Kind and name of all that bears the mark of this repository, what others need last."""
        ...

    def region_of(self, bucket: str) -> str:
        """Where a bucket is."""
        ...

    def tells(self, bucket: str) -> bool:
        """Whether S3 tells EventBridge of a bucket."""
        ...

    def tell(self, bucket: str) -> None:
        """Let S3 tell EventBridge of a bucket as well."""
        ...


class State(StrEnum):
    """How a resource is."""

    OK = "ok"
    MISSING = "missing"
    DIFFERS = "differs"
    FOREIGN = "foreign"
    """There is one of that name which does not bear this repository's mark."""
    UNWANTED = "unwanted"
    """Nothing in ciml.yaml asks for it any more."""


class Seen(Value, frozen=True, kw_only=True):
    """One resource as it was found."""

    kind: str
    """`AWS::Events::Rule`, …"""
    name: str
    state: State
    differs: tuple[str, ...] = ()
    """Properties that are not as they should be."""


class Done(Value, frozen=True, kw_only=True):
    """What became of one resource."""

    kind: str
    name: str
    did: str
    """`made`, `changed`, `unchanged` or `removed`."""


def keeps_schedules(wanted: Trigger, cloud: Cloud) -> bool:
    """Whether EventBridge Scheduler keeps the schedules now."""
    found = cloud.look("AWS::Scheduler::ScheduleGroup", wanted.base)
    return found is not None and found.mine


def status(wanted: Trigger, cloud: Cloud) -> list[Seen]:
    """What is there, what differs, what is missing, and what nobody asks for any more."""
    there = _look(wanted, cloud)
    arns = {place: found.arn for place, found in there.items() if found}
    seen = [_seen(item, wanted, cloud.where, there[item.id], arns, token=None)[0] for item in resources(wanted)]
    seen += [
        Seen(kind=BUCKET, name=name, state=State.OK if cloud.tells(name) else State.MISSING) for name in wanted.buckets
    ]
    named = {(item.kind, item.name) for item in seen}
    return seen + [
        Seen(kind=kind, name=name, state=State.UNWANTED) for kind, name in cloud.all() if (kind, name) not in named
    ]


def install(wanted: Trigger, cloud: Cloud, *, token: str | None) -> list[Done]:
    """Make what is missing, mend what differs, remove what nobody asks for any more; nothing where all is well.

    Args:
        wanted: what should be there.
        cloud: the account.
        token: of GitHub; None leaves the one that is there.

    Raises:
        ConfigurationError: a bucket is in another region, something else has a name, or there is no token yet.
    """
    _check_regions(wanted, cloud)
    there = _look(wanted, cloud)
    _check(wanted, there, token)
    arns = {place: found.arn for place, found in there.items() if found}
    done = [_install(item, wanted, cloud, there[item.id], arns, token) for item in resources(wanted)]
    done += [_tell(bucket, cloud) for bucket in wanted.buckets]
    named = {(item.kind, item.name) for item in done}
    done += [_remove(kind, name, cloud) for kind, name in cloud.all() if (kind, name) not in named]
    return done


def remove(cloud: Cloud) -> list[Done]:
    """Remove all that bears this repository's mark, and nothing else.

    S3 goes on telling EventBridge of the buckets: others may listen, and it costs nothing.
    """
    return [_remove(kind, name, cloud) for kind, name in cloud.all()]


def _check_regions(wanted: Trigger, cloud: Cloud) -> None:
    for bucket in wanted.buckets:
        region = cloud.region_of(bucket)
        if region != cloud.where.region:
            raise ConfigurationError(
                f"the bucket {bucket} is in {region}, and the rule would be made in {cloud.where.region}",
                hint=f"Set AWS_REGION={region}: S3 tells EventBridge of its own region alone.",
            )


def _look(wanted: Trigger, cloud: Cloud) -> dict[str, Found | None]:
    """What there is of each resource, by its id."""
    return {item.id: cloud.look(item.type, item.name) for item in resources(wanted)}


def _check(wanted: Trigger, there: Mapping[str, Found | None], token: str | None) -> None:
    """Find out what would stop half-way, before anything is made."""
    for item in resources(wanted):
        found = there[item.id]
        if found is not None and not found.mine:
            raise ConfigurationError(
                f"there is {item.type} {item.name!r} already, which ciml did not make for {wanted.repository}",
                hint="Remove or rename it, or look whether AWS_PROFILE names the right account.",
            )
        if item.type == CONNECTION and found is None and token is None:
            raise ConfigurationError(
                "there is no token for GitHub: CIML_TRIGGER_TOKEN is not set",
                hint=f"A fine-grained token for {wanted.repository} alone, with Contents: read and write. "
                "It goes to EventBridge, which keeps it in Secrets Manager.",
            )


def _seen(
    item: Resource, wanted: Trigger, where: Where, found: Found | None, arns: Mapping[str, str], *, token: str | None
) -> tuple[Seen, dict[str, Plain]]:
    """A resource as it is, and the properties that it should have, secrets left out."""
    should = _should(item, wanted, where, arns, None)
    if found is None:
        return Seen(kind=item.type, name=item.name, state=State.MISSING), should
    if not found.mine:
        return Seen(kind=item.type, name=item.name, state=State.FOREIGN), should
    if item.type == CONNECTION:
        # Which token it has is told by the description alone; where none is at hand, the one there will do.
        should["Description"] = _described(wanted, token) if token else found.properties.get("Description", "")
    compared = {name: value for name, value in should.items() if name != "Tags"}
    differs = (*differences(compared, found.properties), *found.faults)
    state = State.DIFFERS if differs else State.OK
    return Seen(kind=item.type, name=item.name, state=state, differs=differs), should


def _should(
    item: Resource, wanted: Trigger, where: Where, arns: Mapping[str, str], token: str | None
) -> dict[str, Plain]:
    """The properties that it should have; those with a secret only where the token is given."""
    found = resolved(item.properties, where, arns, token)
    assert isinstance(found, dict), "properties are a mapping"
    if item.type == CONNECTION and token is not None:
        found["Description"] = _described(wanted, token)
    return found


def _described(wanted: Trigger, token: str) -> str:
    return f"{wanted.mark}, token {fingerprint(wanted.repository, token)}"


def _install(
    item: Resource, wanted: Trigger, cloud: Cloud, found: Found | None, arns: dict[str, str], token: str | None
) -> Done:
    seen, should = _seen(item, wanted, cloud.where, found, arns, token=token)
    if seen.state is State.OK:
        return Done(kind=item.type, name=item.name, did="unchanged")
    should = _should(item, wanted, cloud.where, arns, token) if token else should
    if seen.state is State.MISSING:
        arns[item.id] = cloud.make(item.type, item.name, should)
        return Done(kind=item.type, name=item.name, did="made")
    cloud.change(item.type, item.name, should)
    return Done(kind=item.type, name=item.name, did="changed")


def _tell(bucket: str, cloud: Cloud) -> Done:
    if cloud.tells(bucket):
        return Done(kind=BUCKET, name=bucket, did="unchanged")
    cloud.tell(bucket)
    return Done(kind=BUCKET, name=bucket, did="changed")


def _remove(kind: str, name: str, cloud: Cloud) -> Done:
    cloud.remove(kind, name)
    return Done(kind=kind, name=name, did="removed")
