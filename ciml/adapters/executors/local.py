"""Orders carried out on this machine, many at once, by one loop.

The loop starts processes, moves their output and takes their results in; no stage has a thread.
Only what takes long (large inputs and outputs, an environment to be made) goes to a thread, so
that the other stages' output keeps coming.
"""

from __future__ import annotations

import os
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from ciml.adapters.executors.background import Background, Outcome
from ciml.adapters.executors.capacity import Capacity
from ciml.adapters.executors.sandbox import Sandbox
from ciml.adapters.objects import Objects
from ciml.adapters.process import Guard, find_program, kill_marked
from ciml.adapters.stages import Stages
from ciml.core.errors import CimlError, ConfigurationError, ServiceError, StageError, TrustError
from ciml.core.forgotten import Known
from ciml.core.ids import StageName
from ciml.core.order import WorkOrder
from ciml.core.pipeline import Resources
from ciml.core.results import Failed, Ran, Record, Restored, StageResult
from ciml.core.stage_env import missing_secrets

if TYPE_CHECKING:
    from ciml.adapters.environments import Environments, Made

T = TypeVar("T")

_POLL_S = 0.05
"""How often a stage that another process runs is asked for."""


class LocalExecutor:
    """The port Executor on this machine.

    Args:
        store: where inputs come from and outputs go; used from several threads.
        state: the clone's state directory.
        run: the run's id; logs are in `runs/<run>/`.
        work_tree: where stages run that are not isolated.
        capacity: what the machine has.
        jobs: stages at once, at most.
        environ: ciml's own environment; stages get the allowed part of it.
        known: what the repository has; asked only when a stage failed.
        on_output: gets the stage and a line of its output, masked, not neutralised.
        on_environment: gets the stage whose environment has to be made first.
    """

    def __init__(
        self,
        store: Objects,
        state: str,
        *,
        run: str,
        work_tree: str,
        capacity: Resources,
        jobs: int,
        environ: Mapping[str, str],
        known: Callable[[], Known] = Known,
        on_output: Callable[[StageName, str], None] | None = None,
        on_environment: Callable[[StageName], None] | None = None,
    ) -> None:
        self._store = store
        self._stages = Stages(state)
        self._logs = os.path.join(self._stages.state, "runs", run)
        self._work_tree = work_tree
        self._capacity = Capacity(capacity, jobs, environ.get("CUDA_VISIBLE_DEVICES"))
        self._environ = dict(environ)
        self._environments: Environments | None = None
        self._known = known
        self._on_output = on_output
        self._on_environment = on_environment
        self._bash = find_program("bash", environ.get("PATH", "")) or "/bin/bash"
        self._selector = selectors.DefaultSelector()
        self._background = Background()
        self._selector.register(self._background.fd, selectors.EVENT_READ, self._background.deliver)
        self._sandboxes: dict[int, Sandbox] = {}
        self._blocked: list[Sandbox] = []
        self._done: deque[tuple[WorkOrder, StageResult | CimlError]] = deque()
        self._marks: set[str] = set()
        self._guard: Guard | None = None
        self._stopped = False
        self._stages.sweep()

    def has_room(self, order: WorkOrder) -> bool:
        """Whether the order fits beside those that run now. Alone, any order does."""
        return not self._sandboxes or self._capacity.fits(order.resources)

    def start(self, order: WorkOrder) -> None:
        """Begin; the outcome comes from `wait`."""
        say = partial(self._on_output, order.stage) if self._on_output is not None else None
        sandbox = Sandbox(order, self._stages, self._logs, self._environ, self._work_tree, say)
        refusal = self._refusal(order)
        if refusal is not None:
            self._done.append((order, Failed(reason=refusal, configuration=True)))
            return
        self._sandboxes[id(sandbox)] = sandbox
        sandbox.gpus = self._capacity.take(order.resources)
        if not self._enter(sandbox):
            self._blocked.append(sandbox)

    def wait(self) -> tuple[WorkOrder, StageResult]:
        """The next order that ended.

        Raises:
            CimlError: the store or the machine failed, not the stage. The order has ended; others go on.
        """
        while not self._done:
            self._turn()
        order, result = self._done.popleft()
        if isinstance(result, CimlError):
            raise result
        return order, result

    def stop(self) -> None:
        """End what still runs, processes and all, leaving nothing half-done; 7 s at the most.

        Also to be called when all is done: it finds what stages left behind in the background.
        """
        if self._stopped:
            return
        running = [sandbox for sandbox in self._sandboxes.values() if sandbox.process is not None]
        for sandbox in running:
            sandbox.stop()
        self._blocked.clear()
        while any(sandbox.process is not None for sandbox in running):
            self._turn(ending=True)
        kill_marked(self._marks)
        if self._guard is not None:
            self._guard.dismiss()
        self._background.drain(1.0)
        for sandbox in list(self._sandboxes.values()):
            self._leave(sandbox)
        self._done.clear()
        self._stages.tidy()
        self._selector.close()
        self._background.close()
        self._stopped = True

    # The loop

    def _turn(self, *, ending: bool = False) -> None:
        """Wait for the next thing that happens and see to it."""
        wakes = [sandbox.wake_at for sandbox in self._sandboxes.values() if sandbox.wake_at is not None]
        timeout = max(min(wakes) - monotonic(), 0.0) if wakes else None
        if self._blocked:
            timeout = min(timeout if timeout is not None else _POLL_S, _POLL_S)
        for key, _ in self._selector.select(timeout):
            key.data()
        now = monotonic()
        for sandbox in [*self._sandboxes.values()] if wakes else ():
            if sandbox.wake_at is not None and sandbox.wake_at <= now:
                self._on_time(sandbox, ending=ending)
        if self._blocked:
            self._blocked = [sandbox for sandbox in self._blocked if not self._enter(sandbox)]

    def _on_output_ready(self, sandbox: Sandbox) -> None:
        assert sandbox.process is not None
        data = sandbox.process.read()
        if data:
            sandbox.log.feed(data)
        elif data is None:
            self._silence(sandbox)
            self._end_if_over(sandbox)

    def _on_exit(self, sandbox: Sandbox) -> None:
        assert sandbox.process is not None
        self._selector.unregister(sandbox.process.pidfd)
        sandbox.on_exit()
        self._end_if_over(sandbox)

    def _on_time(self, sandbox: Sandbox, *, ending: bool) -> None:
        if sandbox.process is None:
            sandbox.wake_at = None
            if not ending:
                self._prepare(sandbox)
            return
        sandbox.on_time()
        if sandbox.exited and sandbox.forced:
            self._silence(sandbox)
        self._end_if_over(sandbox)

    def _silence(self, sandbox: Sandbox) -> None:
        if sandbox.process is not None and sandbox.process.output is not None:
            self._selector.unregister(sandbox.process.output)
            sandbox.process.close_output()

    # One order's way: enter, prepare, launch, end, collect, leave

    def _refusal(self, order: WorkOrder) -> str | None:
        missing = missing_secrets(order, self._environ)
        if missing:
            return f"stage {order.stage} needs the secret {missing[0]}, which is not set"
        if order.resources.gpus > self._capacity.gpus:
            return f"stage {order.stage} asks for {order.resources.gpus} GPUs; there are {self._capacity.gpus} here"
        return None

    def _enter(self, sandbox: Sandbox) -> bool:
        """Whether the order has its lock; then it goes on, or its result is there already."""
        order = sandbox.order
        sandbox.lock = self._stages.lock(order.key)
        if sandbox.lock is None:
            return False
        if order.cache and not order.fresh:
            self._do(sandbox, partial(self._store.record, order.key), self._restore, in_thread=False)
        else:
            self._prepare(sandbox)
        return True

    def _restore(self, sandbox: Sandbox, record: object) -> None:
        if isinstance(record, Record):
            self._finish(sandbox, Restored(record=record))
        else:
            self._prepare(sandbox)

    def _prepare(self, sandbox: Sandbox) -> None:
        wanted = sandbox.order.environment
        if wanted is None:
            self._fill(sandbox, None)
        elif (made := self._own_environments().ready(wanted)) is not None:
            self._fill(sandbox, made)
        else:
            if self._on_environment is not None:
                self._on_environment(sandbox.order.stage)
            self._do(sandbox, partial(self._own_environments().make, wanted), self._fill, in_thread=True)

    def _own_environments(self) -> Environments:
        if self._environments is None:
            # Most runs need none, and then not what it takes to make one either.
            from ciml.adapters.environments import Environments

            self._environments = Environments(self._stages.state, self._environ, self._store.read)
        return self._environments

    def _fill(self, sandbox: Sandbox, environment: Made | None) -> None:
        work = partial(sandbox.prepare, self._store, environment)
        self._do(sandbox, work, self._launch, in_thread=sandbox.has_large_inputs())

    def _launch(self, sandbox: Sandbox, _: None) -> None:
        self._marks.add(sandbox.mark)
        if self._guard is None:
            self._guard = Guard(self._bash, self._stages.own_marks)
        try:
            process = sandbox.launch(self._environ, self._bash)
        except OSError as error:
            sandbox.code = 127
            self._fail(sandbox, f"cannot start its command: {error.strerror}: {error.filename}")
            return
        assert process.output is not None
        self._selector.register(process.output, selectors.EVENT_READ, partial(self._on_output_ready, sandbox))
        self._selector.register(process.pidfd, selectors.EVENT_READ, partial(self._on_exit, sandbox))

    def _end_if_over(self, sandbox: Sandbox) -> None:
        if not sandbox.over:
            return
        stopped = sandbox.stopped
        code = sandbox.finish()
        if stopped:
            return
        if code == 0 and not sandbox.timed_out:
            work = partial(self._take_in, sandbox)
            self._do(sandbox, work, self._finish, in_thread=sandbox.has_large_outputs())
        else:
            self._fail(sandbox, sandbox.why(code))

    def _take_in(self, sandbox: Sandbox) -> Ran:
        """The stage's outputs and record, in the store."""
        mine = record = sandbox.collect(self._store)
        note = None
        if sandbox.order.cache and sandbox.order.isolated:
            record = self._store.publish(mine)
            if mine.outputs != record.outputs:
                note = f"stage {mine.stage} is not deterministic: an earlier run made other bytes, which stand"
        return Ran(record=record, attempts=sandbox.attempt, log=sandbox.log.path, note=note)

    def _fail(self, sandbox: Sandbox, reason: str, error: CimlError | None = None) -> None:
        """End an attempt: the next one is due, or the order has failed."""
        sandbox.save_checkpoint()
        if sandbox.retry():
            return
        failed = Failed(
            reason=sandbox.explained(reason, self._known),
            exit_code=sandbox.code,
            attempts=sandbox.attempt,
            seconds=round(sandbox.seconds, 3),
            log=sandbox.log.path,
            tail=sandbox.log.tail,
            configuration=isinstance(error, ConfigurationError),
            untrusted=isinstance(error, TrustError),
        )
        self._finish(sandbox, failed)

    def _finish(self, sandbox: Sandbox, result: StageResult | CimlError) -> None:
        try:
            self._leave(sandbox)
        finally:
            self._done.append((sandbox.order, result))

    def _leave(self, sandbox: Sandbox) -> None:
        del self._sandboxes[id(sandbox)]
        self._capacity.give_back(sandbox.order.resources, sandbox.gpus)
        sandbox.leave()

    def _do(
        self, sandbox: Sandbox, work: Callable[[], T], then: Callable[[Sandbox, T], None], *, in_thread: bool
    ) -> None:
        """Do the work, here or beside the loop, and go on with its result."""

        def go_on(outcome: Outcome[T]) -> None:
            try:
                value = outcome()
            except (StageError, TrustError, ConfigurationError) as error:
                self._fail(sandbox, error.message, error)
            except CimlError as error:
                self._finish(sandbox, error)
            except OSError as error:
                self._finish(sandbox, ServiceError(f"stage {sandbox.order.stage}: {error}"))
            else:
                then(sandbox, value)

        if in_thread:
            self._background.run(work, go_on)
        else:
            go_on(work)
