"""A store on disk in forty lines, for tests of what runs on top of one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from ciml.core.errors import IntegrityError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Output, Record


class FakeStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put_bytes(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        (self.root / digest).write_bytes(data)
        return digest

    def read(self, digest: Digest) -> bytes:
        data = (self.root / digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(digest)
        return data

    def put_path(self, path: str, *, name: RepoPath) -> Output:
        top = Path(path)
        if not top.is_dir():
            data = top.read_bytes()
            return Output(path=name, digest=self.put_bytes(data), size=len(data))
        files = {
            str(file.relative_to(top)): self.put_bytes(file.read_bytes()) for file in top.rglob("*") if file.is_file()
        }
        size = sum((self.root / digest).stat().st_size for digest in files.values())
        return Output(
            path=name, digest=self.put_bytes(msgspec.json.encode(files)), size=size, files=len(files), directory=True
        )

    def materialise(self, output: Output, target: str, *, link: bool = False, read_only: bool = False) -> None:
        if output.directory:
            for path, digest in msgspec.json.decode(self.read(output.digest)).items():
                file = Path(target, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(digest))
            Path(target).mkdir(parents=True, exist_ok=True)
        elif link:
            self.read(output.digest)
            os.link(self.root / output.digest, target)
        else:
            Path(target).write_bytes(self.read(output.digest))

    def record(self, key: Digest) -> Record | None:
        path = self.root / f"record-{key}"
        return msgspec.json.decode(path.read_bytes(), type=Record) if path.exists() else None

    def publish(self, record: Record) -> Record:
        there = self.record(record.key)
        if there is not None:
            return there
        (self.root / f"record-{record.key}").write_bytes(msgspec.json.encode(record))
        return record
