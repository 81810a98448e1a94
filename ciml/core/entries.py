"""The entries of a model's ledger, and their bytes.

An entry is never changed and never removed. Each carries its number and the SHA-256 of the bytes
of the one before it, so that history cannot be rewritten unseen; and a nonce, since two writers
with the same words would otherwise write the same bytes and both believe that theirs were first.
"""

from __future__ import annotations

import hashlib

import msgspec

from ciml.core.errors import IntegrityError, RepositoryError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.pipeline import Scalar
from ciml.core.results import Output
from ciml.core.value import Value
from ciml.core.verdict import Status, Verdict

FORMAT = "ciml/ledger/1"


class Head(Value, frozen=True, kw_only=True):
    """The last entry of a ledger, by number and by the SHA-256 of its bytes."""

    seq: int
    digest: Digest


class _Entry(Value, frozen=True, kw_only=True, tag_field="kind"):
    """What every entry says besides its own matter."""

    seq: int = 0
    """From 1; given when the entry is linked to a chain."""
    prev: Digest | None = None
    """SHA-256 of the previous entry's bytes; None for the first."""
    nonce: str
    actor: str = ""
    at: str = ""
    """UTC, RFC 3339, seconds. Informational: the chain gives the order, no clock does."""
    commit: CommitSha | None = None
    reason: str = ""


class Genesis(_Entry, frozen=True, kw_only=True, tag="genesis"):
    """The first entry: whose ledger this is."""

    format: str = FORMAT
    model: ModelName
    registry: str
    """The registry that the ledger's version numbers belong to."""


class Judgement(_Entry, frozen=True, kw_only=True, tag="verdict"):
    """What the gate said of a recipe."""

    key: Digest
    """Of the model's recipe, the recipes that the gate reads, the policy and the champion."""
    recipe: Digest
    policy: Digest
    champion: Digest | None = None
    """Identity of the version that it was compared with; None when there was none."""
    artifact: Digest | None = None
    """Of the bytes that were judged; None where there were none."""
    params: dict[str, Scalar | None] = {}
    """The values of the parameters in the checks."""
    verdict: Verdict

    @property
    def outcome(self) -> Status:
        """What the gate said, in a word."""
        return self.verdict.status

    @property
    def metrics(self) -> dict[str, float]:
        """The candidate's."""
        return self.verdict.metrics


class _Naming(_Entry, frozen=True, kw_only=True):
    """A recipe names a version from now on."""

    version: int
    recipe: Digest
    tree: GitOid | None = None
    verdict: Digest | None = None
    """Key of the judgement that let it through."""
    champion: Digest | None = None
    """Identity of the champion that it was judged against."""
    may_promote: bool = True


class Registration(_Naming, frozen=True, kw_only=True, tag="registration"):
    """A version came to be: the registry's row of that number, and no other, is this recipe's."""

    artifact: Output
    run: str
    """The registry's id of the run that holds the files."""
    row: str
    """The nonce of the registry's row."""
    created: int
    """When the registry made the row, in ms since 1970, by its own clock: tells a row from its successor."""
    metrics: dict[str, float] = {}
    data: dict[RepoPath, Digest] = {}
    """What it was trained and judged on."""
    provenance: Digest | None = None


class Adoption(_Naming, frozen=True, kw_only=True, tag="adoption"):
    """Another recipe led to the bytes of a registered version, and names it from now on."""


class _Accession(_Entry, frozen=True, kw_only=True):
    """A version is the champion from now on."""

    gen: int
    """How many champions there have been, this one included."""
    version: int
    champion: Digest | None = None
    """Identity of the champion that it replaces."""


class Promotion(_Accession, frozen=True, kw_only=True, tag="promotion"):
    """A version became the champion; it was judged against the one that it replaces."""

    previous: int | None = None
    verdict: Digest | None = None
    by_hand: bool = False


class Rollback(_Accession, frozen=True, kw_only=True, tag="rollback"):
    """An earlier champion became the champion again."""

    previous: int


class Override(_Entry, frozen=True, kw_only=True, tag="override"):
    """A person let a recipe through that the gate did not; `actor` and `reason` say who and why."""

    recipe: Digest
    verdict: Digest
    """Key of the judgement that it overrides."""
    outcome: Status


class _Receipted(_Entry, frozen=True, kw_only=True):
    """A version was deployed to an environment, with or without success."""

    environment: str
    version: int
    artifact: Digest
    ref: str = ""
    """The release tag, where one asked for it."""
    receipt: Digest | None = None
    """SHA-256 of the receipt: what was done, by whom it was found to be done."""
    tag: GitOid | None = None
    """What the tag's ref named: the tag object itself where there is one."""
    run: str = ""
    """The CI service's number of the run that decided it."""


class Deployment(_Receipted, frozen=True, kw_only=True, tag="deployment"):
    """A version serves in an environment; with `overridden`, `reason` says why all the same."""

    overridden: str = ""
    """What spoke against it and was overridden by a person."""


class FailedDeployment(_Receipted, frozen=True, kw_only=True, tag="failed-deployment"):
    """A version did not come to serve in an environment; `reason` says why."""

    restored: bool = False
    """What served before serves again, and was seen to; else nobody knows what serves."""


Entry = Genesis | Judgement | Registration | Adoption | Promotion | Rollback | Override | Deployment | FailedDeployment

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The entry's bytes: canonical JSON (sorted keys, no white space) and a newline."""
    return _encoder.encode(entry) + b"\n"


def decode(data: bytes, name: str) -> Entry:
    """The entry that these bytes say.

    Args:
        data: as stored. What a newer ciml added to an entry is left aside; its digest covers it.
        name: named in errors.

    Raises:
        RepositoryError: an entry of a kind that this ciml does not know.
        IntegrityError: anything else.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        if "kind" in str(error) and "Invalid value" in str(error):
            raise RepositoryError(
                f"{name} is of a kind that this ciml does not know", hint="Upgrade ciml: a newer one wrote it."
            ) from error
        raise IntegrityError(f"{name} is not an entry of a ledger: {error}") from error
    except msgspec.DecodeError as error:
        raise IntegrityError(f"{name} is not an entry of a ledger: {error}") from error


def digest_of(data: bytes) -> Digest:
    """SHA-256 of an entry's bytes."""
    return Digest(hashlib.sha256(data).hexdigest())
