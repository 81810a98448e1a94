"""Where the stages of one clone run: a folder for each, the right to use it, and what marks its processes.

`STATE/stages/` has for each running stage, under 16 hex digits of its key, a folder (what the stage
sees as the repository's root) and beside it `.tmp/`, `.json` (parameters) and `.checkpoint` (where in
the folder that lies). The name comes from the key, so a stage that writes its own path into an
output writes the same one the next time. Whoever makes or removes them holds `STATE/locks/<name>`;
where that lock is free they belong to a dead run.
"""

from __future__ import annotations

import os

from ciml.adapters import files
from ciml.adapters.locks import Lock, try_lock
from ciml.adapters.process import kill_marked
from ciml.adapters.trees import empty, remove_tree
from ciml.core.ids import Digest

_SPARE = ".spare-"

_SPARES = 64
"""Folders that are kept for stages to come."""


class Stages:
    """All stage directories of one clone."""

    def __init__(self, state: str) -> None:
        # Git compares its ceilings with real paths.
        self.state = os.path.realpath(state)
        self.root = os.path.join(self.state, "stages")
        self._locks = os.path.join(self.state, "locks")
        os.makedirs(self.root, exist_ok=True)
        os.makedirs(self._locks, exist_ok=True)
        place = os.stat(self.root)
        self._clone = f"{place.st_dev:x}-{place.st_ino:x}"
        # What ends the processes of a dead run must not end those of the next one.
        self._run = os.urandom(6).hex()
        self._spares: list[str] = []

    def lock(self, key: Digest) -> Lock | None:
        """The right to run the stage with this key, or None while somebody else runs it."""
        return try_lock(os.path.join(self._locks, key[:16]))

    def marks(self, name: str) -> str:
        """What the marks of a stage's processes begin with; who holds its lock may end them all."""
        return f"{self._clone}-{name[:16]}-"

    def mark(self, name: str) -> str:
        """The mark of the processes that this run starts for a stage."""
        return self.marks(name) + self._run

    @property
    def own_marks(self) -> str:
        """A basic regular expression for the marks of this run."""
        return f"{self._clone}-{'[0-9a-f]' * 16}-{self._run}"

    def path(self, name: str) -> str:
        """The stage's folder, to which its other files add a suffix."""
        return os.path.join(self.root, name[:16])

    def short_name(self, name: str) -> str:
        """The name of a stage's TMPDIR where that cannot be in the state directory."""
        return f"ciml-{self._clone}-{name[:16]}"

    def checkpoint(self, name: str) -> str:
        """Where a stage's checkpoint waits between attempts."""
        return os.path.join(self.state, "checkpoints", name[:16])

    def make(self, path: str) -> None:
        """Make an empty folder. One that another stage has done with is taken: that is ten times faster."""
        while self._spares:
            try:
                os.rename(self._spares.pop(), path)
                return
            except FileNotFoundError:
                continue  # another process has tidied up
        os.mkdir(path, 0o755)

    def sweep(self) -> int:
        """How many leftovers of dead runs were removed, and their processes ended."""
        names = {name.partition(".")[0] for name in os.listdir(self.root)} - {""}
        swept = 0
        for name in names:
            lock = try_lock(os.path.join(self._locks, name))
            if lock is not None:
                kill_marked([self.marks(name)])
                self.clear(name)
                lock.release()
                swept += 1
        self.tidy()
        return swept

    def clear(self, name: str) -> None:
        """Remove all that belongs to a stage; a checkpoint in its folder is put aside first."""
        base = self.path(name)
        try:
            with open(f"{base}.checkpoint", "rb") as file:
                self.keep_checkpoint(name, os.path.join(base, os.fsdecode(file.read())))
            os.unlink(f"{base}.checkpoint")
        except FileNotFoundError:
            pass
        tmp = f"{base}.tmp"
        if os.path.islink(tmp):
            elsewhere = os.readlink(tmp)
            if os.path.basename(elsewhere) == self.short_name(name):
                remove_tree(elsewhere)
            os.unlink(tmp)
        files.discard(f"{base}.json")
        for folder in (base, tmp):
            self._put_away(folder)

    def tidy(self) -> None:
        """Remove the folders that were kept for other stages."""
        self._spares.clear()
        for name in os.listdir(self.root):
            if name.startswith(_SPARE):
                remove_tree(os.path.join(self.root, name))

    def keep_checkpoint(self, name: str, path: str) -> None:
        """Move what the stage left at `path`, if anything, to where the next attempt looks for it."""
        if os.path.lexists(path) and not os.path.islink(path):
            waiting = self.checkpoint(name)
            os.makedirs(os.path.dirname(waiting), exist_ok=True)
            remove_tree(waiting)
            os.rename(path, waiting)

    def _put_away(self, folder: str) -> None:
        if not (empty(folder, self._take) and self._take(folder)):
            remove_tree(folder)

    def _take(self, folder: str, parent: int | None = None) -> bool:
        """Whether an empty folder was moved to where the next stage's folders come from."""
        if len(self._spares) == _SPARES:
            return False
        spare = os.path.join(self.root, f"{_SPARE}{os.getpid()}-{len(self._spares)}")
        try:
            os.rename(folder, spare, src_dir_fd=parent)
        except OSError:
            return False
        self._spares.append(spare)
        return True
