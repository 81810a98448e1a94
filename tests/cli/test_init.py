"""`ciml init`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ciml.adapters import templates

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
    """A folder of a repository gets the files only."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    done = ciml("-C", str(tmp_path / "inner"), "init", "--template", "sklearn")

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "inner/.git").exists()
    assert "git commit" in done.stdout


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    """Files in the way: exit 4, the message names them, and what the user has stays."""
    ciml("-C", str(tmp_path), "init")
    (tmp_path / "params.yaml").write_text("mine: 1\n")

    done = ciml("-C", str(tmp_path), "init")

    assert done.returncode == 4
    assert "params.yaml" in done.stderr
    assert (tmp_path / "params.yaml").read_text() == "mine: 1\n"


def test_an_unknown_template(tmp_path: Path) -> None:
    """Exit 2, with the list of those there are."""
    done = ciml("-C", str(tmp_path), "init", "--template", "scikit")

    assert done.returncode == 2
    for name in templates.names():
        assert name in done.stderr
