"""The commands of a deployment: what they get, what they leave, and how they end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ciml.adapters.deployers.process import Commands
from ciml.core.deployment import DeployOrder, deployment_id
from ciml.core.errors import DeploymentError
from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output


class Runs:
    """Runs scripts, and keeps what they print."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        env = {"PATH": os.environ["PATH"], **environ}
        self._commands = Commands(str(folder), env, log=str(folder / "logs" / "order"), on_line=self.lines.append)

    def __call__(self, script: str, *, timeout_s: float = 30) -> None:
        order = DeployOrder(
            id=deployment_id("staging", ModelName("m"), 1, ""),
            model=ModelName("m"),
            version=1,
            artifact=Output(path=RepoPath("m"), digest=Digest("a" * 64), size=1),
            commit=CommitSha("c" * 40),
            target=DeployTarget(name="staging", after="promotion", run=script, timeout_s=timeout_s),
        )
        self._commands.run(script, order, "/model", what="the command")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_bash_and_its_strict_mode(runs: Runs) -> None:
    """An unset variable, a failed command and a failed pipe end it; nothing is read from a terminal."""
    runs('echo "$CIML_MODEL $PWD"; cat')
    assert runs.lines == [f"m {runs.folder}"]
    for script, code in (("echo $unset", 1), ("false; true", 1), ("false | true", 1), ("exit 7", 7)):
        with pytest.raises(DeploymentError, match=f"the command ended with exit code {code}"):
            runs(script)


def test_a_command_that_is_killed(runs: Runs) -> None:
    """The signal is named."""
    with pytest.raises(DeploymentError, match="the command was killed by SIGKILL"):
        runs("kill -9 $$")


def test_output_is_kept(runs: Runs) -> None:
    """All of it, however much; the log has it, and the error says where."""
    runs("head -c 3000000 /dev/zero | tr '\\0' 'x' | fold -w 1000")
    assert sum(map(len, runs.lines)) == 3_000_000
    with pytest.raises(DeploymentError) as caught:
        runs("echo why; exit 1")
    assert caught.value.hint == f"Its output is in {runs.folder}/logs/order.2.log."
    assert (runs.folder / "logs/order.2.log").read_text() == "why\n"


def test_secrets_are_masked(tmp_path: Path) -> None:
    """The values of variables that are named like secrets, in the log as on the screen."""
    runs = Runs(tmp_path, CLOUD_SECRET="open-sesame", CLOUD_REGION="eu-west-1")
    runs('echo "$CLOUD_SECRET in $CLOUD_REGION"; echo -n "$CLOUD_SECRET" | base64')
    assert runs.lines == ["*** in eu-west-1", "***U="]  # the last letters depend on what follows the secret
    assert "sesame" not in (tmp_path / "logs/order.1.log").read_text()


def test_nothing_is_left_behind(runs: Runs) -> None:
    """What it started in the background, in sessions of its own too, ends with it; and that is not waited for."""
    begun = time.monotonic()
    runs("sleep 301 & setsid sleep 302 & (trap '' TERM; sleep 303) & echo done")
    assert runs.lines == ["done"]
    assert time.monotonic() - begun < 20
    assert not _running("sleep\x00301", "sleep\x00302", "sleep\x00303")


def test_a_command_that_takes_too_long(runs: Runs) -> None:
    """It is asked, then forced; what it said is kept."""
    with pytest.raises(DeploymentError, match=r"the command timed out after 0\.2 s"):
        runs("echo begun; setsid sleep 304 & sleep 305", timeout_s=0.2)
    assert runs.lines == ["begun"]
    assert not _running("sleep\x00304", "sleep\x00305")


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """It cannot be started: said so, as a failed deployment."""
    runs = Runs(tmp_path / "nowhere")
    with pytest.raises(DeploymentError, match="the command cannot be started"):
        runs("true")


def _running(*commands: str) -> bool:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_text()
            if line.startswith(commands) and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                return True
        except OSError:
            continue
    return False
