"""A call is answered from its receipt only while nothing that matters has changed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ciml.cli import quick
from ciml.cli.main import main
from tests.repobuilder import RepoBuilder

CONFIGURATION = """
version: 1
stages:
  train: {run: "cat a.txt > model.txt", inputs: [a.txt], outputs: [model.txt]}
"""
IGNORED = ".gitignore"


def settled(arguments: list[str]) -> None:
    """Call until the answer is on record: a file changed a moment ago has none yet."""
    deadline = time.monotonic() + 20
    while quick.answer(arguments, os.environ) is None:
        assert time.monotonic() < deadline, f"{arguments} leaves no receipt"
        assert main(arguments) == 0


def test_a_copy_of_a_clone_does_not_speak_for_it(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied clone has the receipt of the one it was copied from, and runs what changed in itself."""
    repo.commit({"ciml.yaml": CONFIGURATION, "a.txt": "a", IGNORED: "model.txt\n"})
    monkeypatch.chdir(repo.path)
    settled(["run"])
    copy = repo.path.parent / "copy"
    shutil.copytree(repo.path, copy, symlinks=True)
    (copy / "a.txt").write_text("b")
    monkeypatch.chdir(copy)

    assert main(["run"]) == 0

    assert (copy / "model.txt").read_text() == "b"


def test_a_configuration_behind_a_link_is_watched(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of what `ciml.yaml` is a link to is noticed."""
    repo.commit({"conf/ciml.yaml": CONFIGURATION, "a.txt": "a", IGNORED: "model.txt\n"})
    (repo.path / "ciml.yaml").symlink_to("conf/ciml.yaml")
    repo.git("add", "ciml.yaml")
    repo.git("commit", "-qm", "link")
    monkeypatch.chdir(repo.path)
    settled(["run"])
    (repo.path / "conf/ciml.yaml").write_text(CONFIGURATION.replace("cat a.txt", "echo other"))

    assert main(["run"]) == 0

    assert (repo.path / "model.txt").read_text() == "other\n"


def test_a_submodule_that_moves_is_noticed(repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a submodule that is an input is at another commit, its stage runs."""
    inner = RepoBuilder(tmp_path / "inner")
    inner.commit({"x.txt": "one"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", str(inner.path), "lib")
    made = CONFIGURATION.replace("cat a.txt", "cat lib/x.txt").replace("[a.txt]", "[lib]")
    repo.commit({"ciml.yaml": made, IGNORED: "model.txt\n"})
    monkeypatch.chdir(repo.path)
    assert main(["run"]) == 0
    assert main(["run"]) == 0
    before = os.stat(repo.path / "lib")
    (repo.path / "lib/x.txt").write_text("two")
    repo.git("-C", "lib", "commit", "-qam", "two")
    assert os.stat(repo.path / "lib").st_mtime_ns == before.st_mtime_ns, "only what lies in the folder has changed"

    assert main(["run"]) == 0

    assert (repo.path / "model.txt").read_text() == "two"


def test_a_module_that_git_no_longer_ignores_is_noticed(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of `.gitignore` that makes a module count makes its stage run."""
    script = 'try:\n    import extra\nexcept ImportError:\n    extra = None\nopen("model.txt", "w").write(str(extra))\n'
    made = CONFIGURATION.replace("cat a.txt > model.txt", "python3 a.py").replace("a.txt", "a.py")
    repo.commit({"ciml.yaml": made, "a.py": script, IGNORED: "model.txt\nextra.py\n"})
    (repo.path / "extra.py").write_text("")
    monkeypatch.chdir(repo.path)
    settled(["run"])
    assert (repo.path / "model.txt").read_text() == "None"
    (repo.path / IGNORED).write_text("model.txt\n__pycache__\n")

    assert main(["run"]) == 0

    assert "extra" in (repo.path / "model.txt").read_text()


def test_a_record_that_is_gone_is_noticed(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `register` would say `ciml run`, `ciml run` does not say that there is nothing to do."""
    repo.commit({"ciml.yaml": CONFIGURATION, "a.txt": "a", IGNORED: "model.txt\n"})
    monkeypatch.chdir(repo.path)
    settled(["run"])
    records = repo.path / ".git/ciml/store/actions"
    found = [path for path in records.glob("*/*") if path.is_file()]
    for path in found:
        path.unlink()

    assert main(["run"]) == 0

    assert found and all(path.is_file() for path in found)
