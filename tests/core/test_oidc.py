from __future__ import annotations

from typing import Any

import pytest

from ciml.core.oidc import trust_faults, trusts_github

GITHUB = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{GITHUB}"
AUD = {f"{GITHUB}:aud": "sts.amazonaws.com"}


def policy(condition: Any, principal: Any = None) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": principal or {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    return {"Version": "2012-10-17", "Statement": [{**statement, **({"Condition": condition} if condition else {})}]}


def sub(value: object, operator: str = "StringEquals") -> dict[str, Any]:
    """A policy with the audience, and this for the subject."""
    condition: dict[str, Any] = {"StringEquals": dict(AUD)}
    condition.setdefault(operator, {})[f"{GITHUB}:sub"] = value
    return policy(condition)


@pytest.mark.parametrize(
    "document",
    [
        sub("repo:acme/churn:environment:ciml"),
        sub(["repo:acme/churn:ref:refs/heads/main", "repo:acme/churn:environment:ciml"]),
        sub("repo:acme/churn:ref:refs/heads/main", "StringLike"),
        sub("repo:Acme/Churn:environment:ciml", "StringEqualsIgnoreCase"),
        {"Statement": sub("repo:acme/churn:environment:ciml")["Statement"][0]},
        policy(None, {"Service": "ec2.amazonaws.com"}),
        {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*"}},
        {},
    ],
)
def test_what_is_named_exactly_is_well(document: dict[str, Any]) -> None:
    """By StringEquals, or by StringLike without a wildcard; services and denials are no matter of GitHub's."""
    assert trust_faults(document, repository="acme/churn") == ()


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (sub("repo:acme/*", "StringLike"), "role assumable by any ref: StringLike repo:acme/*"),
        (sub("repo:acme/churn:*", "StringLike"), "role assumable by any ref"),
        (sub("repo:acme/churn:ref:refs/heads/*", "StringLike"), "role assumable by any ref"),
        (sub("repo:acme/churn:ref:refs/heads/mai?", "StringLike"), "role assumable by any ref"),
        (sub(["repo:acme/churn:environment:ciml", "repo:acme/churn:*"], "StringLike"), "role assumable by any ref"),
        (sub("repo:acme/*", "ForAnyValue:StringLike"), "role assumable by any ref"),
        (policy({"StringEquals": AUD}), "role assumable by any ref of any repository"),
        (sub("repo:acme/churn:environment:ciml", "StringEqualsIfExists"), "no condition on"),
        (sub("repo:acme/churn:environment:ciml", "ForAllValues:StringEquals"), "no condition on"),
        (sub("repo:acme/churn:environment:ciml", "StringNotEquals"), "no condition on"),
        (policy(None), "no condition on the audience"),
        (policy({"StringEquals": {f"{GITHUB}:sub": "repo:acme/churn:environment:ciml"}}), "no condition on the aud"),
        (
            policy({"StringEquals": {f"{GITHUB}:sub": "repo:acme/churn:environment:ciml", f"{GITHUB}:aud": "x"}}),
            "another audience",
        ),
        (sub("repo:evil/churn:environment:ciml"), "another repository: repo:evil/churn"),
        (sub("repo:acme/churn:pull_request"), "any pull request"),
        (sub("acme/churn"), "names no repository"),
        (policy(None, "*"), "anybody in AWS"),
        (policy(None, {"AWS": ["arn:aws:iam::1:root", "*"]}), "anybody in AWS"),
    ],
)
def test_c042_a_role_that_any_ref_can_take(document: dict[str, Any], fault: str) -> None:
    """OIDC role with `StringLike repo:org/*`, or without `sub` or `aud` → "role assumable by any ref"."""
    assert fault in "; ".join(trust_faults(document, repository="acme/churn"))


def test_one_good_statement_does_not_close_a_bad_one() -> None:
    """Statements allow what any of them allows."""
    good, bad = sub("repo:acme/churn:environment:ciml"), sub("repo:acme/*", "StringLike")
    assert trust_faults({"Statement": [*good["Statement"], *bad["Statement"]]}, repository="acme/churn")


def test_conditions_of_one_statement_must_all_hold() -> None:
    """A wildcard beside an exact comparison of the same claim opens nothing."""
    both = sub("repo:acme/churn:environment:ciml")
    both["Statement"][0]["Condition"]["StringLike"] = {f"{GITHUB}:sub": "repo:acme/*"}
    assert trust_faults(both, repository="acme/churn") == ()


def test_pull_requests_where_they_may() -> None:
    """Their own role is for them, and still for one repository alone."""
    assert trust_faults(sub("repo:acme/churn:pull_request"), repository="acme/churn", pull_requests=True) == ()
    assert trust_faults(sub("repo:evil/churn:pull_request"), repository="acme/churn", pull_requests=True)
    assert trust_faults(sub("repo:any/one:environment:ciml"), repository=None) == ()


def test_whom_github_gives_a_role() -> None:
    """Only where a statement allows its issuer."""
    assert trusts_github(sub("repo:acme/churn:environment:ciml"))
    assert not trusts_github(policy(None, {"Service": "ec2.amazonaws.com"}))
    assert not trusts_github({"Statement": {"Effect": "Deny", "Principal": {"Federated": PROVIDER}}})
