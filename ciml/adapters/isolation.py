"""The directory that a stage runs in: its declared inputs, and nothing else of the repository.

`STATE/stages/` has for each running stage, under 16 hex digits of its key, a folder (what the stage
sees as the repository's root) and beside it `.tmp/`, `.json` (parameters) and `.checkpoint` (where in
the folder that lies). The name comes from the key, so a stage that writes its own path into an
output writes the same one the next time. Whoever makes or removes them holds `STATE/locks/<name>`;
where that lock is free they belong to a dead run.
"""

from __future__ import annotations

import hashlib
import os
import posixpath

import msgspec

from ciml.adapters import files
from ciml.adapters.locks import Lock, try_lock
from ciml.adapters.objects import Source
from ciml.adapters.process import kill_marked
from ciml.adapters.trees import Signatures, empty, exceeds, remove_tree, signatures
from ciml.core import listing
from ciml.core.errors import IntegrityError, StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.order import OrderInput, WorkOrder
from ciml.core.results import Output

_LONGEST_TMPDIR = 70
"""Bytes. A Unix socket's path has at most 107, and multiprocessing puts 32 of its own behind TMPDIR."""

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


class StageDirectory:
    """One stage's directory, made and filled. Its lock must be held."""

    def __init__(self, stages: Stages, order: WorkOrder, *, work_tree: str, tmp: str) -> None:
        self._stages = stages
        self._order = order
        self._name = order.key[:16]
        self._base = stages.path(self._name)
        self.root = self._base if order.isolated else os.path.realpath(work_tree)
        """The stage's view of the repository's root."""
        self._tmp = ""
        self._user_tmp = tmp
        self._before: dict[RepoPath, Signatures] = {}

    @property
    def cwd(self) -> str:
        """Where its command starts."""
        return os.path.join(self.root, self._order.workdir) if self._order.workdir else self.root

    def fill(self, source: Source) -> None:
        """Make it, with inputs, parameters, checkpoint and the parents of outputs.

        Raises:
            TrustError: the order names a path outside.
            IntegrityError: an input's bytes are gone or damaged.
        """
        if os.path.lexists(f"{self._base}.json"):
            self._stages.clear(self._name)
        _write(f"{self._base}.json", msgspec.json.encode(self._order.params))
        self._make_tmp()
        made = {self.root}
        if self._order.isolated:
            self._stages.make(self.root)
            self._fill_root(source, made)
        for place in self._order.outputs:
            self._parent(place.inside, made)
            if not self._order.isolated:
                self._before[place.inside] = signatures(self._at(place.inside))

    def env(self) -> dict[str, str]:
        """The variables that belong to the directory."""
        own = {"TMPDIR": self._tmp, "CIML_PARAMS": f"{self._base}.json"}
        if self._order.isolated:
            own["GIT_CEILING_DIRECTORIES"] = self._stages.root
        return own

    def check_inputs(self, source: Source) -> None:
        """That every input is as it was put there; what was added beside them changes nothing.

        Raises:
            StageError: one is not. Had it been a link into the store, the store's copy is checked too.
        """
        for given in self._order.inputs if self._order.isolated else ():
            before = self._before.get(given.inside, {})
            after = signatures(self._at(given.inside)) if before else {}
            moved = {path for path, signature in before.items() if after.get(path) != signature}
            if moved and not self._same(given, moved, source):
                self._refuse(given, source)

    def written(self, inside: RepoPath) -> bool:
        """Whether an output was written by this run; what lies in an isolated directory always was."""
        return self._order.isolated or signatures(self._at(inside)) != self._before[inside]

    def outputs_exceed(self, *, size: int, count: int) -> bool:
        """Whether an output has more bytes or files than that."""
        return any(exceeds(self._at(place.inside), size=size, count=count) for place in self._order.outputs)

    def save_checkpoint(self) -> None:
        """Keep the checkpoint for the next attempt."""
        if self._order.checkpoint is not None and self._order.isolated:
            self._stages.keep_checkpoint(self._name, self._at(self._order.checkpoint))

    def drop_checkpoint(self) -> None:
        """Forget the checkpoint: the stage has succeeded."""
        if self._order.checkpoint is not None and self._order.isolated:
            remove_tree(self._at(self._order.checkpoint))

    def remove(self) -> None:
        """Remove it; a checkpoint that is still inside is kept."""
        self._stages.clear(self._name)

    def _same(self, given: OrderInput, moved: set[str], source: Source) -> bool:
        """Whether those files of an input, whose signatures are new, still have their bytes."""
        top = self._at(given.inside)
        if not given.directory:
            return _digest(top) == given.digest
        return all(
            _digest(os.path.join(top, os.fsdecode(entry.path))) == entry.digest
            for entry in listing.entries(given.digest, source.read)
            if os.fsdecode(entry.path) in moved
        )

    def _refuse(self, given: OrderInput, source: Source) -> None:
        if not given.copy:
            # Who writes through a link has damaged the store's object: reading it puts it into quarantine.
            try:
                source.materialise(_stored(given), os.path.join(self._tmp, "checked"), link=True)
            except IntegrityError:
                pass
        raise StageError(
            f"stage {self._order.stage} changed its input {given.inside} while it ran",
            hint="Copy what has to be edited to another path, and declare that as an output.",
        )

    def _at(self, inside: str) -> str:
        if inside.startswith("/") or ".." in inside.split("/"):
            raise TrustError(f"stage {self._order.stage}: the path {inside!r} leaves the stage's directory")
        return os.path.join(self.root, inside)

    def _parent(self, inside: str, made: set[str]) -> str:
        """The absolute path of `inside`, whose parent now exists."""
        path = self._at(inside)
        parent = os.path.dirname(path)
        if self._order.isolated:
            self._folder(parent, made)
        else:
            os.makedirs(parent, exist_ok=True)
        return path

    def _folder(self, path: str, made: set[str]) -> None:
        """Make a folder and those above it. It may be there: in an input that is a directory."""
        if path not in made:
            made.add(path)
            if not os.path.isdir(path):
                self._folder(os.path.dirname(path), made)
                self._stages.make(path)

    def _make_tmp(self) -> None:
        own = f"{self._base}.tmp"
        if len(os.fsencode(own)) <= _LONGEST_TMPDIR:
            self._tmp = own
            self._stages.make(own)
        else:
            self._tmp = os.path.join(self._user_tmp, self._stages.short_name(self._name))
            remove_tree(self._tmp)
            os.symlink(self._tmp, own)
            os.mkdir(self._tmp, 0o700)

    def _fill_root(self, source: Source, made: set[str]) -> None:
        for given in self._order.inputs:
            path = self._parent(given.inside, made)
            if given.link is not None:
                self._link(given, given.link, path)
                continue
            source.materialise(_stored(given), path, link=not given.copy, read_only=not given.copy)
            self._before[given.inside] = signatures(path)
        for file, text in self._order.params_files.items():
            _write(self._parent(file, made), text.encode())
        if self._order.workdir:
            self._folder(self.cwd, made)
        if self._order.checkpoint is not None:
            path = self._parent(self._order.checkpoint, made)
            _write(f"{self._base}.checkpoint", os.fsencode(self._order.checkpoint))
            waiting = self._stages.checkpoint(self._name)
            if os.path.lexists(waiting):
                os.rename(waiting, path)

    def _link(self, given: OrderInput, text: str, path: str) -> None:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(given.inside), text))
        if text.startswith("/") or target == ".." or target.startswith("../"):
            raise TrustError(f"stage {self._order.stage}: the link {given.inside} leaves the repository: {text!r}")
        os.symlink(text, path)


def _stored(given: OrderInput) -> Output:
    return Output(
        path=given.inside,
        digest=given.digest,
        size=given.size,
        directory=given.directory,
        executable=given.executable,
    )


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def _digest(path: str) -> Digest | None:
    """SHA-256 of a file's bytes or a link's target; None where neither is."""
    try:
        if os.path.islink(path):
            return Digest(hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest())
        fd, status = files.open_regular(path, path)
    except (FileNotFoundError, NotADirectoryError, StageError):
        return None
    try:
        return files.digest(fd, status.st_size)[0]
    finally:
        os.close(fd)
