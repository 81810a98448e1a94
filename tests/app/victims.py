"""Processes that register a model and may be killed at any call that leaves them.

A nursery imports all that is heavy and forks a real process for each victim, which runs the shipped
registration against a bare origin and an MLflow server. Killing is done from around the adapters:
Git's commands and MLflow's requests are counted, and the process kills itself at one of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ciml.adapters.git.command import Answer, Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.adapters.stores.local import LocalStore
from ciml.app.chronicle import Author
from ciml.app.register import Proposal, Services, register
from ciml.core.entries import Entry, decode, digest_of, encode
from ciml.core.errors import CimlError, ServiceError
from ciml.core.ids import CommitSha, GitOid, ModelName, RepoPath
from ciml.core.ledger import LedgerState, fold
from ciml.core.registry import NewVersion, Row, TrackedRun
from ciml.core.results import Output
from ciml.core.verdict import Status, Verdict


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one victim is to do, and where it ends."""

    clone: str
    address: str
    model: str
    nonce: str
    kill_at: int = -1
    """The boundary, from 0: each call has one before and one after."""
    mid_push_ms: float = -1
    """Kill so long after a push was started."""
    mutant: str = ""
    trace: str = ""
    """Where the steps of the boundaries go, one a line."""


class Scaffold:
    """Counts boundaries, knows the step, and kills."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._count = 0
        self.step = "start"
        self._trace = open(order.trace, "a", buffering=1) if order.trace else None  # noqa: SIM115 -- until the end

    def boundary(self) -> None:
        if self._trace:
            self._trace.write(f"{self.step}\n")
        if self._count == self._order.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def pushing(self) -> None:
        if self._order.mid_push_ms >= 0:
            killing = threading.Timer(self._order.mid_push_ms / 1000, os.kill, (os.getpid(), signal.SIGKILL))
            killing.daemon = True
            killing.start()


class CountedGit(Git):
    """Git, with a boundary on both sides of each command."""

    def __init__(self, directory: str, scaffold: Scaffold) -> None:
        super().__init__(directory, dict(os.environ))
        self._scaffold = scaffold

    def ask(self, *args: str, data: bytes = b"", timeout_s: float | None = None) -> Answer:
        self._scaffold.boundary()
        if args[0] == "push":
            self._scaffold.pushing()
        answer = super().ask(*args, data=data, timeout_s=timeout_s)
        self._scaffold.boundary()
        return answer


class CountedClient:
    """MLflow's client, with a boundary on both sides of each request."""

    def __init__(self, client: object, scaffold: Scaffold) -> None:
        self._client = client
        self._scaffold = scaffold

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def counted(*args: object, **kwargs: object) -> object:
            self._scaffold.boundary()
            answer = method(*args, **kwargs)
            self._scaffold.boundary()
            return answer

        return counted


class SteppedLedger:
    """A ledger that tells the scaffold which step this is."""

    def __init__(self, ledger: GitLedger, scaffold: Scaffold) -> None:
        self.ledger = ledger
        self._scaffold = scaffold

    def read(self) -> LedgerState:
        self._scaffold.step = "1 read the ledger"
        return self.ledger.read()

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        self._scaffold.step = "4 append the record"
        self.ledger.append(after, entries)


class BelievingLedger(SteppedLedger):
    """Mutant: the push's answer is believed; what seems lost is put on top of whatever came."""

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        try:
            super().append(after, entries)
        except ServiceError:
            now = self.ledger.read()
            super().append(now, relinked(now, entries))


class ForgettingLedger(SteppedLedger):
    """Mutant: nothing is recorded; the process believes its own words."""

    def __init__(self, ledger: GitLedger, scaffold: Scaffold) -> None:
        super().__init__(ledger, scaffold)
        self._own: list[bytes] = []

    def read(self) -> LedgerState:
        state = super().read()
        return fold(state.model, self._own) if self._own else state

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        del after
        self._own += entries


def relinked(state: LedgerState, entries: Sequence[bytes]) -> list[bytes]:
    """The same entries on top of another head, whatever that says."""
    raw: list[bytes] = []
    head = state.head
    for data in entries:
        entry: Entry = decode(data, "entry")
        seq, prev = (head.seq + 1 + len(raw), head.digest) if head else (1, None)
        raw.append(encode(msgspec.structs.replace(entry, seq=seq, prev=digest_of(raw[-1]) if raw else prev)))
    return raw


class SteppedRegistry(MlflowRegistry):
    """MLflow, with its requests counted and its steps told."""

    def __init__(self, address: str, scratch: str, scaffold: Scaffold) -> None:
        # The address is that of a server that all victims share, under one name.
        super().__init__(address, identity="server", scratch=scratch)
        self._scaffold = scaffold
        self._mlflow._client = CountedClient(self._mlflow._open(), scaffold)

    def rows(self, model: ModelName, recipe: Any) -> tuple[Row, ...]:
        if not self._scaffold.step.startswith("5"):
            self._scaffold.step = "2 search the rows"
        return super().rows(model, recipe)

    def create(self, new: NewVersion, store: Any) -> Row | None:
        self._scaffold.step = "3 create a row"
        return super().create(new, store)

    def row(self, model: ModelName, version: int) -> Row | None:
        self._scaffold.step = "5 sweep"
        return super().row(model, version)

    def aliases(self, model: ModelName) -> dict[str, int]:
        self._scaffold.step = "6 alias"
        return super().aliases(model)


LEDGERS = {"": SteppedLedger, "nonce": SteppedLedger, "record": ForgettingLedger, "answer": BelievingLedger}


def proposal(model: ModelName, store: LocalStore) -> Proposal:
    """The same for every writer of a model."""
    recipe = digest_of(f"recipe of {model}".encode())
    content = f"bytes of {model}".encode()
    return Proposal(
        model=model,
        recipe=recipe,
        commit=CommitSha("a" * 40),
        tree=GitOid("b" * 40),
        artifact=Output(path=RepoPath("model.pkl"), digest=store.put_bytes(content), size=len(content)),
        verdict=Verdict(
            model=model,
            status=Status.ACCEPTED,
            reason="accepted",
            findings=(),
            notes=(),
            hint=None,
            tested=True,
            metrics={"auc": 0.9},
            champion=None,
        ),
        verdict_key=digest_of(b"key"),
        policy=digest_of(b"policy"),
        champion=None,
        run=TrackedRun(model=model, name="run", recipe=recipe, key=digest_of(b"key"), metrics={"auc": 0.9}),
    )


def live(order: Order) -> dict[str, object]:
    """What the registration answered."""
    scaffold = Scaffold(order)
    model = ModelName(order.model)
    state = Path(order.clone) / ".git" / "ciml"
    store = LocalStore(str(state / "store"))
    git = GitLedger(model, CountedGit(order.clone, scaffold), remote="origin", memory=str(state / "index"))
    nonce = "" if order.mutant == "nonce" else order.nonce
    services = Services(
        ledger=LEDGERS[order.mutant](git, scaffold),
        registry=SteppedRegistry(order.address, str(state / "tmp"), scaffold),
        store=store,
    )
    try:
        done = register(proposal(model, store), Author(actor="", at="2026-01-01T00:00:00Z", nonce=nonce), services)
    except CimlError as error:
        return {"error": f"{type(error).__name__}: {error.message}"}
    return {"version": done.version, "created": done.created, "promoted": done.promoted}


def nursery() -> None:
    """Fork a victim for each order on standard input; print how each ended, as one line of JSON."""
    from mlflow.tracking.client import MlflowClient

    assert MlflowClient is not None
    for line in sys.stdin:
        born = [_bear(order) for order in msgspec.json.decode(line, type=list[Order])]
        print(json.dumps([_end(pid, reading) for pid, reading in born]), flush=True)


def _bear(order: Order) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    try:
        os.write(writing, json.dumps(live(order)).encode())
    finally:
        os._exit(0)


def _end(pid: int, reading: int) -> dict[str, object]:
    with open(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    answer: dict[str, object] = json.loads(told) if told else {}
    return {**answer, "killed": killed, "status": status}


if __name__ == "__main__":
    nursery()
