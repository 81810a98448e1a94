"""Data behind DVC's pointers, from where DVC keeps it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from ciml.adapters.manifests import parse
from ciml.adapters.pointers import DvcPointers
from ciml.adapters.stores.local import LocalStore
from ciml.core.errors import IntegrityError, RepositoryError
from ciml.core.ids import Digest, RepoPath
from ciml.core.manifest import Manifest
from ciml.core.pointer import PointedFile, directory_list
from ciml.core.results import Output
from tests.s3server import Service

FILES = {"a.csv": b"id\n1\n", "sub/b.csv": b"id\n2\n", "sub.x": b"x"}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Dvc:
    """A project of DVC's: its cache, and pointers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / ".dvc/cache"
        (root / ".dvc").mkdir(parents=True)
        self.known: dict[Digest, Output] = {}
        self.store = LocalStore(str(root / "store"))

    def keep(self, data: bytes, *, suffix: str = "", below: str = "files/md5") -> str:
        name = md5(data) + suffix
        path = self.cache / below / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def keep_directory(self, files: dict[str, bytes]) -> str:
        return self.keep(
            directory_list(PointedFile(path=name.encode(), md5=self.keep(data)) for name, data in files.items()),
            suffix=".dir",
        )

    def pointer(self, name: str, size: int = 7) -> Manifest:
        return parse(f"outs:\n- md5: {name}\n  size: {size}\n  hash: md5\n  path: raw\n".encode(), RepoPath("raw.dvc"))

    def bring(self, manifest: Manifest, part: str = "", environ: dict[str, str] | None = None) -> Output:
        return DvcPointers(str(self.root), self.store, environ or {}, self.known).bring(manifest, part)

    def config(self, text: str) -> None:
        (self.root / ".dvc/config").write_text(text)

    def files(self, output: Output) -> dict[str, bytes]:
        return {os.fsdecode(entry.path): self.store.read(entry.digest) for entry in self.store.entries(output)}


@pytest.fixture
def dvc(tmp_path: Path) -> Dvc:
    return Dvc(tmp_path)


def test_a_file(dvc: Dvc) -> None:
    """Taken in by SHA-256, whichever version of DVC has laid out the cache."""
    for below in ("files/md5", ""):
        data = f"from {below}".encode()
        output = dvc.bring(dvc.pointer(dvc.keep(data, below=below)))
        assert (output.digest, output.size) == (hashlib.sha256(data).hexdigest(), len(data))


def test_a_directory(dvc: Dvc) -> None:
    """The listing is that of the same files in ciml's own store."""
    output = dvc.bring(dvc.pointer(dvc.keep_directory(FILES)))
    assert dvc.files(output) == FILES
    for name, data in FILES.items():
        path = dvc.root / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert dvc.store.put_path(str(dvc.root / "raw"), name=RepoPath("raw")).digest == output.digest


def test_what_a_list_looks_like(dvc: Dvc) -> None:
    """As DVC writes it, so that its MD5 is the pointer's."""
    listed = directory_list([PointedFile(path=b"b", md5="1" * 32), PointedFile(path=b"a", md5="2" * 32)])
    assert json.loads(listed) == [{"md5": "2" * 32, "relpath": "a"}, {"md5": "1" * 32, "relpath": "b"}]
    assert listed == b'[{"md5": "%b", "relpath": "a"}, {"md5": "%b", "relpath": "b"}]' % (b"2" * 32, b"1" * 32)


def test_it_is_not_read_twice(dvc: Dvc) -> None:
    """What a pointer stands for is remembered, while the store has it."""
    pointer = dvc.pointer(dvc.keep_directory(FILES))
    output = dvc.bring(pointer)
    shutil.rmtree(dvc.cache)
    assert dvc.bring(pointer) == output
    shutil.rmtree(dvc.root / "store/objects")
    with pytest.raises(RepositoryError) as caught:
        dvc.bring(pointer)
    assert str(dvc.cache) in str(caught.value)


def test_parts(dvc: Dvc) -> None:
    """A folder or a file of a directory; the part's name is made from MD5s, and only the part is taken in."""
    pointer = dvc.pointer(dvc.keep_directory(FILES))
    pointers = DvcPointers(str(dvc.root), dvc.store, {}, dvc.known)
    part, same = pointers.part(pointer, "sub"), pointers.part(pointer, "sub")
    assert part is not None
    assert (part.directory, part.files, part) == (True, 1, same)
    assert pointers.part(pointer, "none") is None
    other = dvc.pointer(dvc.keep_directory({**FILES, "a.csv": b"other"}))
    assert pointers.part(other, "sub") == part
    assert pointers.part(other, "a.csv") != pointers.part(pointer, "a.csv")

    assert dvc.files(dvc.bring(pointer, "sub")) == {"b.csv": b"id\n2\n"}
    assert not dvc.store.holds(Digest(hashlib.sha256(b"x").hexdigest()))
    assert dvc.bring(pointer, "a.csv").digest == hashlib.sha256(b"id\n1\n").hexdigest()


def test_from_the_work_tree(dvc: Dvc) -> None:
    """A cache that was emptied does not matter while the data lies where it belongs."""
    name = dvc.keep(b"1")
    shutil.rmtree(dvc.cache)
    (dvc.root / "raw").write_bytes(b"1")
    assert dvc.bring(dvc.pointer(name)).digest == hashlib.sha256(b"1").hexdigest()


def test_another_version_in_the_work_tree(dvc: Dvc) -> None:
    """It is not what the pointer names, and stands in no remote's way; where none has it, the message says where."""
    name = dvc.keep(b"1")
    (dvc.root / "raw").write_bytes(b"2")
    shutil.move(dvc.cache, dvc.root / "remote")
    with pytest.raises(RepositoryError, match=r"which is in none of .*, the work tree"):
        dvc.bring(dvc.pointer(name))
    dvc.config("[core]\n    remote = mine\n['remote \"mine\"']\n    url = ../remote\n")
    assert dvc.bring(dvc.pointer(name)).digest == hashlib.sha256(b"1").hexdigest()


def test_bytes_that_are_others(dvc: Dvc) -> None:
    """Another MD5 is exit 7 and names the file; so is a list that is none, or that leads out."""
    name = dvc.keep(b"1")
    (dvc.cache / "files/md5" / name[:2] / name[2:]).write_bytes(b"2")
    with pytest.raises(IntegrityError, match="is damaged or was edited: its MD5 is"):
        dvc.bring(dvc.pointer(name))
    entry = b'[{"md5": "%b", "relpath": "%b"}]'
    for lines in (b"{}", entry % (b"x", b"a"), entry % (b"1" * 32, b"../a"), entry % (b"1" * 32, b"\xff")):
        with pytest.raises(IntegrityError, match="list of"):
            dvc.bring(dvc.pointer(dvc.keep(lines, suffix=".dir")))


def test_line_ends_before_version_3(dvc: Dvc) -> None:
    """Older pointers name text without carriage returns."""
    data = b"a\r\nb\r\n"
    name = md5(b"a\nb\n")
    path = dvc.cache / name[:2] / name[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert dvc.bring(dvc.pointer(name)).size == len(data)


def test_another_cache_and_a_remote_folder(dvc: Dvc, tmp_path: Path) -> None:
    """`cache.dir`, and a default remote that is a folder, relative to `.dvc`; `config.local` comes on top."""
    name = dvc.keep(b"1")
    shutil.move(dvc.cache, tmp_path / "elsewhere")
    dvc.config("[cache]\n    dir = ../elsewhere\n")
    assert dvc.bring(dvc.pointer(name)).size == 1

    dvc.known.clear()
    shutil.rmtree(tmp_path / "store")
    shutil.move(tmp_path / "elsewhere", tmp_path / "remote")
    dvc.config("[core]\n    remote = other\n['remote \"mine\"']\n    url = /nowhere\n")
    with pytest.raises(RepositoryError):
        dvc.bring(dvc.pointer(name))
    (tmp_path / ".dvc/config.local").write_text("[core]\n    remote = mine\n['remote \"mine\"']\n    url = ../remote\n")
    assert dvc.bring(dvc.pointer(name)).size == 1


def test_a_remote_that_ciml_cannot_read(dvc: Dvc) -> None:
    """It is named, and the hint is DVC's own command."""
    dvc.config("[core]\nremote = x\n['remote \"x\"']\nurl = gs://bucket/x\n")
    with pytest.raises(RepositoryError) as caught:
        dvc.bring(dvc.pointer("1" * 32))
    assert "gs://bucket/x" in caught.value.message
    assert "`dvc pull`" in (caught.value.hint or "")


def test_a_remote_in_s3(dvc: Dvc, service: Service) -> None:
    """Endpoint and region come from DVC's configuration, credentials from the environment."""
    bucket = service.bucket()
    name = dvc.keep_directory(FILES)
    for path in dvc.cache.rglob("*"):
        if path.is_file():
            key = f"dvc/{path.relative_to(dvc.cache)}"
            service.client().put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    shutil.rmtree(dvc.cache)
    remote = f"url = s3://{bucket}/dvc\nendpointurl = {service.endpoint}\nregion = us-east-1\n"
    dvc.config(f"[core]\nremote = x\n['remote \"x\"']\n{remote}")
    keys = {key: value for key, value in service.environ.items() if "ENDPOINT" not in key}
    assert dvc.files(dvc.bring(dvc.pointer(name), environ=keys)) == FILES
