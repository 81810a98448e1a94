"""The records of a local store: believed only where everything about them is right."""

from __future__ import annotations

import os

import msgspec

from ciml.adapters import files
from ciml.adapters.stores.session import Session
from ciml.core.ids import Digest, is_digest
from ciml.core.results import Miss, Output, Record
from ciml.core.value import Value

FORMAT = "ciml/action/1"
RECORD_FORMAT = "ciml/record/1"
LOCAL = "local"
"""The space of a store that only one machine uses."""


class Action(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record as it lies in a store."""

    format: str = FORMAT
    space: str
    """Whose it is: `main`, `pr/7`; a record that was carried to another space is not believed."""
    salt: str
    """The store's when it was written; `disown` gives the store another one."""
    record: Record


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Action).decode


def encode(record: Record, *, space: str, salt: str) -> bytes:
    """The bytes of a record in a store."""
    return _encode(Action(space=space, salt=salt, record=record))


def decode(data: bytes, key: Digest, *, space: str, salt: str) -> Record | Miss:
    """The record, or what is wrong with it."""
    try:
        action = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Miss(reason=f"its record is damaged: {error}")
    record = action.record
    for what, found, expected in (
        ("format", action.format, FORMAT),
        ("record format", record.format, RECORD_FORMAT),
        ("space", action.space, space),
        ("key", record.key, key),
    ):
        if found != expected:
            return Miss(reason=f"its record has the {what} {found!r}, not {expected!r}")
    if action.salt != salt:
        return Miss(reason="its record was disowned")
    if not all(_sound(output) for output in record.outputs):
        return Miss(reason="its record names an output that cannot be")
    return record


def _sound(output: Output) -> bool:
    return is_digest(output.digest) and output.size >= 0 and output.files >= 0


class Records:
    """The records of one space in a local store."""

    def __init__(self, root: str, session: Session, space: str) -> None:
        self._root = root
        self._session = session
        self.space = space
        self.folder = f"{root}/actions" if space == LOCAL else f"{root}/spaces/{space}"
        self._salt: str | None = None

    def path(self, key: Digest) -> str:
        """Where a record lies."""
        return f"{self.folder}/{key[:2]}/{key[2:]}"

    def trash(self, key: Digest) -> str:
        """The name that a record has while a collection makes up its mind."""
        return f"{'record' if self.space == LOCAL else 'of'}-{self.space.replace('/', '%')}-{key}"

    def holds(self, key: Digest) -> bool:
        """Whether something lies under a key."""
        return os.path.lexists(self.path(key)) or self._back_from_trash(key)

    @property
    def salt(self) -> str:
        """What records must carry to be believed; "" until one was disowned."""
        if self._salt is None:
            try:
                with open(f"{self._root}/salt", encoding="ascii") as file:
                    self._salt = file.read()
            except FileNotFoundError:
                self._salt = ""
        return self._salt

    def read(self, key: Digest) -> Record | Miss:
        """The record of a key; whether its outputs are there is not looked at."""
        data = self.data(key)
        return Miss() if data is None else decode(data, key, space=self.space, salt=self.salt)

    def data(self, key: Digest) -> bytes | None:
        """The bytes that lie under a key; b"" for what cannot be read, such as a folder."""
        path = self.path(key)
        return _bytes(path) if self.holds(key) else None

    def add(self, record: Record) -> bool:
        """Whether the record now stands for its key; False where there is one already."""
        unfinished = self._session.new()
        files.write_new(unfinished, encode(record, space=self.space, salt=self.salt), 0o444)
        path = self.path(record.key)
        try:
            # A link is refused where the name is taken: on every file system, and without a lock.
            try:
                os.link(unfinished, path)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            files.discard(unfinished)
        return True

    def remove(self, key: Digest, data: bytes | None = None) -> None:
        """Put a record into quarantine; with `data` only while it has these bytes."""
        path = self.path(key)
        aside = f"{self._root}/quarantine/{os.path.basename(self._session.new())}-record-{key}"
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return
        if data is not None and _bytes(aside) != data:
            # Somebody else has put another one there since we looked.
            try:
                os.link(aside, path)
            except FileExistsError:
                return
            os.unlink(aside)

    def remove_before(self, moment_s: float) -> None:
        """Put the records that were written before a moment (s since 1970) into quarantine."""
        for short in _listed(self.folder):
            for rest in _listed(f"{self.folder}/{short}"):
                key = Digest(short + rest)
                if is_digest(key) and os.lstat(self.path(key)).st_mtime < moment_s:
                    self.remove(key)

    def rotate_salt(self) -> None:
        """Let no record that exists be believed again."""
        self._salt = os.urandom(8).hex()
        unfinished = self._session.new()
        files.write_new(unfinished, self._salt.encode(), 0o644)
        os.rename(unfinished, f"{self._root}/salt")

    def _back_from_trash(self, key: Digest) -> bool:
        try:
            os.link(f"{self._root}/trash/{self.trash(key)}", self.path(key))
        except FileExistsError:
            return True
        except FileNotFoundError:
            return os.path.exists(self.path(key))
        return True


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
