"""Checks on data: `data:` in ciml.yaml, before any stage of `ciml run`."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest

from tests.adapters.test_alerts import Hook
from tests.cli.calls import Calls

YAML = """\
version: 1
stages:
  train: {run: "cat data/raw/*.csv | wc -l > model.txt", inputs: [data/raw], outputs: [model.txt]}
  score: {run: "echo '{\\"auc\\": 0.8}' > m.json", inputs: [model.txt], metrics: [m.json]}
models:
  m: {path: model.txt, gate: [auc >= 0.5]}
data:
  data/raw:
    rows: {min: 100, change: 50%}
    columns:
      age: {type: int, min: 0, max: 120, nulls: 1%}
      country: {enum: [A, B]}
    drift: {max-psi: 0.2}
"""


def rows(seed: int, count: int, *, older: float = 0.0) -> str:
    drawn = random.Random(seed)
    lines = [f"{min(120, max(0, round(drawn.gauss(40 + older, 12))))},{drawn.choice('AB')}" for _ in range(count)]
    return "\n".join(["age,country", *lines, ""])


def commit(ciml: Calls, files: Mapping[str, str | None]) -> None:
    """Change the data, and commit its manifest."""
    for name, text in files.items():
        path = ciml.path / "data/raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    ciml.ok("data", "add", "data/raw")
    ciml.repo.stage(".gitignore", "data/raw.manifest.yaml")
    ciml.repo.git("commit", "-q", "-m", "data")


@pytest.fixture
def checked(ciml: Calls) -> Calls:
    """A project with checks on its data, which hold."""
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        ciml.repo.git("config", name, value)
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/model.txt\n/m.json\n"})
    commit(ciml, {"a.csv": rows(1, 400), "b.csv": rows(2, 400)})
    return ciml


def test_data_that_holds(checked: Calls) -> None:
    """The checks are told, in the document too, and the run goes on; a second one has nothing to do."""
    document = checked.json("run")
    [data] = document["data"]
    assert (data["path"], data["verdict"], data["rows"], data["columns"]) == ("data/raw", "accepted", 800, 2)
    assert [check["check"] for check in data["checks"]][:3] == [
        "all files have the same columns",
        "rows >= 100",
        "age is int",
    ]
    assert all(check["passed"] for check in data["checks"])
    assert [stage["result"] for stage in document["stages"]] == ["ran", "ran"]
    again = checked.ok("run").out
    assert "data data/raw: accepted – all checks hold (800 rows, 2 columns)" in again
    assert "Nothing to do: 2 up to date." in again


def test_data_that_does_not_hold_stops_the_run(checked: Calls) -> None:
    """Exit 10 before any stage; every check is told, also those that hold; each time anew."""
    commit(checked, {"c.csv": "age,country\n130,C\n,A\n"})
    for _ in range(2):
        answer = checked("run")
        assert answer.code == 10
        assert "data data/raw: rejected – 2 of 10 checks did not hold: age <= 120, country in [A, B]" in answer.out
        assert "it also holds C" in answer.out
        assert "rows >= 100" in answer.out
    document = json.loads(checked("--json", "run").out)
    assert (document["stages"], document["models"]) == ([], [])
    assert not (checked.path / "model.txt").exists()


def test_data_is_read_once(checked: Calls) -> None:
    """Facts are kept by content: with the bytes out of reach the checks still hold; a new file alone is read."""
    checked.ok("run")
    kept = {path for path in Path(checked.path, ".git/ciml/index/tables").rglob("*") if path.is_file()}
    checked.repo.commit({"ciml.yaml": YAML.replace("max: 120", "max: 119")})
    checked.ok("run")
    assert kept == {path for path in Path(checked.path, ".git/ciml/index/tables").rglob("*") if path.is_file()}


def test_drift_against_the_champions_data(checked: Calls) -> None:
    """What trained the champion is the measure: a little change passes, a shift of ten years is a rejection."""
    checked.ok("run")
    checked.ok("register")
    commit(checked, {"a.csv": rows(3, 420)})
    assert checked.json("run")["data"][0]["verdict"] == "accepted"
    commit(checked, {"a.csv": rows(3, 420, older=15), "b.csv": rows(4, 420, older=15)})
    answer = checked("run")
    assert answer.code == 10
    assert "psi <= 0.2 against the data of m version 1" in answer.out
    commit(checked, {"a.csv": rows(3, 700), "b.csv": rows(5, 700)})
    answer = checked("run")
    assert "1 of 10 checks did not hold: rows within 0.5 of those of m version 1" in answer.out


def numbered(seed: int, start: int) -> str:
    """400 rows with a number that goes on where the last file ended."""
    head, *lines = rows(seed, 400).splitlines()
    return "\n".join([f"id,{head}", *(f"{start + place},{line}" for place, line in enumerate(lines)), ""])


def test_drift_of_row_numbers(checked: Calls) -> None:
    """A column that moves with every arrival rejects it, until `ignore` names it."""
    commit(checked, {"a.csv": numbered(1, 0), "b.csv": numbered(2, 400)})
    checked.ok("run")
    checked.ok("register")
    commit(checked, {"a.csv": numbered(3, 800)})
    answer = checked("run")
    assert (answer.code, "      id " in answer.out) == (10, True), answer
    checked.repo.commit({"ciml.yaml": YAML.replace("0.2}", "0.2, ignore: [id]}")})
    checked.ok("run")


def test_drift_of_data_that_a_stage_before_the_training_reads(checked: Calls) -> None:
    """What trained the champion is what lies behind its training data too, not only what its own stage was given."""
    direct = 'train: {run: "cat data/raw/*.csv | wc -l > model.txt", inputs: [data/raw]'
    prepared = (
        'prepare: {run: "cat data/raw/*.csv > all.csv", inputs: [data/raw], outputs: [all.csv]}\n'
        '  train: {run: "wc -l < all.csv > model.txt", inputs: [all.csv]'
    )
    assert direct in YAML
    checked.repo.commit({"ciml.yaml": YAML.replace(direct, prepared), ".gitignore": "/model.txt\n/m.json\n/all.csv\n"})
    commit(checked, {"a.csv": rows(6, 400)})
    checked.ok("run")
    checked.ok("register")
    commit(checked, {"a.csv": rows(3, 420, older=15), "b.csv": rows(4, 420, older=15)})
    answer = checked("run")
    assert answer.code == 10
    assert "psi <= 0.2 against the data of m version 1" in answer.out


def test_the_champions_data_is_gone(checked: Calls) -> None:
    """A comparison that cannot be made is a rejection which says so."""
    checked.ok("run")
    checked.ok("register")
    commit(checked, {"a.csv": rows(3, 420)})
    for folder in ("store", "index/tables"):
        for path in (checked.path / ".git/ciml" / folder).rglob("*"):
            if path.is_file():
                os.unlink(path)
    answer = checked("run")
    assert answer.code == 10
    assert "its data cannot be had" in answer.out


def test_files_that_disagree_come_first(checked: Calls) -> None:
    """A file with other columns is told before anything else."""
    commit(checked, {"b.csv": "age,land\n3,A\n"})
    answer = checked("run")
    assert answer.code == 10
    first = answer.out.splitlines()[1]
    assert first.startswith("fail  all files have the same columns")
    assert "b.csv lacks the column 'country'" in answer.out
    assert "b.csv has a column 'land' that a.csv has not" in answer.out


def test_many_files_and_some_that_are_no_tables(checked: Calls) -> None:
    """Twelve hundred files are one table, read in parts of the listing; others are told and do not count."""
    commit(checked, {f"{number:04}.csv": rows(number, 2) for number in range(1200)} | {"README.md": "words"})
    data = json.loads(checked("--json", "-v", "run").out)["data"][0]
    assert (data["rows"], data["verdict"]) == (3200, "accepted")
    assert "note: 1 file beside it is no table" in checked("run").out


def test_parquet(checked: Calls) -> None:
    """Types that files state: a column that is text in one of them is a break."""
    (checked.path / "data/raw/a.csv").unlink()
    (checked.path / "data/raw/b.csv").unlink()
    pl.DataFrame({"age": [20] * 200, "country": ["A"] * 200}).write_parquet(checked.path / "data/raw/a.parquet")
    commit(checked, {})
    assert "data data/raw: accepted" in checked("run").out
    pl.DataFrame({"age": ["x"] * 200, "country": ["A"] * 200}).write_parquet(checked.path / "data/raw/b.parquet")
    commit(checked, {})
    answer = checked("run")
    assert answer.code == 10
    assert "the column 'age' is int in a.parquet, string in b.parquet" in answer.out


def test_a_tracked_file(checked: Calls) -> None:
    """A small table in Git itself is checked as it is in the commit."""
    checked.repo.commit({"small.csv": "x\n1\n", "ciml.yaml": YAML + "  small.csv: {rows: {min: 2}}\n"})
    answer = checked("run")
    assert answer.code == 10
    assert "data small.csv: rejected – the check did not hold: rows >= 2 (1 rows, 1 columns)" in answer.out


def test_what_is_no_data(checked: Calls) -> None:
    """A path without a manifest, and one that a stage makes, are exit 3 in `validate` and `run` alike."""
    checked.repo.commit({"ciml.yaml": YAML + "  data/row: {rows: {min: 2}}\n  model.txt: {}\n"})
    line = YAML.count("\n") + 1
    for command in ("validate", "run"):
        answer = checked(command)
        assert answer.code == 3, command
        assert ": data.data/row: no manifest stands for data/row, and Git does not track it" in answer.err
        assert f"ciml.yaml:{line}: " in answer.err
        assert "stage train makes it" in answer.err


def test_rules_that_nothing_can_meet(checked: Calls) -> None:
    """Limits the wrong way round, limits on words: exit 3 with the line, all at once."""
    wrong = YAML.replace("{type: int, min: 0, max: 120, nulls: 1%}", "{type: string, min: 5, max: 1}")
    checked.repo.commit({"ciml.yaml": wrong.replace("min: 100", "min: 9, max: 8")})
    answer = checked("validate")
    assert answer.code == 3
    assert "ciml.yaml:9:12: data.data/raw.rows.min: 9 is above the maximum 8" in answer.err
    assert "min and max are for numbers, not for string" in answer.err
    assert "5 is above the maximum 1" in answer.err


def test_edited_data_is_told_first(checked: Calls) -> None:
    """What lies on disk is not what would be checked: exit 4, as without checks."""
    (checked.path / "data/raw/a.csv").write_text("age,country\n1,A\n")
    answer = checked("run")
    assert answer.code == 4
    assert "data/raw is not what the manifest says" in answer.err


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def test_an_alert(checked: Calls, monkeypatch: pytest.MonkeyPatch, hook: Hook) -> None:
    """Rejected data is told to people once, with the checks that failed."""
    monkeypatch.setenv("CIML_ALERT_URLS", hook.url)
    commit(checked, {"c.csv": "age,country\n130,A\n"})
    assert [checked("run").code, checked("run").code] == [10, 10]
    [message] = hook.got
    assert message["title"].startswith("the data data/raw was rejected at ")
    assert "✗ age <= 120: with 130" in message["message"]
