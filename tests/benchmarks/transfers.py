"""P10: objects to a service on loopback and back, beside boto3's own transfer manager."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ciml.adapters.stores.local import LocalStore
from ciml.core.ids import Digest, RepoPath
from tests.benchmarks import peers
from tests.benchmarks.measure import Command, Measure
from tests.benchmarks.table import Row, compared, memory
from tests.s3server import Service, moto

MEMORY_LIMIT_MB = 200.0
MB = 1 << 20

_ROOT = Path(__file__).parent.parent.parent


def transfers(scratch: Path, measure: Measure) -> Iterator[Row]:
    """P10: push and pull of 1,000 x 100 KB and 4 x 256 MB, against boto3's transfer manager on the same server."""
    for count, size, label in ((1000, 100_000, "1,000 x 100 KB"), (4, 256 * MB, "4 x 256 MB")):
        folder = scratch / f"{count}"
        digests = _made(folder, count, size)
        with moto(scratch) as service:
            service.client().create_bucket(Bucket="bench")
            yield from _pushed(folder, service, digests, label, measure)
            yield from _pulled(folder, service, digests, label, measure)


def _made(folder: Path, count: int, size: int) -> list[Digest]:
    """The digests of that many files in a store of their own."""
    local = LocalStore(str(folder / "store"))
    folder.mkdir()
    digests = [_one(local, folder / "file", number, size) for number in range(count)]
    local.close()
    (folder / "digests").write_text("\n".join(digests))
    return digests


def _one(local: LocalStore, path: Path, number: int, size: int) -> Digest:
    """A file in the store; a piece at a time, since a command's peak memory counts from its parent's."""
    piece = os.urandom(min(size, MB))
    with path.open("wb") as file:
        for start in range(0, size, len(piece)):
            head = b"%8d%8d" % (number, start)
            file.write(head + piece[len(head) : size - start])
    return local.put_path(str(path), name=RepoPath("file")).digest


def _pushed(folder: Path, service: Service, digests: list[Digest], label: str, measure: Measure) -> Iterator[Row]:
    def prepare() -> None:
        peers.set_aside(folder, "memory")
        service.empty("bench")

    commands = [_command(tool, "push", folder, service, prepare) for tool in ("ciml", "boto3")]
    commands = [command._replace(check=lambda: _arrived(service, digests)) for command in commands]
    ours, theirs = measure(commands)
    yield compared("P10", f"push {label}", ours, theirs, 1 / 0.9)
    yield memory("P11", f"push {label}", ours, limit_mb=MEMORY_LIMIT_MB)
    again = measure([_command("ciml", "push", folder, service, lambda: None)])[0]
    yield compared("P10", f"push {label} once more, against the first time", again, ours, None)


def _pulled(folder: Path, service: Service, digests: list[Digest], label: str, measure: Measure) -> Iterator[Row]:
    def all_here() -> bool:
        return all((folder / "store/objects" / digest[:2] / digest[2:]).exists() for digest in digests)

    def prepare() -> None:
        peers.set_aside(folder, "store")

    commands = [_command(tool, "pull", folder, service, prepare)._replace(check=all_here) for tool in ("ciml", "boto3")]
    ours, theirs = measure(commands)
    yield compared("P10", f"pull {label}", ours, theirs, 1 / 0.9)
    yield memory("P11", f"pull {label}", ours, limit_mb=MEMORY_LIMIT_MB)


def _command(tool: str, direction: str, folder: Path, service: Service, prepare: Callable[[], None]) -> Command:
    environment = {**peers.environment(), **service.environ, "PYTHONPATH": str(_ROOT)}
    environment["AWS_DEFAULT_REGION"] = service.environ["AWS_REGION"]
    argv = (sys.executable, "-m", "tests.benchmarks.transfer", tool, direction, "bench", str(folder))
    return Command(f"{tool} {direction}", argv, folder, environment, prepare)


def _arrived(service: Service, digests: list[Digest]) -> bool:
    return len(service.names("bench", "store/objects/")) == len(digests)
