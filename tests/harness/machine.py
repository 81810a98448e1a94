"""A machine for one job: folders of its own, and processes as a runner starts and ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_SHELLS = {
    "": ["bash", "-e", "{0}"],
    "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"],
    "sh": ["sh", "-e", "{0}"],
    "python": ["python", "{0}"],
}
"""What `shell:` says -> command; `{0}` is the script."""

_OF_THE_NETWORK = ("PIP_", "UV_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http", "https", "no_proxy")
"""Variables of the tests by which a machine reaches the packages; a hosted machine needs none."""


class Ended(NamedTuple):
    """How a process ended; `why` is empty where it ended by itself."""

    code: int
    output: bytes
    why: str


class Machine:
    """One machine.

    Args:
        folder: of everything on it; it must not exist.
        repository: `owner/name`, for the workspace's path.
    """

    def __init__(self, folder: Path, repository: str) -> None:
        name = repository.partition("/")[2]
        self.home = folder / "home"
        self.temp = folder / "work/_temp"
        self.tools = folder / "tools"
        self.workspace = folder / "work" / name / name
        for made in (self.home, self.temp, self.tools, self.workspace):
            made.mkdir(parents=True)
        self.tracking = f"github_{uuid.uuid4()}"
        self._files = 0

    def file(self, name: str, content: str = "") -> Path:
        """A new file of the runner's."""
        self._files += 1
        made = self.temp / f"{name}_{self._files}"
        made.write_text(content, encoding="utf-8")
        return made

    def environment(self) -> dict[str, str]:
        """The variables that a machine has before a job starts: nothing of the tests' own."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(_OF_THE_NETWORK)}
        own = Path(sys.executable).parent if sys.prefix != sys.base_prefix else None
        path = [part for part in os.environ["PATH"].split(os.pathsep) if part and (own is None or Path(part) != own)]
        return {
            **kept,
            "PATH": os.pathsep.join(path),
            "HOME": str(self.home),
            "USER": "runner",
            "LANG": "C.UTF-8",
            "CI": "true",
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_NAME": "GitHub Actions 1",
            "RUNNER_ENVIRONMENT": "github-hosted",
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TOOL_CACHE": str(self.tools),
            "RUNNER_WORKSPACE": str(self.workspace.parent),
            "RUNNER_TRACKING_ID": self.tracking,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def script(
        self,
        text: str,
        shell: str,
        *,
        folder: Path,
        environ: Mapping[str, str],
        seconds: float,
        cancelled: threading.Event,
        watch: str,
        grace: tuple[float, float],
    ) -> Ended:
        """How a script ended.

        Args:
            text: of the script.
            shell: as `shell:` says it; "" where it says nothing.
            folder: that it starts in.
            environ: its variables.
            seconds: that it may take.
            cancelled: set where the run is cancelled.
            watch: the run is cancelled when the output has this; "" for nothing.
            grace: seconds from SIGINT to SIGTERM, and from there to SIGKILL.
        """
        path = self.file("script", text if text.endswith("\n") else f"{text}\n")
        command = [part.replace("{0}", str(path)) for part in _SHELLS.get(shell) or shell.split()]
        output = self.file("output")
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            why = _waited(process, time.monotonic() + seconds, cancelled, output, watch)
            if why:
                _end(process, grace)
        return Ended(process.returncode, output.read_bytes(), why)

    def sweep(self) -> None:
        """End what a job has left running."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"RUNNER_TRACKING_ID={self.tracking}\0".encode() in (
                    (entry / "environ").read_bytes() + b"\0"
                ):
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def _waited(
    process: subprocess.Popen[bytes], deadline: float, cancelled: threading.Event, output: Path, watch: str
) -> str:
    """Why the process is to be ended, "" where it ended by itself."""
    pause = 0.005
    while process.poll() is None:
        if watch and watch.encode() in output.read_bytes():
            cancelled.set()
        if cancelled.is_set() or time.monotonic() > deadline:
            return "cancelled" if cancelled.is_set() else "timed out"
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            pause = min(pause * 1.5, 0.05)
    return ""


def _end(process: subprocess.Popen[bytes], grace: tuple[float, float]) -> None:
    """The first process is asked, twice; then all of them are ended."""
    for sign, seconds in zip((signal.SIGINT, signal.SIGTERM), grace, strict=True):
        process.send_signal(sign)
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
