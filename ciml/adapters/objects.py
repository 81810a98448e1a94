"""What carrying an order out needs of a store: parts of the port Store, by shape."""

from __future__ import annotations

from typing import Protocol

from ciml.core.ids import Digest, RepoPath
from ciml.core.results import Output, Record


class Source(Protocol):
    """Where inputs come from."""

    def read(self, digest: Digest) -> bytes:
        """The bytes, verified."""
        ...

    def materialise(self, output: Output, target: str, *, link: bool = False, read_only: bool = False) -> None:
        """Put the bytes at `target`, verified, all or nothing."""
        ...


class Sink(Protocol):
    """Where outputs go."""

    def put_path(self, path: str, *, name: RepoPath) -> Output:
        """The file or directory at `path`, stored."""
        ...


class Objects(Source, Sink, Protocol):
    """Both, and the records. Used from several threads."""

    def record(self, key: Digest) -> object:
        """A Record, or why there is none."""
        ...

    def publish(self, record: Record) -> Record:
        """The record that now stands for the key."""
        ...
