"""Roles of an AWS account: whom they trust, what they may do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ciml.adapters.account import Kind
from ciml.adapters.aws import asking, client, code_of
from ciml.core.cloudformation import Found
from ciml.core.errors import ConfigurationError

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,64}")


class Roles(Kind):
    """Roles, with their own policies."""

    service = "iam"
    path = "role/"

    def look(self, name: str) -> Found | None:
        """A resource; None where there is none of that name."""
        told = self._ask("GetRole", name, lambda: self._client.get_role(RoleName=name))
        if told is None:
            return None
        role = told["Role"]
        return Found(
            arn=role["Arn"],
            mine=self._tagged(role.get("Tags", [])),
            properties={
                "RoleName": name,
                "Description": role.get("Description", ""),
                "AssumeRolePolicyDocument": document(role["AssumeRolePolicyDocument"]),
                "ManagedPolicyArns": [*self._attached(name)],
                "Policies": [self._policy(name, policy) for policy in self._policies(name)],
            },
        )

    def make(self, name: str, properties: Mapping[str, Any]) -> str:
        """Make it, and answer its ARN."""
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        about = properties["Description"]
        made = self._do(
            "CreateRole",
            name,
            lambda: self._client.create_role(
                RoleName=name, Description=about, AssumeRolePolicyDocument=trust, Tags=properties["Tags"]
            ),
        )
        self._give(name, properties["Policies"])
        return str(made["Role"]["Arn"])

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let it trust and allow just this."""
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        about = properties["Description"]
        self._do(
            "UpdateAssumeRolePolicy",
            name,
            lambda: self._client.update_assume_role_policy(RoleName=name, PolicyDocument=trust),
        )
        self._do("UpdateRole", name, lambda: self._client.update_role(RoleName=name, Description=about))
        wanted = {policy["PolicyName"] for policy in properties["Policies"]}
        self._take(name, [policy for policy in self._policies(name) if policy not in wanted])
        self._give(name, properties["Policies"])

    def remove(self, name: str) -> None:
        """Remove it, with all that it may do."""
        self._take(name, self._policies(name))
        self._ask("DeleteRole", name, lambda: self._client.delete_role(RoleName=name))

    def _give(self, name: str, policies: list[Mapping[str, Any]]) -> None:
        for policy in policies:
            self._put(name, policy["PolicyName"], json.dumps(policy["PolicyDocument"]))

    def _put(self, name: str, policy: str, text: str) -> None:
        self._do(
            "PutRolePolicy",
            name,
            lambda: self._client.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text),
        )

    def _take(self, name: str, policies: list[str]) -> None:
        """Take these policies away, and all that are attached."""
        for policy in policies:
            self._delete(name, policy)
        for arn in self._attached(name):
            self._detach(name, arn)

    def _delete(self, name: str, policy: str) -> None:
        self._ask("DeleteRolePolicy", name, lambda: self._client.delete_role_policy(RoleName=name, PolicyName=policy))

    def _detach(self, name: str, arn: str) -> None:
        self._ask("DetachRolePolicy", name, lambda: self._client.detach_role_policy(RoleName=name, PolicyArn=arn))

    def _policies(self, name: str) -> list[str]:
        pages = self._client.get_paginator("list_role_policies").paginate(RoleName=name)
        found = self._ask("ListRolePolicies", name, lambda: [p for page in pages for p in page["PolicyNames"]])
        return list(found or ())

    def _attached(self, name: str) -> list[str]:
        pages = self._client.get_paginator("list_attached_role_policies").paginate(RoleName=name)
        found = self._ask(
            "ListAttachedRolePolicies",
            name,
            lambda: [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]],
        )
        return list(found or ())

    def _policy(self, name: str, policy: str) -> Any:
        told = self._ask("GetRolePolicy", name, lambda: self._client.get_role_policy(RoleName=name, PolicyName=policy))
        return {"PolicyName": policy, "PolicyDocument": document((told or {}).get("PolicyDocument", {}))}

    def _arn(self, name: str) -> str:
        return self._account.where.arn("iam", f"role/{name}", everywhere=True)


def document(told: Any) -> Any:
    """A policy document, which IAM itself sends percent-encoded."""
    return json.loads(unquote(told)) if isinstance(told, str) else told


def trust_policy(arn: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The trust policy of a role.

    Raises:
        ConfigurationError: it is no role's ARN, or there is no such role in the account of the credentials.
        TrustError: the credentials may not look.
    """
    from botocore.exceptions import ClientError

    if not _ROLE.fullmatch(arn):
        raise ConfigurationError(f"{arn!r} is no role's ARN", hint="arn:aws:iam::ACCOUNT:role/NAME")
    iam = client("iam", environ)
    absent = ConfigurationError(
        f"there is no role {arn} in the account whose credentials these are", hint="Look at AWS_PROFILE."
    )
    with asking(f"look at the role {arn}", action="iam:GetRole", resource=arn):
        try:
            role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                raise absent from error
            raise
    if role["Arn"] != arn:
        raise absent
    found: Mapping[str, Any] = document(role["AssumeRolePolicyDocument"])
    return found
