"""Who is compared with whom: the candidate, and the champion or why there is none."""

from __future__ import annotations

from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.metrics import Metrics
from ciml.core.value import Value

SPLIT = (
    "split the stage in two, one that makes the model and one that scores it, and name the second: "
    "`champion: {rescore: STAGE}` scores the champion again on this data"
)


class Candidate(Value, frozen=True, kw_only=True):
    """The model that asks to be let through."""

    content: Digest
    """Of the model's files."""
    metrics: dict[StageName, Metrics]
    """Of every stage that has some, all files of a stage together (`ciml.core.metrics.combine`)."""
    writers: tuple[StageName, ...]
    """The maker of the model and the stages downstream of it: a metric without a stage is one of theirs."""
    scores: dict[RepoPath, bytes] = {}
    """The files that the gate's paired checks name."""
    data: dict[RepoPath, Digest] = {}
    """What the stages that the gate reads were given, code and model left out."""


class Champion(Value, frozen=True, kw_only=True):
    """The version promoted last, with what it scored: rescored where the policy says so, else as recorded."""

    version: str
    content: Digest
    metrics: dict[StageName, Metrics]
    scores: dict[RepoPath, bytes] = {}
    data: dict[RepoPath, Digest] = {}
    """What it was judged on when it was promoted, as `Candidate.data`."""


class NoChampion(Value, frozen=True, kw_only=True):
    """No version was ever promoted."""


class Incomparable(Value, frozen=True, kw_only=True):
    """There is a champion, and what it scores on this data cannot be had."""

    version: str
    content: Digest
    reason: str
    """One clause: `its files are gone from the registry`."""
    hint: str = SPLIT
    lasting: bool = True
    """Whether the same would be found again; a stage that failed once may not fail twice."""


Rival = Champion | NoChampion | Incomparable
