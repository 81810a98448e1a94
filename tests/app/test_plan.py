"""What changed, and what would be done about it: real repositories, real stores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ciml.core.errors import ConfigurationError, RepositoryError, UsageError
from ciml.core.plan import Action
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

CIML = """\
version: 1
params-files: [params.yaml]
stages:
  prepare: {run: cp data/raw.csv table.csv, inputs: [src/prepare.py, data/raw.csv], outputs: [table.csv]}
  train:
    run: cp table.csv model
    inputs: [src/train.py, table.csv]
    params: [train]
    outputs: [model]
  report: {run: cp model report, inputs: [model], outputs: [report]}
"""
FILES = {
    "ciml.yaml": CIML,
    "params.yaml": "train: {lr: 0.1, depth: 3}  # words\nother: 1\n",
    "src/prepare.py": "import tools\n",
    "src/train.py": "print(1)\n",
    "src/tools.py": "",
    "data/raw.csv": "1\n",
    "README.md": "words\n",
}


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    repo.commit(FILES)
    return Workspace(repo)


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The stages whose recipe differs."""
    return [name for name in before if before[name] != after[name]]


# Recipes come from Git alone.


def test_equal_commits_have_equal_recipes_everywhere(space: Workspace, tmp_path: Path) -> None:
    """On another machine, in another folder, on another branch, from another history."""
    recipes = space.recipes()
    other = RepoBuilder(tmp_path / "else/where")
    other.commit({"x": ""})
    other.branch("topic")
    other.commit({"x": None, **FILES})
    assert Workspace(other).recipes() == recipes
    assert Workspace(space.repo.clone(bare=True)).recipes() == recipes


def test_a_stages_name_is_no_part_of_its_recipe(space: Workspace) -> None:
    """Renaming a stage runs nothing."""
    before = space.recipes()
    space.repo.write({"ciml.yaml": CIML.replace("train:\n    run", "fit:\n    run")})
    after = space.recipes()
    assert [before["prepare"], before["train"], before["report"]] == [after["prepare"], after["fit"], after["report"]]


def test_a_dirty_tree_has_the_recipe_that_its_commit_will_have(space: Workspace) -> None:
    """What differs is hashed as Git would hash it."""
    space.repo.write({"src/train.py": "print(2)\n", "params.yaml": "train: {lr: 0.2, depth: 3}"})
    dirty = space.plan()
    recipes = space.recipes()
    space.repo.commit({"src/train.py": "print(2)\n", "params.yaml": "train: {lr: 0.2, depth: 3}"})
    clean = space.plan()
    assert (dirty.dirty, clean.dirty) == (True, False)
    assert space.recipes() == recipes == space.recipes(head="HEAD")


@pytest.mark.parametrize(
    ("files", "stages"),
    [
        ({"README.md": "other words"}, []),
        ({"src/train.py": "print(2)"}, ["train", "report"]),
        ({"src/tools.py": "x = 1"}, ["prepare", "train", "report"]),
        ({"data/raw.csv": "2"}, ["prepare", "train", "report"]),
        ({"params.yaml": "# other words\ntrain: {depth: 3, lr: 0.1}\nother: 1\n"}, []),
        ({"params.yaml": "train: {lr: 0.1, depth: 3}\nother: 2\n"}, []),
        ({"params.yaml": "train: {lr: 0.1, depth: 4}\nother: 1\n"}, ["train", "report"]),
        ({"params.yaml": "train: {lr: 0.1, depth: 3, new: 1}\nother: 1\n"}, ["train", "report"]),
        ({"ciml.yaml": CIML + "# words\n"}, []),
        ({"ciml.yaml": CIML.replace("cp model report", "cp  model report")}, ["report"]),
        ({"ciml.yaml": CIML.replace("params: [train]", "params: [train.lr]")}, ["train", "report"]),
    ],
    ids=["words", "script", "module", "data", "comment", "unnamed", "named", "new", "yaml", "command", "fewer"],
)
def test_what_a_commit_moves(space: Workspace, files: dict[str, str], stages: list[str]) -> None:
    """Documentation, comments and parameters that no stage names move no recipe; anything else just what reads it."""
    before = space.recipes()
    space.repo.commit(files)
    assert changed(before, space.recipes()) == stages


def test_c061_a_rename_is_a_deletion_and_an_addition(space: Workspace) -> None:
    """A stage that reads the old path has lost its input; the new path is another one."""
    before = space.recipes()
    space.repo.git("mv", "src/train.py", "src/fit.py")
    with pytest.raises(ConfigurationError, match=r"'src/train.py' is not tracked .*nearest path .*'src/"):
        space.recipes()
    space.repo.write({"ciml.yaml": CIML.replace("src/train.py", "src/fit.py")})
    assert changed(before, space.recipes()) == ["train", "report"]
    space.repo.git("commit", "-qam", "rename")
    made = space.plan(base="HEAD~1")
    assert made.changes.code == ("ciml.yaml", "src/fit.py")


def test_c062_a_mode_is_part_of_an_input(space: Workspace) -> None:
    """Mode-only change (chmod +x) on a script -> detected."""
    before = space.recipes()
    (space.path / "src/train.py").chmod(0o755)
    assert changed(before, space.recipes()) == ["train", "report"]


def test_c065_hidden_edits_are_dirty(space: Workspace) -> None:
    """assume-unchanged / skip-worktree bit hides an edit -> bytes hashed anyway; dirty."""
    before = space.recipes()
    for flag in ("--assume-unchanged", "--skip-worktree"):
        space.repo.git("update-index", flag, "src/train.py")
        space.repo.write({"src/train.py": "print(2)\n"})
        assert space.plan().dirty
        assert changed(before, space.recipes()) == ["train", "report"]
        space.repo.write({"src/train.py": "print(1)\n"})
        space.repo.git("update-index", flag.replace("--", "--no-"), "src/train.py")


def test_c070_a_sha256_repository(tmp_path: Path) -> None:
    """SHA-256 repository (64-hex) -> works."""
    repo = RepoBuilder(tmp_path / "repo", object_format="sha256")
    repo.commit(FILES)
    space = Workspace(repo)
    assert space.actions() == {"prepare": "run", "train": "maybe", "report": "maybe"}
    assert space.results()["report"] == "ran"
    assert set(space.actions().values()) == {"skip"}


def test_c075_branches_with_an_equal_tree_have_equal_recipes(space: Workspace) -> None:
    """Two branches with identical tree -> one registration key (content-based)."""
    space.repo.branch("one")
    space.repo.commit({"src/train.py": "print(2)"}, "one way")
    one = space.recipes()
    space.repo.switch("main")
    space.repo.commit({"src/train.py": "print(9)"})
    space.repo.commit({"src/train.py": "print(2)"}, "the other way")
    assert space.recipes() == one


_RECIPES = """
import sys
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import open_place, project_at
from ciml.app.plan import plan, prepare
import os
invocation = Invocation(directory=os.getcwd(), environ=dict(os.environ))
with open_place(invocation) as place:
    project = project_at(place, invocation, {})
    print([(stage.recipe, stage.key) for stage in plan(project, prepare(project)).stages])
"""


def test_c106_the_same_keys_in_any_surroundings(space: Workspace) -> None:
    """TZ, LANG=tr_TR (dotless i), umask, PYTHONHASHSEED varying, HOME unset -> same keys."""
    root = str(Path(__file__).parents[2])
    everyday = {"HOME": str(space.path.parent), "LANG": "C.UTF-8"}
    turkish = {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PYTHONHASHSEED": "4711"}
    found = set()
    for number, extra in enumerate((everyday, turkish)):
        done = subprocess.run(
            [sys.executable, "-c", _RECIPES],
            cwd=space.path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": root, **extra},
            umask=(0o022, 0o077)[number],
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


# Where there is no work tree, or not all of it.


def test_a_plan_needs_no_data_and_no_checkout(space: Workspace) -> None:
    """A bare, a shallow and a sparse clone plan as the full one does, with the same recipes."""
    recipes = space.recipes()
    bare = Workspace(space.repo.clone("bare", bare=True))
    shallow = Workspace(space.repo.clone("shallow", depth=1))
    sparse = Workspace(space.repo.clone("sparse", sparse=["src"]))
    for clone in (bare, shallow, sparse):
        made = clone.plan()
        assert [stage.action for stage in made.stages] == ["run", "maybe", "maybe"]
        assert [stage.recipe for stage in made.stages] == list(recipes.values())
        assert not made.dirty


def test_a_plan_between_two_commits(space: Workspace) -> None:
    """`--base` and `--head` name commits; the work tree, which has changed since, does not count."""
    base = space.repo.head()
    head = space.repo.commit({"src/train.py": "print(2)", "params.yaml": "train: {lr: 0.2, depth: 3}\nother: 1\n"})
    space.repo.write({"src/prepare.py": "print(3)"})
    made = space.plan(base=base, head=head)
    assert (made.base, made.head, made.dirty) == (base, head, False)
    assert made.changes.code == ("src/train.py",)
    assert made.changes.params == ("train.lr",)
    reasons = {str(stage.name): stage.reason for stage in made.stages}
    assert reasons["train"] == "params.yaml: train.lr 0.1 -> 0.2; src/train.py changed; waits for prepare"
    assert reasons["report"] == "waits for train"


def test_a_plan_of_a_commit_in_a_bare_clone(space: Workspace) -> None:
    """Both ends are revisions of any form."""
    space.repo.tag("v1")
    space.repo.commit({"src/train.py": "print(2)"})
    bare = Workspace(space.repo.clone(bare=True))
    made = bare.plan(base="v1", head="main")
    assert made.changes.code == ("src/train.py",)


def test_a_base_that_is_no_commit(space: Workspace) -> None:
    """A base given by hand must exist; one remembered from a run need not."""
    with pytest.raises(RepositoryError, match="names no commit here"):
        space.plan(base="no-such-branch")


def test_c045_a_base_outside_a_shallow_clone_means_everything_changed(space: Workspace) -> None:
    """Never "nothing changed"."""
    first = space.repo.head()
    space.repo.commit({"README.md": "2"})
    shallow = Workspace(space.repo.clone(depth=1))
    with shallow.project() as (_, project):
        import msgspec

        from ciml.app.plan import plan, prepare

        remembered = msgspec.structs.replace(project, last_commit=first)
        made = plan(remembered, prepare(remembered))
    assert made.changes.reason is not None
    assert made.changes.reason.startswith(f"cannot compare with {first[:10]}")
    assert made.stages[0].action is Action.RUN


def test_without_a_commit(tmp_path: Path) -> None:
    """Before the first commit everything is new, and the tree is dirty."""
    repo = RepoBuilder(tmp_path / "repo")
    repo.write(FILES)
    made = Workspace(repo).plan()
    assert (made.base, made.head, made.dirty) == (None, None, True)
    assert made.changes.reason == "no commit yet"
    assert made.stages[0].reason == "no commit yet"


# Dirt.


def test_tracked_outputs_do_not_make_dirty(space: Workspace) -> None:
    """Many repositories commit metrics.json: what a stage writes there is no change of the project."""
    space.repo.commit({"model": "committed", "report": "committed"})
    assert space.results()["report"] == "ran"
    assert space.read("model") == "1\n"
    made = space.plan()
    assert not made.dirty
    assert {stage.action for stage in made.stages} == {"skip"}


def test_tracked_files_of_an_output_folder_do_not_make_dirty(space: Workspace) -> None:
    """An output may be a folder, of which some files are committed."""
    text = "version: 1\nstages:\n  a: {run: mkdir out; echo 2 > out/x, outputs: [out]}\n"
    space.repo.commit({"ciml.yaml": text, "out/x": "1"})
    space.run()
    assert space.read("out/x") == "2\n"
    assert not space.plan().dirty


def test_a_tracked_file_that_no_stage_reads_makes_dirty(space: Workspace) -> None:
    """A commit would not be what is in the work tree."""
    space.repo.write({"README.md": "other"})
    made = space.plan()
    assert made.dirty
    assert made.changes.code == ()


# What is wanted, and why.


def test_targets_and_what_they_need(space: Workspace) -> None:
    """A plan of some stages has these and those before them; forced are the targets alone."""
    assert list(space.actions("train")) == ["prepare", "train"]
    space.run()
    forced = space.plan("train", force=True)
    assert [(stage.name, stage.action, stage.reason) for stage in forced.stages] == [
        ("prepare", "skip", "up to date"),
        ("train", "run", "forced"),
    ]
    assert [stage.action for stage in space.plan(force=True).stages] == ["run", "maybe", "maybe"]


def test_a_target_that_is_no_stage(space: Workspace) -> None:
    """The nearest name is the hint."""
    with pytest.raises(UsageError, match="there is no stage 'trian'") as caught:
        space.plan("trian")
    assert caught.value.hint is not None
    assert "train" in caught.value.hint


def test_parameters_of_the_call_move_the_recipes_of_the_stages_that_name_them(space: Workspace) -> None:
    """`-P` is part of what is asked for; a profile too."""
    before = space.recipes()
    assert changed(before, space.recipes(params={"train.lr": "0.3"})) == ["train", "report"]
    assert changed(before, space.recipes(params={"other": "7"})) == []
    text = CIML + "profiles: {prod: {params: {train.lr: 0.3}}}\n"
    space.repo.write({"ciml.yaml": text})
    prod = [stage.recipe for stage in space.plan(profile="prod").stages]
    assert prod == list(space.recipes(params={"train.lr": "0.3"}).values())


def test_reasons_of_a_changed_declaration(space: Workspace) -> None:
    """A stage that ciml.yaml now declares otherwise says what; the others are not touched."""
    space.repo.commit({"ciml.yaml": CIML.replace("cp model report", "cat model > report")})
    reasons = space.reasons(base="HEAD~1")
    assert reasons["report"] == "its command changed; waits for train"
    assert reasons["train"] == "waits for prepare"


def test_a_base_whose_configuration_cannot_be_read_any_more(space: Workspace) -> None:
    """Every stage is new against a base that no ciml can read."""
    space.repo.commit({"ciml.yaml": "version: 99"})
    space.repo.commit({"ciml.yaml": CIML})
    assert space.reasons(base="HEAD~1")["prepare"] == "the stage is new"


def test_stages_that_wait_for_each_other(space: Workspace) -> None:
    """A cycle is told by its stages."""
    space.repo.write(
        {
            "ciml.yaml": "version: 1\nstages:\n"
            "  a: {run: make, inputs: [b.txt], outputs: [a.txt]}\n"
            "  b: {run: make, inputs: [a.txt], outputs: [b.txt]}\n"
        }
    )
    with pytest.raises(ConfigurationError, match="a -> b -> a"):
        space.plan()


def test_requirements_move_every_stage(space: Workspace) -> None:
    """The environment is part of every recipe; a requirements file that is not there is an error."""
    before = space.recipes()
    text = CIML + 'environment: {python: "3.11", requirements: requirements.txt}\n'
    space.repo.write({"ciml.yaml": text})
    with pytest.raises(ConfigurationError, match=r"'requirements.txt' does not exist"):
        space.recipes()
    space.repo.write({"requirements.txt": "a==1\n"})
    first = space.recipes()
    space.repo.write({"requirements.txt": "a==2\n"})
    assert changed(before, first) == changed(first, space.recipes()) == list(before)
    assert space.reasons()["report"].startswith("requirements.txt changed")
