"""A process that is killed, or refused, at its Nth call to the operating system.

Python tells an audit hook of every call that opens, links, renames, removes or locks a file. A hook
cannot be taken away again, so what is to fail runs in a child process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

_CALLS = {
    "open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.chmod", "os.listdir", "os.scandir", "os.symlink",
    "fcntl.flock", "fcntl.ioctl", "os.rmdir", "os.truncate",
}  # fmt: skip

FINISHED = 0
FAILED = 3


def at_call(number: int, act: Callable[[], None]) -> None:
    """From here on, do `act` at the Nth call; for child processes only."""
    left = number

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event in _CALLS:
            left -= 1
            if left == 0:
                act()

    sys.addaudithook(hook)


def in_child(run: Callable[[], None]) -> int:
    """The exit status of a child that does `run`: FAILED where that raised, -9 where it was killed."""
    pid = os.fork()
    if not pid:
        try:
            run()
            os._exit(FINISHED)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(FAILED)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_everywhere(run: Callable[[], None], check: Callable[[int], None]) -> int:
    """How many points there are: `run` was killed at each of them in turn, and `check` called after each."""
    number = 0
    while True:
        number += 1

        def killed(number: int = number) -> None:
            at_call(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            run()

        status = in_child(killed)
        if status == FINISHED:
            return number - 1
        assert status == -signal.SIGKILL, status
        check(number)
