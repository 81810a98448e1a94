"""What the Action installs, made once out of the tests' own packages: a hundred jobs would install the same again.

The step that installs is passed over in the jobs that get this; one test runs it for real.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import threading
from pathlib import Path

from packaging.requirements import Requirement

from tests.harness.job import Job, StepRun

ROOT = Path(__file__).parents[2]


def checkout(target: Path) -> Path:
    """A copy of this repository as a runner downloads an action: its files as they are now, and no Git directory."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.split(b"\0") if name and not name.startswith(b"tests/")]
    there = b"\0".join(name for name in names if (ROOT / name.decode()).exists())
    target.mkdir(parents=True)
    packed = subprocess.run(
        ["tar", "-C", str(ROOT), "--null", "-T", "-", "-c"], input=there, capture_output=True, check=True
    )
    subprocess.run(["tar", "-C", str(target), "-x"], input=packed.stdout, check=True)
    return target


class Installed:
    """Environments by the name of their lock file.

    Args:
        folder: where they are made, each when it is first wanted.
        action: checkout of the Action.
    """

    def __init__(self, folder: Path, action: Path) -> None:
        self.action = action
        self._folder = folder
        self._guard = threading.Lock()

    def __call__(self, job: Job, step: StepRun) -> bool:
        """Whether a step would only install what is there now."""
        if step.name not in ("Install", "Install more"):
            return False
        kind = step.environ["MORE"] if step.name == "Install more" else "action"
        with self._guard:
            made = self._folder / kind
            if not made.exists():
                _environment(made, self.action, kind)
        place = job.machine.temp / "ciml"
        (place / kind).mkdir(parents=True, exist_ok=True)
        venv = place / "venv"
        venv.unlink(missing_ok=True)
        venv.symlink_to(made)
        return True


def _environment(folder: Path, action: Path, kind: str) -> None:
    """Make an environment with links to the packages that a lock file names, and with ciml from its checkout.

    Raises:
        AssertionError: the tests have one of them in another version, or not at all.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "ciml.pth").write_text(f"{action}\n")
    for line in (action / f"requirements/{kind}.lock").read_text(encoding="utf-8").splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        wanted = Requirement(line.rstrip("\\ "))
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        found = importlib.metadata.distribution(wanted.name)
        assert found.version in wanted.specifier, f"the tests have {wanted.name} {found.version}, the Action {line}"
        root = Path(str(found.locate_file("")))
        for name in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (packages / name).exists():
                (packages / name).symlink_to(root / name)
