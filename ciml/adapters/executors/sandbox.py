"""One order on its way through the local executor: its directory, its process, its attempts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from time import gmtime, monotonic, strftime
from typing import TYPE_CHECKING

from ciml.adapters.collection import collect
from ciml.adapters.isolation import StageDirectory
from ciml.adapters.locks import Lock
from ciml.adapters.logs import StageLog
from ciml.adapters.objects import Objects, Source
from ciml.adapters.process import Process, kill_marked
from ciml.adapters.stages import Stages
from ciml.core.order import WorkOrder
from ciml.core.redaction import Redactor
from ciml.core.results import Record
from ciml.core.stage_env import stage_env

if TYPE_CHECKING:
    from ciml.adapters.environments import Made
    from ciml.core.forgotten import Known

GRACE_S = 5.0
"""From SIGTERM to SIGKILL. A CI runner gives ciml itself 10 s in all."""

DRAIN_S = 1.5
"""How long output may still come after the command ended (`> >(tee log)`), before what holds it is killed."""

_LARGE = 8 << 20
_MANY = 500
"""Bytes and files above which work is long."""


class Sandbox:
    """The running part of one order. The executor's loop tells it what happened."""

    def __init__(
        self,
        order: WorkOrder,
        stages: Stages,
        logs: str,
        environ: Mapping[str, str],
        work_tree: str,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self.order = order
        self.mark = stages.mark(order.key)
        """What its processes carry."""
        self.lock: Lock | None = None
        self.process: Process | None = None
        self.attempt = 0
        self.gpus: tuple[str, ...] = ()
        self.code: int | None = None
        """The exit code of the last attempt."""
        self.seconds = 0.0
        """Wall time of the last attempt."""
        self.exited = self.timed_out = self.stopped = self.forced = False
        self.wake_at: float | None = None
        """When the loop must look at it again, on the monotonic clock."""
        self._redactor = Redactor({name: environ[name] for name in order.secrets if name in environ})
        self.log = StageLog(os.path.join(logs, _file_name(order)), self._redactor, on_line)
        self._directory = StageDirectory(stages, order, work_tree=work_tree, tmp=environ.get("TMPDIR") or "/tmp")
        self._environment: Made | None = None
        self._began = 0.0
        self._started = ""

    # Long work, in any thread

    def has_large_inputs(self) -> bool:
        """Whether putting the inputs in place takes long."""
        given = self.order.inputs
        return len(given) > _MANY or sum(one.size for one in given) > _LARGE

    def has_large_outputs(self) -> bool:
        """Whether storing the outputs takes long."""
        return self._directory.outputs_exceed(size=_LARGE, count=_MANY)

    def prepare(self, source: Source, environment: Made | None) -> None:
        """Make and fill its directory; it will run in that environment."""
        self._environment = environment
        self._directory.fill(source)

    def collect(self, store: Objects) -> Record:
        """What the attempt made, its outputs stored.

        Raises:
            StageError, TrustError: outputs or inputs are not as declared.
        """
        self._directory.check_inputs(store)
        collected = collect(self.order, self._directory, store, self._redactor)
        self._directory.drop_checkpoint()
        order = self.order
        return Record(
            key=order.key,
            recipe=order.recipe,
            stage=order.stage,
            outputs=collected.outputs,
            metrics=collected.metrics,
            platform=order.platform,
            packages=self._environment.packages if self._environment is not None else {},
            started=self._started,
            seconds=round(self.seconds, 3),
        )

    # The process

    def launch(self, environ: Mapping[str, str], bash: str) -> Process:
        """Start the command. Raises OSError where that is not possible."""
        order = self.order
        self.attempt += 1
        self.exited = self.timed_out = self.forced = False
        if self._environment is not None:
            environ = {**environ, **self._environment.variables(environ.get("PATH", ""))}
        env = stage_env(order, environ) | self._directory.env()
        if self.gpus:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        argv = (bash, "-euo", "pipefail", "-c", order.script) if order.script is not None else order.argv or ()
        self._started = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())
        self._began = monotonic()
        self.process = Process(argv, cwd=self._directory.cwd, env=env, mark=self.mark)
        self.wake_at = self._began + order.timeout_s if order.timeout_s is not None else None
        return self.process

    def stop(self) -> None:
        """Ask it to end for good."""
        self.stopped = True
        self._ask()

    def on_exit(self) -> None:
        """The command has ended; what it left in the background has a moment to finish its output."""
        self.exited = True
        if not (self.stopped or self.timed_out):
            self.wake_at = monotonic() + DRAIN_S

    def on_time(self) -> None:
        """Its time is up: ask first, then use force, then believe that it is gone."""
        if self.forced:
            self.exited = True
        elif self.exited or self.stopped or self.timed_out:
            self._force()
        else:
            self.timed_out = True
            self._ask()

    @property
    def over(self) -> bool:
        """Whether the command has ended and nobody holds its output any more."""
        return self.exited and self.process is not None and self.process.output is None

    def finish(self) -> int:
        """The exit code. What is left of its group is killed first, while the number is still ours."""
        assert self.process is not None
        self.process.signal_group(signal.SIGKILL)
        self.seconds = monotonic() - self._began
        self.wake_at = None
        self.code = self.process.reap()
        self.process = None
        self.log.flush()
        return self.code

    def _ask(self) -> None:
        if self.process is not None:
            self.process.signal_group(signal.SIGTERM)
            self.process.signal_group(signal.SIGCONT)
            self.wake_at = monotonic() + GRACE_S

    def _force(self) -> None:
        assert self.process is not None
        self.forced = True
        self.process.signal_group(signal.SIGKILL)
        kill_marked([self.mark])
        self.wake_at = monotonic() + DRAIN_S

    # What came of it

    def why(self, code: int) -> str:
        """Why the attempt failed, in one clause."""
        if self.timed_out:
            return f"timed out after {self.order.timeout_s:g} s"
        if 128 < code <= 128 + signal.SIGRTMAX:
            number = code - 128
            name = signal.Signals(number).name if number in set(signal.Signals) else "?"
            return f"stage killed by signal {number} ({'out of memory?' if number == signal.SIGKILL else name})"
        return f"exit code {code}"

    def explained(self, reason: str, known: Callable[[], Known]) -> str:
        """`reason`, and what the end of the log says about it."""
        clause = None
        if self.order.isolated and self.code != 0:
            # Only a stage that failed pays for what it takes to say why.
            from ciml.core.forgotten import forgotten

            clause = forgotten(f"{self.log.tail}\n{reason}", self.order, known(), root=self._directory.root)
        return "; ".join(filter(None, (reason, clause, self.log.lost)))

    def retry(self) -> bool:
        """Whether another attempt is due; then `wake_at` says when."""
        retry = self.order.retry
        wanted = not retry.when or (("timeout" if self.timed_out else self.code) in retry.when)
        if self.code is None or not wanted or self.attempt >= retry.attempts:
            return False
        self.wake_at = monotonic() + retry.interval_s * retry.backoff ** (self.attempt - 1)
        return True

    def save_checkpoint(self) -> None:
        """Keep the checkpoint for another attempt, of this run or a later one."""
        self._directory.save_checkpoint()

    def leave(self) -> None:
        """Remove its directory and let others have the key."""
        if self.lock is not None:
            self._directory.remove()
            self.lock.release()
        self.log.close()


def _file_name(order: WorkOrder) -> str:
    """The log's name: the stage's, but for characters that a path cannot hold."""
    name = order.stage.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return f"{name[:180]}.log" if len(name.encode("utf-8", "surrogateescape")) < 240 else f"{order.key[:16]}.log"
