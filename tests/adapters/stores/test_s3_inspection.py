"""A shared store looked through while others work in it, and whatever somebody has put there."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ciml.adapters.signing import open_envelope
from ciml.adapters.stores.garbage import Findings
from ciml.adapters.stores.shared import SharedStore
from ciml.adapters.stores.sharedrecords import Signing
from ciml.core.ids import RepoPath
from ciml.core.results import Output, Record
from tests.adapters.stores.clones import Clones
from tests.adapters.stores.contract import record_of
from tests.s3proxy import Proxy


def published(store: SharedStore, text: str) -> Record:
    """A record with one object."""
    data = text.encode()
    output = Output(path=RepoPath("out"), digest=store.put_bytes(data), size=len(data))
    return store.publish(record_of(text, output))


def name_of(record: Record) -> str:
    return f"records/user/a/{record.key[:2]}/{record.key[2:]}"


def test_names_that_are_nobodys(clones: Clones) -> None:
    """What lies there and has no digest's name is neither damaged nor removed."""
    published(clones.open(), "a")
    strangers = ["objects/README", "objects/ab/notes.txt", "records/user/a/README"]
    for name in strangers:
        clones.overwrite(name, b"a person's notes")

    assert clones.open().verify(repair=True) == Findings(checked=1)
    assert set(strangers) <= set(clones.names())


def test_a_record_that_is_published_meanwhile(clones: Clones, faulty: Proxy) -> None:
    """Its objects were not there when objects were hashed; it is not taken for one that lost them."""
    published(clones.open(), "a")
    later: list[Record] = []
    faulty.call("GET", "/objects/", lambda: later.append(published(clones.open(), "b")))

    assert clones.open(by=faulty.service).verify(repair=True).lost == ()
    assert later and name_of(later[0]) in clones.names()


def test_records_are_read_several_at_a_time(clones: Clones, faulty: Proxy) -> None:
    """No record is waited for before the next one is asked for; the answer is the same, sorted."""
    made = [published(clones.open(), text) for text in "abcd"]
    for record in made[:2]:
        clones.overwrite(name_of(record), b"{}")
    both = threading.Barrier(2)
    for _ in range(2):
        faulty.call("GET", "/records/", lambda: both.wait(20))

    found = clones.open(by=faulty.service).verify()
    assert not both.broken
    assert found == Findings(checked=4, unreadable=tuple(sorted(record.key for record in made[:2])))


def test_listings_are_fetched_by_several_at_a_time(clones: Clones, tmp_path: Path) -> None:
    """Directories of many records are looked through in a clone that has nothing of them."""
    store = clones.open()
    for number in range(20):
        folder = tmp_path / f"out{number}"
        folder.mkdir()
        (folder / "a").write_text(str(number))
        store.publish(record_of(str(number), store.put_path(str(folder), name=RepoPath("out"))))

    assert clones.open().verify() == Findings(checked=40)


ENVELOPE = b'{"payload": "%b", "payloadType": "x", "signatures": []}'


@pytest.mark.parametrize("data", [ENVELOPE % b"\xc3\xa4", ENVELOPE % b"a", b"\xff", b"{}"])
def test_records_that_are_none(clones: Clones, data: bytes) -> None:
    """Whatever lies in a record's place ends neither a look nor a collection; it is said, and can be taken out."""
    record = published(clones.open(), "a")
    clones.overwrite(name_of(record), data)
    store = clones.open(signing=Signing(opened=open_envelope))

    store.gc([], grace_s=0)
    assert store.verify().unreadable == (record.key,)
    store.verify(repair=True)
    assert name_of(record) not in clones.names()


def test_a_lease_that_is_none(clones: Clones) -> None:
    """It holds everything back, and does not end a collection."""
    record = published(clones.open(), "a")
    clones.overwrite("leases/somebody", b'{"generation": 1, "relies": ["\xff"]}')
    for _ in range(3):
        clones.open().gc([], grace_s=0)
    assert name_of(record) in clones.names()
