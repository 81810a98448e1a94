from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from ciml.core.errors import IntegrityError
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath
from ciml.core.lineage import of_model
from ciml.core.provenance import (
    BUILD_TYPE,
    Circumstances,
    Claim,
    circumstances,
    claim,
    of_run,
    statement,
    statement_digest,
    verify,
)
from tests.story import CHURN, DATA, DEEPER, RUNS, changed

BUILDER = "https://github.com/acme/churn/.github/workflows/ciml.yml@refs/heads/main"

CLAIM = Claim(
    model=ModelName("churn"),
    recipe=Digest("1" * 64),
    artifact=Digest("2" * 64),
    files={"model.skops": Digest("3" * 64), "MLmodel": Digest("4" * 64)},
    repository="https://github.com/acme/churn",
    commit=CommitSha("5" * 40),
    tree=GitOid("6" * 40),
    params={"train.lr": 0.1, "train.layers": [64, 32], "train.warm": True, "train.seed": 1, "train.note": None},
    policy=Digest("7" * 64),
    data={RepoPath("data/raw"): Digest("8" * 64)},
    requirements=GitOid("9" * 40),
)
HOW = Circumstances(
    builder=BUILDER,
    run="https://github.com/acme/churn/actions/runs/1/attempts/1",
    started="2026-11-21T02:30:00Z",
    finished="2026-11-21T02:31:00Z",
    ciml="0.1.0",
    platform="linux-x86_64-3.11",
    packages={"scikit-learn": "1.9.1"},
)
TEXT = statement(CLAIM, HOW)
INFORMATIONAL = (
    ("predicate", "buildDefinition", "internalParameters"),
    ("predicate", "runDetails", "metadata"),
    ("predicate", "runDetails", "builder", "version"),
)


def valid() -> Any:
    return json.loads(TEXT)


def canonical(tree: object) -> bytes:
    return msgspec.json.encode(tree, order="sorted")


def refused(text: bytes, *, says: str | None = None) -> None:
    with pytest.raises(IntegrityError, match=says):
        verify(text, CLAIM, builders=[BUILDER])


def test_statement_is_valid_in_toto_and_slsa() -> None:
    """in-toto's own library accepts the statement, and every field of the predicate is one of SLSA's."""
    parsed = ParseDict(valid(), statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    ParseDict(valid()["predicate"], Provenance())

    assert [subject.name for subject in parsed.subject] == ["churn", "churn/MLmodel", "churn/model.skops"]


def test_statement_without_remote_policy_or_requirements_is_valid_too() -> None:
    """A laptop without a remote makes a valid statement as well."""
    small = msgspec.structs.replace(CLAIM, repository="", policy=None, requirements=None, data={}, params={})
    how = Circumstances(builder="urn:x-ciml:builder:local", run="20261121T023000Z-ab12")
    text = statement(small, how)

    Statement.copy_from_pb(ParseDict(json.loads(text), statement_pb2.Statement())).validate()
    assert verify(text, small, builders=[how.builder]) == how


def test_statement_is_a_function_of_its_content() -> None:
    """Neither the order of files nor of parameters changes a byte."""
    other = msgspec.structs.replace(
        CLAIM, files=dict(reversed(CLAIM.files.items())), params=dict(reversed(CLAIM.params.items()))
    )

    assert statement(other, HOW) == TEXT


def test_verify_returns_how_it_was_made() -> None:
    """What verification accepts, it can tell the circumstances of."""
    assert verify(TEXT, CLAIM, builders=[BUILDER], digest=statement_digest(TEXT)) == HOW
    assert circumstances(TEXT) == HOW


def _set(*path: str | int, to: object) -> Callable[[Any], object]:
    def change(tree: Any) -> object:
        at = tree
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to
        return tree

    return change


def _two_subjects(tree: Any) -> object:
    tree["subject"].append({"name": "other", "digest": {"sha256": "0" * 64}})
    return tree


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("predicateType", to="https://in-toto.io/attestation/vulns"), "predicateType"),
        (_set("_type", to="https://in-toto.io/Statement/v0.1"), "_type"),
        (_two_subjects, "subject has 4 entries"),
        (_set("subject", to=[]), "subject has 0 entries"),
        (_set("subject", 0, "digest", "sha256", to="0" * 64), "subject.0.digest.sha256"),
        (_set("subject", 0, "digest", "sha512", to="0" * 128), "sha512 is not expected"),
        (_set("predicate", "buildDefinition", "externalParameters", "source", to="x"), "source is not expected"),
        (_set("predicate", "buildDefinition", "externalParameters", "recipe", to="a" * 64), "recipe"),
        (_set("predicate", "buildDefinition", "buildType", to=BUILD_TYPE + "1"), "buildType"),
        (_set("predicate", "runDetails", "builder", "id", to="https://evil.example"), "not trusted"),
        (_set("predicate", "runDetails", "byproducts", to=[]), "byproducts is not expected"),
        (_set("more", to=1), "more is not expected"),
    ],
)
def test_c147_a_statement_that_says_something_else_is_refused(change: Callable[[Any], object], says: str) -> None:
    """Subject differs, two subjects one matching, extra externalParameter, wrong builder, other type: exit 7."""
    refused(canonical(change(valid())), says=says)


def test_c147_a_key_that_stands_twice_is_refused() -> None:
    """Duplicate JSON keys, the last of which is right, exit 7; so do white space and another order."""
    doubled = TEXT.replace(b'"predicateType":', b'"predicateType":"https://evil.example","predicateType":')
    assert json.loads(doubled) == valid()

    refused(doubled, says="not canonical JSON")
    refused(TEXT + b"\n", says="not canonical JSON")
    refused(json.dumps(valid(), sort_keys=True).encode(), says="not canonical JSON")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"\xff", b"{", TEXT[:-1], TEXT + b"{}"])
def test_c147_what_is_no_statement_is_refused(text: bytes) -> None:
    """Torn or foreign bytes are an integrity error, never a traceback."""
    refused(text)


def test_numbers_of_another_kind_are_refused() -> None:
    """1, 1.0 and true are three values, though Python calls them equal."""
    for value in (1.0, True, "1"):
        refused(
            canonical(
                _set("predicate", "buildDefinition", "externalParameters", "params", "train.seed", to=value)(valid())
            )
        )


def _leaves(tree: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in the statement, containers included."""
    if at:
        yield at
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, (*at, name))
    elif isinstance(tree, list):
        for place, value in enumerate(tree):
            yield from _leaves(value, (*at, place))


def _mutant(rng: random.Random, path: tuple[str | int, ...]) -> object:
    """A valid statement with one thing at `path` changed, removed, doubled or added."""
    tree = valid()
    parent = tree
    for step in path[:-1]:
        parent = parent[step]
    last, old = path[-1], parent[path[-1]]
    match rng.randrange(6):
        case 0:
            del parent[last]
        case 1:
            parent[last] = rng.choice([None, True, 0, 1.5, "", [], {}, [old], {"x": old}])
        case 2 if isinstance(old, str) and old:
            place = rng.randrange(len(old))
            parent[last] = old[:place] + rng.choice("0a/ \u202e\x00Z") + old[place + 1 :]
        case 3 if isinstance(old, list) and old:
            old.insert(rng.randrange(len(old) + 1), copy.deepcopy(rng.choice(old)))
        case 4 if isinstance(parent, dict):
            parent[f"{last}{rng.choice(['', ' ', '2', '_'])}x"] = old
        case _ if isinstance(parent, dict):
            parent[str(last).swapcase()] = parent.pop(last)
        case _:
            parent.append(old)
    return tree


def test_c147_no_mutant_is_accepted() -> None:
    """0 accepted of 10,000 single-field mutants, the circumstances included where the digest is pinned.

    Without a pinned digest, only the informational fields may differ.
    """
    rng = random.Random(147)
    paths = list(_leaves(valid()))
    pin = statement_digest(TEXT)
    accepted: set[tuple[str | int, ...]] = set()
    tried = 0
    while tried < int(os.environ.get("CIML_TEST_ROUNDS", "10000")):
        path = rng.choice(paths)
        text = canonical(_mutant(rng, path))
        if text == TEXT:
            continue
        tried += 1
        with pytest.raises(IntegrityError):
            verify(text, CLAIM, builders=[BUILDER], digest=pin)
        try:
            verify(text, CLAIM, builders=[BUILDER])
        except IntegrityError:
            continue
        accepted.add(path)

    outside = {path for path in accepted if not any(path[: len(known)] == known for known in INFORMATIONAL)}
    assert not outside


def test_a_recorded_run_makes_a_statement_that_verifies() -> None:
    """From the record of a run alone: its parameters, data and files are in the claim, no secret is."""
    run = of_model(RUNS[1], CHURN)
    files = {"model.skops": Digest("a" * 64), "MLmodel": Digest("b" * 64)}
    made = claim(run, run.models[0], files)
    text = statement(made, of_run(msgspec.structs.replace(run, builder=BUILDER)))

    assert made.params == {"train.depth": 5, "train.lr": 0.1}
    assert made.data == {DATA.path: DATA.digest}
    assert made.commit == DEEPER.sha
    assert verify(text, made, builders=[BUILDER]).platform == "linux-x86_64-3.11"
    assert b"CANARY" not in text
    Statement.copy_from_pb(ParseDict(json.loads(text), statement_pb2.Statement())).validate()


def test_nobody_vouches_without_a_commit_or_without_bytes() -> None:
    """A run before the first commit, or a model that was not made, has no provenance."""
    model = msgspec.structs.replace(RUNS[0].models[0], artifact=None)
    for run, judged in ((changed(RUNS[0], commit=None), RUNS[0].models[0]), (RUNS[0], model)):
        with pytest.raises(IntegrityError, match="no provenance without"):
            claim(run, judged, {})
