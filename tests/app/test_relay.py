"""Results of other jobs in the place of stages: taken where they are this commit's, and not otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ciml.adapters.stores.local import LocalStore
from ciml.app.relay import NOT_HANDED_ON, Relay
from ciml.core.errors import IntegrityError
from ciml.core.handover import StageOutcome
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.order import WorkOrder
from ciml.core.pipeline import Place
from ciml.core.results import Cancelled, Failed, Output, Ran, Record, Restored, Skipped, StageResult

TRAIN = StageName("train")
KEY, OTHER = Digest("a" * 64), Digest("b" * 64)
MODEL = RepoPath("build/model")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store of its own."""
    return LocalStore(str(tmp_path / "store"))


def order(key: Digest = KEY) -> WorkOrder:
    place = Place(path=MODEL, inside=MODEL)
    return WorkOrder(stage=TRAIN, recipe=key, key=key, outputs=(place,), platform="any")


def record(store: LocalStore, output: Output | None = None) -> Record:
    output = output or Output(path=MODEL, digest=store.put_bytes(b"weights"), size=7)
    return Record(key=KEY, recipe=KEY, stage=TRAIN, outputs=(output,), platform="any", seconds=3.0)


def answer(store: LocalStore, result: StageResult | None, wanted: WorkOrder | None = None) -> StageResult:
    """What a relay says of the order, where that was handed on."""
    handed = StageOutcome(stage=TRAIN, key=KEY, result=result) if result is not None else None
    relay = Relay(lambda order: handed, store)
    relay.start(wanted or order())
    return relay.wait()[1]


def test_what_another_job_made_is_its_result(store: LocalStore) -> None:
    """A stage that ran elsewhere ran, one that was restored is restored."""
    made = record(store)
    assert answer(store, Ran(record=made)) == Ran(record=made)
    assert answer(store, Restored(record=made)) == Restored(record=made)
    assert answer(store, Skipped(reason="up to date", record=made)) == Restored(record=made)


def test_a_failure_elsewhere_is_a_failure_here(store: LocalStore) -> None:
    """With the reason and the end of the log that its job gave."""
    failed = Failed(reason="exit code 3", exit_code=3, tail="boom")
    assert answer(store, failed) == failed
    assert isinstance(answer(store, Cancelled(reason="prepare did not end well")), Failed)


def test_no_result_is_a_failure(store: LocalStore) -> None:
    """A job that never ran, or lost its artifact, made nothing."""
    assert answer(store, None) == Failed(reason=NOT_HANDED_ON)
    assert isinstance(answer(store, Skipped(reason="when is false")), Failed)


def test_a_result_under_another_key_does_not_count(store: LocalStore) -> None:
    """What a job ran with other inputs than this commit has is nothing of this commit's."""
    found = answer(store, Ran(record=record(store)), order(OTHER))
    assert isinstance(found, Failed)
    assert found.untrusted
    assert "ran something else" in found.reason


def test_outputs_that_nobody_declared_do_not_count(store: LocalStore) -> None:
    """A record names what the stage declares, neither more nor less."""
    made = record(store)
    more = msgspec.structs.replace(made, outputs=(*made.outputs, Output(path=RepoPath("x"), digest=KEY, size=1)))
    found = answer(store, Ran(record=more))
    assert isinstance(found, Failed)
    assert found.untrusted


def test_a_record_without_its_bytes_does_not_count(store: LocalStore) -> None:
    """The bytes come with the record, or the stage has made nothing."""
    made = record(store)
    lost = msgspec.structs.replace(made.outputs[0], digest=OTHER)
    found = answer(store, Ran(record=msgspec.structs.replace(made, outputs=(lost,))))
    assert isinstance(found, Failed)
    assert "were not handed on" in found.reason


@pytest.mark.parametrize("lie", [{"size": 8}, {"files": 9}])
@pytest.mark.parametrize("directory", [False, True])
def test_a_size_that_the_bytes_do_not_have(
    store: LocalStore, tmp_path: Path, lie: dict[str, int], directory: bool
) -> None:
    """What a record says of a file or a directory is held against the bytes: exit 7."""
    made = tmp_path / "made"
    if directory:
        made.mkdir()
        (made / "a").write_bytes(b"weig")
    (made / "b" if directory else made).write_bytes(b"hts" if directory else b"weights")
    output = store.put_path(str(made), name=MODEL)
    assert (output.size, output.directory) == (7, directory)
    true = record(store, output)
    assert answer(store, Ran(record=true)) == Ran(record=true)
    false = record(store, msgspec.structs.replace(output, **lie))
    with pytest.raises(IntegrityError, match=r"handed on as \d bytes in \d files, and is 7 bytes in \d"):
        answer(store, Ran(record=false))
