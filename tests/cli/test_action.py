"""From the Action's inputs to a call of ciml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ciml.adapters.git.command import Git
from ciml.cli.action import arguments, check, given, lock_with, prepare, refuse_outside
from ciml.core.errors import ConfigurationError, TrustError
from tests.cli.calls import environment
from tests.repobuilder import RepoBuilder

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, ["ci"]),
        ({"command": "ci"}, ["ci"]),
        ({"command": "plan"}, ["ci", "plan"]),
        ({"command": "ci plan", "to": "/t/out dir"}, ["ci", "plan", "--to", "/t/out dir"]),
        ({"command": "stage", "stages": "train@0.1 train@0.2"}, ["ci", "stage", "train@0.1", "train@0.2"]),
        ({"command": "rescore", "models": "churn", "from": "in"}, ["ci", "rescore", "churn", "--from", "in"]),
        ({"command": "deploy", "environment": "my production"}, ["ci", "deploy", "my production"]),
        ({"command": "validate", "working-directory": "sub dir"}, ["-C", "sub dir", "validate"]),
        ({"profile": "prod", "base": "main"}, ["--profile", "prod", "ci", "--base", "main"]),
        ({"params": "a=1\n\n  b=x y = z\n"}, ["ci", "-P", "a=1", "-P", "b=x y = z"]),
    ],
)
def test_inputs_become_words(inputs: dict[str, str], words: list[str]) -> None:
    """A command is split as a shell would split it, and no shell ever sees it; values stay whole."""
    assert arguments(inputs) == words


@pytest.mark.parametrize(
    "inputs",
    [{"command": 'ci "plan'}, {"profile": "a b"}, {"profile": "--help"}, {"params": "x"}],
)
def test_what_no_input_can_be_is_refused(inputs: dict[str, str]) -> None:
    """The error names the input and what it should be."""
    with pytest.raises(ConfigurationError, match=r"input '\w+'"):
        arguments(inputs)


@pytest.mark.parametrize("version", ["1; rm -rf ~", "3", "python3", "3.11\n", "$(id)", "3.x"])
def test_c004_a_version_is_a_version(version: str) -> None:
    """4. Input `python-version: "1; rm -rf ~"` → exit 3 "is not a version"; no process started."""
    with pytest.raises(ConfigurationError, match="input 'python-version' is not a version"):
        check({"python-version": version})
    check({"python-version": "3.11"})


def test_a_working_directory_that_leads_elsewhere(tmp_path: Path) -> None:
    """A committed link to a folder that an earlier job has left on the machine: exit 6; folders of the workspace do."""
    tree, other = tmp_path / "workspace", tmp_path / "other"
    (tree / "sub").mkdir(parents=True)
    other.mkdir()
    (tree / "link").symlink_to(other)
    seen = {"GITHUB_WORKSPACE": str(tree)}
    for directory in (tree / "link", other, tree / "sub/../.."):
        with pytest.raises(TrustError, match="leads out of the workspace"):
            refuse_outside({"working-directory": str(directory)}, seen)
    for directory in (tree, tree / "sub", tree / "link/../workspace"):
        refuse_outside({"working-directory": str(directory)}, seen)
    refuse_outside({}, seen)


def test_c004_the_script_refuses_it_too(tmp_path: Path) -> None:
    """4. The step before any Python refuses it as well, and runs none of it."""
    env = {
        **environment(),
        "INPUT_PYTHON_VERSION": f"1; touch {tmp_path}/canary",
    }
    done = subprocess.run([str(ROOT / ".github/action/check")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "input 'python-version' is not a version" in done.stderr
    assert not (tmp_path / "canary").exists()


def test_inputs_are_one_variable() -> None:
    """They are a JSON object of texts; anything else is an error, not a guess."""
    assert given({"CIML_INPUTS": '{"command": " plan ", "to": ""}'}) == {"command": "plan", "to": ""}
    assert given({}) == {}
    for wrong in ("[]", "{", '{"a": 1}'):
        with pytest.raises(ConfigurationError, match="CIML_INPUTS"):
            given({"CIML_INPUTS": wrong})


def test_folders_are_those_of_the_container() -> None:
    """A runner translates a path that is the whole of a variable, and none inside of JSON."""
    told = {"CIML_INPUTS": '{"from": "/home/runner/in", "to": ""}', "CIML_FROM": "/__w/in", "CIML_TO": ""}
    assert given(told) == {"from": "/__w/in", "to": ""}


@pytest.mark.parametrize(
    ("extra", "words", "lock"),
    [
        ("aws", ["ci", "stage", "train"], "action-store"),
        ("aws", ["-C", "sub", "ci", "rescore"], "action-store"),
        ("aws", ["ci"], "action-all"),
        ("aws", ["ci", "plan"], "action-all"),
        ("aws", ["run", "stage"], "action-all"),
        ("mlflow", ["ci", "settle"], "action-all"),
        ("data", ["ci", "stage"], "action-all"),
    ],
)
def test_what_else_is_installed(extra: str, words: list[str], lock: str) -> None:
    """A job that runs stages in a shared store is spared the registry's packages; the lock is one there is."""
    assert lock_with(extra, words) == lock
    assert (ROOT / f"requirements/{lock}.lock").exists()


def test_a_work_tree_of_another_user_is_the_job_s_own(tmp_path: Path) -> None:
    """In a container the checkout belongs to the machine's user: Git is told to trust that folder, and no other."""
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    for name in ("workspace", "elsewhere"):
        RepoBuilder(tmp_path / name).commit({"a": "1"})
        subprocess.run(["chown", "-R", "12345", str(tmp_path / name)], check=True)
    environ = {**environment(), "GITHUB_WORKSPACE": str(tmp_path / "workspace")}
    assert Git(str(tmp_path / "workspace"), environ).ask("status").code != 0
    prepare({}, environ)
    assert Git(str(tmp_path / "workspace"), environ).ask("status").code == 0
    assert Git(str(tmp_path / "elsewhere"), environ).ask("status").code != 0


def test_a_repository_that_was_checked_out_into_a_folder(tmp_path: Path) -> None:
    """`path` of actions/checkout with `working-directory` here: that repository is the job's own too."""
    RepoBuilder(tmp_path / "workspace/sub").commit({"a": "1"})
    environ = {**environment(), "GITHUB_WORKSPACE": str(tmp_path / "workspace"), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    assert Git(str(tmp_path / "workspace/sub"), environ).ask("status").code != 0
    prepare({"working-directory": "sub"}, environ)
    assert Git(str(tmp_path / "workspace/sub"), environ).ask("status").code == 0


def test_inputs_that_are_variables(tmp_path: Path) -> None:
    """Registry, store and token are variables where they say something; a key in PEM becomes a file of ours."""
    pem = "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----"
    environ = {"RUNNER_TEMP": str(tmp_path), "CIML_SIGNING_KEY": pem, "MLFLOW_TRACKING_URI": "https://kept"}
    prepare({"token": "t", "store": "s3://b/p", "registry": "", "comment": "false"}, environ)
    key = Path(environ.pop("CIML_SIGNING_KEY"))
    assert environ == {
        "RUNNER_TEMP": str(tmp_path),
        "MLFLOW_TRACKING_URI": "https://kept",
        "CIML_TOKEN": "t",
        "CIML_STORE": "s3://b/p",
        "CIML_COMMENT": "false",
    }
    assert key.read_text() == f"{pem}\n"
    assert key.stat().st_mode & 0o077 == 0


def test_a_repository_cannot_take_the_place_of_a_package(tmp_path: Path) -> None:
    """`python -I -m` as in action.yml: a file in the work tree that is named like a package is not imported."""
    (tmp_path / "click.py").write_text("raise SystemExit('taken over')")
    (tmp_path / "ciml").mkdir()
    (tmp_path / "ciml/__init__.py").write_text("raise SystemExit('taken over')")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(site)], check=True)
    [packages] = site.glob("lib/python3.*/site-packages")
    (packages / "ciml.pth").write_text(f"{ROOT}\n")
    (packages / "dev.pth").write_text("\n".join(entry for entry in sys.path if "site-packages" in entry))
    env = {**environment(), "CIML_INPUTS": json.dumps({"command": "--version"}), "PYTHONPATH": str(tmp_path)}
    command = [str(site / "bin/python"), "-I", "-m", "ciml.cli.action"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.startswith("ciml ")
