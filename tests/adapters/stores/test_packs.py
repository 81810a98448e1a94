from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ciml.adapters.stores import pack as packing
from ciml.adapters.stores.local import LOOSE, LocalStore
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.pack import PackWriter, opened
from ciml.adapters.stores.session import Session
from ciml.core import listing
from ciml.core.errors import IntegrityError, ServiceError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Miss, Output, Record
from tests.adapters.stores.contract import record_of, sha256, snapshot, tree
from tests.adapters.stores.damage import empty, extend, remove, shorten, turn_into_folder, turn_into_link, zero
from tests.adapters.stores.faults import FAILED, FINISHED, at_call, in_child

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "150"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(str(root), loose=0)


def packs(root: Path) -> list[Path]:
    return sorted((root / "objects/pack").glob("*"))


def loose(root: Path) -> list[Path]:
    return [path for path in (root / "objects").glob("??/*") if path.is_file()]


def texts(count: int, start: int = 0) -> dict[str, bytes]:
    return {f"{number % 7}/{number:06}": b"text %d" % number for number in range(start, start + count)}


def taken(store: LocalStore, top: Path, files: dict[str, bytes]) -> Output:
    """A directory in a store, made for it."""
    return store.put_path(str(tree(top, files)), name=RepoPath("d"))


# How it lies there.


def test_few_files_make_no_pack(root: Path, tmp_path: Path) -> None:
    """A directory of few files is a file for each object, as it is where nothing is ever packed."""
    store = LocalStore(str(root))
    taken(store, tmp_path / "d", texts(LOOSE - 20))  # and a listing of a few objects
    assert len(loose(root)) > LOOSE - 20
    assert packs(root) == []


def test_many_small_files_make_a_pack_for_each_process(root: Path, tmp_path: Path) -> None:
    """Of a directory of many small files only the first and the large ones are files of their own."""
    store = LocalStore(str(root))
    large = {f"large/{number}": b"%d" % number * 200_000 for number in range(3)}
    output = taken(store, tmp_path / "d", {**texts(5_000), **large})

    assert len(loose(root)) <= 2 * LOOSE + 3
    assert 1 <= len(packs(root)) <= 2
    assert os.listdir(root / "tmp") == []
    assert store.stats().objects == 5_003 + len(list(listing.parts(output.digest, store.read)))
    assert store.verify().damaged == ()
    store.materialise(output, str(tmp_path / "back"))
    assert snapshot(tmp_path / "back") == snapshot(tmp_path / "d")


def test_a_pack_is_readable_by_hand(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Its rows are sorted digests with offset and size, and its name is the SHA-256 of rows and footer."""
    taken(store, tmp_path / "d", {"a": b"one", "b": b"two"})
    (path,) = packs(root)
    data = path.read_bytes()

    assert data[-20:-8] == b"ciml/pack/1\0"
    rows = data[-20 - 48 * 3 : -20]  # two files and the listing
    assert path.name == sha256(rows + data[-20:])
    found = [rows[place : place + 48] for place in range(0, len(rows), 48)]
    assert found == sorted(found)
    for row in found:
        offset, size = int.from_bytes(row[32:40], "big"), int.from_bytes(row[40:], "big")
        assert sha256(data[offset : offset + size]) == row[:32].hex()
    assert path.stat().st_mode & 0o777 == 0o444


def test_an_object_is_found_as_the_docs_say(root: Path, tmp_path: Path) -> None:
    """The lines in docs/store.md print the bytes of a packed object."""
    store = LocalStore(str(tmp_path / ".git/ciml/store"), loose=0)
    taken(store, tmp_path / "d", texts(20))
    taken(store, tmp_path / "e", texts(20, 100))
    text = (Path(__file__).parents[3] / "docs/store.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    argv = [sys.executable, "-c", lines, sha256(b"text 107")]
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout == b"text 107"


def test_the_same_bytes_lie_once_in_a_pack(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Of equal files, and of a directory that is taken in again, one object is kept."""
    files = dict.fromkeys("abcdef", b"the same")
    taken(store, tmp_path / "d", files)
    before = packs(root)
    assert store.stats().objects == 2

    again = LocalStore(str(root), loose=0)
    taken(again, tmp_path / "e", files)
    assert packs(root) == before


def test_a_full_pack_is_followed_by_another(root: Path, tmp_path: Path) -> None:
    """A pack that is full says so by objects and by bytes; nothing is lost at the border."""
    writer = PackWriter(str(tmp_path / "pack"))
    for number in range(packing._MOST):
        assert not writer.is_full
        name = number.to_bytes(4, "big") * 8
        writer.add(name, b"")
    assert writer.is_full
    pack = opened(f"{tmp_path}/{writer.publish(str(tmp_path))}")
    assert pack is not None
    assert len(pack) == packing._MOST
    assert pack.find((77).to_bytes(4, "big") * 8) == 77
    assert pack.find(b"\xff" * 32) is None


def test_digests_that_begin_alike(tmp_path: Path) -> None:
    """Objects whose digests have the same first eight bytes are told apart."""
    writer = PackWriter(str(tmp_path / "pack"))
    names = [b"\x80" * 8 + bytes([number]) * 24 for number in (3, 1, 2)]
    for name in names:
        writer.add(name, name)
    pack = opened(f"{tmp_path}/{writer.publish(str(tmp_path))}")
    assert pack is not None
    for name in names:
        number = pack.find(name)
        assert number is not None
        assert pack.read(number) == name
    assert pack.find(b"\x80" * 8 + b"\4" * 24) is None
    assert pack.find(b"\x80" * 8 + b"\0" * 24) is None


def test_a_store_without_packs_asks_for_none(root: Path, tmp_path: Path) -> None:
    """Where no directory of many files was taken in there is no folder of packs."""
    store = LocalStore(str(root))
    store.put_bytes(b"x")
    taken(store, tmp_path / "d", {"a": b"1"})
    assert not (root / "objects/pack").exists()


def test_another_process_finds_what_was_just_packed(root: Path, tmp_path: Path) -> None:
    """A store that was opened before, and has looked before, finds what another one packs, however quickly."""
    reader = LocalStore(str(root))
    for number in range(50):
        text = b"number %d" % number
        assert not reader.holds(sha256(text))
        taken(LocalStore(str(root), loose=0), tmp_path / str(number), {"a": text})
        assert reader.read(sha256(text)) == text


def test_every_way_to_read(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """A packed object can be read, opened, copied, linked (as a copy) and sized; an executable keeps its mode."""
    top = tree(tmp_path / "d", {"a": b"bytes"})
    (top / "a").chmod(0o755)
    output = store.put_path(str(top), name=RepoPath("d"))
    digest = sha256(b"bytes")
    objects = Objects(str(root), Session(str(root)))

    with open(objects.open(digest), "rb") as file:
        assert file.read() == b"bytes"
    assert (objects.size(digest), store.holds(digest), store.has(output)) == (5, True, True)
    store.materialise(output, str(tmp_path / "back"), link=True, read_only=True)
    assert (tmp_path / "back/a").stat().st_mode & 0o777 == 0o555
    part = store.part(output, "a")
    assert part == Output(path=RepoPath("d/a"), digest=digest, size=5, executable=True)


# Damage.


def flip(path: Path, place: int) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_damaged_object_is_taken_out_of_its_pack(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """What is damaged goes to quarantine with its bytes, what is sound stays, and the same again mends it."""
    files = texts(40)
    output = taken(store, tmp_path / "d", files)
    record = store.publish(record_of("a", output))
    (path,) = packs(root)
    at = path.read_bytes().index(b"text 17")
    flip(path, at)
    lost = sha256(b"text 17")

    with pytest.raises(IntegrityError, match=lost):
        store.materialise(output, str(tmp_path / "back"))

    assert not (tmp_path / "back").exists()
    assert not store.holds(lost)
    assert all(store.read(sha256(data)) == data for data in files.values() if data != b"text 17")
    assert [name.rpartition("-")[2] for name in os.listdir(root / "quarantine")] == [lost]
    found = store.record(record.key)
    assert isinstance(found, Miss)
    assert lost in found.reason

    taken(store, tmp_path / "e", files)
    assert store.record(record.key) == record
    store.materialise(output, str(tmp_path / "back"))
    assert snapshot(tmp_path / "back") == snapshot(tmp_path / "d")


def test_any_flipped_bit_is_noticed(root: Path, tmp_path: Path) -> None:
    """Whichever byte of a pack is changed: every object is read right, or is missed; the same again mends it."""
    rng = random.Random(1)
    files = {name: rng.randbytes(30) for name in "abcdefgh"}
    tree(tmp_path / "d", files)
    for _ in range(ROUNDS):
        store = LocalStore(str(root), loose=0)
        output = store.put_path(str(tmp_path / "d"), name=RepoPath("d"))
        store.close()
        path = rng.choice(packs(root))
        flip(path, rng.randrange(path.stat().st_size))
        reader = LocalStore(str(root)) if rng.random() < 0.5 else store
        for data in files.values():
            try:
                assert reader.read(sha256(data)) == data
            except IntegrityError:
                assert not reader.holds(sha256(data))
        reader.close()
    store.put_path(str(tmp_path / "d"), name=RepoPath("d"))
    assert store.has(output)


@pytest.mark.parametrize("same_process", [True, False])
@pytest.mark.parametrize("damage", [empty, shorten, extend, zero, turn_into_folder, turn_into_link, remove])
def test_a_torn_pack(root: Path, tmp_path: Path, damage: Callable[[Path], None], *, same_process: bool) -> None:
    """A pack cut, extended, lost, or replaced by a folder or a link: its objects are missed, and taken in again."""
    files = texts(20)
    store = LocalStore(str(root), loose=0)
    output = taken(store, tmp_path / "d", files)
    record = store.publish(record_of("a", output))
    (path,) = packs(root)
    path.chmod(0o644)
    damage(path)
    if not same_process:
        store.close()
        store = LocalStore(str(root), loose=0)

    for data in files.values():
        try:
            assert store.read(sha256(data)) == data
        except IntegrityError:
            assert not store.holds(sha256(data))
    store.record(record.key)

    taken(store, tmp_path / "e", files)
    assert LocalStore(str(root)).record(record.key) == record
    store.materialise(output, str(tmp_path / "back"))
    assert snapshot(tmp_path / "back") == snapshot(tmp_path / "d")


def test_verify_tells_what_is_wrong_in_packs(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """`verify` names each damaged object, and a torn pack by its own name; `repair` takes them out."""
    record = store.publish(record_of("a", taken(store, tmp_path / "d", texts(20))))
    whole = store.publish(record_of("b", taken(store, tmp_path / "e", texts(20, 100))))
    torn = store.publish(record_of("c", taken(store, tmp_path / "f", texts(20, 200))))
    store.close()
    for path in packs(root):
        data = path.read_bytes()
        if b"text 7" in data and b"text 3" in data:
            flip(path, data.index(b"text 7"))
            flip(path, data.index(b"text 3"))
        elif b"text 207" in data:
            flip(path, len(data) - 1)
            bad = Digest(path.name)
    damaged = {sha256(b"text 3"), sha256(b"text 7")}

    found = LocalStore(str(root)).verify(repair=True)

    assert set(found.damaged) == {*damaged, bad}
    assert set(found.lost) == {record.key, torn.key}
    again = LocalStore(str(root)).verify()
    assert (again.damaged, again.lost, again.checked) == ((), (), 40)
    assert LocalStore(str(root)).record(whole.key) == whole


# Collections.


def collect(root: Path, *needed: Digest, times: int = 1) -> None:
    for _ in range(times):
        LocalStore(str(root)).gc(needed, grace_s=0)


def test_a_pack_that_is_mostly_needless_is_written_anew(root: Path, tmp_path: Path) -> None:
    """Of a pack more than half of which nobody needs, the rest is kept in another one, and the bytes are freed."""
    one = LocalStore(str(root), loose=0)
    top = tree(tmp_path / "d", texts(100))
    one.put_path(str(top), name=RepoPath("d"))
    for name in list(texts(100))[30:]:
        (top / name).unlink()
    few = one.put_path(str(top), name=RepoPath("d"))
    one.close()
    before = set(packs(root))
    size = sum(path.stat().st_size for path in before)

    dry = LocalStore(str(root)).gc([few.digest], grace_s=0, dry_run=True)
    assert (dry.objects, dry.marked) == (0, 71)
    collect(root, few.digest)
    assert LocalStore(str(root)).gc([few.digest], grace_s=0, dry_run=True).objects == 71
    done = LocalStore(str(root)).gc([few.digest], grace_s=0)

    assert done.objects == 71
    assert done.size == sum(len(data) for data in list(texts(100).values())[30:]) + done_listing_size(top, root)
    assert sum(path.stat().st_size for path in packs(root)) < size / 2
    store = LocalStore(str(root))
    assert store.stats().objects == 31
    store.materialise(few, str(tmp_path / "back"))
    assert snapshot(tmp_path / "back") == snapshot(top)
    assert os.listdir(root / "trash") == []


def done_listing_size(top: Path, root: Path) -> int:
    """Bytes of the listing of all hundred files."""
    other = LocalStore(str(root.with_name("other")))
    whole = taken(other, top.with_name("whole"), texts(100))
    return len(other.read(whole.digest))


def test_what_became_needless_later_has_its_own_grace(root: Path, tmp_path: Path) -> None:
    """An object that was needed in the last collection is not removed in this one, with whatever pack it lies."""
    store = LocalStore(str(root), loose=0)
    output = taken(store, tmp_path / "d", texts(100))
    store.close()
    needed = sha256(b"text 5")
    collect(root, needed, times=1)

    collect(root)

    store = LocalStore(str(root))
    assert store.read(needed) == b"text 5"
    assert not store.holds(output.digest)
    store.close()
    collect(root, times=2)
    assert LocalStore(str(root)).stats().objects == 0
    assert packs(root) == []


def test_a_process_keeps_a_pack_that_it_relies_on(root: Path, tmp_path: Path) -> None:
    """Who found bytes in a pack that was marked keeps them through the collections that would remove it."""
    first = LocalStore(str(root), loose=0)
    output = taken(first, tmp_path / "d", texts(30))
    first.close()
    collect(root)
    job = LocalStore(str(root))
    assert taken(job, tmp_path / "e", texts(30)).digest == output.digest
    assert loose(root) == []

    collect(root, times=3)

    assert job.has(output)
    record = job.publish(record_of("a", output))
    job.close()
    collect(root, record.key, times=3)
    assert LocalStore(str(root)).record(record.key) == record


@pytest.mark.parametrize("act", ["take in", "read"])
def test_at_any_moment_of_a_collection(root: Path, tmp_path: Path, act: str) -> None:
    """Whatever a collection is doing with a pack when somebody takes in what is in it, or reads it: all is there."""
    tree(tmp_path / "all", texts(40))
    tree(tmp_path / "few", texts(10))
    for number in range(1, 400):
        first = LocalStore(str(root), loose=0)
        whole = first.put_path(str(tmp_path / "all"), name=RepoPath("d"))
        few = first.put_path(str(tmp_path / "few"), name=RepoPath("d"))
        first.close()
        collect(root, few.digest)
        wanted, top = (whole, "all") if act == "take in" else (few, "few")

        def interleaved(number: int = number, few: Output = few, wanted: Output = wanted, top: str = top) -> None:
            job = LocalStore(str(root), loose=0)
            job.holds(sha256(b"another"))  # it has looked, and knows the packs of before
            done = False

            def look() -> None:
                nonlocal done
                if act == "take in":
                    assert job.put_path(str(tmp_path / "all"), name=RepoPath("d")) == wanted
                _all_readable(job, wanted)
                done = True

            at_call(number, look)
            collect(root, few.digest)
            if not done:
                os._exit(42)
            _all_readable(job, wanted)
            _all_readable(LocalStore(str(root)), wanted)

        status = in_child(interleaved)
        if status == 42:
            assert number > 20
            return
        assert status == FINISHED, number
        for path in root.rglob("*"):
            if path.is_file():
                path.unlink()
    pytest.fail("a collection never ended")


def _all_readable(store: LocalStore, output: Output) -> None:
    for entry in store.entries(output):
        assert sha256(store.read(entry.digest)) == entry.digest


# Crashes.


def test_two_processes_and_a_kill(root: Path, tmp_path: Path) -> None:
    """Killed at any moment of taking in a directory by two processes: nothing is half there."""
    rng = random.Random(3)
    top = tree(tmp_path / "d", texts(4_000))

    def take_in() -> None:
        LocalStore(str(root), loose=0).put_path(str(top), name=RepoPath("d"))

    for _ in range(max(ROUNDS // 15, 5)):
        at = rng.randrange(1, 9_000)

        def killed(at: int = at) -> None:
            at_call(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            take_in()

        status = in_child(killed)  # it may be the second process that is killed, which the first one tells
        assert status in (FINISHED, FAILED, -signal.SIGKILL)
        assert all(opened(str(path)) for path in packs(root))
    store = LocalStore(str(root))
    output = store.put_path(str(top), name=RepoPath("d"))
    assert store.has(output)
    assert store.verify().damaged == ()
    assert os.listdir(root / "tmp") == []


def test_what_fails_in_the_second_process_is_told(root: Path, tmp_path: Path) -> None:
    """Where only the second process cannot publish its pack, that is the call's error, and no output comes back."""
    top = tree(tmp_path / "d", texts(3_000))
    parent = os.getpid()

    def run() -> None:
        me = os.getpid()
        assert me != parent

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "os.rename" and os.getpid() != me:
                raise OSError(28, "No space left on device")

        sys.addaudithook(hook)
        store = LocalStore(str(root), loose=0)
        with pytest.raises(ServiceError, match="No space left"):
            store.put_path(str(top), name=RepoPath("d"))

    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor: there is no second process")
    assert in_child(run) == FINISHED
    assert all(opened(str(path)) for path in packs(root))


def test_what_is_refused_leaves_no_pack(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """A directory that is refused in the end, and a full disk, leave no pack behind, finished or not."""
    top = tree(tmp_path / "d", texts(20))
    (top / "zz").symlink_to("/etc/passwd")
    with pytest.raises(TrustError):
        store.put_path(str(top), name=RepoPath("d"))
    assert packs(root) == []
    assert os.listdir(root / "tmp") == []
    (top / "zz").unlink()
    for name in "abcdefgh":
        (top / name).write_bytes(os.urandom(100_000))

    def limited() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
        with pytest.raises(ServiceError):
            store.put_path(str(top), name=RepoPath("d"))

    assert in_child(limited) == FINISHED
    assert packs(root) == []
    assert os.listdir(root / "tmp") == []


def test_a_pack_in_a_store_that_can_only_be_read(root: Path, tmp_path: Path) -> None:
    """Where nothing may be written, what is packed is read, and what is damaged there is an integrity error."""
    writer = LocalStore(str(root), loose=0)
    record: Record = writer.publish(record_of("a", taken(writer, tmp_path / "d", texts(20))))
    writer.close()
    (path,) = packs(root)
    flip(path, path.read_bytes().index(b"text 7"))

    def read() -> None:
        def hook(event: str, arguments: tuple[object, ...]) -> None:
            changes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_WRONLY)
            if changes or event in ("os.rename", "os.link", "os.mkdir", "os.remove"):
                raise OSError(30, "read-only")

        sys.addaudithook(hook)
        store = LocalStore(str(root))
        assert store.record(record.key) == record
        assert store.read(sha256(b"text 3")) == b"text 3"
        with pytest.raises(IntegrityError):
            store.read(sha256(b"text 7"))
        os._exit(FAILED)

    assert in_child(read) == FAILED
