"""The directory that a stage runs in: its declared inputs, and nothing else of the repository."""

from __future__ import annotations

import hashlib
import os
import posixpath

import msgspec

from ciml.adapters import files
from ciml.adapters.objects import Source
from ciml.adapters.stages import Stages
from ciml.adapters.trees import Signatures, exceeds, remove_tree, signatures
from ciml.core import listing
from ciml.core.errors import IntegrityError, StageError, TrustError
from ciml.core.ids import Digest, RepoPath
from ciml.core.order import OrderInput, WorkOrder
from ciml.core.results import Output

_LONGEST_TMPDIR = 70
"""Bytes. A Unix socket's path has at most 107, and multiprocessing puts 32 of its own behind TMPDIR."""


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
