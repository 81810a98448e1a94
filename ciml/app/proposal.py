"""What a commit asks to have registered, and the entries that say so in a model's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ciml.app.chronicle import Author, genesis
from ciml.core.entries import Adoption, Entry, Judgement, Override, Promotion, Registration
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import Scalar
from ciml.core.registry import Row, TrackedRun
from ciml.core.results import Output
from ciml.core.value import Value
from ciml.core.verdict import Verdict


class Proposal(Value, frozen=True, kw_only=True):
    """A model that a commit asks for, as it was made and judged."""

    model: ModelName
    recipe: Digest
    commit: CommitSha
    tree: GitOid
    artifact: Output
    verdict: Verdict
    verdict_key: Digest
    policy: Digest
    policy_params: dict[str, Scalar | None] = {}
    """The values of the parameters in the checks."""
    champion: Digest | None
    """Identity of the champion that it was judged against."""
    promote: Literal["auto", "manual"] = "auto"
    alias: str = "champion"
    data: dict[RepoPath, Digest] = {}
    """What it was trained and judged on."""
    provenance: Digest | None = None
    run: TrackedRun
    """How the registry shows the run that made it."""
    tags: dict[str, str] = {}
    """Of the version."""


class Entries:
    """The entries of one proposal.

    Args:
        proposal: what is to be registered.
        author: who registers.
        override: why a person lets it through although the gate does not.
    """

    def __init__(self, proposal: Proposal, author: Author, override: str | None) -> None:
        self._proposal = proposal
        self._author = author
        self._override = override
        self._byline = author.byline(proposal.commit)

    def before(self, registry: str) -> Sequence[Entry]:
        """Those that come before the version's own, as far as the ledger has not got them."""
        proposal = self._proposal
        first = genesis(proposal.model, registry, self._author)
        if self._override is None or proposal.verdict.lets_through:
            return (first, self.judgement)
        override = Override(
            **self._byline,
            reason=self._override,
            recipe=proposal.recipe,
            verdict=proposal.verdict_key,
            outcome=proposal.verdict.status,
        )
        return (first, self.judgement, override)

    @property
    def judgement(self) -> Judgement:
        """What the gate said."""
        proposal = self._proposal
        return Judgement(
            **self._byline,
            key=proposal.verdict_key,
            recipe=proposal.recipe,
            policy=proposal.policy,
            champion=proposal.champion,
            artifact=proposal.artifact.digest,
            params=proposal.policy_params,
            verdict=proposal.verdict,
        )

    def registration(self, row: Row) -> Registration:
        """The version that a row of the registry becomes."""
        proposal = self._proposal
        return Registration(
            **self._byline,
            version=row.version,
            recipe=proposal.recipe,
            artifact=proposal.artifact,
            run=row.run,
            row=row.nonce,
            created=row.created,
            tree=proposal.tree,
            verdict=proposal.verdict_key,
            champion=proposal.champion,
            metrics=proposal.verdict.metrics,
            data=proposal.data,
            provenance=proposal.provenance,
        )

    def adoption(self, version: int) -> Adoption:
        """The recipe as one of a version that has the same bytes."""
        proposal = self._proposal
        return Adoption(
            **self._byline,
            version=version,
            recipe=proposal.recipe,
            tree=proposal.tree,
            verdict=proposal.verdict_key,
            champion=proposal.champion,
            may_promote=self._override is not None or proposal.verdict.lets_through,
        )

    def promotion(self, version: int, state: LedgerState) -> Sequence[Promotion]:
        """The promotion that goes with the record, where the model promotes by itself."""
        proposal, champion = self._proposal, state.champion
        if proposal.promote == "manual" or (champion and champion.version == version):
            return ()
        return (
            Promotion(
                **self._byline,
                gen=len(state.champions) + 1,
                version=version,
                previous=champion.version if champion else None,
                champion=proposal.champion,
                verdict=proposal.verdict_key,
            ),
        )
