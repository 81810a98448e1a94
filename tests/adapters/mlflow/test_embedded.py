"""The embedded registry's database is whole, or it is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.core.ids import ModelName

_MAKE = "import sys; from ciml.adapters.mlflow.embedded import make_database; make_database(sys.argv[1], shown='it')"


def test_a_maker_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """SIGKILL while MLflow makes its tables: the next process makes the database, and it serves."""
    database = tmp_path / "mlflow.db"
    unfinished = tmp_path / "mlflow.db.new"
    maker = subprocess.Popen([sys.executable, "-c", _MAKE, str(database)])
    deadline = time.monotonic() + 60
    while not unfinished.exists() or unfinished.stat().st_size < 100_000:
        assert time.monotonic() < deadline and maker.poll() is None, "the maker was to be killed half-way"
        time.sleep(0.005)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert not database.exists()

    registry = MlflowRegistry.embedded(str(tmp_path))

    assert registry.row(ModelName("churn"), 1) is None
    assert database.exists()
    assert not unfinished.exists()
