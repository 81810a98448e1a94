"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ciml.adapters.locks import try_lock

HOLDER = """
import sys
from ciml.adapters.locks import try_lock
lock = try_lock(sys.argv[1])
print("held" if lock else "free", flush=True)
sys.stdin.read()
"""


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second request gets nothing until the first one lets go; then no file is left."""
    path = str(tmp_path / "lock")
    first = try_lock(path)
    assert first is not None and try_lock(path) is None
    first.release()
    second = try_lock(path, wait=True)
    assert second is not None
    second.release()
    second.release()
    assert os.listdir(tmp_path) == []


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A holder that is killed holds nothing any more, though its file is still there."""
    path = str(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.getcwd()
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert try_lock(path) is None
        holder.kill()
    lock = try_lock(path, wait=True)
    assert lock is not None
    lock.release()
