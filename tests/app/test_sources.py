"""Declared inputs, resolved against real trees: tracked, new, behind manifests, made, linked, imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ciml.app.plan import prepare
from ciml.core.errors import ConfigurationError, RepositoryError, TrustError
from ciml.core.ids import StageName
from ciml.core.inputs import DataInput, Input, ProducedInput, TrackedInput
from tests.repobuilder import LINK, RepoBuilder
from tests.workspace import Workspace

MANIFEST = f"version: 1\nsha256: {'d' * 64}\nsize: 3\nfiles: 1\n"


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    return Workspace(repo)


def yaml(*inputs: str, more: str = "", **settings: str) -> str:
    """A ciml.yaml with one stage `a`."""
    named = "".join(f", {name}: {value}" for name, value in settings.items())
    listed = ", ".join(f'"{path}"' for path in inputs)
    return f"version: 1\nstages:\n  a: {{run: make, inputs: [{listed}], outputs: [out]{named}}}\n{more}"


def inputs(space: Workspace, stage: str = "a", *, head: str | None = None) -> list[Input]:
    return list(space.prepared(head=head).graph.inputs[StageName(stage)])


def paths(space: Workspace, stage: str = "a") -> list[str]:
    return sorted(item.inside for item in inputs(space, stage))


def problem(space: Workspace) -> str:
    with pytest.raises(ConfigurationError) as caught:
        space.prepared()
    return str(caught.value)


def test_files_folders_globs(space: Workspace) -> None:
    """A file is its blob, a folder its tree, a glob the files that match."""
    space.repo.commit(
        {"ciml.yaml": yaml("x.csv", "d", "g/*.txt"), "x.csv": "1", "d/e/f": "2", "g/1.txt": "", "g/2.py": ""}
    )
    found = {item.inside: item for item in inputs(space)}
    assert sorted(found) == ["d", "g/1.txt", "x.csv"]
    folder = found["d"]  # type: ignore[index]
    assert isinstance(folder, TrackedInput)
    assert folder.oid == space.repo.git("rev-parse", "HEAD:d")


def test_what_other_stages_make(space: Workspace) -> None:
    """An output, a part of one, all outputs in a folder, those that match a glob; one's own output is no input."""
    more = (
        '  b: {run: make, inputs: [build/model, "parts/*.csv", tree/x/y, folder], outputs: [folder/mine]}\n'
        "  c: {run: make, outputs: [build/model, parts/1.csv, parts/2.txt, tree, folder/theirs]}\n"
    )
    space.repo.commit({"ciml.yaml": yaml(more=more)})
    found = inputs(space, "b")
    assert all(isinstance(item, ProducedInput) for item in found)
    made = [(item.inside, item.output, item.part) for item in found if isinstance(item, ProducedInput)]
    assert sorted(made) == [
        ("build/model", "build/model", ""),
        ("folder/theirs", "folder/theirs", ""),
        ("parts/1.csv", "parts/1.csv", ""),
        ("tree/x/y", "tree", "x/y"),
    ]


def test_a_tracked_output_in_an_input_folder_is_no_part_of_the_input(space: Workspace) -> None:
    """Repositories that commit metrics.json do not run in circles."""
    text = "version: 1\nstages:\n  a: {run: make, inputs: [d], outputs: [d/metrics.json]}\n"
    space.repo.commit({"ciml.yaml": text, "d/x": "1", "d/metrics.json": "{}"})
    assert paths(space) == ["d/x"]


def test_a_manifest_stands_for_its_path(space: Workspace) -> None:
    """Beside the path: ciml's own, or a DVC pointer; the bytes need not be here."""
    pointer = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 7\n  path: y\n"
    space.repo.commit({"ciml.yaml": yaml("d/x", "y"), "d/x.manifest.yaml": MANIFEST, "y.dvc": pointer})
    found = inputs(space)
    assert [(item.path, item.manifest, item.size) for item in found if isinstance(item, DataInput)] == [
        ("d/x", "d/x.manifest.yaml", 3),
        ("y", "y.dvc", 7),
    ]


# What is nothing.


def test_folders_and_globs_hold_the_data_behind_manifests(space: Workspace) -> None:
    """Data is in the place of its manifests, tracked or new; a file that Git tracks beside its manifest stays that."""
    text = yaml("d", "e/*.csv", "f")
    files = ["d/x.manifest.yaml", "d/z/y.manifest.yaml", "e/a.csv.manifest.yaml", "e/other.manifest.yaml"]
    space.repo.commit({"ciml.yaml": text, "d/code.py": "", **dict.fromkeys(files, MANIFEST)})
    space.repo.commit({"f/own": "1", "f/own.manifest.yaml": MANIFEST})
    space.repo.write({"e/new.csv.manifest.yaml": MANIFEST})
    found = inputs(space)
    assert sorted(item.path for item in found if isinstance(item, DataInput)) == [
        "d/x",
        "d/z/y",
        "e/a.csv",
        "e/new.csv",
    ]
    assert sorted(item.path for item in found if isinstance(item, TrackedInput)) == ["d/code.py", "f"]


def test_a_glob_does_not_reach_into_data(space: Workspace) -> None:
    """The error says what can be named in its place."""
    space.repo.commit({"ciml.yaml": yaml("d/raw/*.csv"), "d/raw.manifest.yaml": MANIFEST})
    assert "a pattern does not reach into data that a manifest stands for: name d/raw" in problem(space)


def test_all_inputs_that_are_nothing_are_told_at_once(space: Workspace) -> None:
    """Stage, line, and the nearest path that does exist."""
    files = {"src/train.py": "", "data/raw.manifest.yaml": MANIFEST}
    space.repo.commit({"ciml.yaml": yaml("src/trian.py", "no/such/thing", "data/rwa"), **files})
    text = problem(space)
    assert "the nearest path that exists is 'data/raw')" in text
    assert (
        "ciml.yaml:3: stages.a.inputs: stage a: the input 'src/trian.py' is not tracked by Git, has no manifest" in text
    )
    assert "and no stage makes it (the nearest path that exists is 'src/train.py')" in text
    assert "the input 'no/such/thing' is not tracked by Git" in text


def test_an_ignored_file_is_an_error_that_says_so(space: Workspace) -> None:
    """An input that Git ignores is in no commit: the hint says how to track it."""
    space.repo.commit({"ciml.yaml": yaml("x.csv"), ".gitignore": "*.csv\n"})
    space.repo.write({"x.csv": "1"})
    text = problem(space)
    assert "the input 'x.csv' is ignored by Git, has no manifest beside it, and no stage makes it" in text
    assert "`git add --force x.csv` tracks it" in text


def test_an_ignored_file_with_a_manifest_is_data(space: Workspace) -> None:
    """Data is ignored by Git and named by its manifest: nothing to complain of."""
    manifest = f"version: 1\nsha256: {hashlib.sha256(b'1').hexdigest()}\nsize: 1\nfiles: 1\n"
    space.repo.commit({"ciml.yaml": yaml("x.csv"), ".gitignore": "*.csv\n", "x.csv.manifest.yaml": manifest})
    space.repo.write({"x.csv": "1"})
    assert isinstance(inputs(space)[0], DataInput)
    assert not space.plan().dirty


# What is new.


def test_a_new_file_is_an_input_before_it_is_committed(space: Workspace) -> None:
    """Declared and not ignored: hashed as Git would, so that committing it changes no recipe."""
    space.repo.commit({"ciml.yaml": yaml("x.csv", "d", "g/*.txt"), "d/1": "", "g/1.txt": ""})
    space.repo.write({"x.csv": "1\n", "d/deep/2": "2", "g/2.txt": "3"}, modes={"d/deep/2": 0o755})
    before = space.plan()
    recipes = space.recipes()
    assert before.dirty
    assert paths(space) == ["d", "g/1.txt", "g/2.txt", "x.csv"]
    space.repo.git("add", "-A")
    assert space.plan().dirty
    space.repo.commit({})
    assert not space.plan().dirty
    assert space.recipes() == recipes


def test_a_new_file_is_dirty_and_named_as_the_reason(space: Workspace) -> None:
    """The plan names it as changed since HEAD."""
    space.repo.commit({"ciml.yaml": yaml("d"), "d/1": ""})
    space.repo.write({"d/2": "2"})
    made = space.plan()
    assert made.dirty
    assert made.base == made.head == space.repo.head()
    assert made.changes.code == ("d/2",)
    assert made.stages[0].reason == "d changed"


def test_c064_an_unrelated_new_file_concerns_nobody(space: Workspace) -> None:
    """Dirty means that a tracked file or an input differs: a note beside them is neither."""
    space.repo.commit({"ciml.yaml": yaml("d", "g/*.txt"), "d/1": "", "g/1.txt": ""})
    recipes = space.recipes()
    space.repo.write({"notes.md": "x", "g/1.csv": "", "d/__pycache__/1.pyc": "bytes", "other/x.py": "", "d.csv": ""})
    assert not space.plan().dirty
    assert space.recipes() == recipes


def test_ignored_files_in_an_input_folder_do_not_count(space: Workspace) -> None:
    """What Git would not add is no part of the folder."""
    space.repo.commit({"ciml.yaml": yaml("d"), "d/1": "", ".gitignore": "*.log\n"})
    recipes = space.recipes()
    space.repo.write({"d/run.log": "x"})
    assert space.recipes() == recipes
    assert not space.plan().dirty


def test_new_outputs_and_data_behind_manifests_do_not_count(space: Workspace) -> None:
    """Outputs are never inputs of their own folder, and a manifest stands for its data, ignored or not."""
    text = "version: 1\nstages:\n  a: {run: make, inputs: [d], outputs: [d/out, d/tree]}\n"
    manifest = f"version: 1\nsha256: {hashlib.sha256(b'3').hexdigest()}\nsize: 1\nfiles: 1\n"
    space.repo.commit({"ciml.yaml": text, "d/x": "1", "d/raw.csv.manifest.yaml": manifest})
    recipes = space.recipes()
    space.repo.write({"d/out": "1", "d/tree/1": "2", "d/raw.csv": "3"})
    assert space.recipes() == recipes
    with space.project() as (_, project):
        prepare(project)
        assert project.tree.dirty == frozenset(), "large outputs must not even be hashed"
    assert not space.plan().dirty


def test_a_new_manifest_counts_and_its_data_does_not(space: Workspace) -> None:
    """The manifest is the input, from the moment it is written."""
    space.repo.commit({"ciml.yaml": yaml("raw")})
    space.repo.write({"raw.manifest.yaml": MANIFEST, "raw/1.csv": "1"})
    found = inputs(space)
    assert [type(item) for item in found] == [DataInput]
    made = space.plan()
    assert made.dirty
    assert made.changes.data == ("raw",)


def test_a_new_module_is_an_input(space: Workspace) -> None:
    """An import that resolves to a file which is not tracked yet brings it, packages included."""
    space.repo.commit(
        {"ciml.yaml": yaml("src/a.py"), "src/a.py": "import net\nfrom pkg.deep import x\n", "src/pkg/__init__.py": ""}
    )
    assert paths(space) == ["src/a.py", "src/pkg/__init__.py"]
    space.repo.write({"src/net.py": "import other\n", "src/other.py": "", "src/pkg/deep.py": "x = 1"})
    recipes = space.recipes()
    assert paths(space) == ["src/a.py", "src/net.py", "src/other.py", "src/pkg/__init__.py", "src/pkg/deep.py"]
    assert space.plan().dirty
    assert space.reasons()["a"].startswith("src/net.py changed, which src/a.py imports")
    space.repo.git("add", "-A")
    space.repo.commit({})
    assert space.recipes() == recipes


def test_settings_that_are_not_tracked_are_dirty_even_when_ignored(space: Workspace) -> None:
    """ciml.yaml, params and requirements are read from disk: without a commit of them the tree is dirty."""
    more = "params-files: [params.yaml]\nenvironment: {python: '3.11', requirements: requirements.txt}\n"
    space.repo.commit({".gitignore": "params.yaml\nrequirements.txt\nciml.yaml\n"})
    for path, text in (("ciml.yaml", yaml(more=more)), ("params.yaml", "a: 1"), ("requirements.txt", "a==1")):
        assert not (space.path / path).exists()
        space.repo.write({path: text})
    with space.project() as (_, project):
        assert project.pipeline.params == {"a": 1}
    assert space.plan().dirty
    assert space.prepared().changes.code == ("ciml.yaml", "requirements.txt")
    recipes = space.recipes()
    space.repo.git("add", "-f", "-A")
    space.repo.commit({})
    assert not space.plan().dirty
    assert space.recipes() == recipes


def test_an_input_that_was_taken_out_of_the_index_still_counts(space: Workspace) -> None:
    """`git rm --cached` leaves the file on disk: it is an input, and the tree is dirty."""
    space.repo.commit({"ciml.yaml": yaml("x"), "x": "1"})
    recipes = space.recipes()
    space.repo.git("rm", "-q", "--cached", "x")
    assert space.plan().dirty
    assert space.recipes() == recipes


def test_a_repository_inside_is_no_input(space: Workspace) -> None:
    """A clone that lies in the work tree belongs to nobody here: an error, and no crash."""
    space.repo.commit({"ciml.yaml": yaml("other")})
    RepoBuilder(space.path / "other").commit({"x": "1"})
    assert "the input 'other' is not tracked by Git" in problem(space)


def test_hundreds_of_new_files(space: Workspace) -> None:
    """However many paths are asked for, each counts."""
    names = [f"d{number}/x" for number in range(600)]
    space.repo.commit({"ciml.yaml": yaml(*names)})
    space.repo.write({**dict.fromkeys(names, "1"), "other": ""})
    assert paths(space) == sorted(names)


def test_a_commit_holds_what_it_holds(space: Workspace) -> None:
    """A plan of a commit does not see what lies in the work tree."""
    space.repo.commit({"ciml.yaml": yaml("d"), "d/1": ""})
    recipes = space.recipes()
    space.repo.write({"d/2": ""})
    assert space.recipes(head="HEAD") == recipes
    assert not space.plan(head="HEAD").dirty


# Links.


def test_c056_a_linked_file_brings_its_target(space: Workspace) -> None:
    """The link's text and the target's content are both inputs: each moves the recipe."""
    space.repo.commit({"ciml.yaml": yaml("current"), "v1": "1", "v2": "1", "current": "v1"}, modes={"current": LINK})
    first = space.recipes()
    assert paths(space) == ["current", "v1"]
    space.repo.write({"v1": "2"})
    second = space.recipes()
    space.repo.write({"v1": "1", "current": "v2"}, modes={"current": LINK})
    assert len({str(first), str(second), str(space.recipes())}) == 3


def test_c056_links_to_folders_data_outputs_and_links(space: Workspace) -> None:
    """Whatever a link leads to is brought: a folder, data behind a manifest, an output, another link."""
    more = "  b: {run: make, outputs: [made]}\n"
    files = {"ciml.yaml": yaml("f", "d", "o", "l", more=more), "folder/x": "", "raw.manifest.yaml": MANIFEST}
    links = {"f": "folder", "d": "raw", "o": "made", "l": "f"}
    space.repo.commit({**files, **links}, modes=dict.fromkeys(links, LINK))
    assert paths(space) == ["d", "f", "folder", "l", "made", "o", "raw"]


def test_a_path_through_a_linked_folder(space: Workspace) -> None:
    """The link is brought, and the file behind it."""
    space.repo.commit(
        {"ciml.yaml": yaml("data/x.csv"), "real/deep/x.csv": "", "data": "real/deep"}, modes={"data": LINK}
    )
    assert paths(space) == ["data", "real/deep/x.csv"]


def test_links_in_an_input_folder(space: Workspace) -> None:
    """A link that leads out of the folder brings its target; one that stays inside needs nothing."""
    links = {"d/out": "../shared/x", "d/in": "y"}
    space.repo.commit({"ciml.yaml": yaml("d"), "d/y": "", "shared/x": "", **links}, modes=dict.fromkeys(links, LINK))
    assert paths(space) == ["d", "shared/x"]


def test_a_linked_script_imports_from_where_it_really_lies(space: Workspace) -> None:
    """Python looks beside the real file."""
    space.repo.commit(
        {"ciml.yaml": yaml("a.py"), "src/a.py": "import m", "src/m.py": "", "a.py": "src/a.py"}, modes={"a.py": LINK}
    )
    assert paths(space) == ["a.py", "src/a.py", "src/m.py"]


def test_c057_a_link_out_of_the_repository_is_refused(space: Workspace) -> None:
    """Dep replaced by symlink to /etc/passwd -> exit 6 before read."""
    for target in ("/etc/passwd", "../outside"):
        space.repo.commit({"ciml.yaml": yaml("x"), "x": target}, modes={"x": LINK})
        with pytest.raises(TrustError, match="outside the repository"):
            space.prepared()


def test_a_link_to_nothing_and_links_in_a_circle(space: Workspace) -> None:
    """A link that leads nowhere is told by its target; a circle ends."""
    space.repo.commit({"ciml.yaml": yaml("x"), "x": "gone"}, modes={"x": LINK})
    assert "the input 'gone' is not tracked" in problem(space)
    space.repo.commit({"x": "y", "y": "x"}, modes={"x": LINK, "y": LINK})
    assert paths(space) == ["x", "y"]


# Submodules.


def with_submodule(space: Workspace, tmp_path: Path, *inputs: str) -> None:
    library = RepoBuilder(tmp_path / "library")
    library.commit({"x.txt": "1"})
    space.repo.commit({"ciml.yaml": yaml(*inputs)})
    space.repo.git("submodule", "add", "-q", str(library.path), "vendor/lib")
    space.repo.git("commit", "-qm", "submodule")


def test_c058_a_submodule_is_its_commit(space: Workspace, tmp_path: Path) -> None:
    """Submodule bump -> change detected from gitlink SHA; missing content exit 4 naming it."""
    with_submodule(space, tmp_path, "vendor/lib")
    [item] = inputs(space)
    assert isinstance(item, TrackedInput)
    assert str(item.oid) == RepoBuilder(space.path / "vendor/lib", create=False).head()
    before = space.recipes()
    inner = RepoBuilder(space.path / "vendor/lib", create=False)
    inner.commit({"x.txt": "2"})
    assert space.recipes() != before
    clone = Workspace(space.repo.clone())
    with pytest.raises(RepositoryError, match="submodule vendor/lib is not checked out") as caught:
        clone.prepared()
    assert caught.value.hint == "git submodule update --init vendor/lib"


def test_a_path_inside_a_submodule_says_what_to_name(space: Workspace, tmp_path: Path) -> None:
    """The submodule is an input as a whole."""
    with_submodule(space, tmp_path, "vendor/lib/x.txt")
    assert "name vendor/lib" in problem(space)
