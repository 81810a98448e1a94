"""The scripts that install the Action, with packages of the tests' own and no index."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "thing-1.0-py3-none-any.whl"


def wheel(folder: Path, text: str) -> Path:
    """A package `thing` with one module that says something."""
    made = folder / WHEEL
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("thing.py", f"SAYS = {text!r}\n")
        archive.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(
            "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("thing-1.0.dist-info/RECORD", "thing.py,,\n")
    return made


class Runner:
    """A machine with a checkout of the Action whose lock has one package, and a Python with or without pip.

    Args:
        folder: where all of it is made.
    """

    def __init__(self, folder: Path, *, pip: bool) -> None:
        self.temp = folder / "temp"
        self.checkout = folder / "checkout"
        shutil.copytree(ROOT / ".github/action", self.checkout / ".github/action")
        (self.checkout / "requirements").mkdir()
        (self.checkout / "ciml").mkdir()
        (self.checkout / "ciml/__init__.py").write_text("HERE = True\n")
        kinds = [] if pip else ["--without-pip"]
        subprocess.run([sys.executable, "-m", "venv", *kinds, str(folder / "python")], check=True)
        # Of the machine's own programs only those that the scripts name, so that it has no other Python.
        programs = folder / "programs"
        programs.mkdir()
        for name in ("bash", "env", "dirname", "mkdir", "rm", "sh"):
            (programs / name).symlink_to(shutil.which(name) or name)
        self.path = f"{folder / 'python/bin'}:{programs}"
        trusted = wheel(folder / "trusted", "trusted")
        digest = hashlib.sha256(trusted.read_bytes()).hexdigest()
        (self.checkout / "requirements/action.lock").write_text(f"thing==1.0 \\\n    --hash=sha256:{digest}\n")
        self.wheels = self.temp / "ciml/action"
        self.wheels.mkdir(parents=True)
        shutil.copy(trusted, self.wheels)
        self.workspace = folder / "workspace"
        self.workspace.mkdir()

    def script(self, name: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """How a script of the Action ends; no index is asked."""
        command = [str(self.checkout / ".github/action" / name), *words]
        known = {"PATH": self.path, "HOME": str(self.temp), "RUNNER_TEMP": str(self.temp)}
        offline = {"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
        whole = {**known, **offline, **env}
        return subprocess.run(command, env=whole, capture_output=True, text=True, check=False, cwd=self.workspace)

    def says(self) -> str:
        """What the package says in the environment that was made; "" where it is not there."""
        code = "import ciml, thing; print(thing.SAYS)"
        done = subprocess.run(
            [str(self.temp / "ciml/venv/bin/python"), "-I", "-c", code], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()


def test_from_the_cached_files(tmp_path: Path) -> None:
    """The lock's packages and ciml from its checkout are in the environment, without any index."""
    runner = Runner(tmp_path, pip=True)
    done = runner.script("install", "action")
    assert done.returncode == 0, done.stderr
    assert runner.says() == "trusted"


def test_a_poisoned_cache_installs_nothing(tmp_path: Path) -> None:
    """A file that is not what the lock says by hash is thrown away, and never becomes importable."""
    runner = Runner(tmp_path, pip=True)
    wheel(runner.wheels, "poison")
    done = runner.script("install", "action")
    assert done.returncode != 0
    assert "thing" in done.stderr
    assert runner.says() == ""
    assert not (runner.wheels / WHEEL).exists()


def test_nothing_of_the_repository_is_run(tmp_path: Path) -> None:
    """A job that holds secrets installs ciml while it stands in a folder where a pull request has put modules."""
    runner = Runner(tmp_path, pip=True)
    ran = tmp_path / "ran"
    for name in ("pip", "venv", "hashlib", "platform", "sysconfig", "sitecustomize", "usercustomize"):
        (runner.workspace / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
    assert runner.script("keys", GITHUB_OUTPUT=str(tmp_path / "output")).returncode == 0
    done = runner.script("install", "action")
    assert done.returncode == 0, done.stderr
    assert runner.says() == "trusted"
    assert not ran.exists()


def test_neither_pip_nor_uv(tmp_path: Path) -> None:
    """Exit 3, with what is lacking and what to do about it."""
    runner = Runner(tmp_path, pip=False)
    done = runner.script("install", "action")
    assert done.returncode == 3
    assert "has no pip, and there is no uv" in done.stderr
    assert "hint: " in done.stderr


def test_no_python(tmp_path: Path) -> None:
    """A runner whose Pythons are all too old: exit 3, and what to do."""
    runner = Runner(tmp_path, pip=False)
    old = tmp_path / "old"
    old.mkdir()
    for name in ("python3.11", "python3", "python"):
        (old / name).write_text("#!/bin/sh\nexit 1\n")
        (old / name).chmod(0o755)
    done = runner.script("install", "action", PATH=f"{old}:{tmp_path / 'programs'}")
    assert done.returncode == 3
    assert "ciml needs Python 3.11 or later" in done.stderr


@pytest.mark.parametrize("change", ["requirements/action.lock", "requirements/action-all.lock"])
def test_the_name_in_the_cache(tmp_path: Path, change: str) -> None:
    """It says which Python and system the files fit, and changes with every lock."""
    runner = Runner(tmp_path, pip=False)
    names = []
    for text in ("one", "two"):
        (runner.checkout / change).write_text(text)
        output = tmp_path / f"output-{text}"
        assert runner.script("keys", GITHUB_OUTPUT=str(output)).returncode == 0
        name, _, value = output.read_text().strip().partition("=")
        assert name == "packages"
        assert f"cpython-{sys.version_info[0]}{sys.version_info[1]}" in value
        names.append(value)
    assert names[0] != names[1]
