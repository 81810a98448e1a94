"""Secrets of stages: masked where they are printed whole, and in no record of a run."""

from __future__ import annotations

import pytest

from tests.cli.calls import Calls

FIRST, SECOND = "q7Xv-0first-Ab3K9", "Lz52second-0pQ8w"
FILES = {
    "ciml.yaml": """\
version: 1
stages:
  train:
    run: |
      printf '%s\\n' "$TOKEN"
      printf '%.17s\\n%s\\n' "$TOKEN" "$(printf '%s' "$TOKEN" | cut -c18-)"
      echo 0.9 > model.txt && echo '{"auc": 0.9}' > m.json
    outputs: [model.txt]
    metrics: [m.json]
    secrets: [TOKEN]
models:
  churn: {path: model.txt, gate: [auc > 0.5]}
"""
}


def test_c035_a_secret_in_two_halves_is_in_the_log_alone(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole it is masked; halves are as the stage printed them, in its log. No record, lineage or ledger has either."""
    monkeypatch.setenv("TOKEN", FIRST + SECOND)
    ciml.repo.commit(FILES)
    printed = ciml.ok("run")
    assert FIRST + SECOND not in printed.out + printed.err
    ciml.ok("register")
    lineage = ciml.ok("--json", "lineage", "churn/1")
    for half in (FIRST, SECOND):
        assert half not in lineage.out
        files = [path for path in ciml.path.rglob("*") if path.is_file() and half.encode() in path.read_bytes()]
        assert [path.suffix for path in files] == [".log"], files
