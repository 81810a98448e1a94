"""`ciml demo`: the whole way of a model, with the commands that a user would type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STORY = (
    "tumour registered as version 1, now the champion",
    "params.yaml: train.C 1.0 -> 0.005",
    "tumour: rejected",
    "tumour is not registered",
    "An alert arrived: tumour was rejected",
    "pass  accuracy beats champion at 95 %",
    "tumour registered as version 2, now the champion",
    "made from",
    "tumour version 1 is now the champion, in the place of version 2",
    "the demo ends here",
)


def test_the_demo_registers_rejects_promotes_and_rolls_back(tmp_path: Path) -> None:
    """A real repository goes through a first version, a rejection with an alert, a promotion and a rollback."""
    place = tmp_path / "demo"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        [sys.executable, "-m", "ciml", "demo", "--directory", str(place)],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    rest = done.stdout
    for sentence in STORY:
        assert sentence in rest, f"{sentence!r} is not told, or out of turn"
        rest = rest[rest.index(sentence) :]
    ledger = subprocess.run(
        ["git", "-C", str(place), "log", "--format=%s", "ciml/ledger/tumour"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ledger.stdout.splitlines()[0].startswith("rollback")
