"""`ciml diff`: two commits or versions beside each other."""

from __future__ import annotations

import re

from tests.cli.calls import Calls
from tests.cli.test_json import fields, promised

YAML = """\
version: 1
params: {min-auc: 0.5, out: a}
params-files: [params.yaml]
stages:
  train:
    run: "cat data/raw.csv src.txt > model.txt; echo ${{ params.train.lr }} >> model.txt"
    inputs: [src.txt, data/raw.csv]
    outputs: [model.txt]
  score: {run: "cp numbers.json m.json", inputs: [model.txt, numbers.json], metrics: [m.json]}
models:
  m: {path: model.txt, gate: ["auc >= ${{ params.min-auc }}"]}
"""


def project(ciml: Calls) -> None:
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        ciml.repo.git("config", name, value)
    ciml.repo.commit(
        {
            "ciml.yaml": YAML,
            "params.yaml": "train: {lr: 0.1, depth: 3}\n",
            "src.txt": "code\n",
            "numbers.json": '{"auc": 0.7, "loss": 1.0}',
            ".gitignore": "/model.txt\n/m.json\n/data/raw.csv\n",
        },
        "the first",
    )
    (ciml.path / "data").mkdir()
    (ciml.path / "data/raw.csv").write_text("x\n1\n")
    ciml.ok("data", "add", "data/raw.csv")
    ciml.repo.commit({"data/raw.csv.manifest.yaml": (ciml.path / "data/raw.csv.manifest.yaml").read_text()}, "its data")


def test_two_commits(ciml: Calls) -> None:
    """Code, data, parameters and metrics, each under its name; a params file is its parameters."""
    project(ciml)
    ciml.ok("run")
    (ciml.path / "data/raw.csv").write_text("x,y\n1,2\n3,4\n")
    ciml.ok("data", "update")
    ciml.repo.commit(
        {
            "params.yaml": "# why\ntrain: {lr: 0.05, seed: 1}\n",
            "src.txt": None,
            "other.txt": "code\n",
            "ciml.yaml": YAML.replace("inputs: [src.txt,", "inputs: [other.txt,").replace(
                "raw.csv src.txt", "raw.csv other.txt"
            ),
            "numbers.json": '{"auc": 0.8, "loss": 1.0, "f1": 0.5}',
            "data/raw.csv.manifest.yaml": (ciml.path / "data/raw.csv.manifest.yaml").read_text(),
        },
        "the second",
    )
    ciml.ok("run")
    found = ciml.json("diff", "HEAD~1", "HEAD", "--tables")
    assert {item["path"]: item["how"] for item in found["code"]} == {
        "ciml.yaml": "changed",
        "numbers.json": "changed",
        "other.txt": "added",
        "src.txt": "removed",
    }
    assert found["params"] == {"train.lr": "0.1 -> 0.05", "train.depth": "removed: 3", "train.seed": "added: 1"}
    [data] = found["data"]
    assert (data["path"], data["files"]["changed"], data["table"]["rows_after"]) == ("data/raw.csv", 1, 2)
    assert data["table"]["columns_added"] == ["y"]
    assert {item["metric"]: (item["before"], item["after"]) for item in found["metrics"]} == {
        "auc": (0.7, 0.8),
        "loss": (1.0, 1.0),
        "f1": (None, 0.5),
    }
    printed = set(fields(found))
    assert promised("diff") - printed == set()
    told = ciml.ok("diff", "HEAD~1").out
    assert told.startswith(f"A  HEAD~1: {found['before']['commit'][:10]} its data\n")
    assert "  - src.txt\n" in told
    assert "  train.lr 0.1 -> 0.05\n" in told
    assert "  auc 0.7 -> 0.8 (+0.1)\n" in told
    assert "  f1 – -> 0.5\n" in told


def test_versions(ciml: Calls) -> None:
    """A version is what was registered: its commit, its metrics, and the values that it was trained with."""
    project(ciml)
    ciml.ok("run", "-P", "train.lr=0.3")
    ciml.ok("register", "-P", "train.lr=0.3")
    ciml.repo.commit({"numbers.json": '{"auc": 0.9, "loss": 0.5}'}, "better")
    ciml.ok("run")
    ciml.ok("register")
    told = ciml.ok("diff", "m/1", "m@champion").out
    assert re.match(r"A  m/1: [0-9a-f]{10} .*\nB  m@champion: m/2, [0-9a-f]{10} ", told)
    found = ciml.json("diff", "m/1", "m@champion")
    assert (found["before"]["version"], found["after"]["version"]) == (1, 2)
    assert found["params"] == {"train.lr": "0.3 -> 0.1"}
    assert [item["path"] for item in found["code"]] == ["numbers.json"]
    assert {item["metric"]: (item["before"], item["after"]) for item in found["metrics"]} == {
        "auc": (0.7, 0.9),
        "loss": (1.0, 0.5),
    }


def test_nothing_differs(ciml: Calls) -> None:
    """One and the same is told as such."""
    project(ciml)
    ciml.ok("run")
    assert ciml.ok("diff", "HEAD").out.endswith("Nothing differs.\n")


def test_what_is_not_there(ciml: Calls) -> None:
    """A version or a commit that does not exist is named; a ciml.yaml that cannot be read is a note."""
    project(ciml)
    assert ciml("diff", "models:/m/9").code == 2
    assert ciml("diff", "gone").code == 4
    broken = ciml.repo.commit({"ciml.yaml": "version: 9\n"}, "broken")
    ciml.repo.commit({"ciml.yaml": YAML}, "mended")
    found = ciml.ok("diff", broken).out
    assert f"note: the ciml.yaml of {broken} cannot be read" in found
    assert "~ ciml.yaml" in found
