"""Which version a tag or a promotion asks for, and what there is to be known about it before it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from ciml.app.chronicle import checked
from ciml.app.plan import project_graph
from ciml.app.ports import Commits, Ledger, Registry
from ciml.app.project import Project
from ciml.app.propose import PROVENANCE
from ciml.app.reads import recipe_of, used_stages
from ciml.core import provenance
from ciml.core.entries import Adoption, Judgement, Registration
from ciml.core.errors import CimlError, IntegrityError, RaceError, RejectedError, RepositoryError
from ciml.core.ids import CommitSha, Digest, GitOid
from ciml.core.inputs import DataInput
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import Model, ParamValue
from ciml.core.provenance import Claim
from ciml.core.registry import mismatch
from ciml.core.release import ReleaseTag
from ciml.core.value import Value
from ciml.core.verdict import Status
from ciml.core.verification import Evidence, Signature, Signed, same_repository, trusted_builder, web_address

POLL_S = 15.0
"""Between two questions whether a commit's run has ended."""

BEGINS_WITHIN_S = 60.0
"""A tag that is pushed together with its commit may be here before that commit's run has begun."""

_DEEPEST = 500
"""Commits among which the nearest that can be deployed is looked for."""


class Asked(Value, frozen=True, kw_only=True):
    """A release tag and what it names."""

    tag: ReleaseTag
    object: GitOid
    """What its ref names: the tag object where it is annotated."""
    commit: CommitSha


class Deployable(Value, frozen=True, kw_only=True):
    """A registered version that somebody asks to have deployed."""

    model: Model
    version: int
    recipe: Digest
    record: Registration
    commit: CommitSha
    """That asks for it: the tag's, or the one it was registered for."""
    asked: Asked | None
    """None for a promotion."""

    @property
    def ref(self) -> str:
        """The tag's name; empty for a promotion."""
        return self.asked.tag.name if self.asked else ""

    @property
    def subject(self) -> str:
        """`churn version 3`."""
        return f"{self.model.name} version {self.version}"


class Waiting(Value, frozen=True, kw_only=True):
    """How a commit's own run is waited for, where the tag comes first."""

    run: Callable[[CommitSha], Literal["none", "running", "over"]]
    wait_s: float
    """For a run that goes on; one that has yet to begin is given `BEGINS_WITHIN_S` whatever this says."""
    sleep: Callable[[float], None]
    clock: Callable[[], float]


def find(
    model: Model, recipe: Digest, asked: Asked, *, ledger: Ledger, registry: str, commits: Commits, waiting: Waiting
) -> tuple[Deployable, LedgerState]:
    """The version of a tag's commit, by its recipe, and the ledger that says so.

    Raises:
        RepositoryError: the commit was never run, or what it made was not registered.
        RaceError: its run has not ended yet.
        RejectedError: the gate rejected what it made.
    """
    since = waiting.clock()
    while True:
        state = checked(ledger.read(), registry)
        known = recipe in state.recipes or _rejected(state, recipe)
        run = "over" if known else waiting.run(asked.commit)
        left = since + (BEGINS_WITHIN_S if run == "none" else waiting.wait_s) - waiting.clock()
        over = run == "over" or (run == "none" and left <= 0)
        if over and not known:
            # The run may have ended between the two questions: what it wrote is there by now.
            state = checked(ledger.read(), registry)
        if (version := state.recipes.get(recipe)) is not None:
            record = state.versions[version]
            found = Deployable(
                model=model, version=version, recipe=recipe, record=record, commit=asked.commit, asked=asked
            )
            return found, state
        if over:
            raise _undeployable(state, recipe, asked, commits)
        if left <= 0:
            raise RaceError(
                f"the run of {asked.commit[:12]}, which {asked.tag.name} names, has not ended yet",
                hint="Run this again once it has; `triggers.release.wait` says how long a tag waits.",
            )
        waiting.sleep(min(POLL_S, left))


def champion(model: Model, state: LedgerState) -> Deployable | None:
    """The version that was promoted last, None where there is none.

    Raises:
        IntegrityError: its registration names no commit, as every one that ciml writes does.
    """
    if state.champion is None:
        return None
    record = state.versions[state.champion.version]
    if record.commit is None:
        raise IntegrityError(
            f"the ledger names no commit for {model.name} version {record.version}",
            hint=f"Promote a version that has one: ciml promote {model.name} VERSION --reason TEXT",
        )
    return Deployable(
        model=model,
        version=state.champion.version,
        recipe=record.recipe,
        record=record,
        commit=record.commit,
        asked=None,
    )


def _judged(state: LedgerState, recipe: Digest) -> Judgement | None:
    """The last verdict on a recipe."""
    entries = (entry for entry in reversed(state.entries) if isinstance(entry, Judgement))
    return next((entry for entry in entries if entry.recipe == recipe), None)


def _rejected(state: LedgerState, recipe: Digest) -> bool:
    judged = _judged(state, recipe)
    return judged is not None and judged.verdict.status is Status.REJECTED


def _undeployable(state: LedgerState, recipe: Digest, asked: Asked, commits: Commits) -> CimlError:
    """Why a recipe has no version, and what to tag in its place."""
    what = f"{state.model} at {asked.commit[:12]}, which {asked.tag.name} names,"
    near = _nearest(state, asked.commit, commits)
    judged = _judged(state, recipe)
    if judged is not None and _rejected(state, recipe):
        return RejectedError(f"{what} was rejected: {judged.verdict.reason}", hint=near)
    if judged is not None:
        return RepositoryError(f"{what} was judged and is not registered", hint="ciml register, at that commit")
    hint = f"Push it to the default branch, or there: ciml run, ciml register. {near}"
    return RepositoryError(f"{what} was never run: the ledger knows nothing of its recipe", hint=hint.strip())


def _nearest(state: LedgerState, commit: CommitSha, commits: Commits) -> str:
    made = {
        name: entry.version
        for entry in state.entries
        if isinstance(entry, Registration | Adoption)
        for name in (entry.commit, entry.tree)
        if name
    }
    for before in commits.log(commit, _DEEPEST):
        version = made.get(before.sha) or made.get(before.tree)
        if version is not None:
            return f"The nearest ancestor that can be deployed is {before.sha} (version {version})."
    return ""


# What there is to be known about it.


class Witness(Protocol):
    """Looks at signatures. What they are worth is decided elsewhere."""

    def tag(self, tag: GitOid, name: str, signers: str) -> Signed:
        """The signature of a tag object, held against the text of an `allowed_signers` file."""
        ...

    def provenance(self, data: bytes, signers: str) -> tuple[Signed, bytes]:
        """The signature of a provenance file, and the statement inside it."""
        ...


class Policy(Value, frozen=True, kw_only=True):
    """What must hold besides, as the default branch says; never as the released commit does."""

    signers: str | None
    """Text of the `allowed_signers` file; None where nothing has to be signed."""
    branch: str
    """The default branch."""
    repository: str
    """Address of `origin`."""


class Inspection(Value, frozen=True, kw_only=True):
    """Where evidence is gathered."""

    project: Project
    registry: Registry
    witness: Witness
    policy: Policy


def gather(found: Deployable, state: LedgerState, files: dict[str, Digest], where: Inspection) -> Evidence:
    """All that speaks for or against deploying a version.

    Args:
        found: the version.
        state: the model's ledger.
        files: path below the model -> SHA-256, of the bytes that are to be deployed.
        where: Git, registry and policy.

    Raises:
        ServiceError: the registry cannot be reached.
    """
    record, signers = found.record, where.policy.signers
    row = where.registry.row(found.model.name, found.version)
    signed = statement = recipe = elsewhere = None
    if signers is not None:
        wanted = _claim(found, files, where)
        if wanted is None or wanted.recipe != record.recipe:
            recipe = f"the commit {(record.commit or '?')[:12]} does not ask for it any more"
        signed, statement, elsewhere = _provenance(wanted, record, state, where)
    return Evidence(
        subject=found.subject,
        tag=_tag(found.asked, where) if found.asked and signers is not None else None,
        tag_name=found.ref,
        provenance=signed,
        statement=statement,
        elsewhere=elsewhere,
        registry=mismatch(record, row),
        recipe=recipe,
        let_through=_let_through(state, record),
    )


def _tag(asked: Asked, where: Inspection) -> Signed:
    if str(asked.object) == asked.commit:
        return Signed(state=Signature.ABSENT)
    return where.witness.tag(asked.object, asked.tag.name, where.policy.signers or "")


def _let_through(state: LedgerState, record: Registration) -> bool:
    judged = state.verdicts.get(record.verdict) if record.verdict else None
    if judged is None:
        return False
    return judged.verdict.status in (Status.ACCEPTED, Status.UNCHANGED) or judged.key in state.overridden


def _claim(found: Deployable, files: dict[str, Digest], where: Inspection) -> Claim | None:
    """What the provenance has to say, by ledger, Git and bytes; None where Git has the model no more."""
    record, project = found.record, where.project
    commit = project.history.base(record.commit or "").commit
    if commit is None or record.tree is None:
        return None
    tree = project.history.commit_tree(commit)
    graph = project_graph(project, tree, project.documents.pipeline(tree))
    model = graph.pipeline.models.get(found.model.name)
    if model is None:
        return None
    stages = used_stages(model, graph)
    params: dict[str, ParamValue] = {}
    for name in sorted(stages):
        params |= graph.pipeline.stages[name].params
    requirements = graph.runtime.requirements
    return Claim(
        model=found.model.name,
        recipe=recipe_of(model, graph),
        artifact=record.artifact.digest,
        files=files,
        repository=where.policy.repository,
        commit=commit,
        tree=record.tree,
        params=params,
        data={item.path: item.digest for name in stages for item in graph.inputs[name] if isinstance(item, DataInput)},
        requirements=GitOid(requirements) if requirements else None,
    )


def _provenance(
    wanted: Claim | None, record: Registration, state: LedgerState, where: Inspection
) -> tuple[Signed, str | None, str | None]:
    """The signature of the provenance; why its statement does not hold, if so; the other repository it names, if so."""
    data = where.registry.file(record.run, PROVENANCE)
    if data is None:
        return Signed(state=Signature.ABSENT), "the registry has no provenance for it", None
    signed, stated = Signed(state=Signature.BROKEN), where.policy.repository
    try:
        signed, text = where.witness.provenance(data, where.policy.signers or "")
        stated = provenance.stated_repository(text)
        if wanted is not None:
            _hold(text, msgspec.structs.replace(wanted, repository=stated), record, state, where.policy)
    except IntegrityError as error:
        return signed, error.message, None
    return signed, None, None if same_repository(stated, where.policy.repository) else stated


def _hold(text: bytes, wanted: Claim, record: Registration, state: LedgerState, policy: Policy) -> None:
    judged = state.verdicts.get(record.verdict) if record.verdict else None
    claim = msgspec.structs.replace(wanted, policy=judged.policy if judged else None)
    builder = provenance.circumstances(text).builder
    trusted = [builder] if trusted_builder(builder, web_address(wanted.repository), policy.branch) else []
    provenance.verify(text, claim, builders=trusted, digest=record.provenance)
