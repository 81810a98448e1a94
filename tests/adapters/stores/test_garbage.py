from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ciml.adapters.stores.garbage import Collection, Findings, Stats
from ciml.adapters.stores.local import LOOSE, LocalStore
from ciml.core.errors import RaceError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Miss, Output, Record
from tests.adapters.stores.contract import FILES, record_of, sha256, tree
from tests.adapters.stores.faults import FINISHED, at_call, in_child, killed_everywhere

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "150"))


@pytest.fixture(params=["loose", "packed"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Of a store in which every small file is an object of its own, and of one in which each is in a pack."""
    return tmp_path / str(request.param)


def open_store(root: Path) -> LocalStore:
    return LocalStore(str(root), loose=0 if root.name == "packed" else LOOSE)


def publish(root: Path, text: str, *, keep: LocalStore | None = None) -> Record:
    """A record with two objects, made by a process that has ended (unless its store is kept)."""
    store = keep or open_store(root)
    outputs = tuple(_file(store, data) for data in (text, f"{text} and more"))
    record = store.publish(record_of(text, *outputs))
    if keep is None:
        store.close()
    return record


def _file(store: LocalStore, text: str) -> Output:
    path = Path(f"{store.root}-files", str(os.getpid()), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return store.put_path(str(path), name=RepoPath(text))


def is_whole(root: Path, record: Record) -> bool:
    """Whether the record and all its bytes are there."""
    store = open_store(root)
    try:
        found = store.record(record.key)
        if isinstance(found, Miss):
            return False
        return all(sha256(store.read(output.digest)) == output.digest for output in found.outputs)
    finally:
        store.close()


def collect(root: Path, *roots: Digest, times: int = 1, grace_s: float = 0) -> Collection:
    for _ in range(times):
        done = open_store(root).gc(roots, grace_s=grace_s)
    return done


def test_what_nobody_needs_goes_with_the_second_collection(root: Path) -> None:
    """The first collection marks, the second one removes a record and its objects; what a root needs stays."""
    needed, other = publish(root, "needed"), publish(root, "other")

    assert collect(root, needed.key) == Collection(marked=3)
    assert is_whole(root, other) and is_whole(root, needed)
    done = collect(root, needed.key)

    assert (done.records, done.objects, done.marked) == (1, 2, 0)
    assert done.size == len("other") + len("other and more")
    assert is_whole(root, needed)
    assert open_store(root).record(other.key) == Miss()
    assert open_store(root).stats() == Stats(objects=2, size=len("neededneeded and more"), records=1)


def test_a_dry_run_changes_nothing(root: Path) -> None:
    """A dry run says what would be removed, as often as it is asked."""
    publish(root, "other")
    collect(root)
    for _ in range(3):
        done = open_store(root).gc((), grace_s=0, dry_run=True)
        assert (done.records, done.objects) == (1, 2)
    assert open_store(root).stats().objects == 2


def test_the_grace_keeps(root: Path) -> None:
    """What has been unreachable for less than the grace stays, however often is collected."""
    record = publish(root, "young")
    assert collect(root, times=4, grace_s=3600).objects == 0
    assert is_whole(root, record)


def test_roots_may_be_files_and_directories(root: Path, tmp_path: Path) -> None:
    """The digest of a listing keeps the listing and its files; the digest of a file keeps the file."""
    store = open_store(root)
    output = store.put_path(str(tree(tmp_path / "d", FILES)), name=RepoPath("d"))
    file = store.put_bytes(b"a single file")
    store.put_bytes(b"nobody's")
    store.close()

    assert collect(root, output.digest, file, times=2).objects == 1

    store.materialise(output, str(tmp_path / "back"))
    assert store.read(file) == b"a single file"


def test_shared_objects_stay(root: Path) -> None:
    """An object of a removed record that another record has too stays."""
    needed = publish(root, "shared")
    store = open_store(root)
    store.publish(record_of("other", *needed.outputs, _file(store, "own")))
    store.close()

    assert collect(root, needed.key, times=2).objects == 1
    assert is_whole(root, needed)


def test_one_collection_at_a_time(root: Path) -> None:
    """A second collection is told to run again."""
    publish(root, "a")
    collect(root)

    def second() -> None:
        def collect_too() -> None:
            with pytest.raises(RaceError):
                collect(root)

        at_call(25, collect_too)
        collect(root)

    assert in_child(second) == FINISHED


def test_c121_a_running_job_keeps_what_it_stored(root: Path) -> None:
    """A process that has stored objects and not yet published them loses none, however many collections pass."""
    job = open_store(root)
    outputs = [_file(job, text) for text in ("long", "training")]

    assert collect(root, times=5).objects == 0

    record = job.publish(record_of("long training", *outputs))
    job.close()
    assert is_whole(root, record)


def test_c121_a_running_job_keeps_what_it_found(root: Path) -> None:
    """A process that found a marked object, or record, keeps it through the collection that would remove it."""
    old, other = publish(root, "old"), publish(root, "other")
    collect(root)
    job = open_store(root)
    assert _file(job, "old") == old.outputs[0]
    assert job.record(other.key) == other

    collect(root, times=3)

    assert job.holds(old.outputs[0].digest)
    assert is_whole(root, other)
    job.close()
    collect(root, times=2)
    assert open_store(root).stats() == Stats()


@pytest.mark.parametrize("found", ["record", "bytes"])
def test_c121_found_at_any_moment_of_a_collection(root: Path, tmp_path: Path, found: str) -> None:
    """Whatever a collection is doing when somebody finds a marked record or stores marked bytes: it stays.

    The other process acts at the Nth call of the collection, for all N.
    """
    for number in range(1, 400):
        record = publish(root, "old")
        collect(root)

        def interleaved(number: int = number, record: Record = record) -> None:
            done = False

            def act() -> None:
                nonlocal done
                store = open_store(root)
                if found == "bytes" or isinstance(store.record(record.key), Miss):
                    store.publish(record_of("old", *(_file(store, o.path) for o in record.outputs)))
                assert all(store.read(output.digest) for output in record.outputs)
                done = True
                kept.append(store)  # its lease lasts until the collection has ended

            kept: list[LocalStore] = []
            at_call(number, act)
            collect(root)
            if not done:
                os._exit(42)
            assert is_whole(root, record)

        status = in_child(interleaved)
        if status == 42:
            assert number > 20
            return
        assert status == FINISHED, number
        for path in [*root.rglob("*")]:
            if path.is_file():
                path.unlink()
    pytest.fail("a collection never ended")


def test_c121_random_interleavings(root: Path) -> None:
    """Jobs that store, publish, look up and end, with collections in between: nothing live is ever lost."""
    rng = random.Random(121)
    jobs: list[Iterator[None]] = []
    promised: dict[Digest, Record] = {}

    for _ in range(ROUNDS * 4):
        if rng.random() < 0.15:
            needed = rng.sample(sorted(promised), k=len(promised) // 2)
            promised = {key: promised[key] for key in needed}
            collect(root, *needed)
        elif len(jobs) < 4 and rng.random() < 0.4:
            jobs.append(_job(root, f"{rng.randrange(12)}", promised))
        elif jobs:
            job = rng.choice(jobs)
            if next(job, "ended") == "ended":
                jobs.remove(job)
        for record in promised.values():
            assert is_whole(root, record)


def _job(root: Path, name: str, promised: dict[Digest, Record]) -> Iterator[None]:
    """Look up; where there is nothing store two files, publish; use the bytes. Step by step."""
    store = open_store(root)
    record = store.record(sha256(name.encode()))
    yield
    if isinstance(record, Miss):
        outputs = []
        for part in ("shared", name):
            outputs.append(_file(store, part))
            yield
        record = store.publish(record_of(name, *outputs))
    yield
    for output in record.outputs:
        assert store.read(output.digest) == output.path.encode()
        yield
    promised[record.key] = record
    store.close()


def test_c121_a_killed_collection(root: Path) -> None:
    """A collection killed at any call loses nothing live, and the next ones finish its work."""
    needed = publish(root, "needed")
    publish(root, "other")

    def check(_: int) -> None:
        assert is_whole(root, needed)
        collect(root, needed.key, times=2)
        assert is_whole(root, needed)
        assert open_store(root).stats().objects == 2
        assert os.listdir(root / "trash") == []
        publish(root, "other")
        collect(root, needed.key)

    def run() -> None:
        collect(root, needed.key)

    assert killed_everywhere(run, check) > 20


@pytest.mark.parametrize("days", [-1, 3650])
def test_c122_clock_jumps(root: Path, days: int) -> None:
    """A clock that jumps a day back or ten years ahead between two collections costs nothing that is live."""
    needed = publish(root, "needed")
    job = open_store(root)
    fresh = publish(root, "fresh", keep=job)
    collect(root, needed.key, grace_s=3600)

    # Seen from a clock that has jumped, everything that is there is older, or younger.
    _age(root, -days * 86400.0)
    collect(root, needed.key, times=3, grace_s=3600)

    assert is_whole(root, needed)
    assert is_whole(root, fresh)


def _age(root: Path, seconds: float) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, (status.st_atime + seconds, status.st_mtime + seconds))


def test_a_sound_store(root: Path, tmp_path: Path) -> None:
    """Nothing is wrong in a store that nobody touched."""
    publish(root, "a")
    assert open_store(root).verify() == Findings(checked=2)
    assert LocalStore(str(tmp_path / "none")).verify() == Findings()
    assert LocalStore(str(tmp_path / "none")).stats() == Stats()


def _flip(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


@pytest.mark.parametrize("repair", [False, True])
def test_what_is_wrong_is_found_and_repaired(root: Path, repair: bool) -> None:
    """Damaged objects, records that lost one and records that cannot be read are listed; `repair` removes them."""
    if root.name == "packed":
        pytest.skip("what is damaged in a pack: test_packs.py")
    whole, damaged, lost, torn = (publish(root, name) for name in ("whole", "damaged", "lost", "torn"))
    objects, actions = root / "objects", root / "actions"
    bad = damaged.outputs[0].digest
    _flip(objects / bad[:2] / bad[2:])
    gone = lost.outputs[1].digest
    (objects / gone[:2] / gone[2:]).unlink()
    _flip(actions / torn.key[:2] / torn.key[2:])
    store = open_store(root)

    found = store.verify(repair=repair)

    assert found.damaged == (bad,)
    assert set(found.lost) == {damaged.key, lost.key}
    assert found.unreadable == (torn.key,)
    again = store.verify()
    assert (again == Findings(checked=6)) == repair
    assert is_whole(root, whole)
    assert store.stats().quarantined == (4 if repair else 0)
