"""Data taken in and looked at, beside DVC and the limits of the machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.listings import CHANGED, ENTRIES
from tests.benchmarks.measure import Command, Measure
from tests.benchmarks.table import Row, bounded, compared, memory

MEMORY_LIMIT_MB = 200.0
SHAPES = {"10,000 x 100 kB": (10_000, 100_000), "100,000 x 4 kB": (100_000, 4_096)}
"""What is taken in: files and their bytes."""

_KNOWN = (".git/ciml", ".dvc/cache", ".dvc/site", ".dvc/tmp", "data.manifest.yaml", "data.dvc")
"""All that says that something was taken in; the data stays."""

_HASH = "find data -type f -print0 | xargs -0 -n 256 -P 2 sha256sum > /dev/null"
_WALK = "import os\nfor at, _, names in os.walk('data'):\n  for name in names: os.lstat(f'{at}/{name}')"


def added(scratch: Path, measure: Measure) -> Iterator[Row]:
    """P7: data is taken in, durably."""
    for name, (files, length) in SHAPES.items():
        ours, theirs = projects(scratch / name.replace(" ", ""), files, length)
        add, dvc, copy, limit = measure(
            [
                _command("ciml data add", ("ciml", "data", "add", "data"), ours, _without(ours, *_KNOWN)),
                _command("dvc add", ("dvc", "add", "-q", "data"), theirs, _without(theirs, *_KNOWN)),
                _command("cp -r; sync", ("sh", "-c", "cp -r data copied && sync"), ours, _without(ours, "copied")),
                _command("sha256sum on two cores", ("sh", "-c", _HASH), ours),
            ]
        )
        yield compared("P7", f"add {name}", add, dvc, 1 / 8)
        yield compared("P7", f"add {name}, against a copy", add, copy, None)
        yield bounded("P7", f"add {name}", add, limit=limit.seconds, what="sha256sum -P 2", goal=1 / 0.7)
        yield memory("P11", f"add {name}", add, limit_mb=MEMORY_LIMIT_MB)


def looked_at(scratch: Path, measure: Measure) -> Iterator[Row]:
    """P8: nothing has changed since the last time."""
    for name, (files, length) in SHAPES.items():
        ours, theirs = projects(scratch / name.replace(" ", ""), files, length)
        peers.call(("ciml", "data", "add", "data"), ours)
        peers.call(("dvc", "add", "-q", "data"), theirs)
        status, dvc, walk, start = measure(
            [
                _command("ciml data status", ("ciml", "data", "status"), ours),
                _command("dvc data status", ("dvc", "data", "status", "-q"), theirs),
                _command("walk and stat", (sys.executable, "-c", _WALK), ours),
                _command("ciml --version", ("ciml", "--version"), ours),
            ]
        )
        yield compared("P8", f"status of {name}, unchanged", status, dvc, None)
        limit = start.seconds + 2 * walk.seconds
        yield bounded(
            "P8", f"status of {name}, unchanged", status, limit=limit, what="start + 2 x walk and stat", goal=1
        )
        yield memory("P11", f"status of {name}", status, limit_mb=MEMORY_LIMIT_MB)


def one_new_file(scratch: Path, measure: Measure) -> Iterator[Row]:
    """P7: one file more in a listing of a million."""
    commands = [
        _command(what, (sys.executable, "-m", "tests.benchmarks.listings", what, str(scratch / "store")), Path.cwd())
        for what in (ENTRIES, CHANGED)
    ]
    whole, changed = measure(commands)
    yield compared("P7", "listing of 1,000,000: one file more, against all anew", changed, whole, None)
    told = (Path.cwd().parent / f"{Path.cwd().name}.bench-output").read_text()
    yield Row("P7", "listing of 1,000,000: one file more", told.strip(), "", None, None)
    yield memory("P11", "listing of 1,000,000", changed, limit_mb=MEMORY_LIMIT_MB)


def projects(here: Path, files: int, length: int) -> tuple[Path, Path]:
    """Two repositories with the same data: ours and DVC's."""
    ours, theirs = here / "ciml", here / "dvc"
    for number in range(files):
        folder = ours / "data" / f"{number % 100:03d}"
        if number < 100:
            folder.mkdir(parents=True)
        _fill(folder / str(number), length)
    shutil.copytree(ours, theirs)
    for project in (ours, theirs):
        peers.call(("git", "init", "-q"), project)
    peers.call(("dvc", "init", "-q"), theirs)
    for setting, value in (
        ("core.analytics", "false"),
        ("core.check_update", "false"),
        ("core.site_cache_dir", str(theirs / ".dvc/site")),
    ):
        peers.call(("dvc", "config", "--local", setting, value), theirs)
    return ours, theirs


def _fill(path: Path, length: int) -> None:
    """A file of so many random bytes; a piece at a time, since a command's peak memory counts from its parent's."""
    with path.open("wb") as file:
        for start in range(0, length, 1 << 20):
            file.write(os.urandom(min(1 << 20, length - start)))


def _without(project: Path, *paths: str) -> Callable[[], None]:
    """Set these aside before a run."""
    return lambda: peers.set_aside(project, *paths)


def _command(label: str, argv: tuple[str, ...], here: Path, prepare: Callable[[], None] = lambda: None) -> Command:
    return Command(label, argv, here, peers.environment(), prepare=prepare)
