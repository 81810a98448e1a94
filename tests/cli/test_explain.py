"""`ciml explain` from the command line."""

from __future__ import annotations

from tests.cli.calls import Calls

CIML = """\
version: 1
params-files: [params.yaml]
stages:
  prepare: {run: cp raw table, inputs: [raw], outputs: [table]}
  train:
    run: |
      python src/train.py
      echo done
    inputs: [src/train.py, table]
    params: [train]
    outputs: [model]
"""
FILES = {
    "ciml.yaml": CIML,
    "params.yaml": "train: {lr: 0.1}\n",
    "raw": "1",
    "src/train.py": "import net\nopen('model', 'w').write('m')\n",
    "src/net.py": "",
}


def row(out: str, *words: str) -> str:
    """The one line that holds these words."""
    [line] = [line for line in out.splitlines() if all(word in line for word in words)]
    return " ".join(line.split())


def test_the_parts_of_the_keys(ciml: Calls) -> None:
    """Before any run: everything, the key not known yet, and nothing to compare with."""
    ciml.repo.commit(FILES)
    out = ciml.ok("explain", "train").out
    assert out.startswith("train: maybe – no run here yet; waits for prepare\n")
    assert "key     not known before the stages before it have run" in out
    assert row(out, " command  ") == "command python src/train.py; echo done"
    assert row(out, "param ") == "param train.lr 0.1"
    assert row(out, "input", "table") == "input table made by prepare"
    assert row(out, "import ").endswith("imported by src/train.py")
    assert "No run here has had this stage" in out


def test_what_differs_from_the_last_run(ciml: Calls) -> None:
    """A star and the value of before; the old recipe beside the new one."""
    ciml.repo.commit(FILES)
    ciml.ok("run")
    assert "Nothing differs from the last run" in ciml.ok("explain", "train").out
    ciml.repo.commit({"params.yaml": "train: {lr: 0.2}\n", "src/net.py": "x = 1"})
    out = ciml.ok("explain", "train").out
    assert row(out, "param ") == "* param train.lr 0.2 was 0.1"
    assert row(out, "import ").startswith("* import src/net.py")
    assert not row(out, "input", "table").startswith("*")
    assert " was " in row(out, "recipe ")


def test_a_command_that_changed(ciml: Calls) -> None:
    """The declaration is compared with that of the last run's commit."""
    ciml.repo.commit(FILES)
    ciml.ok("run")
    ciml.repo.commit({"ciml.yaml": CIML.replace("echo done", "echo ready")})
    out = ciml.ok("explain", "train").out
    assert row(out, " command  ").startswith("* command python src/train.py; echo ready")
    assert "was python src/train.py; echo done" in out


def test_the_document(ciml: Calls) -> None:
    """The same as JSON."""
    ciml.repo.commit(FILES)
    ciml.ok("run")
    found = ciml.json("explain", "train")
    assert found["planned"]["name"] == "train"
    assert found["last_recipe"] == found["planned"]["recipe"]
    assert {part["kind"] for part in found["parts"]} >= {"command", "param", "input", "import", "output", "platform"}


def test_a_stage_that_is_none(ciml: Calls) -> None:
    """Exit 2 and the nearest name."""
    ciml.repo.commit(FILES)
    answer = ciml("explain", "trian")
    assert answer.code == 2
    assert "train" in answer.err
