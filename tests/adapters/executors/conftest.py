"""A place where work orders can be carried out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ciml.adapters.executors.local import LocalExecutor
from ciml.adapters.stores.local import LocalStore
from ciml.core.forgotten import Known
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.order import OrderInput, WorkOrder
from ciml.core.pipeline import Place, Resources, Retry
from ciml.core.results import StageResult


class Workshop:
    """A store, a state directory, a work tree, and orders made in one line."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.work_tree = root / "tree"
        self.work_tree.mkdir(parents=True, exist_ok=True)
        self.store = LocalStore(str(self.state / "store"))
        self.lines: list[tuple[str, str]] = []
        tmp = root / "tmp"
        tmp.mkdir(exist_ok=True)
        self.environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TMPDIR": str(tmp)}
        self.known = Known()

    def given(self, inside: str, data: bytes | str, *, copy: bool = True) -> OrderInput:
        """An input with these bytes."""
        raw = data.encode() if isinstance(data, str) else data
        return OrderInput(inside=RepoPath(inside), digest=self.store.put_bytes(raw), size=len(raw), copy=copy)

    def given_directory(self, inside: str, files: Mapping[str, str], *, copy: bool = True) -> OrderInput:
        """A directory as input."""
        source = self.work_tree / "source"
        for path, text in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text)
        output = self.store.put_path(str(source), name=RepoPath(inside))
        return OrderInput(inside=output.path, digest=output.digest, size=output.size, directory=True, copy=copy)

    def object(self, digest: str) -> Path:
        """Where the store keeps an object."""
        return self.state / "store" / "objects" / digest[:2] / digest[2:]

    def order(
        self,
        script: str,
        *,
        stage: str = "train",
        outputs: tuple[str, ...] = (),
        metrics: tuple[str, ...] = (),
        inputs: tuple[OrderInput, ...] = (),
        key: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        pass_env: tuple[str, ...] = (),
        retry: Retry | None = None,
        timeout_s: float | None = None,
        resources: Resources | None = None,
        isolated: bool = True,
        cache: bool = True,
        fresh: bool = False,
        checkpoint: str | None = None,
        workdir: str = "",
    ) -> WorkOrder:
        """An order for a script."""
        return WorkOrder(
            stage=StageName(stage),
            recipe=Digest("0" * 64),
            key=Digest(hashlib.sha256((key or stage + script).encode()).hexdigest()),
            script=script,
            env=dict(env or {}),
            secrets=secrets,
            pass_env=pass_env,
            workdir=RepoPath(workdir),
            inputs=inputs,
            outputs=tuple(Place(path=RepoPath(path), inside=RepoPath(path)) for path in (*outputs, *metrics)),
            metrics=tuple(map(RepoPath, metrics)),
            platform="any",
            checkpoint=RepoPath(checkpoint) if checkpoint else None,
            timeout_s=timeout_s,
            retry=retry or Retry(),
            resources=resources or Resources(),
            isolated=isolated,
            cache=cache,
            fresh=fresh,
        )

    def executor(self, *, jobs: int = 2, capacity: Resources | None = None) -> LocalExecutor:
        """A new executor on this state."""
        return LocalExecutor(
            self.store,
            str(self.state),
            run="run-1",
            work_tree=str(self.work_tree),
            capacity=capacity or Resources(cpus=2.0),
            jobs=jobs,
            environ=self.environ,
            known=lambda: self.known,
            on_output=lambda stage, line: self.lines.append((stage, line)),
        )

    def run(self, *orders: WorkOrder, executor: Callable[[], LocalExecutor] | None = None) -> dict[str, StageResult]:
        """The results of all orders, by stage, carried out by one executor."""
        carrying = (executor or self.executor)()
        todo = list(orders)
        results: dict[str, StageResult] = {}
        try:
            while len(results) < len(orders):
                while todo and carrying.has_room(todo[0]):
                    carrying.start(todo.pop(0))
                order, result = carrying.wait()
                results[str(order.stage)] = result
        finally:
            carrying.stop()
        return results

    def one(self, order: WorkOrder) -> StageResult:
        """The result of one order."""
        return self.run(order)[order.stage]

    def left_behind(self) -> list[str]:
        """What lies in the places that are empty when nothing runs."""
        return [str(path) for folder in ("stages", "locks") for path in (self.state / folder).iterdir()]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop of the test's own."""
    return Workshop(tmp_path)
