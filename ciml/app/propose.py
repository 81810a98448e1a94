"""From a judged model and the record of its run to a proposal that can be registered."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ciml.app.chronicle import Author
from ciml.app.ports import Store
from ciml.app.proposal import Proposal
from ciml.core import listing, provenance
from ciml.core.entries import Judgement
from ciml.core.errors import RepositoryError
from ciml.core.ids import Digest, RepoPath
from ciml.core.judged import Judged
from ciml.core.lineage import RunTrace, encode, of_model, shown
from ciml.core.pipeline import Scalar
from ciml.core.registry import Dataset, TrackedRun
from ciml.core.results import Output

PROVENANCE = "ciml/provenance.json"
LINEAGE = "ciml/lineage.json"

Seal = Callable[[bytes], bytes]
"""Signs a statement where a key is configured, and gives it back as it is otherwise."""


def proposal(judged: Judged, run: RunTrace, store: Store, *, seal: Seal) -> Proposal:
    """What a commit asks to have registered.

    Args:
        judged: the model, made and judged.
        run: the record of the commit's results; it names the model.
        store: has the artifact's listing.
        seal: signs the provenance.

    Raises:
        RepositoryError: there is no commit, or the model was not made.
    """
    if run.commit is None or judged.artifact is None:
        raise RepositoryError(f"{judged.model.name} was not made at this commit", hint="ciml run")
    part = of_model(run, judged.model.name)
    text = provenance.statement(
        provenance.claim(part, part.models[0], files_of(judged.artifact, store)), provenance.of_run(part)
    )
    digest = provenance.statement_digest(text)
    files = {PROVENANCE: seal(text), LINEAGE: encode(part)}
    return Proposal(
        model=judged.model.name,
        recipe=judged.recipe,
        commit=run.commit.sha,
        tree=run.commit.tree,
        artifact=judged.artifact,
        verdict=judged.verdict,
        verdict_key=judged.key,
        policy=judged.policy,
        policy_params=policy_params(judged),
        champion=judged.champion,
        promote=judged.model.promote,
        alias=judged.model.champion.alias,
        data=judged.data,
        provenance=digest,
        run=tracked(judged, part, files=files, digest=digest),
        tags=_tags(judged, part, digest),
    )


def judgement(judged: Judged, run: RunTrace, author: Author) -> Judgement:
    """The entry of the ledger that keeps this verdict."""
    return Judgement(
        **author.byline(run.commit.sha if run.commit else None),
        key=judged.key,
        recipe=judged.recipe,
        policy=judged.policy,
        champion=judged.champion,
        artifact=judged.artifact.digest if judged.artifact else None,
        params=policy_params(judged),
        verdict=judged.verdict,
    )


def tracked(
    judged: Judged, part: RunTrace, *, files: dict[str, bytes] | None = None, digest: Digest | None = None
) -> TrackedRun:
    """How the registry shows the run of one model, whatever became of it."""
    commit = part.commit
    assert commit is not None, "a run without a commit is not tracked"
    return TrackedRun(
        model=judged.model.name,
        name=f"{judged.model.name} {commit.sha[:10]}",
        recipe=judged.recipe,
        key=judged.key,
        params={name: shown(value) for stage in part.stages for name, value in sorted(stage.params.items())},
        metrics=judged.verdict.metrics,
        data=tuple(Dataset(name=path, digest=value) for path, value in sorted(judged.data.items())),
        tags={
            **_tags(judged, part, digest),
            "mlflow.source.type": "PROJECT",
            "mlflow.source.name": part.repository or "ciml",
            "mlflow.source.git.commit": commit.sha,
            "mlflow.source.git.branch": part.branch or "",
            "mlflow.source.git.repoURL": part.repository,
        },
        files=files or {LINEAGE: encode(part)},
    )


def _tags(judged: Judged, part: RunTrace, digest: Digest | None) -> dict[str, str]:
    commit = part.commit
    assert commit is not None, "a version names a commit"
    records = {stage.name: stage.record for stage in part.stages if stage.record}
    tags = {
        "ciml.recipe": judged.recipe,
        "ciml.commit": commit.sha,
        "ciml.tree": commit.tree,
        "ciml.pipeline": part.pipeline or "",
        "ciml.stage-keys": _json({name: record.key for name, record in records.items()}),
        "ciml.data": _json(judged.data),
        "ciml.verdict": judged.verdict.status,
        "ciml.platform": next((record.platform for record in records.values()), ""),
        "ciml.provenance": digest or "",
        "ciml.event": part.event,
        "ciml.run-url": part.run_url,
    }
    return {name: value for name, value in tags.items() if value}


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode("utf-8", "replace")


def policy_params(judged: Judged) -> dict[str, Scalar | None]:
    """The values of the parameters that the checks read."""
    return {
        name: value if isinstance(value, bool | int | float | str) else shown(value)
        for name, value in judged.policy_params.items()
    }


def files_of(artifact: Output, store: Store) -> dict[str, Digest]:
    """Path below the model -> SHA-256 of each of its files; a model that is one file has that file's name."""
    if not artifact.directory:
        return {RepoPath(artifact.path).rpartition("/")[2]: artifact.digest}
    entries = listing.entries(artifact.digest, store.read)
    return {
        entry.path.decode("utf-8", "surrogateescape"): entry.digest for entry in entries if entry.mode != listing.FOLDER
    }
