"""The ledger in a bucket, with real servers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ciml.adapters.ledgers.s3 import S3Ledger, models_in
from ciml.adapters.stores.bucket import Bucket
from ciml.core.entries import Entry, Genesis, Promotion
from ciml.core.errors import ConfigurationError, IntegrityError, ServiceError, TrustError
from ciml.core.ledger import LedgerState
from ciml.core.s3 import s3_address
from ciml.core.succession import Extension, Stale, extend
from tests.adapters.ledgers.test_git import CHURN, GENESIS, registration
from tests.mlflowserver import free_port
from tests.s3proxy import proxy
from tests.s3server import Service, rclone


@pytest.fixture
def bucket(service: Service) -> str:
    return service.bucket()


def opened(service: Service, bucket: str, clone: Path) -> S3Ledger:
    there = Bucket(s3_address(f"s3://{bucket}/ledger"), service.environ)
    return S3Ledger(CHURN, there, memory=str(clone / "memory"), pins=str(clone / "pins"))


def add(ledger: S3Ledger, *entries: Entry) -> LedgerState:
    state = ledger.read()
    extension = extend(state, (GENESIS, *entries))
    assert isinstance(extension, Extension), extension
    ledger.append(state, extension.entries)
    return ledger.read()


def test_what_is_appended_is_read_everywhere(service: Service, bucket: str, tmp_path: Path) -> None:
    """What is appended together is one object; every clone reads the same chain, with and without a memory."""
    mine = opened(service, bucket, tmp_path / "a")
    assert mine.read() == LedgerState(model=CHURN)
    add(mine, registration(1), registration(2))
    state = add(mine, Promotion(nonce="p", gen=1, version=2))

    assert opened(service, bucket, tmp_path / "b").read() == state == mine.read()
    assert state.champion is not None and state.champion.version == 2
    assert [entry.seq for entry in state.entries] == [1, 2, 3, 4]
    assert service.names(bucket, "ledger/churn/") == ["ledger/churn/00000001", "ledger/churn/00000004"]


def test_which_models_have_a_ledger(service: Service, bucket: str, tmp_path: Path) -> None:
    """All models with an entry, and no object that is not an entry."""
    ledger = opened(service, bucket, tmp_path / "a")
    there = Bucket(s3_address(f"s3://{bucket}/ledger"), service.environ)
    assert models_in(there) == []
    add(ledger, registration(1))

    assert "ledger/conditional-writes" in service.names(bucket, "ledger/")
    assert models_in(there) == [CHURN]


def test_two_writers_on_one_state(service: Service, bucket: str, tmp_path: Path) -> None:
    """The later one changes nothing, also where it appends more; its next decision is made on what won."""
    first, second = (opened(service, bucket, tmp_path / name) for name in "ab")
    add(first, registration(1))
    state = second.read()
    late = extend(state, (registration(2), registration(3)))
    assert isinstance(late, Extension)
    add(first, Promotion(nonce="p", gen=1, version=1))

    second.append(state, late.entries)

    assert sorted(second.read().versions) == [1]
    assert isinstance(extend(second.read(), (registration(2),)), Stale)


def test_eight_writers_at_once_lose_nothing(service: Service, bucket: str, tmp_path: Path) -> None:
    """Eight writers with a registration each: all eight end up in one chain."""
    add(opened(service, bucket, tmp_path / "first"))

    def register(version: int) -> None:
        ledger = opened(service, bucket, tmp_path / str(version))
        while version not in (state := ledger.read()).versions:
            extension = extend(state, (registration(version),))
            assert isinstance(extension, Extension)
            ledger.append(state, extension.entries)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    state = opened(service, bucket, tmp_path / "last").read()
    assert sorted(state.versions) == list(range(1, 9))
    assert len(state.entries) == 9


@pytest.mark.parametrize("act", ["lose", "500", "503", "409"])
def test_c123_the_answer_is_not_believed(service: Service, bucket: str, tmp_path: Path, act: str) -> None:
    """An answer that was lost, after the deed or before it: the entry is there once, and its writer sees that."""
    with proxy(service) as faulty:
        ledger = opened(faulty.service, bucket, tmp_path)
        add(ledger)
        faulty.fail("PUT", "/churn/", act, times=2)

        state = add(ledger, registration(1))

    assert list(state.versions) == [1]
    assert len(state.entries) == 2


def test_c124_a_store_without_conditional_writes(tmp_path: Path) -> None:
    """A service that ignores If-None-Match is refused, exit 3, before an entry is written; it says what to do."""
    with rclone(tmp_path) as service:
        bucket = service.bucket()
        ledger = opened(service, bucket, tmp_path / "clone")

        with pytest.raises(ConfigurationError, match="lacks conditional writes; use git ledger") as caught:
            add(ledger, registration(1))

        assert caught.value.hint is not None and "Leave `ledger:` out" in caught.value.hint
        assert service.names(bucket) == []


def test_c159_an_entry_that_was_removed_is_a_broken_chain(service: Service, bucket: str, tmp_path: Path) -> None:
    """Entries that were removed or changed in the bucket: exit 7; at the end, the pin of this clone tells."""
    ledger = opened(service, bucket, tmp_path)
    for version in (1, 2, 3):
        add(ledger, registration(version))
    names = service.names(bucket, "ledger/churn/")
    client = service.client()
    kept = {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    client.delete_object(Bucket=bucket, Key=names[-1])
    with pytest.raises(IntegrityError, match="chain broken"):
        ledger.read()
    client.put_object(Bucket=bucket, Key=names[-1], Body=kept[names[-1]].replace(b"2026-01-02", b"2026-01-03"))
    with pytest.raises(IntegrityError, match="chain broken"):
        ledger.read()
    client.put_object(Bucket=bucket, Key=names[-1], Body=kept[names[-1]])
    client.delete_object(Bucket=bucket, Key=names[1])
    with pytest.raises(IntegrityError, match="does not follow"):
        ledger.read()
    client.put_object(Bucket=bucket, Key=names[1], Body=kept[names[1]])

    assert sorted(ledger.read().versions) == [1, 2, 3]


def test_denied_and_unreachable(service: Service, bucket: str, tmp_path: Path) -> None:
    """403 is exit 6 and names the permission; no service is exit 5; no bucket is exit 3; none tells a secret."""
    with proxy(service) as faulty:
        ledger = opened(faulty.service, bucket, tmp_path)
        add(ledger)
        faulty.fail("PUT", "/churn/", "403")
        with pytest.raises(TrustError) as denied:
            add(ledger, registration(1))
    with pytest.raises(ServiceError) as away:
        opened(service.at(f"http://127.0.0.1:{free_port()}"), bucket, tmp_path).read()
    with pytest.raises(ConfigurationError, match="no such bucket") as missing:
        opened(service, "ciml-no-such-bucket", tmp_path / "b").read()

    assert denied.value.hint == (
        f"Allow s3:PutObject on arn:aws:s3:::{bucket}/ledger/churn/00000002 "
        "to the role or user whose credentials these are."
    )
    for error in (denied, away, missing):
        text = f"{error.value.message} {error.value.hint}"
        assert "AKIAEXAMPLE" not in text and "example-secret" not in text and "Signature" not in text


def test_another_models_ledger(service: Service, bucket: str, tmp_path: Path) -> None:
    """A bucket's ledgers are told apart by model, and the first entry says whose it is."""
    add(opened(service, bucket, tmp_path / "a"))
    assert isinstance(opened(service, bucket, tmp_path / "a").read().entries[0], Genesis)
