"""A shared store on a machine that fails: calls that are refused or cut short, a full disk, memory that is torn.

Requests at which a process is killed are those of `test_s3_kills`; here it is the machine's own calls.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ciml.core.errors import CimlError, ExitCode, ServiceError, TrustError
from ciml.core.ids import RepoPath
from ciml.core.results import Record
from tests.adapters.stores.clones import Clones, object_key
from tests.adapters.stores.contract import record_of, sha256, snapshot, tree
from tests.adapters.stores.faults import FAILED, FINISHED, at_call, in_child
from tests.adapters.stores.test_s3_kills import all_are_whole
from tests.s3proxy import Proxy

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "4"))
LARGE = os.urandom(1 << 20) * 17
FILES = {"model.bin": LARGE, **{f"part/{number}": b"%d" % number * 99 for number in range(6)}}
POINTS = 400
"""Calls of one piece of work, at the most."""

Work = Callable[[], None]


class Bench:
    """A record in a clone that is not shared yet, and the same in the bucket for who pulls it."""

    def __init__(self, clones: Clones, folder: Path) -> None:
        self.clones = clones
        self.target = folder / "target"
        tree(folder / "made", FILES)
        self.wanted = snapshot(folder / "made")
        store = clones.open("mine")
        self.made = record_of("made", store.put_path(str(folder / "made"), name=RepoPath("made")))
        store.close()
        shutil.copytree(clones.folder / "mine", clones.folder / "shared")
        clones.open("shared").publish(self.made)

    def work(self, how: str) -> Work:
        """A push of everything and its record, or a pull to the target, by a clone that has done neither."""
        shutil.rmtree(self.clones.folder / how, ignore_errors=True)
        shutil.rmtree(self.target, ignore_errors=True)
        if how == "pull":
            return lambda: self.clones.open(how).materialise(self.made.outputs[0], str(self.target))
        self.clones.empty()
        shutil.copytree(self.clones.folder / "mine", self.clones.folder / how)

        def push() -> None:
            self.clones.open(how).publish(self.made)

        return push

    def check_nothing_half(self, how: str) -> None:
        """Whatever is visible is whole, here and there; nothing that was committed is lost."""
        all_are_whole(self.clones)
        objects = self.clones.folder / how / "store/objects"
        for path in objects.glob("*/*"):
            assert sha256(path.read_bytes()) == path.parent.name + path.name
        assert not self.target.exists() or snapshot(self.target) == self.wanted
        if how == "push":
            kept = self.clones.folder / "mine/store/objects"
            assert {path.name for path in kept.glob("*/*")} <= {path.name for path in objects.glob("*/*")}
            return
        assert isinstance(self.clones.open().record(self.made.key), Record)

    def check_all_there(self, folder: Path) -> None:
        """Somebody else gets it as it was made."""
        self.clones.open().materialise(self.made.outputs[0], str(folder / "back"))
        assert snapshot(folder / "back") == self.wanted
        shutil.rmtree(folder / "back")


@pytest.fixture
def bench(clones: Clones, tmp_path: Path) -> Bench:
    return Bench(clones, tmp_path)


def points(work: Callable[[], Work]) -> Iterator[int]:
    """Some of the calls that a piece of work makes, from the first to about the last."""
    calls = 0

    def counted(number: int) -> int:
        run = work()

        def child() -> None:
            at_call(number, lambda: os._exit(FAILED))
            run()

        return in_child(child)

    low, high = 1, POINTS
    while low < high:
        calls = (low + high) // 2
        low, high = (calls + 1, high) if counted(calls) == FAILED else (low, calls)
    yield from sorted({1 + (low - 2) * step // max(1, ROUNDS - 1) for step in range(ROUNDS)})


@pytest.mark.parametrize("how", ["push", "pull"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_c114_calls_that_are_refused(bench: Bench, tmp_path: Path, how: str, number: int) -> None:
    """ENOSPC, EIO at the Nth call while pushing and pulling → exit 5 or 7, nothing half, L0; again, all is there."""
    refused = 0
    for point in points(lambda: bench.work(how)):
        run = bench.work(how)

        def child(point: int = point, run: Work = run) -> None:
            def refuse() -> None:
                raise OSError(number, os.strerror(number))

            at_call(point, refuse)
            try:
                run()
            except CimlError as error:
                assert error.code in (ExitCode.SERVICE, ExitCode.INTEGRITY), error
                os._exit(FAILED)
            except OSError as error:
                assert error.errno == number  # the command line says what to do, and exits with 5
                os._exit(FAILED)

        status = in_child(child)
        bench.check_nothing_half(how)
        refused += status == FAILED
        assert in_child(run) == FINISHED
        bench.check_all_there(tmp_path)
    assert refused


@pytest.mark.parametrize("how", ["push", "pull"])
def test_c115_killed_at_calls(bench: Bench, tmp_path: Path, how: str) -> None:
    """SIGKILL at the machine's calls in the middle of push and pull → nothing half is seen; again, all is there."""
    for point in points(lambda: bench.work(how)):
        run = bench.work(how)

        def child(point: int = point, run: Work = run) -> None:
            at_call(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
            run()

        assert in_child(child) in (-signal.SIGKILL, FINISHED)
        bench.check_nothing_half(how)
        assert in_child(run) == FINISHED
        bench.check_all_there(tmp_path)


def test_c114_a_disk_that_is_full(bench: Bench, tmp_path: Path) -> None:
    """A large object without room → exit 5, nothing of it is visible, no unfinished file stays; a push needs none."""

    def limited(size: int, act: Work) -> Work:
        def child() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            try:
                act()
            except ServiceError as error:
                os._exit(int(error.code) if "write to the store" in error.message else FAILED)
            except BaseException:
                os._exit(FAILED)  # there may be no room to say why

        return child

    bench.work("push")
    digest = sha256(LARGE)
    assert in_child(limited(0, lambda: bench.clones.open("push").push([digest]))) == FINISHED
    assert bench.clones.names("objects/") == [object_key(digest)]
    assert in_child(bench.work("push")) == FINISHED

    pull = bench.work("pull")
    assert in_child(limited(1 << 20, pull)) == ExitCode.SERVICE
    bench.check_nothing_half("pull")
    assert in_child(pull) == FINISHED
    assert snapshot(bench.target) == bench.wanted
    left = [path for path in (bench.clones.folder / "pull/store/tmp").rglob("*") if path.is_file()]
    assert left == []


TORN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "no-end": lambda data: data + b"3\tetag",
    "other-parts": lambda data: data.replace(b'"', b"0"),
    "a-part-too-many": lambda data: data + data.split(b"\n")[1].replace(b"1", b"9", 1) + b"\n",
    "another-upload": lambda data: b"someone-s\n" + data.partition(b"\n")[2],
}


@pytest.mark.parametrize("torn", TORN)
def test_c116_what_is_remembered_of_an_upload_is_torn(bench: Bench, faulty: Proxy, tmp_path: Path, torn: str) -> None:
    """An upload ends in the middle, and a power cut leaves any memory of it → the object is whole all the same."""
    bench.work("push")
    faulty.fail("PUT", "partNumber=3", "403", times=-1)
    with pytest.raises(TrustError):
        bench.clones.open("push", by=faulty.service).publish(bench.made)
    faulty.rules.clear()
    [memory] = [path for path in (bench.clones.folder / "push/shared").glob("*/uploads/*") if path.is_file()]
    memory.write_bytes(TORN[torn](memory.read_bytes()))
    faulty.fail(
        "PUT", "uploadId=someone-s", "aborted", times=-1
    )  # moto answers 500 for an upload that it does not know

    bench.clones.open("push", by=faulty.service).publish(bench.made)

    all_are_whole(bench.clones)
    bench.check_all_there(tmp_path)
    assert not memory.exists()


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than all else."""
    top = Path("/dev/shm")
    if not top.is_dir() or top.stat().st_dev == tmp_path.stat().st_dev or not os.access(top, os.W_OK):
        pytest.skip("there is no second file system here")
    folder = top / f"ciml-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("far", ["the target", "the clone's store", "what is remembered"])
def test_c117_folders_on_other_disks(other_disk: Path, bench: Bench, far: str) -> None:
    """Rename across file systems: what is unfinished lies beside what it becomes, wherever each of the folders is.

    A pull restores a link where it can, and a copy where the store is on another disk; a push takes from there.
    """
    clone, target = bench.clones.folder / "far", bench.target
    clone.mkdir()
    if far == "the target":
        target = other_disk / "out"
    else:
        (clone / ("store" if far == "the clone's store" else "shared")).symlink_to(other_disk)
    store = bench.clones.open("far")
    output = bench.made.outputs[0]

    for link in (True, False):
        store.materialise(output, str(target), link=link)
    assert snapshot(target) == bench.wanted
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(target.name)] == [target.name]

    bench.clones.empty()
    store.publish(bench.made)
    all_are_whole(bench.clones)
    assert [path for path in (clone / "store/tmp").rglob("*") if path.is_file()] == []


def test_c118_file_systems_without_locks(bench: Bench, tmp_path: Path) -> None:
    """Where no lock can be had, pushes and pulls go on as before, and the first record wins."""

    def unlocked(work: Work) -> Work:
        def child() -> None:
            def hook(event: str, _: object) -> None:
                if event == "fcntl.flock":
                    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

            sys.addaudithook(hook)
            work()

        return child

    def publish_another() -> None:
        store = bench.clones.open("other")
        (tmp_path / "other").write_bytes(b"another")
        made = record_of("made", store.put_path(str(tmp_path / "other"), name=RepoPath("other")))
        assert store.publish(made).outputs == bench.made.outputs

    for how in ("pull", "push"):
        assert in_child(unlocked(bench.work(how))) == FINISHED
        bench.check_nothing_half(how)
    assert in_child(unlocked(publish_another)) == FINISHED
    bench.check_all_there(tmp_path)
