"""The journal of a clone's runs: `runs/<id>/run.json` beside the logs of each run.

A journal entry is written whole or not at all, and is never changed. It is evidence for people and
for the next plan; nothing that counts is decided by it, so what cannot be read is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from ciml.adapters import files
from ciml.core.errors import ConfigurationError
from ciml.core.ids import CommitSha
from ciml.core.lineage import RunTrace, encode
from ciml.core.value import Value

KEPT = 200
"""Runs that are kept, with their logs."""

_FILE = "run.json"

T = TypeVar("T")


class _Entry(Value, frozen=True, kw_only=True):
    work_tree: str
    """Of this machine: it stays in the journal and is no part of the trace, which leaves the machine."""
    run: RunTrace


class _Commit(Value, frozen=True, kw_only=True):
    sha: CommitSha


class LastRun(Value, frozen=True, kw_only=True):
    """What the next plan needs of the run before it. The rest of the record is not even read."""

    id: str
    commit: _Commit | None = None


class _Brief(Value, frozen=True, kw_only=True):
    work_tree: str
    run: LastRun


class RunJournal:
    """The runs below one `runs/` folder.

    Args:
        folder: `<state>/runs`.
        work_tree: absolute path of the work tree whose runs are written; several share a journal.
    """

    def __init__(self, folder: str, *, work_tree: str) -> None:
        self._folder = folder
        self._work_tree = work_tree

    def folder_of(self, run: str) -> str:
        """The folder of a run's logs; made when it is not there."""
        path = os.path.join(self._folder, run)
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        return path

    def write(self, run: RunTrace) -> None:
        """Record a run that has ended, and let go of the oldest ones.

        Raises:
            ConfigurationError: the folder cannot be written to.
        """
        folder = self.folder_of(run.id)
        try:
            files.write_whole(os.path.join(folder, _FILE), encode(_Entry(work_tree=self._work_tree, run=run)))
        except OSError as error:
            raise ConfigurationError(f"cannot write the record of the run to {folder}: {error.strerror}") from error
        self._prune()

    def runs(self) -> Iterator[RunTrace]:
        """What is recorded of each run, of every work tree, from new to old."""
        for name in self._names():
            entry = self._read(name, _Entry)
            if entry is not None:
                yield entry.run

    def last_run(self) -> LastRun | None:
        """The newest run in this work tree; None when there is none."""
        for name in self._names():
            entry = self._read(name, _Brief)
            if entry and entry.work_tree == self._work_tree:
                return entry.run
        return None

    def run(self, name: str) -> RunTrace | None:
        """What is recorded of one run."""
        entry = self._read(name, _Entry)
        return entry.run if entry else None

    def _names(self) -> list[str]:
        """Ids of runs, from new to old: they sort by time."""
        try:
            return sorted(os.listdir(self._folder), reverse=True)
        except FileNotFoundError:
            return []

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            with open(os.path.join(self._folder, name, _FILE), "rb") as file:
                return msgspec.json.decode(file.read(), type=kind)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None  # killed before it ended, lost in a power failure, or a newer ciml's

    def _prune(self) -> None:
        for name in self._names()[KEPT:]:
            from shutil import rmtree  # 2 ms that only a call with something to prune has to pay

            rmtree(os.path.join(self._folder, name), ignore_errors=True)
