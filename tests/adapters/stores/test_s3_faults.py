"""Services that fail, lose answers, lie about bytes or refuse: what a shared store makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.shared import SharedStore
from ciml.adapters.stores.tenure import Tenure
from ciml.core.errors import CimlError, ConfigurationError, IntegrityError, ServiceError, TrustError
from ciml.core.ids import RepoPath
from ciml.core.results import Miss, Output, Record
from ciml.core.s3 import s3_address
from tests.adapters.stores.clones import Clones, object_key
from tests.adapters.stores.contract import FILES, record_of, sha256, snapshot, tree
from tests.mlflowserver import free_port
from tests.s3proxy import Proxy, proxy
from tests.s3server import rclone

LARGE = os.urandom(1 << 20) * 20
"""Moved in three parts."""


def published(store: SharedStore, data: bytes = b"some bytes", text: str = "a") -> Record:
    """A record with one file."""
    output = Output(path=RepoPath("f"), digest=store.put_bytes(data), size=len(data))
    return store.publish(record_of(text, output))


BAD = """
    s3://b/../x s3://bucket//k s3://bucket/k?versionId=3 S3://bucket/k s3://bucket/a%2e%2e/ s3:// s3:/bucket s3://b/k
    s3://user:secret@bucket/k s3://Bucket/k s3://bucket/a/./b s3://10.0.0.1/k s3://bucket/k#f s3://bucket/a\\b
"""


@pytest.mark.parametrize("address", BAD.split())
def test_c102_addresses_are_read_strictly(address: str) -> None:
    """S3 URI with `..`, `//`, a query, other case, percent escapes or userinfo → strict parse, exit 3."""
    with pytest.raises(ConfigurationError) as caught:
        s3_address(address)
    assert "secret" not in caught.value.message


def test_c103_no_signature_and_no_key_in_a_message(clones: Clones, faulty: Proxy) -> None:
    """Presigned query in an address, and failures of every kind → neither signature nor key in message or hint."""
    told: list[CimlError] = []
    with pytest.raises(ConfigurationError) as presigned:
        s3_address("s3://bucket/k?X-Amz-Signature=canary&X-Amz-Credential=canary")
    told.append(presigned.value)
    for act in ("403", "301", "503"):
        faulty.rules.clear()
        faulty.fail("PUT", "/objects/", act, times=-1)
        with pytest.raises((TrustError, ServiceError)) as caught:
            published(clones.open(by=faulty.service.impatient), os.urandom(9))
        told.append(caught.value)
    nowhere = clones.service.impatient.at(f"http://user:canary@127.0.0.1:{free_port()}")
    with pytest.raises(ServiceError) as away:
        clones.below(nowhere).read("x")
    told.append(away.value)

    for error in told:
        text = f"{error.message} {error.hint}"
        assert not [word for word in ("canary", "AKIAEXAMPLE", "example-secret", "Signature=") if word in text], text


# What the service has is damaged.


def _damage(clones: Clones, record: Record, how: str) -> None:
    digest = record.outputs[0].digest
    data = clones.service.client().get_object(Bucket=clones.bucket, Key=f"ciml/{object_key(digest)}")["Body"].read()
    changed = {
        "bit": data[:-1] + bytes([data[-1] ^ 4]),
        "empty": b"",
        "cut": data[:-1],
        "longer": data + b"x",
        "swapped": b"another object's bytes",
    }[how]
    clones.overwrite(object_key(digest), changed)


@pytest.mark.parametrize(
    ("how", "data"),
    [(how, b"some bytes") for how in ("bit", "empty", "cut", "longer", "swapped")] + [("bit", LARGE), ("cut", LARGE)],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}",
)
def test_c107_c108_damaged_objects(clones: Clones, tmp_path: Path, how: str, data: bytes) -> None:
    """Bit flip, truncated, extended, swapped → detected when read, never visible; made again, it is replaced."""
    record = published(clones.open(), data)
    _damage(clones, record, how)
    other = clones.open("other")
    assert other.record(record.key) == record

    with pytest.raises(IntegrityError, match=record.outputs[0].digest):
        other.materialise(record.outputs[0], str(tmp_path / "target"))

    assert not (tmp_path / "target").exists()
    assert not other.local.holds(record.outputs[0].digest)
    assert isinstance(other.record(record.key), Miss)
    published(other, data)
    clones.open().materialise(record.outputs[0], str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == data


@pytest.mark.parametrize(
    "wrong", [b"", b"{", b'{"format":"ciml/action/1"}', "another key", "another space", "another format", "more"]
)
def test_c109_bad_records_are_misses(clones: Clones, wrong: bytes | str) -> None:
    """Torn JSON, wrong key, other space, unknown version, extra field → a miss; the next record replaces it."""
    store = clones.open(space="user/b")
    record = published(store)
    name = f"records/user/b/{record.key[:2]}/{record.key[2:]}"
    data = clones.service.client().get_object(Bucket=clones.bucket, Key=f"ciml/{name}")["Body"].read()
    changed = {
        "another key": data.replace(record.key.encode(), sha256(b"other").encode()),
        "another space": data.replace(b"user/b", b"user/c"),
        "another format": data.replace(b"ciml/action/1", b"ciml/action/9"),
        "more": data[:-1] + b',"more":1}',
    }
    clones.overwrite(name, wrong if isinstance(wrong, bytes) else changed[wrong])
    reader = clones.open(space="user/b")

    assert isinstance(reader.record(record.key), Miss)
    assert published(reader) == record
    assert clones.open(space="user/b").record(record.key) == record


def test_c110_a_part_of_a_directory_is_missing(clones: Clones, tmp_path: Path) -> None:
    """Record present, one file of a directory missing → exit 7 naming it, then a miss; made again, it is whole."""
    store = clones.open()
    output = store.put_path(str(tree(tmp_path / "d", FILES)), name=RepoPath("d"))
    record = store.publish(record_of("a", output))
    lost = sha256(FILES["model.bin"])
    clones.service.client().delete_object(Bucket=clones.bucket, Key=f"ciml/{object_key(lost)}")
    other = clones.open("other")
    assert other.record(record.key) == record

    with pytest.raises(IntegrityError, match=lost):
        other.materialise(output, str(tmp_path / "back"))

    assert not (tmp_path / "back").exists()
    assert isinstance(other.record(record.key), Miss)
    other.put_path(str(tmp_path / "d"), name=RepoPath("d"))
    other.publish(record)
    clones.open().materialise(output, str(tmp_path / "back"))
    assert snapshot(tmp_path / "back") == snapshot(tmp_path / "d")


def test_c111_a_poisoned_record_in_another_space(clones: Clones) -> None:
    """A record in pr/ for the same key as main → main never reads it; a pull request reads main's, and its own."""
    poison = published(clones.open(space="pr/7"), b"poison")
    trusted = clones.open(space="main")
    assert trusted.record(poison.key) == Miss()

    sound = published(trusted, b"sound")

    assert sound.outputs != poison.outputs
    assert clones.open(space="main").record(poison.key) == sound
    assert clones.open(space="user/a", reads=("main",)).record(poison.key) == sound
    assert clones.open(space="pr/7", reads=("main",)).record(poison.key) == poison
    assert clones.open(space="pr/8", reads=("main",)).record(poison.key) == sound


def test_a_fork_writes_nothing(clones: Clones) -> None:
    """Without a space nothing is written: no record, no object, no lease that stays."""
    published(clones.open(space="main"), b"trusted", "b")
    before = clones.names()
    fork = clones.open(space=None, reads=("main",))

    record = published(fork)

    assert fork.record(record.key) == record
    assert isinstance(fork.record(sha256(b"b")), Record)
    fork.flush()
    fork.close()
    assert clones.names() == before


def test_admitted_records_are_everybodys(clones: Clones, tmp_path: Path) -> None:
    """Records of a run stand in `main` once they are admitted: the first one of a key wins there as well."""
    run = clones.open(space="run/1", reads=("main",))
    record = published(run)
    settle = clones.open(space="run/1", reads=("main",))
    assert settle.record(record.key) == record

    settle.admit([record], to="main")
    settle.admit([published(clones.open(space="run/2"), b"other bytes")], to="main")

    reader = clones.open(space="user/b", reads=("main",))
    assert reader.record(record.key) == record
    reader.materialise(record.outputs[0], str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"some bytes"


# Two at once.


def test_c120_two_clones_with_different_bytes(clones: Clones, tmp_path: Path) -> None:
    """Same key, different bytes → the first record wins (If-None-Match); both use the winner's bytes."""
    one, two = clones.open("one"), clones.open("two")
    first = published(one, b"first")

    second = published(two, b"second")

    assert second == first
    assert two.record(first.key) == first
    two.materialise(first.outputs[0], str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"first"


def test_what_only_one_clone_had_is_shared_later(clones: Clones, faulty: Proxy) -> None:
    """A service that fails after the stage has run costs no second run: the next call shares what is here."""
    faulty.fail("PUT", "/records/", "503", times=-1)
    store = clones.open("mine", by=faulty.service.impatient)
    with pytest.raises(ServiceError, match="SlowDown") as caught:
        published(store)
    assert caught.value.hint is not None
    assert clones.names("records/") == []

    again = clones.open("mine")
    record = again.record(sha256(b"a"))
    assert isinstance(record, Record)
    again.flush()

    assert clones.open("other").record(record.key) == record


# The service fails.


@pytest.mark.parametrize("act", ["500", "503", "drop", "lose", "409"])
@pytest.mark.parametrize("where", ["objects", "records"])
def test_c123_failures_that_pass(clones: Clones, faulty: Proxy, act: str, where: str) -> None:
    """412 / 409 / 503 SlowDown / 500 / reset, twice → bounded retries; the record is there, once, and it is ours."""
    faulty.fail("PUT", f"/{where}/", act, times=1 if act == "drop" else 2)

    record = published(clones.open(by=faulty.service))

    assert record == record_of("a", *record.outputs)
    assert clones.open().record(record.key) == record


@pytest.mark.parametrize("act", ["500", "503", "drop"])
def test_c123_failures_that_do_not_pass(clones: Clones, faulty: Proxy, act: str) -> None:
    """A service that goes on failing → exit 5 after a bounded number of tries; nothing half-done is seen."""
    faulty.fail("PUT", "/objects/", act, times=-1)

    with pytest.raises(ServiceError) as caught:
        published(clones.open(by=faulty.service.impatient))

    assert "cannot write s3://" in caught.value.message
    assert faulty.count("PUT", "/objects/") == 2
    assert clones.names("objects/") == [] and clones.names("records/") == []


@pytest.mark.parametrize("act", ["500", "lose", "200", "drop"])
def test_c123_completing_a_large_object(clones: Clones, faulty: Proxy, tmp_path: Path, act: str) -> None:
    """500, a lost answer, or a 200 with an error body on CompleteMultipartUpload → the object is whole all the same."""
    faulty.fail("POST", "uploadId=", act)

    record = published(clones.open(by=faulty.service), LARGE)

    clones.open().materialise(record.outputs[0], str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == LARGE


@pytest.mark.parametrize("data", [b"some bytes", LARGE], ids=["small", "large"])
def test_c125_bytes_changed_on_their_way_there(clones: Clones, faulty: Proxy, data: bytes) -> None:
    """PUT body corrupted in transit → the service refuses it by its SHA-256, and it is sent again."""
    faulty.fail("PUT", "/objects/", "corrupt-sent", times=2)

    record = published(clones.open(by=faulty.service), data)

    assert clones.open().read(record.outputs[0].digest) == data


def test_c125_a_service_without_checksums(tmp_path: Path) -> None:
    """One that answers a PUT with the MD5 of what arrived is asked nothing more: a request for each object."""
    with rclone(tmp_path) as service, proxy(service) as there:
        service.client().create_bucket(Bucket="shared")
        clones = Clones(there.service, "shared", tmp_path / "clones")
        store = clones.open("mine")
        digests = [store.put_bytes(b"%d" % number) for number in range(20)]
        there.fail("PUT", "/objects/", "corrupt-sent")

        store.push(digests)

        assert (there.count("PUT", "/objects/"), there.count("HEAD", "/objects/")) == (21, 0)
        other = clones.open("other")
        other.pull(digests)
        assert [other.local.read(digest) for digest in digests] == [b"%d" % number for number in range(20)]
        clones.close()


def test_c125_what_is_damaged_here_is_not_sent(clones: Clones) -> None:
    """An object that rotted in the clone's own store is found out before it is sent, and put into quarantine."""
    store = clones.open("mine")
    for data in (b"some bytes", LARGE):
        digest = store.put_bytes(data)
        path = clones.folder / "mine/store/objects" / digest[:2] / digest[2:]
        path.chmod(0o644)
        path.write_bytes(data[:-1] + b"\x00")

        with pytest.raises(IntegrityError, match="damaged"):
            store.push([digest])

        assert not path.exists()
    assert clones.names("objects/") == []


@pytest.mark.parametrize("act", ["cut", "short", "corrupt", "empty"])
@pytest.mark.parametrize("data", [b"some bytes" * 10, LARGE], ids=["small", "large"])
def test_c126_answers_that_are_wrong_once(clones: Clones, faulty: Proxy, act: str, data: bytes) -> None:
    """GET returns 200 with a short body, other bytes or none, once → asked again; the bytes are right."""
    digest = published(clones.open(), data).outputs[0].digest
    faulty.fail("GET", "/objects/", act)

    assert clones.open("other", by=faulty.service).read(digest) == data


@pytest.mark.parametrize("act", ["cut", "short", "corrupt", "empty", "404"])
def test_c126_answers_that_stay_wrong(clones: Clones, faulty: Proxy, act: str, tmp_path: Path) -> None:
    """GET that goes on giving short, other or no bytes → never visible, then a miss."""
    record = published(clones.open())
    faulty.fail("GET", "/objects/", act, times=-1)
    store = clones.open("other", by=faulty.service)

    with pytest.raises(IntegrityError, match=record.outputs[0].digest):
        store.materialise(record.outputs[0], str(tmp_path / "f"))

    assert not (tmp_path / "f").exists()
    assert isinstance(store.record(record.key), Miss)


# It refuses.


def test_c129_the_bucket_of_another_account(clones: Clones, faulty: Proxy) -> None:
    """Bucket in another account (typo-squat) → the owner that is expected is sent along; exit 6."""
    faulty.owner = "123456789012"
    clones.below(faulty.service).overwrite("x", b"x")
    there = Bucket(
        s3_address(f"s3://{clones.bucket}/ciml"), {**faulty.service.environ, "CIML_S3_OWNER": "999999999999"}
    )

    with pytest.raises(TrustError) as caught:
        there.overwrite("x", b"x")

    assert caught.value.hint is not None and "999999999999" in caught.value.hint
    with pytest.raises(ConfigurationError, match="12 digits"):
        Bucket(s3_address("s3://bucket/x"), {"CIML_S3_OWNER": "me"})


def test_c129_a_bucket_in_another_region(clones: Clones, faulty: Proxy) -> None:
    """Redirect 301 that leads nowhere → exit 5, naming the region as what to look at."""
    faulty.fail("PUT", "/ciml/", "301", times=-1)
    with pytest.raises(ServiceError) as caught:
        clones.below(faulty.service).overwrite("x", b"x")
    assert caught.value.hint == "Set AWS_REGION to the bucket's."


def test_no_bucket_no_service_no_boto3(clones: Clones) -> None:
    """No such bucket is exit 3, no service exit 5; both say what was to be done and what to do."""
    nobody = Bucket(s3_address("s3://ciml-no-such-bucket/x"), clones.service.environ)
    with pytest.raises(ConfigurationError, match="cannot write s3://ciml-no-such-bucket/x/y: NoSuchBucket"):
        nobody.overwrite("y", b"")
    tenure = Tenure(nobody)
    with pytest.raises(ConfigurationError, match=r"cannot write .*NoSuchBucket"):
        _ = tenure.state
    tenure.close()  # a lease that was never there does not hide that
    with pytest.raises(ServiceError, match="cannot read"):
        clones.below(clones.service.impatient.at(f"http://127.0.0.1:{free_port()}")).read("y")
