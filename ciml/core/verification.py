"""Whether a version may be deployed: one decision, from evidence that others gathered.

What speaks against it is a fault. A fault of trust (nobody whose word counts has signed) can be
overridden by a person, whose reason the ledger keeps; a fault of integrity (bytes, recipe, registry
or ledger are not what was recorded) cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from ciml.core.entries import Deployment, FailedDeployment
from ciml.core.errors import CimlError, IntegrityError, TrustError
from ciml.core.ids import CommitSha
from ciml.core.ledger import LedgerState
from ciml.core.provenance import LOCAL_BUILDER
from ciml.core.url import bare
from ciml.core.value import Value


class Signature(StrEnum):
    """What a signature is worth."""

    GOOD = "good"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """By a key that is not among the signers."""
    EXPIRED = "expired"
    """By a key of a signer that does not count now: revoked, or not valid yet."""
    BROKEN = "broken"
    """By a key that is known, over something else."""
    ELSEWHERE = "elsewhere"
    """Good, and for a tag of another name."""
    FOREIGN = "foreign"
    """Of a kind that cannot be checked here."""


class Signed(Value, frozen=True, kw_only=True):
    """A signature, and whose."""

    state: Signature
    who: str = ""
    """Principal, key, or the name that was signed."""


class Evidence(Value, frozen=True, kw_only=True):
    """What was found out about a version that is to be deployed. No field has a default: nothing passes by omission."""

    subject: str
    """`churn version 3`."""
    tag: Signed | None
    """None where no tag asks for it, or none has to be signed."""
    tag_name: str
    provenance: Signed | None
    """None where none has to be signed."""
    statement: str | None
    """Why the provenance does not say what ledger, Git and bytes say; None where it does, or need not."""
    elsewhere: str | None
    """The repository that the provenance names, where that is not this one."""
    registry: str | None
    """Why the registry's version is not the recorded one."""
    recipe: str | None
    """Why the version's commit does not ask for it any more."""
    let_through: bool
    """The gate accepted it, or a person overrode the gate."""


class Fault(Value, frozen=True, kw_only=True):
    """One thing that speaks against a deployment."""

    message: str
    hint: str | None = None
    trust: bool
    """A person may override it."""


def faults(evidence: Evidence) -> tuple[Fault, ...]:
    """All that speaks against it, the gravest first."""
    return tuple(sorted(_faults(evidence), key=lambda fault: fault.trust))


def _faults(evidence: Evidence) -> Iterator[Fault]:
    subject = evidence.subject
    for wrong in (evidence.registry, evidence.recipe, evidence.statement):
        if wrong is not None:
            yield Fault(message=f"{subject}: {wrong}", trust=False)
    if not evidence.let_through:
        yield Fault(message=f"{subject}: the ledger has no verdict that lets it through", trust=False)
    if evidence.tag is not None:
        yield from _signature(f"the tag {evidence.tag_name}", evidence.tag, f"git tag -s {evidence.tag_name}")
    if evidence.provenance is not None:
        hint = "Set CIML_SIGNING_KEY where models are registered."
        yield from _signature(f"the provenance of {subject}", evidence.provenance, hint)

    if evidence.elsewhere is not None:
        told = f"the provenance of {subject} names another repository, {evidence.elsewhere}"
        yield Fault(message=told, hint="Was this one renamed?", trust=True)


def _signature(what: str, signed: Signed, hint: str) -> Iterator[Fault]:
    told = {
        Signature.ABSENT: "is not signed, and `trust.signers` asks for it",
        Signature.UNKNOWN: f"is signed by a key that is not among the signers ({signed.who})",
        Signature.EXPIRED: f"is signed by a key that does not count now ({signed.who})",
        Signature.FOREIGN: f"has a signature that cannot be checked here ({signed.who}); signers use SSH keys",
        Signature.BROKEN: "has a signature that does not hold",
        Signature.ELSEWHERE: f"is a signed tag of another name, {signed.who}",
    }
    if signed.state is Signature.GOOD:
        return
    unsigned = signed.state in (Signature.ABSENT, Signature.UNKNOWN, Signature.EXPIRED, Signature.FOREIGN)
    yield Fault(message=f"{what} {told[signed.state]}", hint=hint if unsigned else None, trust=unsigned)


def refusal(evidence: Evidence, *, override: bool) -> CimlError | None:
    """Why a version may not be deployed, or None where it may.

    Args:
        evidence: what was found out.
        override: a person says that faults of trust shall not count.
    """
    found = [fault for fault in faults(evidence) if not (fault.trust and override)]
    if not found:
        return None
    first = found[0]
    if first.trust:
        hint = first.hint or ""
        return TrustError(first.message, hint=f"{hint} A person may deploy it with --override --reason TEXT.".strip())
    return IntegrityError(first.message, hint=first.hint)


def overridden(evidence: Evidence) -> str:
    """What a person's word overrides, for the ledger; empty where nothing speaks against it."""
    return "; ".join(fault.message for fault in faults(evidence) if fault.trust)


def tag_refusal(
    name: str,
    commit: CommitSha,
    states: list[LedgerState],
    *,
    moves: bool,
    on_branch: bool | None,
    branch: str,
) -> TrustError | None:
    """Why a tag is not acted on, whatever version it names; None where it may be.

    Args:
        name: of the tag.
        commit: that it names now.
        states: the ledgers of the models that it asks for.
        moves: its name says that it is moved.
        on_branch: whether the default branch has the commit; None where there is no remote to ask.
        branch: the default branch.
    """
    if on_branch is False and not branch:
        return TrustError(
            f"tag commit not on a protected branch: {name} names {commit[:12]}, and `origin` names no default branch",
            hint="Set it there: in GitHub's settings, or with git symbolic-ref HEAD refs/heads/NAME.",
        )
    if on_branch is False:
        return TrustError(
            f"tag commit not on a protected branch: {name} names {commit[:12]}, which {branch} does not have",
            hint=f"Merge it to {branch}, and tag what is there.",
        )
    if moves:
        return None
    for state in states:
        recorded = next((entry.commit for entry in released(state) if entry.ref == name), None)
        if recorded is not None and recorded != commit:
            return TrustError(
                f"tag {name} now points elsewhere; recorded {recorded}",
                hint=f"It names {commit} now. A release keeps its name: give the new one another.",
            )
    return None


def released(state: LedgerState) -> Iterator[Deployment | FailedDeployment]:
    """Every deployment that was tried, from old to new."""
    return (entry for entry in state.entries if isinstance(entry, Deployment | FailedDeployment))


def counted(now: str, before: str | None) -> str:
    """The lines of an `allowed_signers` file that count for a commit.

    Args:
        now: the file as the default branch has it.
        before: as the parent of the released commit has it, where that commit changed it: no commit can
            vouch for a signer of its own. None where it did not.
    """
    known = None if before is None else set(before.splitlines())
    return "".join(f"{line}\n" for line in now.splitlines() if known is None or line in known)


def trusted_builder(builder: str, repository: str, branch: str) -> bool:
    """Whether a build is this repository's own: its workflow on its default branch, or a person's with the signing key.

    Args:
        builder: URI, by the words of a statement that is signed.
        repository: its web address.
        branch: the default branch.
    """
    workflow = f"{repository}/.github/workflows/"
    ours = bool(repository) and builder.startswith(workflow) and builder.endswith(f"@refs/heads/{branch}")
    return ours or builder == LOCAL_BUILDER


_REMOTE = re.compile(r"(?:https?://|ssh://(?:[^@/]+@)?|(?:[^@/]+@)(?=[^/]+:))(?P<host>[^/:]+)(?::\d+)?[:/](?P<path>.+)")


def web_address(remote: str) -> str:
    """`https://HOST/OWNER/NAME` of a remote, however it is reached; "" for one that is a path."""
    found = _REMOTE.fullmatch(bare(remote))
    return f"https://{found['host']}/{found['path'].strip('/').removesuffix('.git')}" if found else ""


def same_repository(one: str, other: str) -> bool:
    """Whether two addresses are of one repository: over SSH and HTTPS it has two."""
    return bare(one) == bare(other) or (bool(web_address(one)) and web_address(one) == web_address(other))
