"""Collections in a shared store, while others are at work."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator

import msgspec
import pytest

from ciml.adapters.stores.garbage import Collection
from ciml.adapters.stores.shared import SharedStore
from ciml.core.errors import ConfigurationError, IntegrityError, RaceError
from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Miss, Output, Record
from tests.adapters.stores.clones import Clones, object_key
from tests.adapters.stores.contract import FILES, record_of, sha256, tree
from tests.s3proxy import Proxy, proxy
from tests.s3server import rclone

ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "20"))
STEP = 1 if ROUNDS > 20 else 5
"""Of the requests that something happens before."""


def publish(clones: Clones, text: str, store: SharedStore | None = None) -> Record:
    """A record with two objects, made by a process that has ended (unless its store is given)."""
    by = store or clones.open()
    outputs = tuple(_file(by, data) for data in (text, f"{text} and more"))
    record = by.publish(record_of(text, *outputs))
    if store is None:
        by.close()
    return record


def _file(store: SharedStore, text: str) -> Output:
    return Output(path=RepoPath(text), digest=store.put_bytes(text.encode()), size=len(text.encode()))


def collect(
    clones: Clones, *roots: Digest, times: int = 1, grace_s: float = 0, by: SharedStore | None = None
) -> Collection:
    for _ in range(times):
        collector = by or clones.open("collector")
        done = collector.gc(roots, grace_s=grace_s)
        if by is None:
            collector.close()
    return done


def is_whole(clones: Clones, record: Record) -> bool:
    """Whether the bucket has a record and all its bytes."""
    client = clones.service.client()
    names = set(clones.names())
    if f"records/user/a/{record.key[:2]}/{record.key[2:]}" not in names:
        return False
    keys = [object_key(output.digest) for output in record.outputs]
    return names.issuperset(keys) and all(
        sha256(client.get_object(Bucket=clones.bucket, Key=f"ciml/{key}")["Body"].read()) == output.digest
        for key, output in zip(keys, record.outputs, strict=True)
    )


def test_what_nobody_needs_goes_with_the_second_collection(clones: Clones) -> None:
    """The first collection marks, the second one removes a record and its objects; what a root needs stays."""
    needed, other = publish(clones, "needed"), publish(clones, "other")

    assert collect(clones, needed.key) == Collection(marked=3)
    assert is_whole(clones, other) and is_whole(clones, needed)
    done = collect(clones, needed.key)

    assert (done.records, done.objects, done.marked) == (1, 2, 0)
    assert done.size == len("other") + len("other and more")
    assert is_whole(clones, needed)
    assert clones.open().record(other.key) == Miss()
    assert len(clones.names("objects/")) == 2
    assert {name.partition("/")[0] for name in clones.names()} == {"objects", "records", "state"}


def test_a_dry_run_changes_nothing(clones: Clones) -> None:
    """A dry run says what would be removed, as often as it is asked."""
    publish(clones, "other")
    collect(clones)
    before = clones.names()
    for _ in range(3):
        done = clones.open("collector").gc((), grace_s=0, dry_run=True)
        assert (done.records, done.objects) == (1, 2)
    assert clones.names() == before


def test_what_is_young_stays(clones: Clones) -> None:
    """What is younger than the grace is not even marked, however often is collected."""
    record = publish(clones, "young")
    assert collect(clones, times=4, grace_s=3600) == Collection()
    assert is_whole(clones, record)


def test_roots_may_be_files_and_directories(clones: Clones) -> None:
    """The digest of a listing keeps the listing and its files; the digest of a file keeps the file."""
    store = clones.open()
    output = store.put_path(str(tree(clones.folder / "d", FILES)), name=RepoPath("d"))
    digests = [output.digest, *map(sha256, FILES.values())]
    kept = [digest for digest in digests if store.local.holds(digest)]
    file, nobodys = store.put_bytes(b"a single file"), store.put_bytes(b"nobody's")
    store.push([*kept, file, nobodys])
    store.close()

    assert collect(clones, output.digest, file, times=2).objects == 1

    clones.open().materialise(output, str(clones.folder / "back"))
    assert clones.open().read(file) == b"a single file"
    with pytest.raises(IntegrityError):
        clones.open().read(nobodys)


def test_shared_objects_stay(clones: Clones) -> None:
    """An object of a removed record that another record has too stays."""
    needed = publish(clones, "shared")
    store = clones.open()
    store.publish(record_of("other", *[_file(store, o.path) for o in needed.outputs], _file(store, "own")))
    store.close()

    assert collect(clones, needed.key, times=2).objects == 1
    assert is_whole(clones, needed)


def test_one_collection_at_a_time(clones: Clones, faulty: Proxy) -> None:
    """A collection that another one has overtaken says so, and what the other one found stands."""
    publish(clones, "a")
    faulty.call("GET", "prefix=ciml%2Frecords", lambda: str(collect(clones)))

    with pytest.raises(RaceError, match="another collection"):
        collect(clones, by=clones.open(by=faulty.service))

    assert collect(clones).objects == 2


def test_a_store_without_conditional_writes(clones: Clones) -> None:
    """Where two collections could not be told apart, none is begun: exit 3."""
    folder = clones.folder / "rclone"
    folder.mkdir(parents=True)
    with rclone(folder) as service:
        there = Clones(service, service.bucket(), clones.folder / "there")
        record = publish(there, "a")
        with pytest.raises(ConfigurationError, match="lacks conditional writes"):
            collect(there)
        assert is_whole(there, record)
        there.close()


def test_c121_a_running_job_keeps_what_it_stored(clones: Clones) -> None:
    """A process that has pushed objects and not yet published them loses none, however many collections pass."""
    job = clones.open()
    outputs = [_file(job, text) for text in ("long", "training")]
    job.push(output.digest for output in outputs)

    assert collect(clones, times=5).objects == 0

    record = job.publish(record_of("long training", *outputs))
    job.close()
    assert is_whole(clones, record)


def test_c121_a_running_job_keeps_what_it_found(clones: Clones) -> None:
    """A process that found a marked object, or record, keeps it through the collection that would remove it."""
    old, other = publish(clones, "old"), publish(clones, "other")
    collect(clones)
    job = clones.open()
    job.push([_file(job, "old").digest])
    assert job.record(other.key) == other

    collect(clones, times=3)

    assert f"objects/{old.outputs[0].digest[:2]}/{old.outputs[0].digest[2:]}" in clones.names("objects/")
    assert is_whole(clones, other)


@pytest.mark.parametrize("found", ["record", "bytes"])
def test_c121_found_at_any_moment_of_a_collection(clones: Clones, faulty: Proxy, found: str) -> None:
    """Whatever a collection is doing when somebody finds a marked record or stores marked bytes: it stays.

    The other process acts before the Nth request of the collection, for all N (in the short form, for some). It waits
    for what is being removed.
    """
    with proxy(clones.service) as watched:
        for number in range(1, 100, STEP):
            record = publish(clones, f"{found} {number}")
            collect(clones)
            other = _Other(clones, watched, record, bytes_too=found == "bytes")
            faulty.before(number, other.act)
            clones.open("collector", by=faulty.service).gc((), grace_s=0)
            if other.store is None:
                assert number > 10
                return
            other.thread.join()
            assert is_whole(clones, record), number
            clones.empty()
    pytest.fail("a collection never ended")


class _Other:
    """Somebody who finds a record, or stores its bytes, while a collection waits for an answer."""

    def __init__(self, clones: Clones, watched: Proxy, record: Record, *, bytes_too: bool) -> None:
        self._clones = clones
        self._watched = watched
        self._record = record
        self._bytes_too = bytes_too
        self.store: SharedStore | None = None
        self.thread = threading.Thread(target=self._find)

    def act(self) -> None:
        """Return when it is done, or waits for the collection."""
        before = self._looks()
        self.store = self._clones.open(by=self._watched.service)
        self.thread.start()
        while self.thread.is_alive() and self._looks() < before + 2:
            self.thread.join(0.02)

    def _looks(self) -> int:
        return self._watched.count("GET", "prefix=ciml%2Fcondemned")

    def _find(self) -> None:
        assert self.store is not None
        if self._bytes_too or isinstance(self.store.record(self._record.key), Miss):
            outputs = tuple(_file(self.store, output.path) for output in self._record.outputs)
            self.store.publish(msgspec.structs.replace(self._record, outputs=outputs))


def test_c121_random_interleavings(clones: Clones) -> None:
    """Jobs that store, publish, look up and end, with collections in between: nothing live is ever lost."""
    rng = random.Random(121)
    jobs: list[Iterator[None]] = []
    promised: dict[Digest, Record] = {}

    for _ in range(ROUNDS * 4):
        if rng.random() < 0.2:
            needed = rng.sample(sorted(promised), k=len(promised) // 2)
            promised = {key: promised[key] for key in needed}
            collect(clones, *needed)
            for record in promised.values():
                assert is_whole(clones, record)
        elif len(jobs) < 4 and rng.random() < 0.4:
            jobs.append(_job(clones, f"{rng.randrange(6)}", promised))
        elif jobs:
            job = rng.choice(jobs)
            if next(job, "ended") == "ended":
                jobs.remove(job)


def _job(clones: Clones, name: str, promised: dict[Digest, Record]) -> Iterator[None]:
    """Look up; where there is nothing store two files, publish; use the bytes. Step by step."""
    store = clones.open()
    record = store.record(sha256(name.encode()))
    yield
    if isinstance(record, Miss):
        outputs = []
        for part in ("shared", name):
            outputs.append(_file(store, part))
            store.push([outputs[-1].digest])
            yield
        record = store.publish(record_of(name, *outputs))
    yield
    for output in record.outputs:
        assert store.read(output.digest) == output.path.encode()
        yield
    promised[record.key] = record
    store.close()


@pytest.mark.parametrize("days", [-1, 3650])
def test_c122_clock_jumps(clones: Clones, faulty: Proxy, days: int) -> None:
    """Clock jumps −1 day / +10 years → only the clock that dates the objects counts; nothing live is deleted."""
    needed = publish(clones, "needed")
    job = clones.open()
    fresh = publish(clones, "fresh", job)
    collect(clones, needed.key, grace_s=3600)

    faulty.date_ahead_s = days * 24 * 3600
    collect(clones, needed.key, times=3, grace_s=3600, by=clones.open(by=faulty.service))
    collect(clones, needed.key, times=3, by=clones.open(by=faulty.service))

    assert is_whole(clones, needed)
    assert is_whole(clones, fresh)
    job.close()
    collect(clones, needed.key, times=2, by=clones.open(by=faulty.service))
    assert not is_whole(clones, fresh)


def test_c127_uploads_that_were_given_up(clones: Clones, faulty: Proxy) -> None:
    """Multipart upload abandoned by a kill → never visible; a collection aborts those older than 24 h."""
    client = clones.service.client()
    client.create_multipart_upload(Bucket=clones.bucket, Key=f"ciml/{object_key(sha256(b'x'))}")
    collect(clones, by=clones.open(by=faulty.service))
    assert len(client.list_multipart_uploads(Bucket=clones.bucket)["Uploads"]) == 1
    assert clones.names("objects/") == []

    faulty.ahead_s = 25 * 3600
    collect(clones, by=clones.open(by=faulty.service))

    assert "Uploads" not in client.list_multipart_uploads(Bucket=clones.bucket)


def test_leases_that_ran_out_hold_nothing_back(clones: Clones, faulty: Proxy) -> None:
    """A process that was killed leaves a lease; a day later by the service's clock it protects nothing."""
    killed = clones.open()
    publish(clones, "old", killed)
    assert clones.names("leases/") != []
    collect(clones, times=3)
    assert clones.names("records/") != []

    faulty.ahead_s = 25 * 3600
    collect(clones, by=clones.open(by=faulty.service), times=2)

    assert clones.names("records/") == []
