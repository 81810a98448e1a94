"""One model of a run, and what its gate says."""

from __future__ import annotations

from ciml.core.ids import CommitSha, Digest, RepoPath, StageName
from ciml.core.pipeline import Model, ParamValue
from ciml.core.results import Output
from ciml.core.value import Value
from ciml.core.verdict import Verdict


class Judged(Value, frozen=True, kw_only=True):
    """One model of a run, and what its gate says."""

    model: Model
    recipe: Digest
    """The model's."""
    key: Digest
    """Of the verdict."""
    policy: Digest
    policy_params: dict[str, ParamValue] = {}
    """The values of the parameters that the checks read."""
    artifact: Output | None
    """None where the model was not made."""
    verdict: Verdict
    lasting: bool = True
    """Whether the verdict may be recorded; one on a comparison that failed may not, for it would stand for ever."""
    recorded: bool = False
    """The ledger had the verdict already; nothing was compared again."""
    recorded_at: CommitSha | None = None
    """The commit that the recorded verdict was given on."""
    champion: Digest | None = None
    """Identity of the champion it was judged against."""
    data: dict[RepoPath, Digest] = {}
    """What it was trained and judged on."""
    stages: tuple[StageName, ...] = ()
    """The stages whose results it or its gate uses, directly or not."""
