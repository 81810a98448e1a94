"""Commands in errors, as they are typed where the user stands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ciml.cli.here import typeable
from ciml.cli.main import main
from tests.cli.calls import Calls
from tests.cli.test_data import YAML, fill
from tests.repobuilder import RepoBuilder

TEXT = "`ciml data update a/b` takes it; `git rm a.dvc`, dvc add a, `ciml -C 'my sub' data add x`, git lfs pull -I a/b"


@pytest.fixture
def repo(tmp_path: Path) -> RepoBuilder:
    repo = RepoBuilder(tmp_path / "repo")
    repo.commit({"sub/deep/x": "1"})
    return repo


def test_at_the_root_nothing_differs(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it outside of any repository, nor where there is no command with a path."""
    monkeypatch.chdir(repo.path)
    assert typeable(TEXT, str(repo.path)) == typeable(TEXT, "") == TEXT
    monkeypatch.chdir(repo.path / "sub")
    for text in ("`ciml run` again", "a fig rm b", "`ciml data push` where it is", "git log"):
        assert typeable(text, "") == text
    monkeypatch.chdir(repo.path.parent)
    assert typeable(TEXT, "") == TEXT


def test_in_a_folder(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command says where it is to run; one that names a folder names it as seen from here."""
    monkeypatch.chdir(repo.path / "sub/deep")
    assert typeable(TEXT, "") == (
        "`ciml -C ../.. data update a/b` takes it; `git -C ../.. rm a.dvc`, dvc --cd ../.. add a, "
        "`ciml -C '../../my sub' data add x`, git -C ../.. lfs pull -I a/b"
    )


def test_outside_with_a_folder_named(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever said `-C` stands elsewhere than the repository is."""
    monkeypatch.chdir(repo.path.parent)
    assert typeable("git add x", str(repo.path / "sub/deep")) == "git -C repo add x"


def test_hints_do_what_they_say(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an error names can be typed in a folder of the repository, and it helps."""
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/model.txt\n", "code/x": "1"})
    fill(ciml, {"data/raw/a.csv": "id\n1\n"})
    ciml.ok("data", "add", "data/raw")
    ciml.repo.stage(".gitignore", "data/raw.manifest.yaml")
    ciml.repo.git("commit", "-q", "-m", "data")
    fill(ciml, {"data/raw/a.csv": "id\n2\n"})
    monkeypatch.chdir(ciml.path / "code")
    hint = "`ciml -C .. data update data/raw` takes it as it is now"
    assert hint in ciml.ok("plan").err
    refused = ciml("run")
    assert (refused.code, hint in refused.err) == (4, True)
    assert hint in ciml("data", "pull", "../data/raw").err
    monkeypatch.chdir(ciml.path)
    assert "`ciml data update data/raw` takes it as it is now" in ciml.ok("plan").err
    monkeypatch.chdir(ciml.path / "code")
    words = shlex.split(hint.split("`")[1])
    assert main(words[1:]) == 0
    ciml.ok("run")
