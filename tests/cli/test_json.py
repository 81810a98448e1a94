"""What docs/json.md promises of `--json`, on a small repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/json.md").read_text()
CIML_YAML = """\
version: 1
stages:
  train: {run: cp recipe.txt model.txt && cp numbers.json metrics.json, inputs: [recipe.txt, numbers.json],
          outputs: [model.txt], metrics: [metrics.json]}
models:
  m: {path: model.txt, gate: [accuracy >= 0.5]}
data:
  table.csv: {rows: {min: 1}}
"""


def fields(value: object, path: str = "") -> Iterator[str]:
    """The paths of all fields of a document, as the page writes them."""
    match value:
        case dict():
            for name, inner in value.items():
                below = f"{path}.{name}" if path else name
                yield below
                yield from fields(inner, below)
        case list():
            for inner in value:
                yield from fields(inner, f"{path}[]")


def promised(command: str) -> set[str]:
    """The fields of a command's table."""
    part = PAGE.partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


class Project:
    """A repository with one stage and one model, and its ciml."""

    def __init__(self, place: Path) -> None:
        self._place = place
        files = {
            "ciml.yaml": CIML_YAML,
            "recipe.txt": "flour",
            "numbers.json": '{"accuracy": 0.9}',
            "table.csv": "x\n1\n",
        }
        for name, text in files.items():
            (place / name).write_text(text)
        (place / ".gitignore").write_text("more\n")
        (place / "more").write_text("data")
        who = [setting for key in ("name", "email") for setting in ("-c", f"user.{key}=ada")]
        for words in (["init", "-q", "-b", "main"], ["add", "--all"], [*who, "commit", "-q", "-m", "first"]):
            subprocess.run(["git", *words], cwd=place, check=True)

    def ciml(self, *words: str) -> set[str]:
        """The fields of what a command prints on stdout."""
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "GITHUB_"))},
            "PYTHONPATH": str(ROOT),
            **{f"GIT_{role}_{part}": "ada" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
        }
        command = [sys.executable, "-m", "ciml", "--json", *words]
        done = subprocess.run(command, cwd=self._place, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return set(fields(json.loads(done.stdout)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that nothing was run for."""
    return Project(tmp_path)


def test_the_page_s_fields_are_there(project: Project) -> None:
    """Every field that the page promises is in the document of its command."""
    assert promised("plan") - project.ciml("plan") == set()
    assert (promised("plan") | promised("run")) - project.ciml("run") == set()
    assert promised("register") - project.ciml("register") == set()
    assert promised("lineage") - project.ciml("lineage", "m/1") == set()
    assert promised("gate") - project.ciml("gate") == set()
    assert promised("explain") - project.ciml("explain", "train") == set()
    assert promised("promote, rollback") - project.ciml("promote", "m", "1") == set()
    assert promised("log") - project.ciml("log") == set()
    assert promised("doctor") - project.ciml("doctor") == set()
    assert promised("validate") - project.ciml("validate") == set()
    assert promised("data add, data update") - project.ciml("data", "add", "more") == set()


@pytest.mark.parametrize("command", ["stats", "verify", "gc", "disown"])
def test_what_the_page_says_of_the_store(project: Project, command: str) -> None:
    """Its fields are those of the document, all of them."""
    rows = {row[0]: row[1] for row in re.findall(r"^\| `store (\w+)` \| (.*) \|$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"`(\w+)`", rows[command])) == project.ciml("store", command)
