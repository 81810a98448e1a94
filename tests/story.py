"""A small project's past, as values: three runs, a ledger, what its lineage is read from."""

from __future__ import annotations

import msgspec

from ciml.core.entries import (
    Adoption,
    Deployment,
    Entry,
    Genesis,
    Judgement,
    Promotion,
    Registration,
)
from ciml.core.entries import encode as encode_entry
from ciml.core.ids import CommitSha, Digest, GitOid, ModelName, RepoPath, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput
from ciml.core.ledger import LedgerState, fold
from ciml.core.lineage import CheckLine, Commit, ModelTrace, RunTrace, StageTrace
from ciml.core.metrics import Metrics
from ciml.core.results import Output, Record
from ciml.core.succession import Extension, extend
from ciml.core.verdict import Status, Verdict

CHURN = ModelName("churn")
PREPARE, TRAIN, EVALUATE = StageName("prepare"), StageName("train"), StageName("evaluate")
MODEL, TABLE, REPORT = RepoPath("build/model"), RepoPath("build/train.csv"), RepoPath("build/metrics.json")


def d(text: str) -> Digest:
    """A digest that is easy to tell apart."""
    return Digest((text * 64)[:64])


def sha(text: str) -> CommitSha:
    return CommitSha((text * 40)[:40])


def commit(digit: str, subject: str, *, tree: str | None = None, time: int = 1_795_000_000) -> Commit:
    return Commit(sha=sha(digit), tree=GitOid(sha(tree or digit)), author="Ann", time=time, subject=subject)


FIRST = commit("a1", "Train a first model")
DEEPER = commit("b2", "Train deeper")
TWIN = commit("c3", "Train deeper, on another branch", tree="b2")
WORDS = commit("d4", "Explain it in the README")


def file(path: str, oid: str, because: str | None = None) -> TrackedInput:
    return TrackedInput(
        inside=RepoPath(path),
        path=RepoPath(path),
        mode=0o100644,
        oid=GitOid(sha(oid)),
        because=RepoPath(because) if because else None,
    )


def output(path: RepoPath, digest: str, *, size: int = 12_345, files: int = 1) -> Output:
    return Output(path=path, digest=d(digest), size=size, files=files, directory=files > 1)


def record(name: StageName, key: str, *outputs: Output, accuracy: float | None = None) -> Record:
    metrics = {} if accuracy is None else {REPORT: Metrics(values={"accuracy": accuracy})}
    return Record(
        key=d(key),
        recipe=d(key[::-1]),
        stage=name,
        outputs=outputs,
        metrics=metrics,
        platform="linux-x86_64-3.11",
        packages={"scikit-learn": "1.9.1"},
        started="2026-11-21T02:30:00Z",
        seconds=12.34,
    )


DATA = DataInput(
    inside=RepoPath("data/raw"),
    path=RepoPath("data/raw"),
    manifest=RepoPath("data/raw.manifest.yaml"),
    digest=d("da7a"),
    size=3_400_000,
    directory=True,
    source="https://key:CANARY@bucket.example/raw/?X-Amz-Signature=CANARY",
)


def run(number: int, at: Commit, *, depth: int, accuracy: float, verdict: str = "accepted") -> RunTrace:
    """One run whose training differs from the others' by a parameter."""
    model = output(MODEL, f"{number}e", files=3)
    table = output(TABLE, "7ab1")
    stages = (
        StageTrace(
            name=PREPARE,
            recipe=d("1f"),
            inputs=(file("src/prepare.py", "01"), DATA),
            result="ran",
            record=record(PREPARE, "f1", table),
        ),
        StageTrace(
            name=TRAIN,
            recipe=d(f"2{number}"),
            inputs=(
                file("src/train.py", "02"),
                file("src/layers.py", "03", because="src/train.py"),
                ProducedInput(inside=TABLE, stage=PREPARE, output=TABLE),
            ),
            params={"train.depth": depth, "train.lr": 0.1},
            result="ran",
            record=record(TRAIN, f"f2{number}", model),
        ),
        StageTrace(
            name=EVALUATE,
            recipe=d(f"3{number}"),
            inputs=(
                file("src/evaluate.py", "04"),
                ProducedInput(inside=MODEL, stage=TRAIN, output=MODEL),
                ProducedInput(inside=TABLE, stage=PREPARE, output=TABLE),
            ),
            result="ran",
            record=record(EVALUATE, f"f3{number}", output(REPORT, f"5{number}", size=31), accuracy=accuracy),
        ),
    )
    trace = ModelTrace(
        name=CHURN,
        recipe=d(f"ec{number}"),
        path=MODEL,
        stages=(PREPARE, TRAIN, EVALUATE),
        artifact=model,
        metrics={"accuracy": accuracy},
        verdict="accepted" if verdict == "accepted" else "rejected",
        checks=(CheckLine(check="accuracy >= 0.9", passed=verdict == "accepted", left=accuracy, right=0.9),),
        policy=d("90"),
    )
    return RunTrace(
        id=f"20261121T02300{number}Z-ab{number}",
        commit=at,
        branch="main",
        repository="https://github.com/acme/churn",
        started=f"2026-11-21T02:30:0{number}Z",
        seconds=20.0,
        ciml="0.1.0",
        requirements=GitOid(sha("09")),
        stages=stages,
        models=(trace,),
    )


RUNS = (
    run(1, FIRST, depth=3, accuracy=0.91),
    run(2, DEEPER, depth=5, accuracy=0.94),
    run(3, WORDS, depth=9, accuracy=0.87, verdict="rejected"),
)


def _verdict(status: Status, accuracy: float, reason: str) -> Verdict:
    return Verdict(
        model=CHURN,
        status=status,
        reason=reason,
        findings=(),
        notes=(),
        hint=None,
        tested=True,
        metrics={"accuracy": accuracy},
        champion=None,
    )


def _registered(number: int, at: Commit, accuracy: float, champion: Digest | None) -> list[Entry]:
    judged = Judgement(
        nonce=f"j{number}",
        commit=at.sha,
        key=d(f"77{number}"),
        recipe=d(f"ec{number}"),
        policy=d("90"),
        champion=champion,
        verdict=_verdict(Status.ACCEPTED, accuracy, "all checks hold"),
    )
    registration = Registration(
        nonce=f"r{number}",
        actor="Ann",
        at=f"2026-11-21T02:31:0{number}Z",
        commit=at.sha,
        tree=at.tree,
        version=number,
        recipe=d(f"ec{number}"),
        artifact=output(MODEL, f"{number}e", files=3),
        run=f"run{number}",
        row=f"row{number}",
        created=number,
        verdict=judged.key,
        champion=champion,
        metrics={"accuracy": accuracy},
    )
    return [judged, registration]


def _append(state: LedgerState, *entries: Entry) -> LedgerState:
    extension = extend(state, entries)
    assert isinstance(extension, Extension), extension
    return extension.state


def ledger() -> LedgerState:
    """Two versions, the second of which is champion and serves in two environments; a rejection."""
    state = fold(CHURN, [encode_entry(Genesis(seq=1, nonce="g", model=CHURN, registry="sqlite"))])
    state = _append(state, *_registered(1, FIRST, 0.91, None))
    state = _append(state, Promotion(nonce="p1", commit=FIRST.sha, gen=1, version=1))
    state = _append(state, *_registered(2, DEEPER, 0.94, state.champion_identity))
    state = _append(
        state,
        Promotion(nonce="p2", commit=DEEPER.sha, gen=2, version=2, previous=1, champion=state.champion_identity),
    )
    rejected = Judgement(
        nonce="j3",
        commit=WORDS.sha,
        key=d("773"),
        recipe=d("ec3"),
        policy=d("90"),
        verdict=_verdict(Status.REJECTED, 0.87, "accuracy 0.87 < 0.9"),
    )
    served = [
        Deployment(nonce="d1", commit=FIRST.sha, environment="production", version=1, artifact=d("1e"), ref="v1.0"),
        Deployment(nonce="d2", commit=DEEPER.sha, environment="production", version=2, artifact=d("2e"), ref="v2.0"),
    ]
    return _append(state, rejected, *served)


def adopted(at: Commit) -> Adoption:
    """The entry by which another recipe takes over version 2."""
    return Adoption(nonce="a", commit=at.sha, tree=at.tree, version=2, recipe=d("ec9"))


def changed(trace: RunTrace, **fields: object) -> RunTrace:
    return msgspec.structs.replace(trace, **fields)
