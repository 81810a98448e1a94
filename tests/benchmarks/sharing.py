"""P10 as users type it: data pushed to a bucket and pulled from it, beside DVC, with the same service for both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.data import projects
from tests.benchmarks.measure import Command, Measure
from tests.benchmarks.table import Row, compared, memory
from tests.s3server import Service, rclone

MEMORY_LIMIT_MB = 200.0
SHAPES = {"1,000 x 100 KB": (1000, 100_000), "4 x 256 MB": (4, 256 << 20)}
"""What is moved: files and their bytes."""

_BUCKET = "bench"
_CACHES = {"ciml": (".git/ciml",), "dvc": (".dvc/cache", ".dvc/site", ".dvc/tmp")}


def shared(scratch: Path, measure: Measure) -> Iterator[Row]:
    """`ciml data push|pull` against `dvc push|pull`."""
    for name, (files, length) in SHAPES.items():
        folder = scratch / f"shared-{files}"
        folder.mkdir()
        with rclone(folder) as service:
            service.client().create_bucket(Bucket=_BUCKET)
            both = dict(zip(("ciml", "dvc"), projects(folder, files, length), strict=True))
            _begin(both, service)
            for direction in ("push", "pull"):
                commands = [_command(tool, direction, at, service, files) for tool, at in both.items()]
                ours, theirs = measure(commands)
                yield compared("P10", f"data {direction} {name}", ours, theirs, 1 / 3)
                yield memory("P11", f"data {direction} {name}", ours, limit_mb=MEMORY_LIMIT_MB)
        shutil.rmtree(folder, onerror=peers.writable_again)


def _begin(both: dict[str, Path], service: Service) -> None:
    """Both have taken the data in, and know the bucket."""
    stage = "stages: {count: {run: ls data > names, inputs: [data], outputs: [names]}}"
    (both["ciml"] / "ciml.yaml").write_text(f"version: 1\nstore: s3://{_BUCKET}/ciml\n{stage}\n")
    peers.call(("ciml", "data", "add", "data"), both["ciml"])
    peers.call(("dvc", "add", "-q", "data"), both["dvc"])
    peers.call(("dvc", "remote", "add", "-q", "-d", "bench", f"s3://{_BUCKET}/dvc"), both["dvc"])
    peers.call(("dvc", "remote", "modify", "bench", "endpointurl", service.environ["AWS_ENDPOINT_URL"]), both["dvc"])


def _command(tool: str, direction: str, here: Path, service: Service, files: int) -> Command:
    argv = ("ciml", "data", direction) if tool == "ciml" else ("dvc", direction, "-q")
    environment = {**peers.environment(), **service.environ, "AWS_DEFAULT_REGION": service.environ["AWS_REGION"]}
    prepare = _nothing_there(tool, here, service) if direction == "push" else _nothing_here(tool, here)
    check = _all_there(tool, service, files) if direction == "push" else _all_here(here, files)
    return Command(f"{tool} {direction}", argv, here, environment, prepare, check)


def _nothing_there(tool: str, here: Path, service: Service) -> Callable[[], None]:
    """The bucket has nothing of this tool, which knows nothing of what it ever had."""

    def prepare() -> None:
        service.empty(_BUCKET, f"{tool}/")
        peers.set_aside(here, ".git/ciml/shared", ".dvc/site", ".dvc/tmp")

    return prepare


def _nothing_here(tool: str, here: Path) -> Callable[[], None]:
    """A clone that has the manifest alone."""
    return lambda: peers.set_aside(here, "data", *_CACHES[tool])


def _all_there(tool: str, service: Service, files: int) -> Callable[[], bool]:
    return lambda: len(service.names(_BUCKET, f"{tool}/")) >= files


def _all_here(here: Path, files: int) -> Callable[[], bool]:
    return lambda: sum(len(names) for _, _, names in os.walk(here / "data")) == files
