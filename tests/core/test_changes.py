"""What differs between two states of a repository."""

from __future__ import annotations

from ciml.core.changes import ChangeSet, change_set
from ciml.core.ids import RepoPath


def paths(*names: str) -> list[RepoPath]:
    return [RepoPath(name) for name in names]


def test_paths_become_code_and_data() -> None:
    """A manifest, also DVC's, is the data that it stands for; all else is code."""
    changes = change_set(paths("src/train.py", "data/raw.manifest.yaml", "data/old.dvc", "README.md"))
    assert changes == ChangeSet(
        code=tuple(paths("README.md", "src/train.py")), data=tuple(paths("data/old", "data/raw"))
    )


def test_a_params_file_is_its_parameters() -> None:
    """The file is no code: a comment in it changes nothing."""
    assert change_set(paths("params.yaml"), params_files=paths("params.yaml")) == ChangeSet()
    changes = change_set(paths("params.yaml"), params_files=paths("params.yaml"), params=["train.lr", "split"])
    assert changes == ChangeSet(params=("split", "train.lr"))


def test_what_no_stage_reads_is_left_out() -> None:
    """With the inputs known, code is the configuration and what lies in an input."""
    changed = paths("README.md", "src/a/b.py", "train.py", "ciml.yaml", "params.yaml")
    changes = change_set(changed, read=paths("src", "train.py", "params.yaml"), params_files=paths("params.yaml"))
    assert changes.code == ("ciml.yaml", "params.yaml", "src/a/b.py", "train.py")


def test_the_root_as_an_input_holds_everything() -> None:
    """A stage that reads the whole repository reads every file of it."""
    assert change_set(paths("x"), read=paths("")).code == ("x",)


def test_the_environment_is_told_apart() -> None:
    """A changed requirements file is code that the environment is made from."""
    changes = change_set(paths("requirements.txt"), read=(), environment=RepoPath("requirements.txt"))
    assert changes.code == changes.environment == ("requirements.txt",)
    assert change_set(paths("a"), environment=RepoPath("requirements.txt")).environment == ()


def test_an_unknown_base_is_never_nothing() -> None:
    """Where the base is unknown the change set is not empty, even with no path in it."""
    assert change_set([]) == ChangeSet() != change_set([], reason="no previous commit")
