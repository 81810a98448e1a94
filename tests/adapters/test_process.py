"""Processes of stages, started and ended for real."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from ciml.adapters.process import Process, find_program, kill_marked, run

ENV = {"PATH": os.environ["PATH"]}


def bash(script: str, mark: str = "m") -> Process:
    return Process(["/bin/bash", "-c", script], cwd="/", env=ENV, mark=mark)


def ended(process: Process) -> int:
    """The exit code, once the process has ended."""
    assert select.select([process.pidfd], [], [], 10)[0]
    process.close_output()
    return process.reap()


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_exit_codes(script: str, code: int) -> None:
    """The exit code is the command's, 128 + signal when it was killed."""
    assert ended(bash(script)) == code


def test_both_outputs_come_through_one_pipe() -> None:
    """Output and errors arrive in the order in which they were written; standard input is empty."""
    assert run(["/bin/bash", "-c", "echo a; echo b >&2; cat; echo c"], cwd="/", env=ENV, mark="m") == (0, b"a\nb\nc\n")


def test_a_command_that_cannot_start_leaves_nothing_open() -> None:
    """A missing program is an OSError, and no descriptor stays open."""
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        Process(["./not-there"], cwd="/", env=ENV, mark="m")
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_it_has_no_terminal_and_a_session_of_its_own() -> None:
    """Ctrl-C on the terminal does not reach it: ciml decides when it ends."""
    code, output = run(["/bin/bash", "-c", "ps -o sid=,tty= -p $$; echo $$"], cwd="/", env=ENV, mark="m")
    session, terminal, pid = output.split()
    assert (code, session, terminal) == (0, pid, b"?")


def test_signal_reaches_the_whole_group() -> None:
    """Children of the command get the signal too."""
    process = bash("sleep 1000 & sleep 1000 & echo $!; wait")
    assert process.output is not None
    os.set_blocking(process.output, True)
    child = int(process.read() or b"")
    watch = os.pidfd_open(child)
    process.signal_group(signal.SIGTERM)
    assert select.select([watch], [], [], 10)[0]
    os.close(watch)
    assert ended(process) == 143


def test_c161_marked_processes_are_found_in_other_sessions() -> None:
    """A process that left the group and the session is found by its mark; others are left alone."""
    marks = f"{os.getpid()}-mine", f"{os.getpid()}-other"
    mine, other = bash("setsid sleep 1000 & echo $!; exec sleep 1000", marks[0]), bash("exec sleep 1000", marks[1])
    assert mine.output is not None
    os.set_blocking(mine.output, True)
    hidden = os.pidfd_open(int(mine.read() or b""))

    assert kill_marked(marks[:1]) == 2

    assert select.select([hidden], [], [], 10)[0]
    os.close(hidden)
    assert ended(mine) == 137
    assert kill_marked(marks) == 1
    assert ended(other) == 137
    assert kill_marked(marks) == 0


def test_what_has_just_begun_is_found() -> None:
    """A process is found by its mark from the moment it was started, though the kernel writes that a little later."""
    mark = f"{os.getpid()}-new"
    for _ in range(100):
        process = bash("exec sleep 1000", mark)
        assert kill_marked([mark]) == 1
        assert ended(process) == 137


def test_programs_are_found_on_the_path(tmp_path: Path) -> None:
    """The first executable file of that name, as a shell finds it."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert find_program("tool", f"{tmp_path}:/bin") is None
    (tmp_path / "tool").chmod(0o755)
    assert find_program("tool", f":/nowhere:{tmp_path}") == str(tmp_path / "tool")
    assert find_program(sys.executable, "") == sys.executable
    assert find_program("./absent/tool", "/bin") is None
