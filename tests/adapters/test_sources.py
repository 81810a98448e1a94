"""Data in S3: what is asked, what is believed, and what happens when objects are replaced meanwhile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ciml.adapters.sources import S3Source
from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.meter import Unmetered
from ciml.app.source import SourceUpdate, pinned, source_changes, update_from_source
from ciml.core.errors import CimlError, IntegrityError, RaceError, ServiceError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.manifest import Manifest
from ciml.core.s3 import s3_address
from tests.adapters.stores.faults import FAILED, FINISHED, in_child
from tests.s3proxy import Proxy, proxy
from tests.s3server import Service

PATH = RepoPath("data")


@pytest.fixture
def faults(service: Service) -> Iterator[Proxy]:
    with proxy(service) as made:
        yield made


class Data:
    """A prefix of a bucket with objects in it, a store, and the requests between them."""

    def __init__(self, service: Service, faults: Proxy, root: Path, *, versions: bool = True) -> None:
        self.bucket = service.bucket()
        self.client: Any = service.client()
        if versions:
            self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.faults = faults
        self.store = LocalStore(str(root / "store"))

    def put(self, name: str, data: bytes, *, checksum: bool = True) -> None:
        extra = {"ChecksumAlgorithm": "SHA256"} if checksum else {}
        self.client.put_object(Bucket=self.bucket, Key=f"raw/{name}", Body=data, **extra)

    def source(self, address: str = "raw/") -> S3Source:
        environ = self.faults.service.environ
        return S3Source(s3_address(f"s3://{self.bucket}/{address}"), environ, root=self.store.root, attempts=2)

    def update(self, manifest: Manifest | None = None) -> SourceUpdate:
        return update_from_source(PATH, manifest, self.source(), self.store, self.store.read)

    def fetch(self, manifest: Manifest) -> None:
        self.source().fetch(pinned(manifest, self.store.read))

    def holds(self, data: bytes) -> bool:
        return self.store.holds(Digest(hashlib.sha256(data).hexdigest()))

    def asked(self) -> list[str]:
        """The methods of the requests since the last time, listing left out."""
        found = [method for method, path in self.faults.seen if "list-type" not in path]
        self.faults.seen.clear()
        return sorted(found)


@pytest.fixture
def data(service: Service, faults: Proxy, tmp_path: Path) -> Data:
    data = Data(service, faults, tmp_path)
    data.put("a", b"1")
    data.put("b/c", b"22", checksum=False)
    return data


def test_what_is_asked(data: Data) -> None:
    """A look is a listing; a new object is one question, and is read only where S3 has no SHA-256 of it."""
    first = data.update().manifest
    assert data.asked() == ["GET", "HEAD", "HEAD"]
    data.put("new", b"333")
    diff = source_changes(first, data.source(), data.store.read)
    assert (diff.files.added, diff.files.bytes_added, data.asked()) == (1, 3, [])
    second = data.update(first)
    assert data.asked() == ["HEAD"]
    assert second.diff == diff
    assert data.update(second.manifest).manifest == second.manifest
    assert data.asked() == []
    assert not data.holds(b"1"), "nothing is fetched"


def test_the_checksum_of_parts_is_no_digest(data: Data) -> None:
    """A multipart object's composite checksum is not taken for the SHA-256 of its bytes."""
    body = os.urandom(6 << 20)
    at = {"Bucket": data.bucket, "Key": "raw/a"}
    upload = data.client.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number, piece in enumerate((body[: 5 << 20], body[5 << 20 :]), start=1):
        part = data.client.upload_part(**at, UploadId=upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    data.client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})
    found = {item.path: item for item in pinned(data.update().manifest, data.store.read)}
    assert found[b"a"].digest == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("versions", [True, False])
def test_an_object_that_is_replaced_while_it_is_read(
    service: Service, faults: Proxy, tmp_path: Path, versions: bool
) -> None:
    """It is noticed; the manifest has one state of it, ETag and bytes together."""
    data = Data(service, faults, tmp_path, versions=versions)
    data.put("b", b"before", checksum=False)
    faults.call("GET", "raw/b", lambda: data.put("b", b"after!", checksum=False))
    [item] = pinned(data.update().manifest, data.store.read)
    expected = b"before" if versions else b"after!"
    assert item.digest == hashlib.sha256(expected).hexdigest()
    assert item.etag == hashlib.md5(expected, usedforsecurity=False).hexdigest()
    # What was replaced after it was read differs from the manifest, and the next look says so.
    assert source_changes(data.update().manifest, data.source(), data.store.read).files.any is False


def test_an_object_that_is_replaced_again_and_again(service: Service, faults: Proxy, tmp_path: Path) -> None:
    """Exit 8: nobody knows what to pin."""
    data = Data(service, faults, tmp_path, versions=False)
    data.put("b", b"0", checksum=False)

    def replacing(number: int) -> Callable[[], object]:
        return lambda: data.put("b", str(number).encode(), checksum=False)

    for number in range(1, 20):
        faults.call("GET", "raw/b", replacing(number))
    with pytest.raises(RaceError, match="was replaced 4 times while it was read"):
        data.update()


def test_an_object_that_is_deleted_after_it_was_listed(data: Data) -> None:
    """It is left out, as if it had gone a moment earlier."""
    data.faults.call("HEAD", "raw/a", lambda: data.client.delete_object(Bucket=data.bucket, Key="raw/a"))
    assert [item.path for item in pinned(data.update().manifest, data.store.read)] == [b"b/c"]


@pytest.mark.parametrize("act", ["cut", "drop", "500", "503"])
def test_what_is_tried_again(data: Data, act: str) -> None:
    """An answer that breaks off, none at all, or a service that is busy: the bytes arrive all the same."""
    manifest = data.update().manifest
    data.faults.fail("GET", "raw/a", act)
    data.fetch(manifest)
    assert data.holds(b"1")
    assert data.holds(b"22")


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("corrupt", IntegrityError, "is gone, or is not what the manifest names"),
        ("404", IntegrityError, "is gone, or is not what the manifest names"),
        ("403", TrustError, "Allow s3:GetObject"),
        ("301", ServiceError, "another region"),
        ("503", ServiceError, "too many requests"),
        ("cut", ServiceError, "broke off"),
    ],
)
def test_what_cannot_be_had(data: Data, act: str, kind: type[CimlError], words: str) -> None:
    """What, where, what to do, by the exit code; and the store has nothing of it."""
    data.put("only", b"only this one")
    manifest = data.update().manifest
    data.faults.fail("GET", "raw/only", act, times=-1)
    with pytest.raises(kind) as caught:
        data.fetch(manifest)
    told = f"{caught.value.message} {caught.value.hint}"
    assert words in told
    assert f"s3://{data.bucket}/raw/only" in told
    assert not data.holds(b"only this one")


def test_what_cannot_be_listed(data: Data) -> None:
    """403 and 301 of a listing: nothing is taken for removed."""
    manifest = data.update().manifest
    for act, kind in (("403", TrustError), ("301", ServiceError)):
        data.faults.fail("GET", "list-type", act, times=-1)
        with pytest.raises(kind):
            source_changes(manifest, data.source(), data.store.read)
        data.faults.rules.clear()


def test_a_fetch_goes_on_where_it_was(data: Data) -> None:
    """What has arrived is not asked for again."""
    for number in range(30):
        data.put(f"n{number:02d}", b"n%d" % number)
    manifest = data.update().manifest
    data.faults.fail("GET", "raw/n29", "403", times=1)
    with pytest.raises(TrustError):
        data.fetch(manifest)
    arrived = sum(data.holds(b"n%d" % number) for number in range(30))
    data.asked()
    data.fetch(manifest)
    assert all(data.holds(b"n%d" % number) for number in range(30))
    assert len(data.asked()) <= 32 - arrived


def test_a_large_object_goes_on_where_it_was(data: Data) -> None:
    """Of one whose process ended the parts that have arrived are not asked for again."""
    large = os.urandom(1 << 20) * 17
    data.put("large", large)
    manifest = data.update().manifest
    data.faults.fail("GET", "raw/large", "403", times=-1, after=2)
    assert in_child(lambda: data.fetch(manifest)) == FAILED
    data.faults.rules.clear()
    asked = data.faults.count("GET", "raw/large")
    assert in_child(lambda: data.fetch(manifest)) == FINISHED
    assert data.faults.count("GET", "raw/large") == asked + 2, "one to learn its size, one for the part that lacked"
    assert data.holds(large)


def test_a_folder_s_worth_of_one_object(data: Data) -> None:
    """One object at the top of a bucket, and in a folder: its name is the key's last part."""
    data.client.put_object(Bucket=data.bucket, Key="top", Body=b"top")
    for address, content in (("top", b"top"), ("raw/b/c", b"22")):
        source = data.source(address)
        [item] = source.identified(source.objects())
        assert (item.path, item.size, item.digest) == (b"", len(content), hashlib.sha256(content).hexdigest())
        source.fetch([item])
        assert data.holds(content)


def test_bytes_are_counted(data: Data) -> None:
    """What is read to be hashed, and what is fetched, is told to whoever watches."""

    class Meter(Unmetered):
        moved = 0

        def advance(self, objects: int, size: int) -> None:
            self.moved += size

    meter = Meter()
    environ = data.faults.service.environ
    source = S3Source(s3_address(f"s3://{data.bucket}/raw/"), environ, root=data.store.root, meter=meter)
    manifest = update_from_source(PATH, None, source, data.store, data.store.read).manifest
    assert meter.moved == 2, "b/c has no SHA-256"
    source.fetch(pinned(manifest, data.store.read))
    assert meter.moved == 2 + 3
