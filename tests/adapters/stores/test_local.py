from __future__ import annotations

import errno
import functools
import os
import random
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ciml.adapters import files
from ciml.adapters.stores.local import LOOSE, LocalStore
from ciml.adapters.stores.pack import opened
from ciml.app.ports import Store
from ciml.core import listing
from ciml.core.errors import IntegrityError, ServiceError, StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Miss, Output, Record
from tests.adapters.stores.contract import FILES, StoreContract, record_of, sha256, snapshot, tree
from tests.adapters.stores.damage import empty, extend, shorten, swap, turn_into_folder, turn_into_link
from tests.adapters.stores.faults import FAILED, FINISHED, at_call, in_child, killed_everywhere

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "300"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(str(root))


class TestLocalStore(StoreContract):
    """The contract, on a disk."""

    @pytest.fixture
    def make(self, root: Path) -> Callable[..., Store]:
        return functools.partial(LocalStore, str(root))


class TestPackedStore(StoreContract):
    """The contract, where every small file goes into a pack."""

    @pytest.fixture
    def make(self, root: Path) -> Callable[..., Store]:
        return functools.partial(LocalStore, str(root), loose=0)


def object_path(root: Path, digest: Digest) -> Path:
    return root / "objects" / digest[:2] / digest[2:]


def record_path(root: Path, key: Digest) -> Path:
    return root / "actions" / key[:2] / key[2:]


def file_of(store: LocalStore, data: bytes, path: str = "f") -> Output:
    return Output(path=RepoPath(path), digest=store.put_bytes(data), size=len(data))


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """The objects and records of a store."""
    found = snapshot(root) if root.exists() else {}
    return {
        path: what
        for path, what in found.items()
        if path.startswith(("objects/", "actions/")) and not stat.S_ISDIR(what[0])
    }


def check_nothing_partial(root: Path) -> None:
    """Every object is what its name says, and every record is whole."""
    for path, (mode, data) in everything(root).items():
        kind, short, rest = path.split("/")
        assert mode & 0o777 == 0o444
        if short == "pack":
            pack = opened(str(root / path))
            assert pack is not None
            assert all(sha256(data) == name.hex() for name, data in pack.objects())
        elif kind == "objects":
            assert sha256(data) == short + rest
        else:
            assert msgspec.json.decode(data)["record"]["key"] == short + rest


# Reading hostile outputs.


def test_c098_symlink_swapped_between_check_and_publish(store: LocalStore, tmp_path: Path) -> None:
    """A folder swapped for a link while an output is restored: nothing is ever written outside."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    (work / "real").mkdir(parents=True)
    elsewhere.mkdir()
    output = store.put_path(str(tree(tmp_path / "d", {"a/b": b"1", "c": b"2"})), name=RepoPath("d"))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                (work / "out").symlink_to(elsewhere)
                os.unlink(work / "out")
                os.rename(work / "real", work / "out")
                os.rename(work / "out", work / "real")
            except OSError:  # a folder that was made meanwhile is in the way
                shutil.rmtree(work / "out", ignore_errors=True)
                (work / "real").mkdir(exist_ok=True)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(ROUNDS):
            try:
                store.materialise(output, str(work / "out/d"), within=str(work))
            except (TrustError, ServiceError):
                continue
    finally:
        stop.set()
        swapping.join()
    assert list(elsewhere.iterdir()) == []


def test_c098_symlink_swapped_while_an_output_is_read(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """A folder of an output swapped for a link while it is stored: nothing from outside gets into the store."""
    top = tree(tmp_path / "d", {"s/file": b"inside", "t/file": b"inside"})
    tree(tmp_path / "elsewhere", {"file": b"secret"})
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(top / "s", top / "aside")
            (top / "s").symlink_to("../elsewhere")
            os.unlink(top / "s")
            os.rename(top / "aside", top / "s")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(ROUNDS):
            try:
                store.put_path(str(top), name=RepoPath("d"))
            except (TrustError, StageError):
                continue
    finally:
        stop.set()
        swapping.join()
    assert not store.holds(sha256(b"secret"))


def test_c098_a_link_on_the_way_is_refused(store: LocalStore, tmp_path: Path) -> None:
    """A link between the work tree and an output is exit 6; its target is unchanged."""
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work/out").symlink_to("../elsewhere")

    with pytest.raises(TrustError, match="symbolic link"):
        store.materialise(file_of(store, b"x"), str(tmp_path / "work/out/f"), within=str(tmp_path / "work"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_c099_hard_links_from_an_output(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """An output with a second name is copied: writing to the other name changes nothing in the store."""
    (tmp_path / "outside").write_bytes(b"before")
    os.link(tmp_path / "outside", tmp_path / "out")

    output = store.put_path(str(tmp_path / "out"), name=RepoPath("out"))
    (tmp_path / "outside").write_bytes(b"after!")

    assert store.read(output.digest) == b"before"
    assert object_path(root, output.digest).stat().st_mode & 0o777 == 0o444


def test_c099_restored_outputs_are_not_the_stores_files(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """What lies in the work tree can be written without touching the store; only `link` shares a file."""
    output = file_of(store, os.urandom(3 << 20))

    store.materialise(output, str(tmp_path / "mine"))
    store.materialise(output, str(tmp_path / "linked"), link=True, read_only=True)
    (tmp_path / "mine").write_bytes(b"changed")

    assert sha256(store.read(output.digest)) == output.digest
    assert (tmp_path / "linked").stat().st_mode & 0o777 == 0o444
    linked = (tmp_path / "linked").samefile(object_path(root, output.digest))
    assert linked != files.can_clone(str(root))


def test_c099_a_linked_file_that_was_changed_is_noticed(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Who writes through a linked input damages the store's file: the next reader notices."""
    output = file_of(store, b"x" * (2 << 20))
    store.materialise(output, str(tmp_path / "linked"), link=True, read_only=True)
    path = object_path(root, output.digest)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"y")

    with pytest.raises(IntegrityError):
        store.materialise(output, str(tmp_path / "again"), link=True, read_only=True)
    assert not (tmp_path / "again").exists()
    assert not store.holds(output.digest)


def test_a_large_object_is_verified_once_a_process(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """A second link to an object that did not change reads no byte of it: it is as quick for any size."""
    output = file_of(store, b"x" * (2 << 20))

    def bytes_read() -> int:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(fields["rchar"])

    store.materialise(output, str(tmp_path / "one"), link=True)
    if not (tmp_path / "one").samefile(object_path(root, output.digest)):
        pytest.skip("files share their bytes here, and are not linked")
    before = bytes_read()
    store.materialise(output, str(tmp_path / "two"), link=True)
    assert bytes_read() - before < output.size
    assert (tmp_path / "two").samefile(tmp_path / "one")


def test_c100_a_named_pipe(store: LocalStore, tmp_path: Path) -> None:
    """A named pipe as an output, or in one, is refused by its kind; nobody waits for a writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StageError, match="out is a named pipe"):
        store.put_path(str(tmp_path / "pipe"), name=RepoPath("out"))
    (tmp_path / "d").mkdir()
    os.rename(tmp_path / "pipe", tmp_path / "d/pipe")
    with pytest.raises(StageError, match="out/pipe is a named pipe"):
        store.put_path(str(tmp_path / "d"), name=RepoPath("out"))


def test_c100_sockets_and_devices(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket and a device are refused by their kind."""
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        with pytest.raises(StageError, match="out is a socket"):
            store.put_path(str(tmp_path / "s"), name=RepoPath("out"))
    with pytest.raises(StageError, match="out is a device"):
        store.put_path("/dev/null", name=RepoPath("out"))


def test_c100_a_hole_larger_than_the_disk(store: LocalStore, tmp_path: Path) -> None:
    """A sparse file of a terabyte is refused at once, and not read for an hour."""
    room = os.statvfs(tmp_path)
    with (tmp_path / "hole").open("wb") as file:
        try:
            file.truncate(room.f_bavail * room.f_frsize + (1 << 40))
        except OSError:
            pytest.skip("this file system has no files of that size")

    with pytest.raises(StageError, match="sparse"):
        store.put_path(str(tmp_path / "hole"), name=RepoPath("out"))


def test_c100_unreadable(store: LocalStore, tmp_path: Path) -> None:
    """A file or a folder without the right to read is the stage's failure, and names itself."""
    top = tree(tmp_path / "d", {"locked/x": b"", "file": b""})
    (top / "locked").chmod(0)
    (top / "file").chmod(0)

    def read(name: str) -> None:
        os.chdir(top)
        if os.getuid() == 0:
            os.setuid(65534)
        with pytest.raises(StageError, match=f"{name} cannot be read"):
            store.digest_of(name)

    for name in ("locked", "file"):
        assert in_child(functools.partial(read, name)) == FINISHED
    (top / "locked").chmod(0o755)


@pytest.mark.parametrize("umask", [0o777, 0, 0o077])
def test_c106_the_umask_has_no_say(tmp_path: Path, umask: int) -> None:
    """Modes in the store and in the work tree, digests and records are the same under any umask."""

    def run(name: str) -> None:
        store = LocalStore(str(tmp_path / name))
        output = store.put_path(str(tmp_path / "d"), name=RepoPath("d"))
        store.publish(record_of("a", output))
        store.materialise(output, str(tmp_path / f"{name}-back"))

    def masked() -> None:
        os.umask(umask)
        run("masked")

    tree(tmp_path / "d", FILES)
    run("plain")
    assert in_child(masked) == FINISHED

    assert everything(tmp_path / "masked") == everything(tmp_path / "plain")
    assert snapshot(tmp_path / "masked-back") == snapshot(tmp_path / "plain-back")


# Damage.


def test_c107_flipped_bits(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Any flipped bit in an object is noticed when it is read; the object is quarantined and can be stored again."""
    rng = random.Random(107)
    data = rng.randbytes(5_000)
    output = file_of(store, data)
    path = object_path(root, output.digest)
    for number in range(ROUNDS):
        bad = bytearray(data)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.unlink()
        path.write_bytes(bad)

        with pytest.raises(IntegrityError, match=output.digest):
            if number % 2:
                store.read(output.digest)
            else:
                store.materialise(output, str(tmp_path / "out"))
        assert not store.holds(output.digest)
        assert not (tmp_path / "out").exists()
        assert store.put_bytes(data) == output.digest
    assert store.read(output.digest) == data
    assert len(list((root / "quarantine").iterdir())) == ROUNDS


@pytest.mark.parametrize("size", [10, 200_000, 2 << 20])
@pytest.mark.parametrize("damage", [empty, shorten, extend, swap, turn_into_folder, turn_into_link])
def test_c108_objects_of_another_size_or_kind(
    store: LocalStore, root: Path, tmp_path: Path, damage: Callable[[Path], None], size: int
) -> None:
    """An object cut, extended, swapped or replaced by a folder or a link is noticed, and stored again."""
    data = b"x" * size
    output = file_of(store, data)
    record = store.publish(record_of("a", output))
    object_path(root, output.digest).chmod(0o644)
    damage(object_path(root, output.digest))

    with pytest.raises(IntegrityError):
        store.materialise(output, str(tmp_path / "out"), link=True)
    assert isinstance(store.record(record.key), Miss)

    store.put_bytes(data)
    assert store.record(record.key) == record
    store.materialise(output, str(tmp_path / "out"), link=True)
    assert (tmp_path / "out").read_bytes() == data


def test_c108_a_damaged_object_does_not_stand_in_the_way(store: LocalStore, root: Path) -> None:
    """Storing bytes whose object has another size replaces it, though nobody has read it."""
    digest = store.put_bytes(b"bytes")
    object_path(root, digest).chmod(0o644)
    object_path(root, digest).write_bytes(b"byte")

    assert store.put_bytes(b"bytes") == digest
    assert store.read(digest) == b"bytes"


def _document(record: Record, /, **changes: object) -> bytes:
    action = {"format": "ciml/action/1", "space": "local", "salt": "", "record": msgspec.to_builtins(record)}
    return msgspec.json.encode({**action, **changes})


def _other(record: Record, /, **changes: object) -> dict[str, object]:
    return {**msgspec.to_builtins(record), **changes}


RECORD = record_of("c109")
BAD_RECORDS = {
    "torn": _document(RECORD)[:-20],
    "empty": b"",
    "zeros": b"\0" * 400,
    "not UTF-8": b'{"format": "\xff"}',
    "wrong key inside": _document(RECORD, record=_other(RECORD, key="0" * 64)),
    "unknown version": _document(RECORD, format="ciml/action/2"),
    "unknown record version": _document(RECORD, record=_other(RECORD, format="ciml/record/2")),
    "extra field": _document(RECORD, trusted=True),
    "another space": _document(RECORD, space="pr/7"),
    "another salt": _document(RECORD, salt="0123"),
    "a digest that leads elsewhere": _document(
        RECORD, record=_other(RECORD, outputs=[{"path": "f", "digest": "../../x", "size": 1}])
    ),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_c109_bad_records_are_misses(store: LocalStore, root: Path, data: bytes) -> None:
    """A record that is torn, of another key, version, space or salt is a miss with its reason, and gives way."""
    store.publish(RECORD)
    assert store.record(RECORD.key) == RECORD
    path = record_path(root, RECORD.key)
    path.unlink()
    path.write_bytes(data)

    found = store.record(RECORD.key)
    assert isinstance(found, Miss)
    assert found.reason.startswith("its record")
    assert store.publish(RECORD) == RECORD
    assert store.record(RECORD.key) == RECORD


def test_c109_a_folder_in_a_records_place(store: LocalStore, root: Path) -> None:
    """A folder where a record should be is a miss, and gives way."""
    record_path(root, RECORD.key).mkdir(parents=True)

    assert isinstance(store.record(RECORD.key), Miss)
    assert store.publish(RECORD) == RECORD
    assert store.record(RECORD.key) == RECORD


@pytest.mark.parametrize("lost", range(6))
def test_c110_record_present_object_missing(store: LocalStore, root: Path, tmp_path: Path, lost: int) -> None:
    """A record of which any object is gone, of a file or of a listing, is a miss that names it."""
    output = store.put_path(str(tree(tmp_path / "d", FILES)), name=RepoPath("d"))
    record = store.publish(record_of("a", file_of(store, b"file"), output))
    digests = sorted(path for path in everything(root) if path.startswith("objects/"))
    assert len(digests) == 6
    (root / digests[lost]).unlink()

    found = store.record(record.key)

    assert isinstance(found, Miss)
    assert digests[lost].removeprefix("objects/").replace("/", "") in found.reason


def test_c111_poisoned_record_in_another_space(root: Path) -> None:
    """`main` reads nothing of `pr/7`, even where the file is copied over; `pr/7` reads its own and `main`."""
    main, pull = LocalStore(str(root), space="main"), LocalStore(str(root), space="pr/7", reads=["main"])
    poison = record_of("a", file_of(pull, b"poison"))
    pull.publish(poison)

    assert main.record(poison.key) == Miss()
    place = root / "spaces/main" / poison.key[:2]
    place.mkdir(parents=True)
    (place / poison.key[2:]).write_bytes((root / "spaces/pr/7" / poison.key[:2] / poison.key[2:]).read_bytes())
    assert isinstance(main.record(poison.key), Miss)

    good = record_of("b", file_of(main, b"good"))
    main.publish(good)
    assert pull.record(good.key) == good
    assert pull.record(poison.key) == poison


def test_c113_disowned_records(store: LocalStore, root: Path) -> None:
    """A record disowned by key is a miss; with no key all that exist are, and what is made later is not."""
    one, two, later = (store.publish(record_of(name)) for name in ("one", "two", "later"))

    store.disown([one.key])
    assert isinstance(LocalStore(str(root)).record(one.key), Miss)
    assert store.record(two.key) == two

    store.disown()
    for record in (one, two, later):
        found = LocalStore(str(root)).record(record.key)
        assert found in (Miss(), Miss(reason="its record was disowned"))
    assert store.publish(later) == later
    assert LocalStore(str(root)).record(later.key) == later


# Failures and crashes.


_LOOSE = pytest.mark.parametrize("loose", [LOOSE, 0], ids=["loose", "packed"])


def _work(root: Path, tmp_path: Path, loose: int) -> None:
    """What a run does: store, publish, restore over something."""
    store = LocalStore(str(root), loose=loose)
    output = store.put_path(str(tmp_path / "d"), name=RepoPath("d"))
    store.publish(record_of("a", output, file_of(store, b"x" * 300_000)))
    store.materialise(output, str(tmp_path / "work/out"))
    store.flush()
    store.close()


def _prepare(tmp_path: Path) -> None:
    tree(tmp_path / "d", {"a": b"1", "s/b": b"2" * 200_000})
    tree(tmp_path / "work", {"out/old": b"old"})


@_LOOSE
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE])
def test_c114_errors_of_the_system_everywhere(root: Path, tmp_path: Path, number: int, loose: int) -> None:
    """Whichever call is refused: exit 5 or 11, nothing partial to be seen, and the next run tidies up."""
    _prepare(tmp_path)
    refused = 0

    def fail(point: int) -> None:
        def refuse() -> None:
            raise OSError(number, os.strerror(number))

        at_call(point, refuse)
        try:
            _work(root, tmp_path, loose)
        except (ServiceError, StageError):
            os._exit(FAILED)

    for point in range(1, 1_000):
        status = in_child(functools.partial(fail, point))
        check_nothing_partial(root)
        if status == FINISHED and refused and point > 60:
            break
        refused += status == FAILED
        assert status in (FINISHED, FAILED)
    assert refused > 5
    _work(root, tmp_path, loose)
    assert os.listdir(root / "tmp") == []
    assert (tmp_path / "work/out/a").read_bytes() == b"1"


def test_c114_a_disk_that_is_full_in_the_middle_of_a_file(root: Path, tmp_path: Path) -> None:
    """A write that stops half-way leaves no object, and no unfinished file either."""
    import resource

    (tmp_path / "large").write_bytes(b"x" * 400_000)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
        store = LocalStore(str(root))
        with pytest.raises(ServiceError, match="large"):
            store.put_path(str(tmp_path / "large"), name=RepoPath("large"))

    assert in_child(limited) == FINISHED
    assert everything(root) == {}
    assert os.listdir(root / "tmp") == []


@_LOOSE
def test_c115_killed_at_every_call(root: Path, tmp_path: Path, loose: int) -> None:
    """Killed at any call of storing, publishing, restoring: nothing partial is seen, and the same again ends alike."""
    _prepare(tmp_path)
    target = tmp_path / "work/out"
    whole = snapshot(tmp_path / "d")
    before = snapshot(target)

    def check(_: int) -> None:
        check_nothing_partial(root)
        assert not target.exists() or snapshot(target) in (before, whole)
        _work(root, tmp_path, loose)
        assert snapshot(target) == whole
        assert LocalStore(str(root)).record(record_of("a").key) != Miss()
        assert os.listdir(root / "tmp") == []
        for path in [*root.rglob("*")]:
            if path.is_file():
                path.unlink()

    assert killed_everywhere(lambda: _work(root, tmp_path, loose), check) > 40


@_LOOSE
def test_c116_power_loss_is_never_silent(root: Path, tmp_path: Path, loose: int) -> None:
    """Whatever files a power cut empties, cuts or loses: a reader gets the right bytes or is told."""
    rng = random.Random(116)
    data = {name: rng.randbytes(3_000) for name in "abcd"}
    tree(tmp_path / "d", data)
    for _ in range(ROUNDS // 3):
        store = LocalStore(str(root), loose=loose)
        output = store.put_path(str(tmp_path / "d"), name=RepoPath("d"))
        record = record_of("a", output)
        store.publish(record)
        for path in sorted(everything(root)):
            fate = rng.choice(["kept", "kept", "kept", "empty", "half", "zeros", "lost"])
            _tear(root / path, fate)
        found = LocalStore(str(root)).record(record.key)
        if isinstance(found, Record):
            assert found == record
            try:
                store.materialise(output, str(tmp_path / "back"))
            except IntegrityError:
                continue
            assert snapshot(tmp_path / "back") == snapshot(tmp_path / "d")
    store.put_path(str(tmp_path / "d"), name=RepoPath("d"))


def _tear(path: Path, fate: str) -> None:
    if fate == "kept":
        return
    size = path.stat().st_size
    data = path.read_bytes()
    path.unlink()
    if fate != "lost":
        path.write_bytes({"empty": b"", "half": data[: size // 2], "zeros": b"\0" * size}[fate])


def test_c117_a_target_on_another_disk(store: LocalStore, tmp_path: Path) -> None:
    """Where the target is on another file system, the unfinished file lies beside it, and nothing else stays."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev or not os.access(other, os.W_OK):
        pytest.skip("there is no second file system here")
    folder = other / f"ciml-test-{os.getpid()}"
    output = store.put_path(str(tree(tmp_path / "d", FILES)), name=RepoPath("d"))
    try:
        for _ in range(2):
            store.materialise(output, str(folder / "out"), link=True)
            assert snapshot(folder / "out") == snapshot(tmp_path / "d")
            assert os.listdir(folder) == ["out"]
    finally:
        shutil.rmtree(folder)


def test_c100_a_hundred_thousand_files(store: LocalStore, tmp_path: Path) -> None:
    """100,000 tiny files as an output are taken in, each counted, and come back as they were."""
    top = tmp_path / "out"
    for folder in range(100):
        (top / str(folder)).mkdir(parents=True)
        for number in range(1000):
            if folder:
                os.link(top / "0" / str(number), top / str(folder) / str(number))
            else:
                (top / "0" / str(number)).write_bytes(b"%d" % number)

    output = store.put_path(str(top), name=RepoPath("out"))

    assert (output.files, output.size) == (100_000, 100 * sum(len(str(number)) for number in range(1000)))
    assert store.has(output)
    part = store.part(output, "99")
    assert part is not None and part.files == 1000
    store.materialise(part, str(tmp_path / "99"))
    assert snapshot(tmp_path / "99") == snapshot(top / "99")


@_LOOSE
def test_c118_a_file_system_without_locks(root: Path, tmp_path: Path, loose: int) -> None:
    """Where no lock can be had, all works as before: the first record wins by its link alone."""

    def run() -> None:
        import sys

        def hook(event: str, _: object) -> None:
            if event == "fcntl.flock":
                raise OSError(errno.ENOLCK, "no locks available")

        sys.addaudithook(hook)
        _prepare(tmp_path)
        _work(root, tmp_path, loose)
        store = LocalStore(str(root))
        first = store.publish(record_of("b", seconds=1))
        assert LocalStore(str(root)).publish(record_of("b", seconds=2)) == first

    assert in_child(run) == FINISHED
    check_nothing_partial(root)


def test_c119_many_processes_publish_the_same_key(root: Path, tmp_path: Path) -> None:
    """64 processes with one key: one object, one record, and all succeed."""
    ready, go = os.pipe()

    def publish() -> None:
        os.close(go)
        os.read(ready, 1)  # until the other end is closed: all at once
        store = LocalStore(str(root))
        store.publish(record_of("a", file_of(store, b"the same bytes")))
        store.close()

    children = []
    for _ in range(64):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                publish()
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    os.close(go)
    os.close(ready)

    assert {os.waitpid(pid, 0)[1] for pid in children} == {0}
    assert len(everything(root)) == 2
    assert os.listdir(root / "tmp") == []
    assert os.listdir(root / "leases") == []


def test_c120_two_processes_with_different_bytes(root: Path, tmp_path: Path) -> None:
    """A stage that is not deterministic: the first record stands, and the second one is given the first's bytes."""
    one, two = LocalStore(str(root)), LocalStore(str(root))
    first = one.publish(record_of("a", file_of(one, b"one")))
    stands = two.publish(record_of("a", file_of(two, b"two")))

    assert stands == first
    two.materialise(stands.outputs[0], str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"one"


# Parts, digests, durability.


def test_a_part_of_an_output(store: LocalStore, tmp_path: Path) -> None:
    """A folder or a file in an output is an output of its own, with the digest it would have alone."""
    top = tree(tmp_path / "d", FILES)
    whole = store.put_path(str(top), name=RepoPath("out"))

    part = store.part(whole, "sub")
    assert part == store.put_path(str(top / "sub"), name=RepoPath("out/sub"))
    assert store.part(whole, "sub-a") == store.put_path(str(top / "sub-a"), name=RepoPath("out/sub-a"))
    assert store.part(whole, "su") is None


def test_the_digest_of_a_path(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """`digest_of` gives what storing would give, stores nothing, and None for nothing."""
    top = tree(tmp_path / "d", FILES)
    digest = store.digest_of(str(top))
    assert not root.exists()
    assert digest == store.put_path(str(top), name=RepoPath("d")).digest
    assert store.digest_of(str(tmp_path / "none")) is None


def test_a_listing_on_its_own(store: LocalStore, tmp_path: Path) -> None:
    """A listing can be stored before the files that it names are there."""
    entries = [listing.Entry(path=b"a", mode=listing.FILE, digest=sha256(b"1"), size=1)]
    output = store.put_listing(entries, name=RepoPath("d"))

    assert output == store.put_path(str(tree(tmp_path / "d", {"a": b"1"})), name=RepoPath("d"))


def test_records_become_durable_without_being_asked(root: Path) -> None:
    """A second after the first record, the next one has both written to the disk; `flush` waits for it."""
    now = 0.0
    store = LocalStore(str(root), clock=lambda: now)
    for number in range(3):
        store.publish(record_of(str(number)))
        now += 0.6
    store.flush()
    store.close()
    assert len(everything(root)) == 3


def test_only_reading(root: Path) -> None:
    """A store that nobody may write to can be read."""
    writer = LocalStore(str(root))
    record = writer.publish(record_of("a", file_of(writer, b"bytes")))
    writer.close()

    def read() -> None:
        import sys

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            changes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_WRONLY)
            if changes or event in ("os.rename", "os.link", "os.mkdir", "os.remove"):
                raise OSError(errno.EROFS, "read-only")

        sys.addaudithook(hook)
        store = LocalStore(str(root))
        assert store.record(record.key) == record
        assert store.read(record.outputs[0].digest) == b"bytes"

    assert in_child(read) == FINISHED
