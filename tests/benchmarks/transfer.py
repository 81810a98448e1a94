"""One transfer, in a process of its own: `python -m tests.benchmarks.transfer ciml|boto3 push|pull BUCKET FOLDER`.

Both move the same bytes between the same folder and the same service, whose address is in the environment. boto3 uses
its own transfer manager with its own settings; ciml also keeps a lease, knows what is there, and verifies all bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ciml.core.ids import Digest


def main() -> int:
    """Exit code 0 once all has been moved."""
    tool, direction, bucket, folder = sys.argv[1:]
    {"ciml": _ciml, "boto3": _boto3}[tool](direction, bucket, Path(folder))
    return 0


def _digests(folder: Path) -> Iterator[Digest]:
    yield from (Digest(line) for line in (folder / "digests").read_text().split())


def _ciml(direction: str, bucket: str, folder: Path) -> None:
    from ciml.adapters.stores.local import LocalStore
    from ciml.adapters.stores.shared import SharedStore
    from ciml.core.s3 import s3_address

    local = LocalStore(str(folder / "store"))
    address = s3_address(f"s3://{bucket}/store")
    store = SharedStore(local, address, os.environ, memory=str(folder / "memory"), space="user/bench")
    (store.push if direction == "push" else store.pull)(_digests(folder))
    store.close()
    local.close()


def _boto3(direction: str, bucket: str, folder: Path) -> None:
    import boto3
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=16))
    with create_transfer_manager(client, TransferConfig()) as manager:
        for digest in _digests(folder):
            path, name = folder / "store/objects" / digest[:2] / digest[2:], f"store/objects/{digest[:2]}/{digest[2:]}"
            if direction == "push":
                manager.upload(str(path), bucket, name)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                manager.download(bucket, name, str(path))


if __name__ == "__main__":
    sys.exit(main())
