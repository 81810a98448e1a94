"""Resources of AWS as values, named as CloudFormation names them; from them come both a template and requests.

What is known only once something is there stands for itself: the region, the account, another resource's ARN,
a secret. A template says so in CloudFormation's words, and `resolved` puts the values in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ciml.core import yamltext
from ciml.core.value import Value
from ciml.core.yamltext import Node, Tagged

TOKEN_PARAMETER = "TokenSecret"


class Sub(Value, frozen=True, kw_only=True):
    """A text with `${AWS::Partition}`, `${AWS::Region}` or `${AWS::AccountId}` in it."""

    text: str


class Arn(Value, frozen=True, kw_only=True):
    """The ARN of another resource, by its id."""

    of: str


class Token(Value, frozen=True, kw_only=True):
    """A secret behind a word, such as `Bearer `; a template names where it is kept."""

    before: str = ""


if TYPE_CHECKING:
    Part = str | int | bool | Sub | Arn | Token | Mapping[str, "Part"] | Sequence["Part"]
    Plain = str | int | bool | dict[str, "Plain"] | list["Plain"]
else:
    # msgspec reads no recursive unions.
    Part = Plain = Any


class Resource(Value, frozen=True, kw_only=True):
    """One resource as it should be."""

    id: str
    """In a template; letters and digits."""
    type: str
    """`AWS::Events::Rule`, …"""
    name: str
    """In AWS."""
    properties: dict[str, Part]
    after: tuple[str, ...] = ()
    """Ids of resources that it needs and does not mention."""


class Found(Value, frozen=True, kw_only=True):
    """A resource that is there."""

    arn: str
    mine: bool
    """It bears the mark of who asks."""
    properties: dict[str, Plain]
    """As `Resource` has them; what cannot be read back is left out."""
    faults: tuple[str, ...] = ()
    """What is wrong with it besides, a word each."""


class Where(Value, frozen=True, kw_only=True):
    """Where resources are."""

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str, *, everywhere: bool = False) -> str:
        """The ARN of a resource; of one that belongs to no region where it is `everywhere`."""
        return f"arn:{self.partition}:{service}:{'' if everywhere else self.region}:{self.account}:{resource}"


def resolved(part: Part, where: Where, arns: Mapping[str, str], token: str | None) -> Plain | None:
    """The part with values put in; what holds a token that is not known is left out.

    Args:
        part: of a resource.
        where: account and region.
        arns: id -> ARN, of the resources that are there.
        token: None where nobody knows it.
    """
    match part:
        case Sub(text=text):
            return _put_in(text, where)
        case Arn(of=of):
            return arns.get(of, "")
        case Token(before=before):
            return None if token is None else before + token
        case str() | int():
            return part
        case Mapping():
            found = {name: resolved(value, where, arns, token) for name, value in part.items()}
            return {name: value for name, value in found.items() if value is not None}
        case _:
            items = [resolved(value, where, arns, token) for value in part]
            return [value for value in items if value is not None]


def _put_in(text: str, where: Where) -> str:
    values = {"Partition": where.partition, "Region": where.region, "AccountId": where.account}
    return re.sub(r"\$\{AWS::(\w+)\}", lambda match: values[match[1]], text)


def template(resources: Sequence[Resource], *, about: str, parameters: Mapping[str, Node]) -> str:
    """The text of a CloudFormation template, in YAML."""
    made: dict[str, Node] = {
        resource.id: {
            "Type": resource.type,
            **({"DependsOn": list(resource.after)} if resource.after else {}),
            "Properties": _written(resource.properties),
        }
        for resource in resources
    }
    return yamltext.text(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": about,
            "Parameters": parameters,
            "Resources": made,
        },
        blank_before=frozenset({"Resources"}),
    )


def _written(part: Part) -> Node:
    """The part in CloudFormation's own words."""
    match part:
        case Sub(text=text):
            return Tagged(tag="Sub", value=text)
        case Arn(of=of):
            return Tagged(tag="GetAtt", value=f"{of}.Arn")
        case Token(before=before):
            return Tagged(tag="Sub", value=f"{before}{{{{resolve:secretsmanager:${{{TOKEN_PARAMETER}}}}}}}")
        case str() | int():
            return part
        case Mapping():
            return {name: _written(value) for name, value in part.items()}
        case _:
            return [_written(value) for value in part]


def differences(wanted: Mapping[str, Plain], found: Mapping[str, Plain]) -> tuple[str, ...]:
    """The properties that are not as they should be, sorted; what nobody asked for is not looked at."""
    return tuple(sorted(name for name, value in wanted.items() if found.get(name) != value))
