"""What the tests of use-cases share: a pipeline to run; proposals, authors, and a ledger on a real origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from ciml.adapters.git.command import Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.adapters.stores.local import LocalStore
from ciml.app.chronicle import Author
from ciml.app.promote import ByHand
from ciml.app.proposal import Proposal
from ciml.app.register import Registered, Services, register
from ciml.core import key
from ciml.core.entries import digest_of
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.registry import TrackedRun
from ciml.core.results import Output
from ciml.core.verdict import Status, Verdict
from tests.app import judging
from tests.app.fakes import FakeRegistry
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

CHURN = ModelName("churn")


def verdict(status: Status = Status.ACCEPTED, auc: float = 0.9) -> Verdict:
    """A gate's word."""
    return Verdict(
        model=CHURN,
        status=status,
        reason=f"auc is {auc}",
        findings=(),
        notes=(),
        hint=None,
        tested=True,
        metrics={"auc": auc},
        champion=None,
    )


class Workshop:
    """Models are made and registered here, by as many people as a test needs."""

    def __init__(self, repo: RepoBuilder, registry: FakeRegistry, folder: Path) -> None:
        self.repo = repo
        self.registry = registry
        self.store = LocalStore(str(folder / "store"))
        self.memory = str(folder / "memory")
        self.ledger = self.another_ledger()
        self._authors = 0

    def another_ledger(self) -> GitLedger:
        """The same ledger, as another process sees it."""
        return GitLedger(
            CHURN, Git(str(self.repo.path), self.repo.env, lock_wait_s=1), remote="origin", memory=self.memory
        )

    @property
    def state(self) -> LedgerState:
        return self.ledger.read()

    def author(self) -> Author:
        self._authors += 1
        return Author(actor="ada", at="2026-01-01T00:00:00Z", nonce=f"nonce-{self._authors}")

    def by_hand(self, reason: str = "") -> ByHand:
        return ByHand(author=self.author(), ledger=self.ledger, registry=self.registry, reason=reason)

    def artifact(self, content: str) -> Output:
        return Output(path=RepoPath("m"), digest=self.store.put_bytes(content.encode()), size=len(content))

    def proposal(
        self,
        name: str,
        *,
        content: str | None = None,
        status: Status = Status.ACCEPTED,
        champion: Digest | str | None = "",
        promote: str = "auto",
        policy: str = "policy",
    ) -> Proposal:
        """What a commit asks for that is called `name`; judged against today's champion unless one is given."""
        recipe = digest_of(name.encode())
        judged_against = self.state.champion_identity if champion == "" else champion
        against = Digest(judged_against) if judged_against else None
        policy_digest = digest_of(policy.encode())
        verdict_key = key.verdict(recipe, {}, policy_digest, against)
        return Proposal(
            model=CHURN,
            recipe=recipe,
            commit=CommitSha(digest_of(name.encode())[:40]),
            tree=GitOid("b" * 40),
            artifact=self.artifact(content or f"bytes of {name}"),
            verdict=verdict(status),
            verdict_key=verdict_key,
            policy=policy_digest,
            champion=against,
            promote="manual" if promote == "manual" else "auto",
            run=TrackedRun(model=CHURN, name=name, recipe=recipe, key=verdict_key),
        )

    def register(self, proposal: Proposal, *, override: str | None = None, author: Author | None = None) -> Registered:
        services = Services(ledger=self.another_ledger(), registry=self.registry, store=self.store)
        return register(proposal, author or self.author(), services, override=override)


@pytest.fixture
def workshop(repo: RepoBuilder, tmp_path: Path) -> Workshop:
    repo.commit({"train.py": "print(1)\n"})
    repo.bare_origin()
    return Workshop(repo, FakeRegistry(), tmp_path)


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    repo.commit({"ciml.yaml": judging.CIML, "size": "0.5", "test": "1"})
    return Workspace(repo)
