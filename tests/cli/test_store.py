"""`ciml store`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cli.calls import Calls


def objects(ciml: Calls) -> list[Path]:
    return [path for path in (ciml.path / ".git/ciml/store/objects").glob("*/*") if path.is_file()]


def test_stats(ran: Calls) -> None:
    """Objects, bytes, records, and what is in quarantine."""
    found = ran.json("store", "stats")

    assert (found["objects"], found["records"], found["quarantined"]) == (len(objects(ran)), 2, 0)
    assert found["size"] == sum(path.stat().st_size for path in objects(ran))
    assert f"{found['size']:,} bytes" in ran.ok("store", "stats").out


def test_damage_is_found_and_repaired(ran: Calls) -> None:
    """A changed byte is exit 7 and names the object; --repair takes it out, and `run` makes it again."""
    [damaged] = [path for path in objects(ran) if path.read_bytes() == b"0.7\n"]
    os.chmod(damaged, 0o644)
    damaged.write_bytes(b"0.9\n")

    answer = ran("store", "verify")
    assert answer.code == 7
    assert damaged.parent.name + damaged.name in answer.out
    assert ran("store", "verify").code == 7, "verifying alone changes nothing"
    ran.ok("store", "verify", "--repair")
    ran.ok("store", "verify")
    (ran.path / "model.txt").unlink()
    assert ran.results()["train"] == "ran"
    assert (ran.path / "model.txt").read_text() == "0.7\n"


def test_a_collection_keeps_what_is_needed(registered: Calls) -> None:
    """Nothing of a branch, a run or a version is removed; --dry-run says so without doing it."""
    registered.repo.commit({"src.txt": "0.6\n"})
    registered("run")
    before = set(objects(registered))
    for words in (("--dry-run",), (), ()):
        registered.ok("store", "gc", "--grace", "0", *words)

    assert set(objects(registered)) == before
    assert registered.results() == {"train": "skipped", "score": "skipped"}


def test_a_collection_keeps_versions_of_models_that_are_gone(registered: Calls) -> None:
    """A model that was renamed in ciml.yaml, or that this branch does not have, keeps its versions' files."""
    [artifact] = [path for path in objects(registered) if path.read_bytes() == b"0.7\n"]
    text = (registered.path / "ciml.yaml").read_text()
    registered.repo.commit({"ciml.yaml": text.replace("  m:\n", "  n:\n"), "src.txt": "0.6\n"})
    assert registered.json("status")["gone"] == ["m"]
    shutil.rmtree(registered.path / ".git/ciml/runs")
    for _ in range(3):
        registered.ok("store", "gc", "--grace", "0")

    assert artifact.exists()


def test_disowned_records(ran: Calls) -> None:
    """No record from before is believed: every stage runs again; a key that is none is exit 2."""
    assert ran("store", "disown", "--key", "abc").code == 2
    assert ran.results() == {"train": "skipped", "score": "skipped"}
    ran.ok("store", "disown")

    assert ran.results() == {"train": "ran", "score": "ran"}


def test_one_disowned_record(ran: Calls) -> None:
    """Only the stage whose key is named runs again."""
    [train, _] = ran.json("plan")["stages"]
    ran.ok("store", "disown", "--key", train["key"])

    assert ran.results() == {"train": "ran", "score": "skipped"}
