"""A deployment's own command: in the checkout, with the target's credentials, never longer than it may."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Mapping
from time import monotonic

from ciml.adapters.logs import StageLog
from ciml.adapters.process import Guard, Process, find_program, kill_marked
from ciml.core.deployment import DeployOrder, deploy_env, secrets_in
from ciml.core.errors import DeploymentError
from ciml.core.redaction import Redactor

GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""

_DRAIN_S = 1.5
"""How long output may still come once the command has ended."""


class Commands:
    """Runs the commands of one deployment.

    Args:
        directory: the checkout that they run in.
        environ: ciml's own environment; they get it but for what is the runner's, the registry's and ciml's own.
        log: path of the file that takes what they print.
        on_line: gets every line, masked, not neutralised.
    """

    def __init__(
        self, directory: str, environ: Mapping[str, str], *, log: str, on_line: Callable[[str], None] | None = None
    ) -> None:
        self._directory = directory
        self._environ = dict(environ)
        self._log = log
        self._on_line = on_line
        self._bash = find_program("bash", environ.get("PATH", "")) or "/bin/bash"
        self._count = 0

    def run(self, script: str, order: DeployOrder, files: str, *, what: str) -> None:
        """Run a script with `bash -euo pipefail -c`, and whatever it starts, to its end.

        Args:
            script: as ciml.yaml has it.
            order: what is deployed: the script finds it in its environment.
            files: the model's verified files.
            what: names the script in errors.

        Raises:
            DeploymentError: it failed, took too long, or could not be started.
        """
        env = deploy_env(order, self._environ, files=files)
        self._count += 1
        path = f"{self._log}.{self._count}.log"
        log = StageLog(path, Redactor(secrets_in(env, order.target.secrets)), self._on_line)
        running = _Running(self._bash, script, self._directory, env, order, log, what)
        try:
            fault = running.end(order.target.timeout_s)
        finally:
            running.close()
        if fault:
            lost = f"; {log.lost}" if log.lost else ""
            raise DeploymentError(f"{what} {fault}{lost}", hint=f"Its output is in {path}." if log.path else None)


class _Running:
    """One command, from its start to the end of everything that it started."""

    def __init__(
        self, bash: str, script: str, cwd: str, env: dict[str, str], order: DeployOrder, log: StageLog, what: str
    ) -> None:
        # Of this process and no other: two attempts at one order must not kill each other's.
        mark = f"deploy-{order.id[:16]}-{os.getpid()}-{id(self):x}"
        self._mark = mark
        self._log = log
        self._guard = Guard(bash, mark)
        try:
            self._process = Process((bash, "-euo", "pipefail", "-c", script), cwd=cwd, env=env, mark=mark)
        except OSError as error:
            self._guard.dismiss()
            raise DeploymentError(f"{what} cannot be started: {error.strerror}: {error.filename}") from error
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.pidfd, selectors.EVENT_READ)
        if self._process.output is not None:
            self._selector.register(self._process.output, selectors.EVENT_READ)
        self._exited = False
        self._reaped = False

    def end(self, timeout_s: float) -> str | None:
        """Why it failed, None where it did not."""
        if not self._wait(timeout_s):
            self._process.signal_group(signal.SIGTERM)
            self._process.signal_group(signal.SIGCONT)
            self._wait(GRACE_S)
            return f"timed out after {timeout_s:g} s"
        self._wait(_DRAIN_S, for_output=True)
        self._process.signal_group(signal.SIGKILL)
        code = self._process.reap()
        self._reaped = True
        if code > 128 and code - 128 in set(signal.Signals):
            return f"was killed by {signal.Signals(code - 128).name}"
        return f"ended with exit code {code}" if code else None

    def close(self) -> None:
        """End what is left of it, in whatever session it hides."""
        if not self._reaped:
            self._process.signal_group(signal.SIGKILL)
            self._process.reap()
        kill_marked([self._mark])
        self._drain()
        self._process.close_output()
        self._selector.close()
        self._guard.dismiss()
        self._log.close()

    def _wait(self, seconds: float, *, for_output: bool = False) -> bool:
        """Whether the command (or, then, its output too) came to its end within so many seconds."""
        end = monotonic() + seconds
        while not self._exited or (for_output and self._process.output is not None):
            left = end - monotonic()
            ready = {key.fd for key, _ in self._selector.select(max(left, 0.0))} if left > 0 else set()
            if not ready:
                return False
            if self._process.pidfd in ready and not self._exited:
                self._exited = True
                self._selector.unregister(self._process.pidfd)
            if self._process.output in ready:
                self._drain()
        return True

    def _drain(self) -> None:
        """Take what it has printed since."""
        while (output := self._process.output) is not None:
            data = self._process.read()
            if data:
                self._log.feed(data)
            elif data is None:
                if output in self._selector.get_map():
                    self._selector.unregister(output)
                self._process.close_output()
            else:
                return
