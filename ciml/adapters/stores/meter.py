"""How far a transfer has come."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Is told what is to be moved, and what has been. From several threads at once."""

    def expect(self, objects: int, size: int) -> None:
        """So many more objects, and so many more bytes, are to be moved."""
        ...

    def advance(self, objects: int, size: int) -> None:
        """So many have been moved; less than nothing where some must be moved again."""
        ...


class Unmetered:
    """Nobody watches."""

    def expect(self, objects: int, size: int) -> None:
        """Nothing."""

    def advance(self, objects: int, size: int) -> None:
        """Nothing."""
