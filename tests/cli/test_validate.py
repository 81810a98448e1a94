"""`ciml validate` and `ciml schema` from the command line."""

from __future__ import annotations

from tests.cli.calls import Calls


def test_a_valid_project(ciml: Calls) -> None:
    """Stages and models are counted; nothing is written."""
    text = "version: 1\nstages:\n  a: {run: ls, outputs: [x]}\nmodels:\n  m: {path: x, promote: manual}\n"
    ciml.repo.commit({"ciml.yaml": text})
    assert "ciml.yaml is valid: 1 stage, models: m." in ciml.ok("validate").out
    found = ciml.json("validate")
    assert (found["valid"], found["problems"]) == (True, [])
    assert ciml.repo.git("status", "--porcelain") == ""


def test_all_problems_at_once(ciml: Calls) -> None:
    """File, line, key and what would be right, on stderr and as JSON; exit 3."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstagse: {}\nstages:\n  a: {rnu: ls}\n"})
    answer = ciml("validate")
    assert answer.code == 3
    assert "ciml.yaml:2:1" in answer.err
    assert "ciml.yaml:4:" in answer.err
    document = ciml("--json", "validate")
    assert (document.code, document.json["valid"]) == (3, False)
    assert {problem["line"] for problem in document.json["problems"]} >= {2, 4}
    assert set(document.json["problems"][0]) == {"message", "file", "line", "column", "key", "hint"}


def test_inputs_cycles_and_manifests_are_checked(ciml: Calls) -> None:
    """What only the repository can tell is part of validity."""
    for text, files in (
        ("a: {run: ls, inputs: [gone]}", {}),
        ("a: {run: ls, inputs: [y], outputs: [x]}\n  b: {run: ls, inputs: [x], outputs: [y]}", {}),
        ("a: {run: ls, inputs: [d]}", {"d.manifest.yaml": "version: 1\n"}),
    ):
        ciml.repo.commit({"ciml.yaml": f"version: 1\nstages:\n  {text}\n", **files})
        assert ciml("validate").code == 3
