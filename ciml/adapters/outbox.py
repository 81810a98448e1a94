"""Alerts that are still to be sent, one file for each alert and address, and which were sent.

An address may hold a token, so it is known here by a digest. Between processes an alert is held by
a lock while it is sent, and its mark outlives it, so the same alert is sent once. A process that is
killed between the service's answer and the mark sends it again: the service alone could prevent that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from ciml.adapters import files
from ciml.adapters.locks import Lock, try_lock
from ciml.core.alert import Alert
from ciml.core.value import Value

ATTEMPTS = 10
"""Tries in all, over as many runs, before an alert is given up."""

MARKS = 5000
"""Marks of sent alerts that are kept."""


class Pending(Value, frozen=True, kw_only=True):
    """An alert and how often it was tried."""

    alert: Alert
    target: str
    attempts: int = 0


class Outbox:
    """The alerts below one `outbox/` folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._marks = os.path.join(folder, "sent")

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._names(".json"))

    def add(self, alert: Alert, target: str) -> None:
        """Keep an alert until it is sent; one that is here or was sent is left as it is."""
        os.makedirs(self._marks, exist_ok=True)
        name = _name(alert, target)
        if not os.path.exists(self._mark(name)) and not os.path.exists(self._path(name)):
            self._write(name, Pending(alert=alert, target=target))

    def pending(self, target: str) -> Iterator[tuple[Pending, Lock]]:
        """What is to be sent to an address, from old to new, each held until its lock is released."""
        for name in self._names(f".{target}.json"):
            lock = try_lock(self._path(f"{name}.lock"))
            if lock is not None:
                # Read only now: whoever held it before may have sent it.
                found = self._read(name)
                if found is None:
                    lock.release()
                else:
                    yield found, lock

    def sent(self, pending: Pending) -> None:
        """Let go of an alert that a service took."""
        name = _name(pending.alert, pending.target)
        with open(self._mark(name), "wb"):
            pass
        self._remove(name)
        self._prune()

    def failed(self, pending: Pending) -> bool:
        """Count a try; whether it was the last one, and the alert is given up."""
        name = _name(pending.alert, pending.target)
        tried = msgspec.structs.replace(pending, attempts=pending.attempts + 1)
        if tried.attempts >= ATTEMPTS:
            self._remove(name)
            return True
        self._write(name, tried)
        return False

    def forget_all_but(self, targets: frozenset[str]) -> None:
        """Drop what waits for an address that is no longer set."""
        for name in self._names(".json"):
            if name.split(".")[-2] not in targets:
                self._remove(name)

    def _names(self, ending: str) -> list[str]:
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(ending)]
        except FileNotFoundError:
            return []
        return sorted(names, key=lambda name: (_age(self._path(name)), name))

    def _read(self, name: str) -> Pending | None:
        try:
            with open(self._path(name), "rb") as file:
                return msgspec.json.decode(file.read(), type=Pending)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._remove(name)  # torn by a power failure: nothing that could be sent is in it
            return None

    def _write(self, name: str, pending: Pending) -> None:
        files.write_whole(self._path(name), msgspec.json.encode(pending))

    def _remove(self, name: str) -> None:
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            pass

    def _prune(self) -> None:
        """Remove the oldest marks where there are many; another process may do the same at this moment."""
        names = os.listdir(self._marks)
        if len(names) > MARKS:
            paths = [os.path.join(self._marks, name) for name in names]
            for path in sorted(paths, key=_age)[: MARKS // 10]:
                files.discard(path)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _mark(self, name: str) -> str:
        return os.path.join(self._marks, name.removesuffix(".json"))


def _age(path: str) -> float:
    """When a file was written, in s since 1970; 0 where it is gone meanwhile."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _name(alert: Alert, target: str) -> str:
    return f"{alert.key}.{target}.json"
