"""Many small packs become one in a collection, and nobody ever misses an object."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.packmerge import _MANY
from ciml.core.ids import RepoPath
from ciml.core.results import Output
from tests.adapters.stores.contract import sha256
from tests.adapters.stores.faults import FINISHED, at_call, in_child
from tests.adapters.stores.test_packs import ROUNDS, _all_readable, collect, flip, packs, taken, texts

MANY = _MANY + 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def packed(root: Path, top: Path, count: int = MANY) -> list[Output]:
    """Directories, each in a pack of its own; neighbours have files in common."""
    outputs = []
    for number in range(count):
        store = LocalStore(str(root), loose=0)
        outputs.append(taken(store, top / f"d{number}", texts(12, 8 * number)))
        store.close()
    assert len(packs(root)) == count
    return outputs


def test_many_small_packs_become_one(root: Path, tmp_path: Path) -> None:
    """All that was in them is there, for who knew the old ones too, and the next collection changes nothing."""
    outputs = packed(root, tmp_path)
    needed = [output.digest for output in outputs]
    before = LocalStore(str(root)).stats()
    reader = LocalStore(str(root))
    assert reader.holds(sha256(b"text 5"))

    dry = LocalStore(str(root)).gc(needed, grace_s=0, dry_run=True)
    assert (len(packs(root)), dry.objects) == (MANY, 0)
    done = LocalStore(str(root)).gc(needed, grace_s=0)

    assert (done.objects, done.size, done.marked) == (0, 0, 0)
    [one] = packs(root)
    assert one.stat().st_mode & 0o777 == 0o444
    assert LocalStore(str(root)).stats() == before
    for store in (reader, LocalStore(str(root))):
        for output in outputs:
            assert store.has(output)
            _all_readable(store, output)
    collect(root, *needed, times=2)
    assert packs(root) == [one]
    assert os.listdir(root / "trash") == []
    collect(root, outputs[0].digest, times=2)
    _all_readable(LocalStore(str(root)), outputs[0])
    assert LocalStore(str(root)).stats().objects == 13


def test_few_packs_are_left_alone(root: Path, tmp_path: Path) -> None:
    """Copying costs, and asking a few packs does not."""
    needed = [output.digest for output in packed(root, tmp_path, _MANY)]
    before = packs(root)
    collect(root, *needed)
    assert packs(root) == before


def test_what_nobody_needs_is_not_kept_by_a_merge(root: Path, tmp_path: Path) -> None:
    """A pack that is about to go keeps its mark, and goes when it is due."""
    outputs = packed(root, tmp_path, MANY + 2)
    needed = [output.digest for output in outputs[2:]]
    collect(root, *needed)
    assert len(packs(root)) == 3, "one of many, and the two that are marked"
    collect(root, *needed)
    assert LocalStore(str(root)).holds(outputs[0].digest) is False
    for output in outputs[2:]:
        _all_readable(LocalStore(str(root)), output)


def test_a_pack_that_somebody_relies_on_stays(root: Path, tmp_path: Path) -> None:
    """Its name is what a living process has said; the others are merged."""
    outputs = packed(root, tmp_path)
    job = LocalStore(str(root), loose=0)
    assert taken(job, tmp_path / "again", texts(12)).digest == outputs[0].digest
    collect(root, *(output.digest for output in outputs))
    assert 2 <= len(packs(root)) <= 3
    assert job.has(outputs[0])
    job.close()


def test_a_damaged_pack_is_left_to_its_next_reader(root: Path, tmp_path: Path) -> None:
    """A merge neither keeps damaged bytes nor loses what is sound."""
    outputs = packed(root, tmp_path)
    flip(packs(root)[0], 3)
    collect(root, *(output.digest for output in outputs))
    assert len(packs(root)) == 2
    found = LocalStore(str(root)).verify(repair=True)
    assert len(found.damaged) == 1
    assert LocalStore(str(root)).verify().damaged == ()


def test_killed_at_any_moment(root: Path, tmp_path: Path) -> None:
    """All is there after a kill, and the next collection ends the work."""
    outputs = packed(root, tmp_path)
    needed = [output.digest for output in outputs]
    collect(root)
    whole = tmp_path / "whole"
    shutil.copytree(root, whole)
    drawn = random.Random(5)
    killed = 0
    for _ in range(max(ROUNDS // 10, 10)):
        shutil.rmtree(root)
        shutil.copytree(whole, root)
        at = drawn.randrange(120, 320)

        def collecting(at: int = at) -> None:
            at_call(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            collect(root, *needed)

        killed += in_child(collecting) == -signal.SIGKILL
        _all_there(root, outputs)
        collect(root, *needed)
        assert os.listdir(root / "trash") == []
        _all_there(root, outputs)
    assert killed


def test_at_any_moment_of_a_merge(root: Path, tmp_path: Path) -> None:
    """Whoever takes in or reads what is in the packs meanwhile finds all of it."""
    outputs = packed(root, tmp_path)
    needed = [output.digest for output in outputs]
    whole = tmp_path / "whole"
    shutil.copytree(root, whole)
    drawn = random.Random(6)
    looked = 0
    for _ in range(max(ROUNDS // 10, 10)):
        shutil.rmtree(root)
        shutil.copytree(whole, root)
        at = drawn.randrange(120, 320)

        def interleaved(at: int = at) -> None:
            job = LocalStore(str(root), loose=0)
            job.holds(sha256(b"another"))  # it has looked, and knows the packs of before

            done = False

            def look() -> None:
                nonlocal done
                done = True
                assert job.put_path(str(tmp_path / "d0"), name=RepoPath("d")) == outputs[0]
                for output in outputs:
                    _all_readable(job, output)

            at_call(at, look)
            collect(root, *needed)
            if not done:
                os._exit(42)  # the collection has ended before
            for output in outputs:
                _all_readable(job, output)

        status = in_child(interleaved)
        looked += status == FINISHED
        assert status in (FINISHED, 42), at
    assert looked


def _all_there(root: Path, outputs: list[Output]) -> None:
    store = LocalStore(str(root))
    for output in outputs:
        assert store.has(output)
        _all_readable(store, output)
