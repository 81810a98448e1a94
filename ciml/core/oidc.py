"""Who may take a role of AWS by GitHub's OIDC tokens: a role's trust policy, held against what is safe.

A token's `sub` says which repository, and which ref, environment or pull request of it. A policy that does not
compare it exactly lets code take the role that nobody has reviewed.

Source: GitHub Docs, "Configuring OpenID Connect in Amazon Web Services"; IAM User Guide, "IAM JSON policy elements".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"

_EXACT = frozenset({"stringequals", "stringequalsignorecase"})
_ALIKE = frozenset({"stringlike"})


def trust_faults(policy: Mapping[str, Any], *, repository: str | None, pull_requests: bool = False) -> tuple[str, ...]:
    """What is wrong with a trust policy, a clause each; none where only what it names exactly may take the role.

    Args:
        policy: the document, as IAM has it.
        repository: `owner/name` that the role is for; None where any will do.
        pull_requests: pull requests may take it.
    """
    found: dict[str, None] = {}
    for statement in _list(policy.get("Statement")):
        if isinstance(statement, Mapping) and statement.get("Effect") == "Allow":
            found.update(dict.fromkeys(_faults(statement, repository, pull_requests)))
    return tuple(found)


def trusts_github(policy: Mapping[str, Any]) -> bool:
    """Whether GitHub's tokens give the role to anybody."""
    statements = [item for item in _list(policy.get("Statement")) if isinstance(item, Mapping)]
    return any(item.get("Effect") == "Allow" and _federated(item) for item in statements)


def _faults(statement: Mapping[str, Any], repository: str | None, pull_requests: bool) -> Iterator[str]:
    principal = statement.get("Principal")
    if principal == "*" or (isinstance(principal, Mapping) and "*" in _list(principal.get("AWS"))):
        yield "role assumable by anybody in AWS: Principal is *"
    if "NotPrincipal" in statement:
        yield "role assumable by anybody but a few: NotPrincipal"
    if not _federated(statement):
        return
    exact, alike = _conditions(statement)
    audiences = exact.get("aud", ())
    if not audiences:
        yield f"no condition on the audience: StringEquals {ISSUER}:aud"
    elif any(audience != AUDIENCE for audience in audiences):
        yield f"another audience than {AUDIENCE}: {', '.join(audiences)}"
    yield from _subject_faults(exact.get("sub", ()), alike.get("sub", ()), repository, pull_requests)


def _subject_faults(
    exact: tuple[str, ...], alike: tuple[str, ...], repository: str | None, pull_requests: bool
) -> Iterator[str]:
    # All conditions must hold: where one compares exactly, a looser one beside it opens nothing.
    subjects = exact or alike
    if not subjects:
        yield f"role assumable by any ref of any repository: no condition on {ISSUER}:sub"
    for subject in subjects:
        if not exact and ("*" in subject or "?" in subject):
            yield f"role assumable by any ref: StringLike {subject}"
            continue
        named, _, rest = subject.removeprefix("repo:").partition(":")
        if not subject.startswith("repo:"):
            yield f"role assumable by what names no repository: {subject}"
        elif repository is not None and named.casefold() != repository.casefold():
            yield f"role assumable by another repository: {subject}"
        elif rest == "pull_request" and not pull_requests:
            yield f"role assumable by any pull request: {subject}"


def _federated(statement: Mapping[str, Any]) -> bool:
    """Whether GitHub's issuer, or any, is among those that a statement trusts."""
    principal = statement.get("Principal")
    if principal == "*":
        return True
    named = _list(principal.get("Federated")) if isinstance(principal, Mapping) else []
    return any(str(name) == "*" or str(name).endswith(f"/{ISSUER}") for name in named)


def _conditions(statement: Mapping[str, Any]) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Claim -> values, of the comparisons that are exact, and of those that are not.

    Others count for nothing: `…IfExists` and `ForAllValues:` hold where there is no claim at all, and a negated
    one allows all but a few.
    """
    exact: dict[str, tuple[str, ...]] = {}
    alike: dict[str, tuple[str, ...]] = {}
    conditions = statement.get("Condition")
    for operator, keys in (conditions if isinstance(conditions, Mapping) else {}).items():
        name = str(operator).lower().removeprefix("foranyvalue:")
        into = exact if name in _EXACT else alike if name in _ALIKE else None
        if into is None or not isinstance(keys, Mapping):
            continue
        for key, values in keys.items():
            issuer, _, claim = str(key).lower().rpartition(":")
            if issuer == ISSUER:
                into[claim] = tuple(map(str, _list(values)))
    return exact, alike


def _list(value: Any) -> list[Any]:
    """What IAM writes as a list, or without one where it is a single value."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
