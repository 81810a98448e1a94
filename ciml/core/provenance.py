"""Who made which bytes from what: an in-toto Statement v1 with a SLSA provenance v1 predicate.

A statement has two parts. Its *claim* says what must hold (model, files, commit, data, parameters,
policy); its *circumstances* say how it came about (builder, run, times). Verification builds the
statement of the expected claim anew and compares the bytes, so no field can be forgotten in a check,
and nothing that is not understood is let through.

Source: https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from ciml.core.errors import IntegrityError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.inputs import DataInput
from ciml.core.lineage import ModelTrace, RunTrace, encode
from ciml.core.pipeline import ParamValue
from ciml.core.url import bare
from ciml.core.value import Value

T = TypeVar("T")

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:x-ciml:build:1"
LOCAL_BUILDER = "urn:x-ciml:builder:local"
"""The builder of a run outside CI: nobody vouches for it."""


class Claim(Value, frozen=True, kw_only=True):
    """What a statement asserts and a verifier must know otherwise: from the ledger, Git and the bytes."""

    model: ModelName
    recipe: Digest
    artifact: Digest
    """Of the model's file, or of its directory's listing."""
    files: dict[str, Digest]
    """Path below the model -> SHA-256; a model that is one file has that file's name."""
    repository: str
    """Address of `origin`, bare; "" where there is none."""
    commit: CommitSha
    tree: GitOid
    params: dict[str, ParamValue] = {}
    """All parameters that the model's stages name, with the values in force."""
    policy: Digest | None = None
    data: dict[RepoPath, Digest] = {}
    """What the manifests stood for."""
    requirements: GitOid | None = None


class Circumstances(Value, frozen=True, kw_only=True):
    """How a statement came about. Only the builder is ever decided upon."""

    builder: str
    """URI of who ran the build: the workflow and its ref in CI."""
    run: str
    """Address of the CI run, or the id of a local one."""
    started: str = ""
    """UTC, RFC 3339; "" when not known."""
    finished: str = ""
    ciml: str = ""
    platform: str = ""
    packages: dict[str, str] = {}


def claim(run: RunTrace, model: ModelTrace, files: Mapping[str, Digest]) -> Claim:
    """What the run asserts of one of its models; `run` is restricted to it (`lineage.of_model`).

    Raises:
        IntegrityError: the run has no commit, or the model has no bytes; neither can be vouched for.
    """
    if run.commit is None or model.artifact is None:
        raise IntegrityError(f"{model.name}: no provenance without a commit and the model's bytes")
    params: dict[str, ParamValue] = {}
    # By name, so that instances of a matrix, whose params share names, come in one order however they ended.
    for stage in sorted(run.stages, key=lambda stage: stage.name):
        params |= stage.params
    return Claim(
        model=model.name,
        recipe=model.recipe,
        artifact=model.artifact.digest,
        files=dict(files),
        repository=bare(run.repository),
        commit=run.commit.sha,
        tree=run.commit.tree,
        params=params,
        policy=model.policy,
        data={item.path: item.digest for stage in run.stages for item in stage.inputs if isinstance(item, DataInput)},
        requirements=run.requirements,
    )


def of_run(run: RunTrace) -> Circumstances:
    """The circumstances of a run that is restricted to one model."""
    records = [stage.record for stage in run.stages if stage.record]
    packages: dict[str, str] = {}
    for record in records:
        packages |= record.packages
    return Circumstances(
        builder=run.builder or LOCAL_BUILDER,
        run=run.run_url or run.id,
        started=run.started,
        ciml=run.ciml,
        platform=", ".join(dict.fromkeys(record.platform for record in records)),
        packages=packages,
    )


def statement(claim: Claim, circumstances: Circumstances) -> bytes:
    """The statement as canonical JSON: sorted keys, no white space. Its SHA-256 is `ciml.provenance`."""
    predicate = {"buildDefinition": _definition(claim, circumstances), "runDetails": _details(circumstances)}
    return encode(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": _subjects(claim),
            "predicate": predicate,
        }
    )


def statement_digest(text: bytes) -> Digest:
    """SHA-256 of a statement's bytes."""
    return Digest(hashlib.sha256(text).hexdigest())


def _subjects(claim: Claim) -> list[object]:
    """The model as a whole under its name, then each of its files."""
    files = [{"name": f"{claim.model}/{path}", "digest": {"sha256": claim.files[path]}} for path in sorted(claim.files)]
    return [{"name": claim.model, "digest": {"sha256": claim.artifact}}, *files]


def _definition(claim: Claim, circumstances: Circumstances) -> dict[str, object]:
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "repository": claim.repository,
            "commit": claim.commit,
            "model": claim.model,
            "recipe": claim.recipe,
            "params": claim.params,
            "policy": claim.policy,
        },
        "internalParameters": {"platform": circumstances.platform, "packages": circumstances.packages},
        "resolvedDependencies": _dependencies(claim),
    }


def _dependencies(claim: Claim) -> list[object]:
    source: dict[str, object] = {"name": "source", "digest": {"gitCommit": claim.commit, "gitTree": claim.tree}}
    if claim.repository:
        source["uri"] = f"git+{claim.repository}"
    data: list[object] = [{"name": path, "digest": {"sha256": claim.data[path]}} for path in sorted(claim.data)]
    if claim.requirements is not None:
        data.append({"name": "requirements", "digest": {"gitBlob": claim.requirements}})
    return [source, *data]


def _details(circumstances: Circumstances) -> dict[str, object]:
    metadata = {
        "invocationId": circumstances.run,
        "startedOn": circumstances.started,
        "finishedOn": circumstances.finished,
    }
    return {
        "builder": {"id": circumstances.builder, "version": {"ciml": circumstances.ciml}},
        "metadata": {name: value for name, value in metadata.items() if value},
    }


class _Builder(Value, frozen=True, kw_only=True):
    id: str
    version: dict[str, str]


class _Metadata(Value, frozen=True, kw_only=True, rename="camel"):
    invocation_id: str
    started_on: str = ""
    finished_on: str = ""


class _Details(Value, frozen=True, kw_only=True):
    builder: _Builder
    metadata: _Metadata


class _Internal(Value, frozen=True, kw_only=True):
    platform: str
    packages: dict[str, str]


class _Definition(Value, frozen=True, kw_only=True, rename="camel"):
    internal_parameters: _Internal


class _Predicate(Value, frozen=True, kw_only=True, rename="camel"):
    build_definition: _Definition
    run_details: _Details


class _Statement(Value, frozen=True, kw_only=True):
    """The parts of a statement that an expected claim does not fix; the rest is compared as bytes."""

    predicate: _Predicate


def circumstances(text: bytes) -> Circumstances:
    """How a statement came about, by its own words: believe it once `verify` has passed.

    Raises:
        IntegrityError: it is not a statement.
    """
    predicate = _read(text, _Statement).predicate
    internal, details = predicate.build_definition.internal_parameters, predicate.run_details
    return Circumstances(
        builder=details.builder.id,
        run=details.metadata.invocation_id,
        started=details.metadata.started_on,
        finished=details.metadata.finished_on,
        ciml=details.builder.version.get("ciml", ""),
        platform=internal.platform,
        packages=internal.packages,
    )


class _External(Value, frozen=True, kw_only=True):
    repository: str


class _Asked(Value, frozen=True, kw_only=True, rename="camel"):
    external_parameters: _External


class _AskedPredicate(Value, frozen=True, kw_only=True, rename="camel"):
    build_definition: _Asked


class _AskedStatement(Value, frozen=True, kw_only=True):
    predicate: _AskedPredicate


def stated_repository(text: bytes) -> str:
    """The address by which the build knew its repository: one repository has several.

    Raises:
        IntegrityError: it is not a statement.
    """
    return _read(text, _AskedStatement).predicate.build_definition.external_parameters.repository


def _read(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the provenance is not a statement of ciml: {error}") from error


def verify(text: bytes, expected: Claim, *, builders: Iterable[str], digest: Digest | None = None) -> Circumstances:
    """How a statement came about, once it says exactly what is expected.

    Args:
        text: the statement's bytes, out of its envelope where there is one.
        expected: what the ledger, Git and the recomputed digests of the bytes say.
        builders: the URIs of builders that are trusted.
        digest: the statement's SHA-256 where the ledger has it; it also pins the circumstances.

    Raises:
        IntegrityError: any difference: another type, a field more or less, a subject more or less,
            another builder, a key twice, other white space.
    """
    if digest is not None and statement_digest(text) != digest:
        raise IntegrityError(f"the provenance of {expected.model} is not the one that the ledger names")
    found = circumstances(text)
    if found.builder not in set(builders):
        raise IntegrityError(
            f"the provenance of {expected.model} names the builder {found.builder!r}, which is not trusted",
            hint="Add it to the trusted builders if it is yours.",
        )
    wanted = statement(expected, found)
    if wanted != text:
        raise IntegrityError(f"the provenance of {expected.model} does not hold: {_difference(wanted, text)}")
    return found


def _difference(wanted: bytes, found: bytes) -> str:
    """One clause on the first thing that differs."""
    try:
        pair = msgspec.json.decode(wanted), msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError):  # `circumstances` skips over what it does not read
        return "it is not JSON"
    return _walk(*pair, "") or "it is not canonical JSON (a key twice, another order, white space)"


def _walk(wanted: object, found: object, at: str) -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        if extra := sorted(found.keys() - wanted.keys()):
            return f"{at}{extra[0]} is not expected"
        for name, value in wanted.items():
            if name not in found:
                return f"{at}{name} is missing"
            if differs := _walk(value, found[name], f"{at}{name}."):
                return differs
        return ""
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return f"{at.rstrip('.')} has {len(found)} entries in the place of {len(wanted)}"
        pairs = zip(wanted, found, strict=True)
        return next(filter(None, (_walk(*pair, f"{at}{place}.") for place, pair in enumerate(pairs))), "")
    if type(wanted) is not type(found) or wanted != found:
        return f"{at.rstrip('.')} is {_shown(found)} in the place of {_shown(wanted)}"
    return ""


def _shown(value: object) -> str:
    text = encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
