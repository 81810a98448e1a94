"""Processes of stages: started in a session of their own, ended with everything they started.

The only place that starts a process for a stage.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence

from ciml.core.stage_env import MARK

CHUNK = 1 << 16
"""Bytes that one read takes from a stage's output: the size of a pipe."""

_KERNEL_S = 1.0
_KERNEL_THREAD = 0x200000


class Process:
    """A running command, its output and everything that it started.

    `pidfd` and `output` become readable when the command ended and when it printed something, so
    that one loop can wait for many.
    """

    def __init__(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], mark: str) -> None:
        """Start it: no standard input, both outputs in one pipe, as leader of a session.

        No `preexec_fn`: that costs a fork of the whole parent, 15 ms where `vfork` takes 1.

        Raises:
            OSError: it cannot be started.
        """
        self.mark = mark
        reading, writing = os.pipe()
        try:
            self._popen = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**env, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                # The user's umask must not decide what others of the run can read, nor any digest.
                umask=0o022,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self.output: int | None = reading
        self.pid = self._popen.pid
        self.pidfd = os.pidfd_open(self.pid)

    def read(self) -> bytes | None:
        """What it printed since, at most one chunk; b"" when there is nothing now, None when there is no more."""
        try:
            return os.read(self.output, CHUNK) or None if self.output is not None else None
        except BlockingIOError:
            return b""

    def close_output(self) -> None:
        """Read no more from it."""
        if self.output is not None:
            os.close(self.output)
            self.output = None

    def signal_group(self, number: int) -> None:
        """Send a signal to all processes of its group. Valid until `reap`, which frees the number."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def reap(self, *, timeout_s: float | None = _KERNEL_S) -> int:
        """The exit code of a command that has ended, 128 + signal when it was killed.

        One that the kernel still holds after `timeout_s`, having got SIGKILL, counts as killed.
        """
        try:
            code = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        os.close(self.pidfd)
        return 128 - code if code < 0 else code


def find_program(name: str, path: str) -> str | None:
    """Where a program is found on a PATH; `shutil.which` does as much and takes 15 ms to import."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    for folder in path.split(os.pathsep):
        program = os.path.join(folder, name)
        if folder and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def run(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], mark: str) -> tuple[int, bytes]:
    """(exit code, all output) of a command that is waited for; it is killed when the wait is broken off."""
    process = Process(argv, cwd=cwd, env=env, mark=mark)
    assert process.output is not None
    os.set_blocking(process.output, True)
    pieces: list[bytes] = []
    try:
        while data := process.read():
            pieces.append(data)
    except BaseException:
        process.signal_group(signal.SIGKILL)
        raise
    finally:
        process.close_output()
        code = process.reap(timeout_s=None)
    return code, b"".join(pieces)


_GUARD = """
read -r word && exit 0
for file in $(grep -lsz "^$0" /proc/[0-9]*/environ); do
  pid=${file#/proc/}
  kill -9 "${pid%/environ}" 2>/dev/null
done
exit 0
"""


class Guard:
    """A process that outlives this one by a moment: when this one is killed, it kills the stages.

    It knows that from the end of its standard input, which nobody else holds open.

    Args:
        bash: its path.
        marks: a basic regular expression for the marks of this process's stages, and of no others.
    """

    def __init__(self, bash: str, marks: str) -> None:
        self._popen = subprocess.Popen(
            [bash, "-c", _GUARD, f"{MARK}={marks}$"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """There is nothing left to kill."""
        try:
            self._popen.communicate(b"done\n")
        except BrokenPipeError:
            pass  # somebody ended it: what a killed run leaves then waits for the next start


def kill_marked(marks: Collection[str]) -> int:
    """How many processes of these stages were found, in whatever session they hid, and killed.

    A child inherits its mark. One that was started with an emptied environment is not found
    once it has left the stage's process group.

    Args:
        marks: what the processes' marks begin with.
    """
    wanted = tuple(mark.encode() for mark in marks)
    killed: set[int] = set()
    # What is being started while we look is seen the next time; a fork bomb ends the loop at 50.
    for _ in range(50):
        found, starting = _marked(wanted)
        fresh = found - killed
        if not fresh and not starting:
            break
        for pid in fresh:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        killed |= fresh
    return len(killed)


def _marked(wanted: tuple[bytes, ...]) -> tuple[set[int], bool]:
    """Processes whose environment has such a mark, and whether one of the others is in the middle of `execve`."""
    found: set[int] = set()
    starting = False
    me = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != me:
            try:
                with open(f"/proc/{name}/environ", "rb", buffering=0) as file:
                    environ = file.read()
                if not environ and _in_exec(name):
                    starting = True
            except OSError:
                continue  # gone, or another user's
            if (b"\0" + environ).partition(f"\0{MARK}=".encode())[2].startswith(wanted):
                found.add(int(name))
    return found, starting


def _in_exec(name: str) -> bool:
    """Whether a process that showed no environment has one, or no place for one yet, as in the middle of `execve`.

    Source: proc(5), `state`, `flags` (`PF_KTHREAD`), `env_start` and `env_end` of `/proc/PID/stat`.

    Raises:
        OSError: it is gone.
    """
    with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
        fields = file.read().rpartition(b") ")[2].split()
    state, flags, start, end = fields[0], int(fields[6]), int(fields[47]), int(fields[48])
    return state not in b"ZX" and not flags & _KERNEL_THREAD and (end == 0 or start != end)
