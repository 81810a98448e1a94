"""Runs that are judged against a champion that stands in a ledger."""

from __future__ import annotations

from ciml.core.entries import Registration
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.judged import Judged
from ciml.core.ledger import Champion, LedgerState
from tests.workspace import Workspace

M = ModelName("m")
CIML = """\
version: 1
stages:
  train: {run: cp size model, inputs: [size], outputs: [model]}
  evaluate:
    run: |
      V=$(cat model test)
      echo "{\\"score\\": $V}" > metrics.json
    inputs: [model, test]
    metrics: [metrics.json]
  report: {run: cp metrics.json page, inputs: [metrics.json], outputs: [page]}
models:
  m: {path: model, gate: [score > champion.score], champion: {rescore: evaluate}}
"""
FANNED = """\
version: 1
stages:
  train:
    run: echo "$(cat size) * ${{ matrix.c }}" | bc > model
    inputs: [size]
    outputs: [model]
    %s
  evaluate:
    run: |
      printf '{"score": %%s, "of": 1}' "$(cat model)" > metrics.json
    inputs: [model]
    metrics: [metrics.json]
models:
  m: {path: model, gate: [%s], champion: %s}
"""


class Planted:
    """A ledger that a test has written: one champion, and what is said of it."""

    def __init__(
        self, champion: Judged, *, metrics: dict[str, float], data: dict[RepoPath, Digest] | None = None
    ) -> None:
        assert champion.artifact is not None
        self.fetched: list[int] = []
        identity = Digest("c" * 64)
        registration = Registration(
            version=1,
            recipe=champion.recipe,
            artifact=champion.artifact,
            run="run",
            row="row",
            nonce="1",
            created=1,
            metrics=metrics,
            data=champion.data if data is None else data,
        )
        self.state = LedgerState(
            model=M,
            versions={1: registration},
            identities={1: identity},
            recipes={champion.recipe: 1},
            champion=Champion(gen=1, version=1, identity=identity, since=""),
        )

    def read(self, model: ModelName) -> LedgerState:
        return self.state

    def fetch(self, model: ModelName, registration: Registration) -> None:
        self.fetched.append(registration.version)


def judged(space: Workspace, ledgers: Planted | None = None, *, policy: str | None = None) -> Judged:
    """What the gate says of a run of what is committed."""
    [found] = space.run(ledgers=ledgers, policy=policy).judged
    return found
