"""What can be judged without running a stage."""

from __future__ import annotations

import pytest

from tests.cli.calls import Calls

MODEL = """
version: 1
stages:
  train: {{run: "echo 1 > model; echo '{{\\"auc\\": 1}}' > m.json", outputs: [model], metrics: [m.json], {how}}}
models:
  m: {{path: model, gate: [auc > 0.5]}}
"""


@pytest.mark.parametrize("how", ["cache: false", "isolation: none"])
def test_a_stage_that_keeps_nothing_makes_no_version(ciml: Calls, how: str) -> None:
    """`register` says why, and not to run again."""
    ciml.repo.commit({"ciml.yaml": MODEL.format(how=how), ".gitignore": "model\nm.json\n"})
    assert ciml("run").code == 0
    answer = ciml("register")
    assert answer.code == 4
    assert f"stage train says {how}" in answer.err
