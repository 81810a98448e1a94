"""Runs: real repositories, the real store, real processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ciml.core.ids import StageName
from ciml.core.results import Cancelled, Failed, Ran, Skipped
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace, words


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    return Workspace(repo)


def yaml(*stages: str, head: str = "") -> str:
    return f"version: 1\n{head}stages:\n" + "".join(f"  {stage}\n" for stage in stages)


CHAIN = yaml(
    "prepare: {run: cut -d# -f1 raw > table, inputs: [raw], outputs: [table]}",
    "train: {run: cat table > model, inputs: [table], outputs: [model]}",
    "report: {run: cat model > page, inputs: [model], outputs: [page]}",
)


def test_run_then_nothing_then_restore(space: Workspace) -> None:
    """What ran is in place; what is gone from the work tree comes back from the store, and nothing runs."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    assert set(space.results().values()) == {"ran"}
    assert set(space.results().values()) == {"skipped"}
    (space.path / "model").unlink()
    (space.path / "page").write_text("changed by hand")
    assert space.actions() == {"prepare": "skip", "train": "restore", "report": "restore"}
    assert space.results() == {"prepare": "skipped", "train": "restored", "report": "restored"}
    assert (space.read("model"), space.read("page")) == ("1\n", "1\n")


def test_early_cut_off(space: Workspace) -> None:
    """A changed input whose stage makes the same bytes runs that stage and no other."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    space.run()
    space.repo.commit({"raw": "1# words"})
    assert space.actions() == {"prepare": "run", "train": "maybe", "report": "maybe"}
    assert space.results() == {"prepare": "ran", "train": "skipped", "report": "skipped"}
    (space.path / "model").unlink()
    space.repo.commit({"raw": "1# other words"})
    assert space.results() == {"prepare": "ran", "train": "restored", "report": "skipped"}


def test_going_back_restores(space: Workspace) -> None:
    """What an earlier commit made is still there: a revert, or another branch, trains nothing."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    space.run()
    space.repo.commit({"raw": "2"})
    space.run()
    space.repo.commit({"raw": "1"})
    assert set(space.results().values()) == {"restored"}
    assert space.read("page") == "1\n"


def test_the_order_of_events(space: Workspace) -> None:
    """A stage starts after all it waits for have ended, and each is told once."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    made = space.run()
    assert list(made.results) == ["prepare", "train", "report"]
    assert space.events.ends == ["prepare", "train", "report"]
    assert [name for name, _ in space.events.decisions] == space.events.ends


def test_needs_is_an_order_without_a_file(space: Workspace) -> None:
    """The later stage starts when the earlier one has ended, and its key does not depend on it."""
    text = yaml("a: {run: make a, needs: [b]}", "b: {run: 'true'}").replace("make a", "'true'")
    space.repo.commit({"ciml.yaml": text})
    space.run()
    assert space.events.ends == ["b", "a"]


# Failures.

FAILING = yaml(
    "bad: {run: 'echo oh no; exit 3', outputs: [x]}",
    "after: {run: cat x > y, inputs: [x], outputs: [y]}",
    "other: {run: sleep 0.2; touch z, outputs: [z]}",
    "beside: {run: cat z > w, inputs: [z], outputs: [w]}",
)


def test_a_failure_stops_what_has_not_started(space: Workspace) -> None:
    """What runs may end; nothing else begins, and what depends on the failure says so."""
    space.repo.commit({"ciml.yaml": FAILING})
    made = space.run()
    assert words(made) == {"bad": "failed", "after": "cancelled", "other": "ran", "beside": "cancelled"}
    failed = made.results[StageName("bad")]
    assert isinstance(failed, Failed)
    assert (failed.exit_code, failed.tail) == (3, "oh no\n")
    assert "oh no" in Path(failed.log).read_text()
    assert made.results[StageName("after")] == Cancelled(reason="bad did not end well")
    assert made.results[StageName("beside")] == Cancelled(reason="another stage failed")
    assert not (space.path / "x").exists()


def test_keep_going(space: Workspace) -> None:
    """What does not depend on the failure goes on."""
    space.repo.commit({"ciml.yaml": FAILING})
    made = space.run(keep_going=True)
    assert words(made) == {"bad": "failed", "after": "cancelled", "other": "ran", "beside": "ran"}


def test_what_had_ended_is_kept(space: Workspace) -> None:
    """The next run begins where the failed one stopped."""
    space.repo.commit({"ciml.yaml": FAILING})
    space.run()
    space.repo.commit({"ciml.yaml": FAILING.replace("echo oh no; exit 3", "touch x")})
    assert space.results() == {"bad": "ran", "after": "ran", "other": "skipped", "beside": "ran"}


def test_a_part_that_was_not_made_fails_its_reader(space: Workspace) -> None:
    """A stage that reads `d/x`, of a folder in which there is no `x`, fails; the others go on to their end."""
    text = yaml(
        "a: {run: mkdir d; touch d/y, outputs: [d]}",
        "b: {run: cat d/x, inputs: [d/x]}",
        "c: {run: ls d, inputs: [d]}",
    )
    space.repo.commit({"ciml.yaml": text})
    made = space.run(keep_going=True)
    failed = made.results[StageName("b")]
    assert isinstance(failed, Failed)
    assert failed.reason == "d/x is read, and nothing was made there"
    assert words(made)["c"] == "ran"


# finally.


def test_finally_runs_after_a_failure_and_does_not_hide_it(space: Workspace) -> None:
    """It has its outputs, the failure is still one."""
    text = yaml("bad: {run: exit 3}", "tidy: {run: touch tidied, outputs: [tidied], finally: true}")
    space.repo.commit({"ciml.yaml": text})
    made = space.run()
    assert words(made) == {"bad": "failed", "tidy": "ran"}
    assert space.events.ends == ["bad", "tidy"]
    assert (space.path / "tidied").exists()


def test_finally_runs_every_time(space: Workspace) -> None:
    """It is never cached, and never restored."""
    text = yaml("a: {run: touch x, outputs: [x]}", "tidy: {run: date +%N > t, outputs: [t], finally: true}")
    space.repo.commit({"ciml.yaml": text})
    assert space.results() == {"a": "ran", "tidy": "ran"}
    first = space.read("t")
    assert space.results() == {"a": "skipped", "tidy": "ran"}
    assert space.read("t") != first


def test_finally_does_not_wait_for_what_it_needs_to_succeed(space: Workspace) -> None:
    """`needs` orders it; a file that was never made keeps it from starting."""
    text = yaml(
        "bad: {run: exit 3, outputs: [x]}",
        "tidy: {run: 'true', needs: [bad], finally: true}",
        "reads: {run: cat x, inputs: [x], finally: true}",
    )
    space.repo.commit({"ciml.yaml": text})
    assert space.results() == {"bad": "failed", "tidy": "ran", "reads": "cancelled"}


def test_a_stage_after_a_finally_stage(space: Workspace) -> None:
    """It waits for it, and it is waited for by no one that it waits for."""
    text = yaml(
        "a: {run: 'true'}",
        "late: {run: cat t > l, inputs: [t], outputs: [l]}",
        "tidy: {run: touch t, outputs: [t], finally: true}",
    )
    space.repo.commit({"ciml.yaml": text})
    assert set(space.results().values()) == {"ran"}
    assert space.events.ends == ["a", "tidy", "late"]


# force, cache, isolation.


def test_force(space: Workspace) -> None:
    """Everything runs although there are records; with targets just these."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    space.run()
    assert set(space.results(force=True).values()) == {"ran"}
    assert space.results("train", force=True) == {"prepare": "skipped", "train": "ran"}


def test_targets_leave_the_rest_alone(space: Workspace) -> None:
    """Only the target and what it needs."""
    space.repo.commit({"ciml.yaml": CHAIN, "raw": "1"})
    assert space.results("train") == {"prepare": "ran", "train": "ran"}
    assert not (space.path / "page").exists()


def test_cache_false_runs_every_time(space: Workspace) -> None:
    """Its readers are restored while it makes the same."""
    text = yaml("a: {run: echo 1 > x, outputs: [x], cache: false}", "b: {run: cat x > y, inputs: [x], outputs: [y]}")
    space.repo.commit({"ciml.yaml": text})
    assert space.results() == {"a": "ran", "b": "ran"}
    assert space.results() == {"a": "ran", "b": "skipped"}


def test_a_record_of_an_isolated_stage_does_not_serve_one_that_is_not(space: Workspace) -> None:
    """`isolation: none` runs in the work tree, every time, although an equal isolated stage has a record."""
    stage = "a: {run: echo $PWD > x, outputs: [x]}"
    space.repo.commit({"ciml.yaml": yaml(stage)})
    space.run()
    space.repo.commit({"ciml.yaml": yaml(stage.replace("[x]", "[x], isolation: none"))})
    assert space.results() == {"a": "ran"}
    assert space.read("x") == f"{space.path}\n"
    assert space.results() == {"a": "ran"}


# when.


def test_when_is_false(space: Workspace) -> None:
    """The stage is skipped with all that read it, and the run succeeds."""
    text = yaml(
        "train: {run: 'echo ''{\"auc\": 0.4}'' > m.json', metrics: [m.json]}",
        "ship: {run: touch s, outputs: [s], when: stages.train.metrics.auc > 0.5}",
        "after: {run: cat s > t, inputs: [s], outputs: [t]}",
    )
    space.repo.commit({"ciml.yaml": text})
    assert space.actions() == {"train": "run", "ship": "maybe", "after": "maybe"}
    made = space.run()
    assert made.results[StageName("ship")] == Skipped(reason="when is false: stages.train.metrics.auc > 0.5")
    assert made.results[StageName("after")] == Skipped(reason="ship was left out")
    assert space.actions() == {"train": "skip", "ship": "skip", "after": "skip"}


# Matrices.

MATRIX = """\
version: 1
stages:
  train:
    matrix: {lr: [0.3, 0.1, 0.2], seed: [1]}
    run: |
      V=${{ matrix.lr }}
      echo "model $V" > model
      echo "{\\"loss\\": $V}" > m.json
    outputs: [model]
    metrics: [m.json]
    pick: {min: loss}
  use: {run: cat model m.json > used, inputs: [model, m.json], outputs: [used]}
"""


def test_a_matrix_and_its_pick(space: Workspace) -> None:
    """Each instance has its own outputs; the plain names hold the winner's, in the work tree too."""
    space.repo.commit({"ciml.yaml": MATRIX})
    made = space.run()
    assert list(made.results) == ["train@0.3-1", "train@0.1-1", "train@0.2-1", "train", "use"]
    assert space.read("model") == "model 0.1\n"
    assert json.loads(space.read("m.json")) == {"loss": 0.1}
    assert space.read("used").startswith("model 0.1\n")
    assert set(space.results().values()) == {"skipped"}
    (space.path / "model").unlink()
    assert space.results()["train"] == "restored"
    assert space.read("model") == "model 0.1\n"


def test_one_more_instance_runs_one_stage(space: Workspace) -> None:
    """The other instances have their records; the pick decides anew."""
    space.repo.commit({"ciml.yaml": MATRIX})
    space.run()
    space.repo.commit({"ciml.yaml": MATRIX.replace("[0.3, 0.1, 0.2]", "[0.3, 0.1, 0.2, 0.05]")})
    made = space.run()
    assert [name for name, result in made.results.items() if isinstance(result, Ran)] == ["train@0.05-1", "use"]
    assert space.read("model") == "model 0.05\n"


def test_a_record_of_an_instance_serves_an_equal_stage(space: Workspace) -> None:
    """A stage of another name that is the same inside takes what was made, under its own paths."""
    text = yaml("train: {matrix: {lr: [1, 2]}, run: date +%N > model, outputs: [model]}")
    space.repo.commit({"ciml.yaml": text})
    space.run()
    made = {path.name: path.read_text() for path in space.path.glob("model@*")}
    assert sorted(made) == ["model@1", "model@2"]
    for path in space.path.glob("model@*"):
        path.unlink()
    space.repo.commit({"ciml.yaml": text.replace("train:", "fit:")})
    assert space.results() == {"fit@1": "restored", "fit@2": "restored"}
    assert {path.name: path.read_text() for path in space.path.glob("model@*")} == made


# What a stage sees.


def test_the_environment_is_an_allow_list(space: Workspace) -> None:
    """A stage gets PATH, HOME and what it names; nothing of CI, cloud or registry."""
    text = yaml("a: {run: env > e, outputs: [e], env: {SEED: '1'}, pass-env: [TOKEN]}")
    space.repo.commit({"ciml.yaml": text})
    kept = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TOKEN": "t", "TZ": "UTC"}
    refused = {"AWS_SECRET_ACCESS_KEY": "s", "GITHUB_TOKEN": "g", "MLFLOW_TRACKING_URI": "u", "PYTHONPATH": "p"}
    here = Workspace(space.repo, environ={**kept, **refused})
    here.run()
    seen = dict(line.split("=", 1) for line in here.read("e").splitlines() if "=" in line)
    assert {name: seen.get(name) for name in kept} == kept
    assert seen["SEED"] == "1"
    assert not refused.keys() & seen.keys()


def test_names_of_passed_variables_are_no_part_of_the_key(space: Workspace) -> None:
    """Another value of a variable that is handed through runs nothing."""
    space.repo.commit({"ciml.yaml": yaml("a: {run: touch x, outputs: [x], pass-env: [TOKEN]}")})
    base = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    Workspace(space.repo, environ={**base, "TOKEN": "1"}).run()
    assert Workspace(space.repo, environ={**base, "TOKEN": "2"}).results() == {"a": "skipped"}


def test_isolation_shows_declared_inputs_only(space: Workspace) -> None:
    """Code with its modules, folders, new files and parameters; nothing else of the repository."""
    text = yaml(
        "a: {run: 'find . -type f | sort > list', inputs: [src/a.py, d], params: [train], outputs: [list]}",
        head="params-files: [params.yaml]\n",
    )
    files = {
        "src/a.py": "import m",
        "src/m.py": "",
        "src/no.py": "",
        "d/1": "",
        "params.yaml": "{train: {lr: 1}, no: 2}",
    }
    space.repo.commit({"ciml.yaml": text, "README.md": "", **files})
    space.repo.write({"d/new": "", "notes": ""})
    space.run()
    seen = {name for name in space.read("list").split() if "list" not in name}
    assert seen == {"./src/a.py", "./src/m.py", "./d/1", "./d/new", "./params.yaml"}


def test_a_params_file_holds_what_was_named(space: Workspace) -> None:
    """Just the named subtree, with the values in force, the same whatever the order in the file."""
    text = yaml(
        "a: {run: cp params.yaml p; cp $CIML_PARAMS j, params: [train], outputs: [p, j]}",
        head="params-files: [params.yaml]\n",
    )
    space.repo.commit({"ciml.yaml": text, "params.yaml": "train: {lr: 0.1, net: {b: 2, a: [1]}}\nother: 1\n"})
    made = space.run(params={"train.lr": "0.5"})
    assert words(made) == {"a": "ran"}
    assert json.loads(space.read("j")) == {"train": {"lr": 0.5, "net": {"a": [1], "b": 2}}}
    assert "other" not in space.read("p")
    first = space.read("p"), space.read("j")
    space.repo.commit({"params.yaml": "other: 1\ntrain: {net: {a: [1], b: 2}, lr: 0.5}\n"})
    assert words(space.run()) == {"a": "skipped"}
    assert words(space.run(force=True)) == {"a": "ran"}
    assert (space.read("p"), space.read("j")) == first


def test_c053_paths_of_any_bytes(space: Workspace) -> None:
    """Non-UTF-8, newline, quote, `-rf`, `::error::x`, emoji: an input like any other, and a change of it is seen."""
    names = [b"caf\xe9.bin", b"a\nb", b'q"\t', b"-rf", b"::error::x", "\N{GRINNING FACE}".encode(), b"x" * 255]
    text = yaml("a: {run: cat d/* > n, inputs: ['d/*'], outputs: [n]}")
    space.repo.commit({"ciml.yaml": text, **{f"d/{os.fsdecode(name)}": "1" for name in names}})
    assert space.results() == {"a": "ran"}
    assert space.read("n") == "1" * len(names)
    for name in names:
        space.repo.write({f"d/{os.fsdecode(name)}": "2"})
        assert space.actions() == {"a": "run"}
        assert space.plan().changes.code == (f"d/{os.fsdecode(name)}",)
        space.repo.write({f"d/{os.fsdecode(name)}": "1"})
    assert space.actions() == {"a": "skip"}


def test_links_work_where_the_stage_runs(space: Workspace) -> None:
    """A linked input can be read: its target lies where it points."""
    text = yaml("a: {run: cat current deep/link/x > n, inputs: [current, deep/link/x], outputs: [n]}")
    links = {"current": "v1", "deep/link": "../real"}
    space.repo.commit({"ciml.yaml": text, "v1": "1", "real/x": "2", **links}, modes=dict.fromkeys(links, 0o120000))
    assert space.results() == {"a": "ran"}
    assert space.read("n") == "12"


def test_a_submodule_is_there(space: Workspace, tmp_path: Path) -> None:
    """Its files lie where the submodule is."""
    library = RepoBuilder(tmp_path / "library")
    library.commit({"x.txt": "1", "deep/y": "2"})
    space.repo.commit({"ciml.yaml": yaml("a: {run: cat lib/x.txt lib/deep/y > n, inputs: [lib], outputs: [n]}")})
    space.repo.git("submodule", "add", "-q", str(library.path), "lib")
    space.repo.git("commit", "-qm", "submodule")
    assert space.results() == {"a": "ran"}
    assert space.read("n") == "12"
