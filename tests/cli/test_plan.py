"""`ciml plan` from the command line."""

from __future__ import annotations

import re

from tests.cli.calls import Calls, process

CIML = """\
version: 1
params-files: [params.yaml]
stages:
  prepare: {run: cp raw table, inputs: [raw], outputs: [table]}
  train: {run: cp table model, inputs: [table], params: [train], outputs: [model]}
"""
FILES = {"ciml.yaml": CIML, "params.yaml": "train: {lr: 0.1}\n", "raw": "1"}
HEX = re.compile(r"[0-9a-f]{64}")


def test_the_document(ciml: Calls) -> None:
    """Exactly the fields of the contract, with their types."""
    head = ciml.repo.commit(FILES)
    found = ciml.json("plan")
    assert set(found) == {"base", "head", "dirty", "changes", "stages"}
    assert (found["base"], found["head"], found["dirty"]) == (None, head, False)
    assert set(found["changes"]) == {"code", "data", "params", "reason"}
    first, second = found["stages"]
    for stage in (first, second):
        assert set(stage) == {"name", "action", "reason", "recipe", "key"}
        assert HEX.fullmatch(stage["recipe"])
    assert (first["name"], first["action"], second["action"]) == ("prepare", "run", "maybe")
    assert HEX.fullmatch(first["key"])
    assert second["key"] is None


def test_the_four_actions(ciml: Calls) -> None:
    """run, maybe, then skip, then restore."""
    ciml.repo.commit(FILES)
    assert ciml.actions() == {"prepare": "run", "train": "maybe"}
    ciml.ok("run")
    assert ciml.actions() == {"prepare": "skip", "train": "skip"}
    (ciml.path / "model").unlink()
    assert ciml.actions() == {"prepare": "skip", "train": "restore"}
    assert ciml.actions("--force", "train") == {"prepare": "skip", "train": "run"}


def test_the_base_is_head_when_dirty_and_else_the_last_run(ciml: Calls) -> None:
    """Without a run, or a commit, everything is new."""
    first = ciml.repo.commit(FILES)
    assert ciml.json("plan")["changes"]["reason"] == "no run here yet"
    ciml.ok("run")
    ciml.repo.commit({"README.md": ""})
    ciml.repo.commit({"raw": "2"})
    found = ciml.json("plan")
    assert found["base"] == first
    assert found["changes"] == {"code": ["raw"], "data": [], "params": [], "reason": None}
    ciml.repo.write({"params.yaml": "train: {lr: 0.2}\n"})
    found = ciml.json("plan")
    assert (found["base"], found["dirty"]) == (found["head"], True)
    assert found["changes"] == {"code": [], "data": [], "params": ["train.lr"], "reason": None}
    assert found["stages"][1]["reason"] == "params.yaml: train.lr 0.1 -> 0.2; waits for prepare"


def test_a_tracked_output_does_not_make_head_the_base(ciml: Calls) -> None:
    """What a run wrote over a committed file is no change of the project: the plan compares with that run."""
    first = ciml.repo.commit({**FILES, "model": "committed"})
    ciml.ok("run")
    ciml.repo.commit({"README.md": ""})
    found = ciml.json("plan")
    assert (found["base"], found["dirty"]) == (first, False)


def test_what_a_person_sees(ciml: Calls) -> None:
    """What changed, then a line a stage; one line when there is nothing to do."""
    ciml.repo.commit(FILES)
    assert ciml.ok("plan").out == (
        "Everything counts as changed: no run here yet.\n"
        "run    prepare  no run here yet\n"
        "maybe  train    no run here yet; waits for prepare\n"
    )
    ciml.ok("run")
    assert ciml.ok("plan").out == "Nothing to do: 2 up to date.\n"
    ciml.repo.write({"params.yaml": "train: {lr: 0.2}\n"})
    assert ciml.ok("plan").out == (
        "Changed params: train.lr\n"
        "run  train  params.yaml: train.lr 0.1 -> 0.2\n"
        "1 more is up to date or left out (-v shows all).\n"
    )
    assert "skip  prepare  up to date" in ciml.ok("-v", "plan").out
    assert ciml.ok("-q", "plan").out == ""


def test_base_head_parameters_and_profile(ciml: Calls) -> None:
    """Between any two commits; with the values that a run would be given."""
    first = ciml.repo.commit(FILES)
    second = ciml.repo.commit({"raw": "2", "ciml.yaml": CIML + "profiles: {prod: {params: {train.lr: 0.9}}}\n"})
    ciml.repo.commit({"raw": "3"})
    found = ciml.json("plan", "--base", first, "--head", second)
    assert (found["base"], found["head"]) == (first, second)
    assert found["changes"]["code"] == ["ciml.yaml", "raw"]
    plain = ciml.json("plan")["stages"][1]["recipe"]
    given = ciml.json("plan", "-P", "train.lr=0.9")["stages"][1]["recipe"]
    profile = ciml.json("--profile", "prod", "plan")["stages"][1]["recipe"]
    assert plain != given == profile


def test_from_a_folder_below_and_from_elsewhere(ciml: Calls) -> None:
    """The repository is found from any of its folders, and `-C` names one."""
    ciml.repo.commit({**FILES, "deep/er/x": ""})
    here = ciml.json("plan")
    assert ciml.json("-C", "deep/er", "plan") == here
    assert process(ciml.path.parent, "--json", "-C", str(ciml.path), "plan").json == here


def test_a_bare_clone(ciml: Calls) -> None:
    """Without a work tree the head is HEAD."""
    ciml.repo.commit(FILES)
    here = ciml.json("plan")
    bare = ciml.repo.clone(bare=True)
    there = process(bare.path, "--json", "plan").json
    assert there == here


def test_requirements_without_exact_versions_draw_a_warning(ciml: Calls) -> None:
    """plan, run and validate say so on stderr; editable installs are refused."""
    text = 'version: 1\nenvironment: {python: "3.11", requirements: requirements.txt}\nstages:\n  a: {run: "true"}\n'
    ciml.repo.commit({"ciml.yaml": text, "requirements.txt": "numpy\n"})
    words = "warning: requirements.txt: no exact version for numpy; another day may install another one\n"
    assert ciml.ok("plan").err == words
    assert words in ciml.ok("validate").err
    assert "no exact version for numpy" in ciml.json("validate")["warnings"][0]
    ciml.repo.write({"requirements.txt": "-e .\n"})
    refused = ciml("plan")
    assert refused.code == 3
    assert "requirements.txt:1: an editable install: -e ." in refused.err


def test_another_environment_is_a_reason(ciml: Calls) -> None:
    """One that is new, or of another Python, is told as what it is."""
    stages = 'stages:\n  a: {run: "true"}\n'
    ciml.repo.commit({"ciml.yaml": f"version: 1\n{stages}"})
    ciml.ok("run")
    ciml.repo.write({"ciml.yaml": f'version: 1\nenvironment: {{python: "3.11"}}\n{stages}'})
    assert "run  a  the environment changed" in ciml.ok("plan").out


def test_errors_and_their_codes(ciml: Calls) -> None:
    """Usage 2, configuration 3, repository 4: one error, one hint, no traceback."""
    ciml.repo.commit({"x": ""})
    missing = ciml("plan")
    hint = "`ciml init` makes a new project; for one of your own the README has a short ciml.yaml."
    assert (missing.code, missing.err) == (
        3,
        f"error: there is no ciml.yaml at the root of this repository\nhint: {hint}\n",
    )
    ciml.repo.commit({"dvc.yaml": "stages: {}\n"})
    assert "hint: `ciml init --from dvc.yaml` makes one" in ciml("plan").err
    ciml.repo.commit(FILES)
    assert ciml("plan", "trian").code == 2
    assert ciml("plan", "--base", "nothing").code == 4
    assert ciml("plan", "--base", "--output=/tmp/x").code == 3
    assert ciml("plan", "-P", "train.lr").code == 2
    assert ciml("plan", "-P", "train.lr=fast").code == 3
    assert ciml("plan", "--no-such-option").code == 2
    assert ciml("-C", "/", "plan").code == 4


def test_paths_that_are_not_utf8_are_shown_escaped(ciml: Calls) -> None:
    """As text with backslashes; in JSON so that Python reads the same path back."""
    text = 'version: 1\nstages:\n  a: {run: ls, inputs: ["d/*"]}\n'
    ciml.repo.commit({"ciml.yaml": text, "d/caf\udce9": "1", "d/a\n::error::b": "1"})
    ciml.ok("run")
    ciml.repo.write({"d/caf\udce9": "2", "d/a\n::error::b": "2"})
    assert ciml.json("plan")["changes"]["code"] == ["d/a\n::error::b", "d/caf\udce9"]
    shown = process(ciml.path, "plan").out
    assert "d/caf\\udce9" in shown
    assert not [line for line in shown.splitlines() if line.lstrip().startswith("::")]


def test_c043_a_base_of_zeros_is_no_previous_commit(ciml: Calls) -> None:
    """Push `before` = 40 zeros (first push): all stages count as changed, reason "no previous commit"; exit 0."""
    ciml.repo.commit(FILES)
    found = ciml.json("plan", "--base", "0" * 40)
    assert found["changes"]["reason"] == "no previous commit"
    assert [stage["reason"] for stage in found["stages"]] == [
        "no previous commit",
        "no previous commit; waits for prepare",
    ]


def test_c044_a_head_of_zeros_is_nothing_to_do(ciml: Calls) -> None:
    """`after` = zeros (branch deleted): exit 0 "nothing to do", no stage."""
    ciml.repo.commit(FILES)
    answer = ciml.ok("plan", "--head", "0" * 40)
    assert answer.out == "Nothing to do: there is no commit: the branch is deleted.\n"
    assert ciml.json("plan", "--head", "0" * 40)["stages"] == []
