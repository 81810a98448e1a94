"""Runs the steps of a job, and those of the composite actions that it uses."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.harness import commands
from tests.harness.commands import Command, FileError, Listener
from tests.harness.job import CANCELLED, FAILURE, SKIPPED, SUCCESS, Job, Scope, StepError, StepRun
from tests.harness.language import JSON, WorkflowError, text, truthy

_FILES = ("output", "env", "path", "state", "step_summary")
_LONGEST = 240.0
"""Seconds of a step in tests, whatever its own limit is."""


def run_steps(specs: list[JSON], scope: Scope, *, deadline: float) -> None:
    """Run steps in order; which of them run is up to their `if`."""
    for number, spec in enumerate(specs):
        _run_step(spec, scope, number, deadline)


def _run_step(spec: JSON, scope: Scope, number: int, deadline: float) -> None:
    job = scope.job
    made = StepRun(
        id=spec.get("id") or f"__{number}", name=text(spec.get("name")) if isinstance(spec.get("name"), str) else ""
    )
    job.steps.append(made)
    began = time.monotonic()
    if job.run.cancelled.is_set() and job.status == SUCCESS:
        job.status = CANCELLED
    try:
        env = {**scope.env(), **scope.texts(spec.get("env") or {})}
        if truthy(scope.resolve(spec.get("if", {"${{": "success()"}), env)):
            made.outcome = SUCCESS
            _carry_out(spec, scope, made, env, deadline)
    except (StepError, WorkflowError, FileError) as error:
        made.outcome = CANCELLED if job.run.cancelled.is_set() else FAILURE
        made.log += f"\n##[error]{job.masked(str(error))}\n"
    made.seconds = time.monotonic() - began
    _conclude(spec, scope, made)


def _conclude(spec: JSON, scope: Scope, made: StepRun) -> None:
    made.conclusion = made.outcome
    if made.outcome == FAILURE and truthy(scope.resolve(spec.get("continue-on-error", False))):
        made.conclusion = SUCCESS
    if made.conclusion not in (SUCCESS, SKIPPED):
        scope.failed(made.conclusion)
    if not made.id.startswith("__"):
        told = {"outcome": made.outcome, "conclusion": made.conclusion, "outputs": made.outputs}
        scope.steps[made.id] = told


def _carry_out(spec: JSON, scope: Scope, made: StepRun, env: dict[str, str], deadline: float) -> None:
    from tests.harness.actions import use

    limit = scope.resolve(spec.get("timeout-minutes", 360), env)
    seconds = min(float(limit) * 60, _LONGEST)
    if not made.name:
        made.name = spec.get("uses") or text(scope.resolve(spec.get("run", ""), env)).strip().split("\n")[0]
    made.environ = env
    before = scope.job.run.hub.before_step
    if before is not None and before(scope.job, made):
        return
    if "uses" in spec:
        use(spec, scope, made, env, min(deadline, time.monotonic() + seconds))
        return
    _script(spec, scope, made, env, min(seconds, deadline - time.monotonic()))


def _script(spec: JSON, scope: Scope, made: StepRun, env: dict[str, str], seconds: float) -> None:
    """A `run:` step: its script in a shell, and what it told the runner."""
    job = scope.job
    files = {name: job.machine.file(name) for name in _FILES}
    defaults = {} if scope.composite else job.place.defaults
    shell = text(scope.resolve(spec.get("shell", defaults.get("shell", "")), env))
    folder = job.machine.workspace / text(
        scope.resolve(spec.get("working-directory", defaults.get("working-directory", "")), env)
    )
    if not folder.is_dir():
        raise StepError(f"An error occurred trying to start process 'bash' with working directory '{folder}'")
    made.environ = job.environ(env, files, {**scope.contexts(env)["github"], "action": made.id})
    over = job.run.cancelled.is_set()
    ended = job.machine.script(
        text(scope.resolve(spec["run"], env)),
        shell,
        folder=folder,
        environ=made.environ,
        seconds=max(seconds, 0.0),
        # What still runs after a cancellation is left to end.
        cancelled=threading.Event() if over else job.run.cancelled,
        watch="" if over else job.run.hub.cancel_when,
        grace=job.run.hub.grace,
    )
    made.output = ended.output
    _listen(job, made, ended.output)
    _take(job, made, files)
    if ended.why == "timed out":
        raise StepError("The action has timed out.")
    if ended.why or ended.code:
        raise StepError(f"Process completed with exit code {ended.code}.")


def _listen(job: Job, made: StepRun, output: bytes) -> None:
    """Carry out the commands in the output; the rest is the log."""
    listener, kept = Listener(), []
    for line in commands.lines(output):
        command = listener.heard(line)
        if command is not None:
            made.commands.append(command)
            _obey(job, made, command)
        kept.append(line)
    made.log += job.masked("\n".join(kept))


def _obey(job: Job, made: StepRun, command: Command) -> None:
    if command.name == "add-mask" and command.data.strip():
        job.masks |= {line for line in command.data.splitlines() if line.strip()}
    elif command.name == "set-output":
        made.outputs[command.properties.get("name", "")] = command.data
    elif command.name in ("set-env", "add-path"):
        raise StepError(f"The `{command.name}` command is disabled.")


def _take(job: Job, made: StepRun, files: dict[str, Path]) -> None:
    """Read what the step wrote into its files.

    Raises:
        FileError: the runner would not understand it.
    """
    told = {name: file.read_bytes().decode("utf-8", "replace") for name, file in files.items()}
    made.outputs |= commands.pairs(told["output"])
    added = commands.pairs(told["env"])
    if any(name.upper() == "NODE_OPTIONS" for name in added):
        raise FileError("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.")
    job.env |= added
    job.path[:0] = [line for line in reversed(told["path"].splitlines()) if line]
    if files["step_summary"].stat().st_size > commands.LARGEST_SUMMARY:
        job.notes.append("$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k")
    else:
        job.summary += told["step_summary"]
