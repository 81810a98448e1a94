"""The directory that a stage runs in: its declared inputs, and nothing else of the repository.

`STATE/stages/<16 hex of the key>/` holds `work/` (what the stage sees), `tmp/` and
`params.json`. The name comes from the key, so a stage that writes its own path into an output
writes the same one the next time. Whoever makes or removes it holds `STATE/locks/<16 hex>`; a
directory whose lock is free belongs to a dead run.
"""

from __future__ import annotations

import json
import os
import posixpath

from ciml.adapters.locks import Lock, try_lock
from ciml.adapters.objects import Source
from ciml.adapters.process import kill_marked
from ciml.adapters.trees import Signatures, exceeds, file_digest, remove_tree, signatures
from ciml.core.errors import IntegrityError, StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.order import OrderInput, WorkOrder
from ciml.core.results import Output

_LONGEST_TMPDIR = 70
"""Bytes. A Unix socket's path has at most 107, and multiprocessing puts 32 of its own behind TMPDIR."""

_CHECKPOINT = "checkpoint"
"""File in the stage's directory that says where inside `work/` the checkpoint lies."""


class Stages:
    """All stage directories of one clone."""

    def __init__(self, state: str) -> None:
        # Git compares its ceilings with real paths.
        self.state = os.path.realpath(state)
        self._stages = os.path.join(self.state, "stages")
        self._locks = os.path.join(self.state, "locks")
        os.makedirs(self._stages, exist_ok=True)
        os.makedirs(self._locks, exist_ok=True)
        place = os.stat(self._stages)
        self._clone = f"{place.st_dev:x}-{place.st_ino:x}"

    def lock(self, key: Digest) -> Lock | None:
        """The right to run the stage with this key, or None while somebody else runs it."""
        return try_lock(os.path.join(self._locks, key[:16]))

    def mark(self, name: str) -> str:
        """What tells the processes of this stage, in this clone, from all others."""
        return f"{self._clone}-{name[:16]}"

    def path(self, key: Digest) -> str:
        """The directory for a key."""
        return os.path.join(self._stages, key[:16])

    def checkpoint(self, name: str) -> str:
        """Where a stage's checkpoint waits between attempts."""
        return os.path.join(self.state, "checkpoints", name[:16])

    def sweep(self) -> int:
        """How many leftovers of dead runs were removed, and their processes ended."""
        swept = 0
        for name in os.listdir(self._stages):
            lock = try_lock(os.path.join(self._locks, name))
            if lock is not None:
                kill_marked([self.mark(name)])
                self.clear(name)
                lock.release()
                swept += 1
        return swept

    def clear(self, name: str) -> None:
        """Remove a stage's directory; a checkpoint in it is put aside first."""
        base = os.path.join(self._stages, name)
        try:
            with open(os.path.join(base, _CHECKPOINT), encoding="utf-8", errors="surrogateescape") as file:
                self.keep_checkpoint(name, os.path.join(base, "work", file.read()))
        except FileNotFoundError:
            pass
        tmp = os.path.join(base, "tmp")
        if os.path.islink(tmp):
            elsewhere = os.readlink(tmp)
            if os.path.basename(elsewhere) == f"ciml-{self.mark(name)}":
                remove_tree(elsewhere)
        remove_tree(base)

    def keep_checkpoint(self, name: str, path: str) -> None:
        """Move what the stage left at `path`, if anything, to where the next attempt looks for it."""
        if os.path.lexists(path) and not os.path.islink(path):
            waiting = self.checkpoint(name)
            os.makedirs(os.path.dirname(waiting), exist_ok=True)
            remove_tree(waiting)
            os.rename(path, waiting)


class StageDirectory:
    """One stage's directory, made and filled. Its lock must be held."""

    def __init__(self, stages: Stages, order: WorkOrder, *, work_tree: str, tmp: str) -> None:
        self._stages = stages
        self._order = order
        self._name = order.key[:16]
        self._base = stages.path(order.key)
        self.root = os.path.join(self._base, "work") if order.isolated else os.path.realpath(work_tree)
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
        if os.path.lexists(self._base):
            self._stages.clear(self._name)
        os.mkdir(self._base, 0o755)
        self._make_tmp()
        with open(os.path.join(self._base, "params.json"), "wb") as file:
            file.write(json.dumps(self._order.params, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if self._order.isolated:
            self._fill_work(source)
        made: set[str] = set()
        for place in self._order.outputs:
            self._parent(place.inside, made)
        if not self._order.isolated:
            for place in self._order.outputs:
                self._before[place.inside] = signatures(self._at(place.inside))

    def env(self) -> dict[str, str]:
        """The variables that belong to the directory."""
        own = {"TMPDIR": self._tmp, "CIML_PARAMS": os.path.join(self._base, "params.json")}
        if self._order.isolated:
            own["GIT_CEILING_DIRECTORIES"] = self._base
        return own

    def check_inputs(self, source: Source) -> None:
        """That every input is as it was put there; what was added beside them changes nothing.

        Raises:
            StageError: one is not. Had it been a link into the store, the store's copy is checked too.
        """
        for given in self._order.inputs:
            if self._moved(given):
                self._check_bytes(given, source)

    def written(self, inside: RepoPath) -> bool:
        """Whether an output was written by this run; what lies in an isolated directory always was."""
        return self._order.isolated or signatures(self._at(inside)) != self._before[inside]

    def outputs_exceed(self, *, size: int, files: int) -> bool:
        """Whether an output has more bytes or files than that."""
        return any(exceeds(self._at(place.inside), size=size, files=files) for place in self._order.outputs)

    def save_checkpoint(self) -> None:
        """Keep the checkpoint for the next attempt."""
        if self._order.checkpoint is not None and self._order.isolated:
            self._stages.keep_checkpoint(self._name, self._at(self._order.checkpoint))

    def drop_checkpoint(self) -> None:
        """Forget the checkpoint: the stage has succeeded."""
        if self._order.checkpoint is not None and self._order.isolated:
            remove_tree(self._at(self._order.checkpoint))

    def remove(self) -> None:
        """Remove it, a checkpoint that is still inside apart."""
        self._stages.clear(self._name)

    def _check_bytes(self, given: OrderInput, source: Source) -> None:
        path = self._at(given.inside)
        if given.directory:
            same = _contents(signatures(path), self._before[given.inside])
        else:
            same = os.path.isfile(path) and file_digest(path) == given.digest
        if same:
            return
        if not given.copy:
            # Who writes through a link has damaged the store's object: reading it puts it into quarantine.
            try:
                source.materialise(_stored(given), os.path.join(self._base, "checked"), link=True)
            except IntegrityError:
                pass
        raise StageError(
            f"stage {self._order.stage} changed its input {given.inside} while it ran",
            hint="Copy what has to be edited to another path, and declare that as an output.",
        )

    def _moved(self, given: OrderInput) -> bool:
        before = self._before.get(given.inside, {}) if self._order.isolated else {}
        after = signatures(self._at(given.inside)) if before else {}
        return any(after.get(path) != signature for path, signature in before.items())

    def _at(self, inside: str) -> str:
        if inside.startswith("/") or ".." in inside.split("/"):
            raise TrustError(f"stage {self._order.stage}: the path {inside!r} leaves the stage's directory")
        return os.path.join(self.root, inside)

    def _parent(self, inside: str, made: set[str]) -> str:
        """The absolute path of `inside`, whose parent now exists."""
        path = self._at(inside)
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        return path

    def _make_tmp(self) -> None:
        own = os.path.join(self._base, "tmp")
        if len(os.fsencode(own)) <= _LONGEST_TMPDIR:
            self._tmp = own
        else:
            self._tmp = os.path.join(self._user_tmp, f"ciml-{self._stages.mark(self._name)}")
            remove_tree(self._tmp)
            os.symlink(self._tmp, own)
        os.mkdir(self._tmp, 0o700)

    def _fill_work(self, source: Source) -> None:
        os.mkdir(self.root, 0o755)
        made = {self.root}
        for given in self._order.inputs:
            path = self._parent(given.inside, made)
            if given.link is not None:
                self._link(given, path)
                continue
            source.materialise(_stored(given), path, link=not given.copy, read_only=not given.copy)
            self._before[given.inside] = signatures(path)
        for file, text in self._order.params_files.items():
            with open(self._parent(file, made), "w", encoding="utf-8", errors="surrogatepass", newline="") as writer:
                writer.write(text)
        if self._order.workdir:
            os.makedirs(self.cwd, exist_ok=True)
        if self._order.checkpoint is not None:
            self._put_checkpoint(self._order.checkpoint, made)

    def _link(self, given: OrderInput, path: str) -> None:
        text = given.link or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(given.inside), text))
        if text.startswith("/") or target == ".." or target.startswith("../"):
            raise TrustError(f"stage {self._order.stage}: the link {given.inside} leaves the repository: {text!r}")
        os.symlink(text, path)

    def _put_checkpoint(self, inside: RepoPath, made: set[str]) -> None:
        path = self._parent(inside, made)
        with open(
            os.path.join(self._base, _CHECKPOINT), "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            file.write(inside)
        waiting = self._stages.checkpoint(self._name)
        if os.path.lexists(waiting):
            os.rename(waiting, path)


def _contents(after: Signatures, before: Signatures) -> bool:
    """Whether the files of `before` have their mode, size and time still: a link made elsewhere moves the ctime."""
    return all(path in after and after[path][:4] == signature[:4] for path, signature in before.items())


def _stored(given: OrderInput) -> Output:
    return Output(
        path=given.inside,
        digest=given.digest,
        size=given.size,
        directory=given.directory,
        executable=given.executable,
    )
