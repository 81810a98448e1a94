"""Virtual environments, made by uv and by pip from a wheel on the disk: no network."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from ciml.adapters.environments import Environments, installed
from ciml.adapters.process import find_program
from ciml.core.errors import ConfigurationError
from ciml.core.ids import Digest
from ciml.core.order import OrderEnvironment

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
UV = find_program("uv", os.environ["PATH"])


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of `tiny` 1.2, a package of one line."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    members = {
        "tiny.py": b"ANSWER = 42\n",
        "tiny-1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.2\n",
        "tiny-1.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in members.items()
    )
    with zipfile.ZipFile(folder / "tiny-1.2-py3-none-any.whl", "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr("tiny-1.2.dist-info/RECORD", record + "tiny-1.2.dist-info/RECORD,,\n")
    return folder


class Place:
    """A state directory, and requirements that it can read."""

    def __init__(self, root: Path, path: str) -> None:
        self.state = root / "state"
        self.state.mkdir()
        self.texts: dict[str, bytes] = {}
        self.environ = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "UV_OFFLINE": "1"}

    def wanted(self, requirements: str, python: str = PYTHON) -> OrderEnvironment:
        data = requirements.encode()
        digest = Digest(hashlib.sha256(data).hexdigest())
        self.texts[digest] = data
        return OrderEnvironment(python=python, requirements=digest)

    def environments(self) -> Environments:
        return Environments(str(self.state), self.environ, lambda digest: self.texts[digest])


def with_tools(tmp_path: Path, *names: str) -> str:
    """A PATH with this Python and those tools, and no other uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / f"python{PYTHON}").symlink_to(getattr(sys, "_base_executable", sys.executable))
    for name in names:
        found = find_program(name, os.environ["PATH"])
        assert found is not None
        (folder / name).symlink_to(found)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with uv, where this machine has it."""
    return Place(tmp_path, with_tools(tmp_path, *(["uv"] if UV else [])))


def test_pip_serves_where_uv_is_missing(tmp_path: Path, wheels: Path) -> None:
    """Without uv, the standard library and pip make the same environment, under a name of its own."""
    place = Place(tmp_path, with_tools(tmp_path))
    wanted = place.wanted(f"--no-index\n--find-links {wheels}\ntiny==1.2\n")

    made = place.environments().make(wanted)

    assert made.packages["tiny"] == "1.2" and "pip" not in made.packages
    assert os.path.exists(f"{made.path}/bin/pip")
    with pytest.raises(ConfigurationError, match=r"Python 3\.2 is not on this machine"):
        place.environments().make(place.wanted("", python="3.2"))


def test_environment_is_made_once_and_kept(place: Place, wheels: Path) -> None:
    """The requirements are installed into an environment of their own; the second request finds it."""
    wanted = place.wanted(f"--no-index\n--find-links {wheels}\ntiny==1.2\n")
    assert place.environments().ready(wanted) is None

    made = place.environments().make(wanted)

    assert made.packages["tiny"] == "1.2" and "pip" not in made.packages
    assert made.variables("/bin")["PATH"] == f"{made.path}/bin:/bin"
    assert os.popen(f"{made.path}/bin/python -c 'import tiny; print(tiny.ANSWER)'").read() == "42\n"
    marker = os.stat(f"{made.path}/ciml-ready.json").st_mtime_ns
    assert place.environments().ready(wanted) == made == place.environments().make(wanted)
    assert os.stat(f"{made.path}/ciml-ready.json").st_mtime_ns == marker


def test_one_left_half_made_is_made_anew(place: Place, wheels: Path) -> None:
    """An environment without its marker, or whose Python is gone, is no environment."""
    wanted = place.wanted(f"--no-index\n--find-links {wheels}\ntiny==1.2\n")
    made = place.environments().make(wanted)
    os.unlink(f"{made.path}/ciml-ready.json")
    Path(made.path, "bin", "rubbish").write_text("x")
    assert place.environments().ready(wanted) is None

    assert place.environments().make(wanted) == made
    assert not Path(made.path, "bin", "rubbish").exists()
    os.unlink(f"{made.path}/bin/python")
    assert place.environments().ready(wanted) is None


def test_requirements_that_cannot_be_met(place: Place, wheels: Path) -> None:
    """A version that does not exist is a configuration error, and nothing is kept as ready."""
    wanted = place.wanted(f"--no-index\n--find-links {wheels}\ntiny==9.9\n")

    with pytest.raises(ConfigurationError, match=r"cannot be installed: .*tiny"):
        place.environments().make(wanted)
    assert place.environments().ready(wanted) is None


def test_python_that_is_not_there(place: Place) -> None:
    """Another Python than any on this machine is a configuration error with what to do."""
    with pytest.raises(ConfigurationError, match=r"Python 3\.2 is not on this machine") as caught:
        place.environments().make(place.wanted("", python="3.2"))
    assert caught.value.hint == "Install Python 3.2, or uv, which fetches it."


def test_many_at_once_make_it_once(place: Place, wheels: Path) -> None:
    """Whoever asks at the same time waits for the one that makes it."""
    wanted = place.wanted(f"--no-index\n--find-links {wheels}\ntiny==1.2\n")
    made: list[object] = []
    threads = [threading.Thread(target=lambda: made.append(place.environments().make(wanted))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 3 and made[0] == made[1] == made[2]
    assert os.listdir(place.state / "locks") == []


def test_editable_install_is_refused(tmp_path: Path) -> None:
    """What the digest of the file does not cover is refused before anything is made."""
    place = Place(tmp_path, "/usr/bin:/bin")

    with pytest.raises(ConfigurationError, match="editable"):
        place.environments().make(place.wanted("-e .\n"))
    assert not (place.state / "environments").exists()


def test_listing_of_what_is_installed(tmp_path: Path) -> None:
    """Names are normalised, pip is left out, other folders count for nothing."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("Scikit_Learn-1.5.2.dist-info", "pip-24.0.dist-info", "numpy", "zope.interface-6.0.dist-info"):
        (site / name).mkdir(parents=True)

    assert installed(str(tmp_path)) == {"scikit-learn": "1.5.2", "zope.interface": "6.0"}
