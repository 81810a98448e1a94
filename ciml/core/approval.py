"""Whether somebody else than who began a run has let its deployment through.

GitHub holds the job of an environment back until its reviewers say so, where somebody has set that up. An
environment whose rules were taken away, or whose reviewer is whoever pushed the tag, holds nothing back: so
where `ciml.yaml` says `approval: required`, the run's own reviews have to show it.
"""

from __future__ import annotations

from ciml.core.errors import TrustError
from ciml.core.value import Value

NOT_APPROVED = "nobody has approved it, and `approval: required` asks for it"
"""What a deployment by hand overrides."""


class Review(Value, frozen=True, kw_only=True):
    """One person's word on the environments of a run."""

    by: str
    environments: tuple[str, ...]
    approved: bool


class Reviews(Value, frozen=True, kw_only=True):
    """All that was said of a run's deployments."""

    began: tuple[str, ...]
    """Whose push, tag or click began the run, and who ran it again."""
    said: tuple[Review, ...]


def approval_refusal(environment: str, reviews: Reviews | None, *, used: int = 0) -> TrustError | None:
    """Why an environment that has to be approved is not deployed to; None where somebody else has approved it.

    Args:
        environment: its name; names are compared without regard to case, as GitHub does.
        reviews: of the run, in all its attempts; None where no CI run deploys.
        used: deployments that the run has made there before. Each takes an approval of its own: whoever runs an old
            release again brings an old version back.
    """
    if reviews is None:
        return TrustError(
            f"{environment}: {NOT_APPROVED}",
            hint="Its CI job deploys it once somebody approves. A person may with --override --reason TEXT.",
        )
    wanted, own = environment.casefold(), {name.casefold() for name in reviews.began}
    approved = [
        review.by
        for review in reviews.said
        if review.approved and wanted in {name.casefold() for name in review.environments}
    ]
    others = [by for by in approved if by.casefold() not in own]
    if len(others) > used:
        return None
    if others:
        return TrustError(
            f"{environment}: {others[0]} approved what this run deployed before, and nobody else that it deploys again",
            hint=f"Give the environment {environment} required reviewers: one who did not run it again approves it.",
        )
    if approved:
        return TrustError(
            f"{environment}: {approved[0]} began this run and approved it too; `approval: required` asks for another",
            hint=f"Set `Prevent self-review` on the environment {environment}, and let somebody else approve.",
        )
    return TrustError(
        f"{environment}: {NOT_APPROVED}",
        hint=f"Give the environment {environment} required reviewers: Settings, Environments.",
    )
