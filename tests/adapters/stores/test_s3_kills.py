"""Processes that are killed while they push, pull, publish or collect; and many that publish at once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Output, Record
from tests.adapters.stores.clones import Clones, object_key
from tests.adapters.stores.contract import record_of, sha256, snapshot, tree
from tests.adapters.stores.faults import FINISHED, in_child
from tests.s3proxy import Proxy

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "4"))
LARGE = os.urandom(1 << 20) * 17
FILES = {"model.bin": LARGE, **{f"part/{number}": b"%d" % number * 99 for number in range(12)}}


def killed_at(faulty: Proxy, number: int, run: Callable[[], None]) -> bool:
    """Whether a process that does `run` was killed before its Nth request went on; False where it had ended."""
    pids: list[int] = []

    def kill() -> None:
        while not pids:
            time.sleep(0.001)  # the request can be quicker than the fork's answer
        os.kill(pids[0], signal.SIGKILL)

    faulty.before(number, kill)
    pids.append(os.fork())
    if not pids[0]:
        try:
            run()
            os._exit(FINISHED)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(3)
    status = os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1])
    faulty.acts.clear()
    assert status in (FINISHED, -signal.SIGKILL), status
    return status == -signal.SIGKILL


def requests_of(faulty: Proxy, run: Callable[[], None]) -> int:
    """How many requests `run` makes when nobody kills it."""
    before = len(faulty.seen)
    assert in_child(run) == FINISHED
    return len(faulty.seen) - before


def moments(count: int) -> list[int]:
    """Some numbers of requests, the first and the last among them."""
    step = max(1, (count - 1) // max(1, ROUNDS - 1))
    return sorted({1, count, *range(1, count + 1, step)})


def all_are_whole(clones: Clones) -> None:
    """Every object in the bucket has the bytes that its name says."""
    client = clones.service.client()
    for name in clones.names("objects/"):
        data = client.get_object(Bucket=clones.bucket, Key=f"ciml/{name}")["Body"].read()
        assert object_key(sha256(data)) == name


def output_of(clones: Clones, clone: str) -> Output:
    """A directory in a clone's own store."""
    top = clones.folder / "made"
    if not top.exists():
        tree(top, FILES)
    return clones.open(clone).put_path(str(top), name=RepoPath("made"))


def test_killed_in_the_middle_of_publishing(clones: Clones, faulty: Proxy, tmp_path: Path) -> None:
    """SIGKILL at any request of a push and its record → all or nothing is seen; the same call again ends it."""
    made = record_of("made", output_of(clones, "mine"))

    def publish() -> None:
        clones.open("mine", by=faulty.service).publish(made)

    for number in moments(requests_of(faulty, publish)):
        clones.empty()
        shutil.rmtree(clones.folder / "mine/shared")
        if not killed_at(faulty, number, publish):
            continue
        all_are_whole(clones)
        reader = clones.open()
        if isinstance(found := reader.record(made.key), Record):
            reader.materialise(found.outputs[0], str(tmp_path / f"early-{number}"))
        assert in_child(publish) == FINISHED
        clones.open().materialise(made.outputs[0], str(tmp_path / f"back-{number}"))
        assert snapshot(tmp_path / f"back-{number}") == snapshot(clones.folder / "made")


def test_a_killed_upload_goes_on(clones: Clones, faulty: Proxy) -> None:
    """The parts of a large object that have arrived are not sent again."""
    digest = clones.open("mine").put_bytes(LARGE)

    def push() -> None:
        clones.open("mine", by=faulty.service).push([digest])

    faulty.fail("PUT", "partNumber=3", "403", times=-1)
    assert in_child(push) == 3
    faulty.rules.clear()
    sent = faulty.count("PUT", "partNumber=")

    assert in_child(push) == FINISHED

    assert faulty.count("PUT", "partNumber=") == sent + 1
    assert faulty.count("POST", "uploads") == 1
    assert clones.open().read(digest) == LARGE


@pytest.mark.parametrize("arrived", [0, 1])
def test_an_upload_that_the_service_has_given_up(clones: Clones, faulty: Proxy, arrived: int) -> None:
    """It begins anew, once, however many parts find that out at the same moment; the object is whole."""
    large = os.urandom(1 << 20) * 33
    digest = clones.open("mine").put_bytes(large)

    def push() -> None:
        clones.open("mine", by=faulty.service).push([digest])

    faulty.fail("PUT", "partNumber=", "403", times=-1, after=arrived)
    assert in_child(push) == 3
    faulty.rules.clear()
    [upload] = clones.service.client().list_multipart_uploads(Bucket=clones.bucket)["Uploads"]
    faulty.fail("PUT", upload["UploadId"], "aborted", times=-1)

    push()

    assert faulty.count("POST", "uploads") == 2
    all_are_whole(clones)
    assert clones.open().read(digest) == large


def pull_of(clones: Clones, faulty: Proxy, digest: Digest) -> Callable[[], None]:
    return lambda: clones.open("theirs", by=faulty.service).pull([digest])


def stopped_pull(clones: Clones, faulty: Proxy) -> Digest:
    """A large object of which one part has not arrived in a clone whose process ended."""
    digest = clones.open("mine").put_bytes(LARGE)
    clones.open("mine").push([digest])
    faulty.fail("GET", object_key(digest), "403", times=-1, after=2)
    assert in_child(pull_of(clones, faulty, digest)) == 3
    faulty.rules.clear()
    return digest


def test_a_killed_download_goes_on(clones: Clones, faulty: Proxy) -> None:
    """The parts of a large object that have arrived are not fetched again, and nothing of it is left but the object."""
    digest = stopped_pull(clones, faulty)
    assert not (clones.folder / "theirs/store" / object_key(digest)).exists()
    asked = faulty.count("GET", object_key(digest))

    assert in_child(pull_of(clones, faulty, digest)) == FINISHED

    assert faulty.count("GET", object_key(digest)) == asked + 2, "one to learn its size, one for the part that lacked"
    assert clones.open("theirs").read(digest) == LARGE
    assert os.listdir(clones.folder / "theirs/store/partial") == []


def test_a_download_whose_parts_were_torn(clones: Clones, faulty: Proxy) -> None:
    """What a power cut took of the parts that had arrived is found by the whole's digest, and all is fetched anew."""
    digest = stopped_pull(clones, faulty)
    partial = clones.folder / "theirs/store/partial" / digest
    with partial.open("r+b") as file:
        file.write(bytes(1 << 20))

    assert in_child(pull_of(clones, faulty, digest)) == FINISHED

    assert clones.open("theirs").read(digest) == LARGE
    assert os.listdir(partial.parent) == []


def test_killed_in_the_middle_of_a_pull(clones: Clones, faulty: Proxy, tmp_path: Path) -> None:
    """SIGKILL at any request of a pull → nothing at the target, nothing half in the store; again, all is there."""
    made = record_of("made", output_of(clones, "mine"))
    clones.open("mine").publish(made)
    target = tmp_path / "target"

    def pull(clone: str) -> Callable[[], None]:
        return lambda: clones.open(clone, by=faulty.service).materialise(made.outputs[0], str(target))

    count = requests_of(faulty, pull("whole"))
    for number in moments(count):
        clone = f"pulls-{number}"
        if target.exists():
            os.rename(target, tmp_path / f"done-{number}")
        if not killed_at(faulty, number, pull(clone)):
            continue
        assert not target.exists()
        objects = clones.folder / clone / "store/objects"
        for path in objects.glob("*/*"):
            assert sha256(path.read_bytes()) == Digest(path.parent.name + path.name)
        assert in_child(pull(clone)) == FINISHED
        assert snapshot(target) == snapshot(clones.folder / "made")


def test_killed_in_the_middle_of_a_collection(clones: Clones, faulty: Proxy) -> None:
    """SIGKILL at any request of a collection → what is needed stays, and the next ones finish its work."""

    def published(text: str) -> Record:
        store = clones.open()
        output = Output(path=RepoPath("f"), digest=store.put_bytes(text.encode()), size=len(text))
        record = store.publish(record_of(text, output))
        store.close()
        return record

    needed = published("needed")

    def collect() -> None:
        store = clones.open("collector", by=faulty.service)
        store.gc([needed.key], grace_s=0)
        store.close()

    needs = {object_key(needed.outputs[0].digest), *clones.names("records/")}
    published("other")
    collect()
    for number in moments(requests_of(faulty, collect)):
        published("other")
        collect()
        killed_at(faulty, number, collect)

        assert needs <= set(clones.names())
        for _ in range(2):
            collect()
        assert needs <= set(clones.names())
        assert len(clones.names("objects/")) == len(clones.names("records/")) == 1


@pytest.mark.parametrize(("count", "same"), [(64, False), (16, True)], ids=["other-bytes", "same-bytes"])
def test_c119_c120_many_publish_the_same_key(clones: Clones, count: int, same: bool) -> None:
    """64 processes publish the same key → one record, all succeed, and all have the winner's bytes."""

    def publisher(number: int) -> None:
        store = clones.open(f"publisher-{number}")
        data = b"model" if same else b"model %d" % number
        output = Output(path=RepoPath("f"), digest=store.put_bytes(data), size=len(data))
        winner = store.publish(record_of("key", output))
        (clones.folder / f"winner-{number}").write_bytes(store.read(winner.outputs[0].digest))
        store.close()

    pids = []
    for number in range(count):
        if not (pid := os.fork()):
            try:
                publisher(number)
                os._exit(FINISHED)
            finally:
                os._exit(3)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [FINISHED] * count

    assert len(clones.names("records/")) == 1
    assert len({(clones.folder / f"winner-{number}").read_bytes() for number in range(count)}) == 1
