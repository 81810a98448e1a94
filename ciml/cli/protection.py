"""What the default branch says of releases: which commits it has, and whose signatures count.

The released commit itself is not asked: whoever could change it could let himself in.
"""

from __future__ import annotations

import os
from functools import cached_property

from ciml.adapters.git.repository import Repository
from ciml.app.project import Documents
from ciml.app.release import Asked, Policy
from ciml.core.errors import ConfigurationError, TrustError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.verification import counted, tag_refusal


class Protection:
    """The default branch of a repository, as releases are held against it.

    Args:
        repository: this clone; what it lacks of the branch is fetched.
        documents: reads `ciml.yaml`.
        local: nobody else uses ledgers and registry; what is checked out stands for the default branch.
    """

    def __init__(self, repository: Repository, documents: Documents, *, local: bool) -> None:
        self._repository = repository
        self._documents = documents
        self._local = local

    def refusal(self, asked: Asked, states: list[LedgerState]) -> TrustError | None:
        """Why a tag is not acted on, whatever version it names; None where it may be."""
        on_branch: bool | None = None
        if not self._local:
            tip = self._head
            on_branch = tip is not None and self._repository.merge_base(asked.commit, tip).commit == asked.commit
        return tag_refusal(
            asked.tag.name, asked.commit, states, moves=asked.tag.moves, on_branch=on_branch, branch=self._default[0]
        )

    def policy(self, commit: CommitSha) -> Policy:
        """What has to hold for a version that a commit asks for."""
        return Policy(
            signers=self._signers(commit),
            branch=self._default[0],
            repository=self._repository.remote_url() or "",
        )

    @cached_property
    def signers_file(self) -> RepoPath | None:
        """Where the signers are; None where nothing has to be signed."""
        if self._head is None:
            return None
        return self._documents.pipeline(self._repository.commit_tree(self._head)).signers

    @cached_property
    def _default(self) -> tuple[str, CommitSha | None]:
        """The default branch and where it is now."""
        if self._local:
            return self._repository.branch() or "", self._repository.head()
        return self._repository.remote_default()

    @cached_property
    def _head(self) -> CommitSha | None:
        """The default branch's head, in this clone."""
        tip = self._default[1]
        return self._repository.base(tip).commit if tip else None

    def _signers(self, commit: CommitSha) -> str | None:
        """The lines that count for a commit."""
        if self.signers_file is None or self._head is None:
            return None
        now = self._text(self._head)
        if now is None:
            raise ConfigurationError(f"trust.signers names {self.signers_file}, which {self._default[0]} does not have")
        parents = self._repository.commit(commit).parents
        before = self._repository.base(parents[0]).commit if parents else None
        if before is None or self._text(before) == self._text(commit):
            return counted(now, None)
        return counted(now, self._text(before) or "")

    def _text(self, commit: CommitSha) -> str | None:
        assert self.signers_file is not None, "signers are configured"
        data = self._repository.commit_tree(commit).read(self.signers_file)
        return os.fsdecode(data) if data is not None else None
