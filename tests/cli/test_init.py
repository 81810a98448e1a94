"""`ciml init`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ciml.adapters import templates
from ciml.cli.main import main

ROOT = Path(__file__).parent.parent.parent


def ciml(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ciml", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_project_and_a_repository(tmp_path: Path) -> None:
    """In a folder that is not there yet: the template's files, in a Git repository on `main` without a commit."""
    done = ciml("-C", str(tmp_path / "new"), "--json", "init")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["template"], document["git"]) == ("sklearn", True)
    assert "ciml.yaml" in document["created"]
    head = (tmp_path / "new/.git/HEAD").read_text()
    assert head == "ref: refs/heads/main\n"


def test_in_a_repository_there_is_no_second_one(tmp_path: Path) -> None:
    """The root of a repository gets the files only."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    done = ciml("-C", str(tmp_path), "--json", "init", "--template", "sklearn")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["git"] is False


def test_below_a_repositorys_root_nothing_is_written(tmp_path: Path) -> None:
    """A ciml.yaml there would never be read: exit 4, which names the root and two ways out. Both work."""
    subprocess.run(["git", "init", "-q", tmp_path / "outer"], check=True)
    inner = tmp_path / "outer/deep/inner"

    done = ciml("-C", str(inner), "init")

    assert done.returncode == 4
    assert f"{inner} lies inside the Git repository {tmp_path / 'outer'};" in done.stderr
    assert f"git init {inner}" in done.stderr
    assert not inner.parent.exists()
    assert ciml("-C", str(tmp_path / "outside"), "init").returncode == 0
    subprocess.run(["git", "init", "-q", inner], check=True)
    assert ciml("-C", str(inner), "init").returncode == 0


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    """Files in the way: exit 4, the message names them, and what the user has stays."""
    ciml("-C", str(tmp_path), "init")
    (tmp_path / "params.yaml").write_text("mine: 1\n")

    done = ciml("-C", str(tmp_path), "init")

    assert done.returncode == 4
    assert "params.yaml" in done.stderr
    assert "For a project of your own the README has a short ciml.yaml." in done.stderr
    assert (tmp_path / "params.yaml").read_text() == "mine: 1\n"


def test_an_unknown_template(tmp_path: Path) -> None:
    """Exit 2, with the list of those there are."""
    done = ciml("-C", str(tmp_path), "init", "--template", "scikit")

    assert done.returncode == 2
    for name in templates.names():
        assert name in done.stderr


def test_with_an_action_there_is_a_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ciml.yaml names Action and packages, the workflow follows from it, and is what `workflow --check` wants."""
    action = "acme/ciml@0123456789abcdef0123456789abcdef01234567"
    assert main(["-C", str(tmp_path), "init", "--action", action]) == 0
    assert f"action: {action}" in (tmp_path / "ciml.yaml").read_text()
    assert f"uses: {action}" in (tmp_path / ".github/workflows/ciml.yml").read_text()
    assert main(["-C", str(tmp_path), "validate"]) == 0
    assert main(["-C", str(tmp_path), "workflow", "--check"]) == 0
    assert main(["-C", str(tmp_path), "workflow", "--action", "acme/ciml@v1"]) == 2
    assert "is no Action by its commit" in capsys.readouterr().err


def test_a_tag_is_no_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An Action that is not named by its commit is a usage error before anything is written."""
    assert main(["-C", str(tmp_path), "init", "--action", "acme/ciml@v1"]) == 2
    assert "'acme/ciml@v1' is no Action by its commit" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_an_action_it_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody knows which Action to pin there is no workflow, and the next steps name the command."""
    assert main(["-C", str(tmp_path), "init"]) == 0
    assert "ciml workflow --action OWNER/REPOSITORY@COMMIT" in capsys.readouterr().out
    assert not (tmp_path / ".github").exists()
