"""`ciml data` ended in the middle: nothing half-done is visible, and the same call goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.calls import Calls, environment
from tests.s3proxy import Proxy, proxy
from tests.s3server import moto

FILES = {f"{number % 3}/{number:02d}.csv": f"id\n{number}\n" for number in range(24)}
YAML = "version: 1\nstages: {train: {run: ls, inputs: [data/raw], outputs: [out]}}\n"
KILLS = (2, 9, 20) if not os.environ.get("CIML_TEST_LONG") else tuple(range(1, 34))
"""The request at which the process is ended."""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with moto(tmp_path_factory.mktemp("moto")) as service, proxy(service) as made:
        yield made


@pytest.fixture
def ciml(ciml: Calls, faults: Proxy, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Data that was added, in a project with a shared store."""
    faults.rules.clear()
    faults.acts.clear()
    for name, value in faults.service.environ.items():
        monkeypatch.setenv(name, value)
    bucket = faults.service.bucket()
    ciml.repo.commit({"ciml.yaml": f"{YAML}store: s3://{bucket}/store\n"})
    for name, text in FILES.items():
        path = ciml.path / "data/raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ciml.ok("data", "add", "data/raw")
    return ciml


def start(ciml: Calls, faults: Proxy, *words: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "ciml", "-q", *words]
    return subprocess.Popen(argv, cwd=ciml.path, env=environment(**faults.service.environ), stderr=subprocess.DEVNULL)


def killed_at(ciml: Calls, faults: Proxy, request: int, *words: str) -> int:
    """The exit code of a call that was ended at its Nth request."""
    started: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        deadline = time.monotonic() + 5
        while not started and time.monotonic() < deadline:
            os.sched_yield()
        os.kill(started[0].pid, signal.SIGKILL)

    faults.before(request, kill)
    started.append(start(ciml, faults, *words))
    code = started[0].wait(timeout=60)
    faults.acts.clear()
    return code


def placed(ciml: Calls) -> dict[str, str]:
    top = ciml.path / "data/raw"
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize("request_number", KILLS)
def test_a_pull_that_is_killed(ciml: Calls, faults: Proxy, request_number: int) -> None:
    """Before the data is whole nothing lies at its path; the next pull fetches what is missing."""
    ciml.ok("data", "push")
    shutil.rmtree(ciml.path / "data/raw")
    shutil.rmtree(ciml.path / ".git/ciml")
    code = killed_at(ciml, faults, request_number, "data", "pull")
    assert code == -signal.SIGKILL
    assert os.listdir(ciml.path / "data") == ["raw.manifest.yaml"]

    ciml.ok("data", "pull")
    assert placed(ciml) == FILES
    assert ciml.json("data", "status")["data"][0]["state"] == "up-to-date"
    assert sorted(os.listdir(ciml.path / "data")) == ["raw", "raw.manifest.yaml"]


@pytest.mark.parametrize("request_number", KILLS)
def test_a_push_that_is_killed(ciml: Calls, faults: Proxy, request_number: int) -> None:
    """The next push sends the rest, and another clone gets everything."""
    assert killed_at(ciml, faults, request_number, "data", "push") == -signal.SIGKILL
    ciml.ok("data", "push")
    shutil.rmtree(ciml.path / "data/raw")
    shutil.rmtree(ciml.path / ".git/ciml")
    ciml.ok("data", "pull")
    assert placed(ciml) == FILES


def test_c114_no_room_for_what_is_pulled(ciml: Calls, faults: Proxy) -> None:
    """A disk that is full: exit 5, which says so; nothing lies at the data's path, and with room all of it does."""
    large = "id\n" + "1\n" * 1_000_000
    (ciml.path / "data/raw/large.csv").write_text(large)
    ciml.ok("data", "update")
    ciml.ok("data", "push")
    shutil.rmtree(ciml.path / "data/raw")
    shutil.rmtree(ciml.path / ".git/ciml")
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    limited += "import sys; from ciml.cli.main import main; sys.exit(main(['data', 'pull']))"
    env = environment(**faults.service.environ)
    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=ciml.path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        5,
        [
            "error: data/raw.manifest.yaml: cannot write to the store: File too large",
            "hint: Run the same command again; what was done so far is kept.",
        ],
    )
    assert os.listdir(ciml.path / "data") == ["raw.manifest.yaml"]

    ciml.ok("data", "pull")
    assert placed(ciml) == {**FILES, "large.csv": large}


def test_an_update_that_is_killed(ciml: Calls, faults: Proxy) -> None:
    """The manifest is the old one or the new one, whole; the next update ends right."""
    for number in range(2000):
        (ciml.path / "data/raw" / f"n{number}").write_text(str(number))
    old = (ciml.path / "data/raw.manifest.yaml").read_bytes()
    for wanted in (30, 900, 1900):
        process = start(ciml, faults, "data", "update")
        objects = ciml.path / ".git/ciml/store/objects"
        deadline = time.monotonic() + 30
        while process.poll() is None and _count(objects) < wanted and time.monotonic() < deadline:
            os.sched_yield()
        process.kill()
        process.wait()
        assert (ciml.path / "data/raw.manifest.yaml").read_bytes() == old or process.returncode == 0
    ciml.ok("data", "update")
    again = ciml.json("data", "update")["data"][0]
    assert (again["changed"], again["files"]) == (False, 2024)
    assert ciml.ok("store", "verify").code == 0


def _count(objects: Path) -> int:
    return sum(len(os.listdir(folder)) for folder in objects.iterdir()) if objects.exists() else 0
