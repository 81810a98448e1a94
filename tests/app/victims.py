"""Processes that run `ciml register` and may be killed at any call that leaves them.

A nursery imports all that is heavy and forks a real process for each victim, which runs the shipped
command in a clone, against a bare origin and an MLflow server. Killing is done from around the
adapters: Git's commands and MLflow's requests are counted, and the process kills itself at one of them.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any
from unittest.mock import patch

import msgspec

from ciml.adapters.git.command import Answer, Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.adapters.mlflow import registry as mlflow_registry
from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.app.chronicle import Author
from ciml.cli import registry as registries
from ciml.cli.main import main
from ciml.core.entries import Entry, decode, digest_of, encode
from ciml.core.errors import ServiceError
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState, fold
from ciml.core.registry import NewVersion, Row


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one victim is to do, and where it ends."""

    clone: str
    model: str
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
        self.step = "0 look at the commit"
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


def counted(ask: Callable[..., Answer], scaffold: Scaffold) -> Callable[..., Answer]:
    """Git's commands, with a boundary on both sides of each."""

    def asked(git: Git, *args: str, data: bytes = b"", timeout_s: float | None = None) -> Answer:
        scaffold.boundary()
        if args[0] == "push":
            scaffold.pushing()
        answer = ask(git, *args, data=data, timeout_s=timeout_s)
        scaffold.boundary()
        return answer

    return asked


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


class SteppedLedger(GitLedger):
    """A ledger that tells the scaffold which step this is."""

    scaffold: Scaffold

    def read(self) -> LedgerState:
        self.scaffold.step = "1 read the ledger"
        return super().read()

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        self.scaffold.step = "4 append the record"
        super().append(after, entries)


class BelievingLedger(SteppedLedger):
    """Mutant: the push's answer is believed; what seems lost is put on top of whatever came."""

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        try:
            super().append(after, entries)
        except ServiceError:
            now = self.read()
            super().append(now, relinked(now, entries))


class ForgettingLedger(SteppedLedger):
    """Mutant: nothing is recorded; the process believes its own words."""

    own: tuple[bytes, ...] = ()

    def read(self) -> LedgerState:
        state = super().read()
        return fold(state.model, self.own) if self.own else state

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        del after
        self.own = (*self.own, *entries)


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

    scaffold: Scaffold

    def __init__(self, uri: str, *, identity: str = "", scratch: str) -> None:
        super().__init__(uri, identity=identity, scratch=scratch)
        self._mlflow._client = CountedClient(self._mlflow._open(), self.scaffold)

    def rows(self, model: ModelName, recipe: Any) -> tuple[Row, ...]:
        if not self.scaffold.step.startswith("5"):
            self.scaffold.step = "2 search the rows"
        return super().rows(model, recipe)

    def create(self, new: NewVersion, store: Any) -> Row | None:
        self.scaffold.step = "3 create a row"
        return super().create(new, store)

    def row(self, model: ModelName, version: int) -> Row | None:
        self.scaffold.step = "5 sweep"
        return super().row(model, version)

    def aliases(self, model: ModelName) -> dict[str, int]:
        self.scaffold.step = "6 alias"
        return super().aliases(model)


def nobody(registries: object) -> Author:
    """Mutant: two writers whose entries are the same bytes."""
    del registries
    return Author(actor="", at="2026-01-01T00:00:00Z", nonce="")


LEDGERS = {"": SteppedLedger, "nonce": SteppedLedger, "record": ForgettingLedger, "answer": BelievingLedger}


@contextmanager
def around_the_adapters(order: Order) -> Iterator[None]:
    """The scaffold around Git and MLflow, and the one part of the protocol that the order takes away."""
    SteppedLedger.scaffold = SteppedRegistry.scaffold = scaffold = Scaffold(order)
    with ExitStack() as stack:
        stack.enter_context(patch.object(Git, "ask", counted(Git.ask, scaffold)))
        stack.enter_context(patch.object(registries, "GitLedger", LEDGERS[order.mutant]))
        stack.enter_context(patch.object(mlflow_registry, "MlflowRegistry", SteppedRegistry))
        if order.mutant == "nonce":
            stack.enter_context(patch.object(registries.Registries, "author", nobody))
        yield


def live(order: Order) -> dict[str, object]:
    """What the command answered."""
    os.chdir(order.clone)
    out, error = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with around_the_adapters(order), redirect_stdout(out), redirect_stderr(error):
        code = main(["--json", "register", order.model])
        out.flush()
        error.flush()
    if code:
        return {"code": code, "said": error.buffer.getvalue().decode()}
    [model] = json.loads(out.buffer.getvalue())["models"]
    return {"code": code, **model}


def nursery() -> None:
    """Fork a victim for each order on standard input; print how each ended, as one line of JSON."""
    for heavy in ("ciml.cli.commands.register", "mlflow.entities", "mlflow.tracking.client"):
        import_module(heavy)
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
