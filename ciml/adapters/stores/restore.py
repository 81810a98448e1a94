"""What a store holds, put at a path: verified while it is copied, and all or nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ciml.adapters import files
from ciml.adapters.batched import batched
from ciml.adapters.stores.ingest import stays_inside
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.pair import BATCH, Pair
from ciml.adapters.stores.session import Session
from ciml.adapters.trees import remove_tree
from ciml.core import listing
from ciml.core.errors import IntegrityError, TrustError
from ciml.core.ids import Digest
from ciml.core.listing import Entry
from ciml.core.results import Output

_LINKED = 1 << 20
"""Bytes from which a file may be a hard link: below it, a copy is as quick."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_NO_LINK = (errno.ENOENT, errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EEXIST)


class Restorer:
    """Puts the objects of a store at paths."""

    def __init__(self, objects: Objects, session: Session) -> None:
        self._objects = objects
        self._session = session

    def restore(self, output: Output, target: str, *, within: str, link: bool, read_only: bool) -> None:
        """Put an output at `target`; whatever is there is replaced.

        Args:
            output: a file or a directory.
            target: absolute; folders on the way are made.
            within: where not empty, the folder that `target` lies in and that no link may lead out of.
            link: allow read-only hard links for large files.
            read_only: make files unwritable.
        """
        parent, name = os.path.split(target)
        folder = _open_parent(parent, within)
        try:
            unfinished = self._session.new()
            if os.fstat(folder).st_dev != os.stat(os.path.dirname(unfinished)).st_dev:
                unfinished = _beside(folder)
            try:
                self._put(output, unfinished, folder, name, link=link, read_only=read_only)
            except OSError as error:
                # One disk can be mounted twice, and a rename from mount to mount is refused.
                if error.errno != errno.EXDEV:
                    raise
                self._put(output, _beside(folder), folder, name, link=link, read_only=read_only)
        finally:
            os.close(folder)

    def _put(self, output: Output, unfinished: str, folder: int, name: str, *, link: bool, read_only: bool) -> None:
        aside = f"{unfinished}.old"
        writer = _Writer(self._objects, link=link, read_only=read_only)
        if not output.directory and not output.executable and writer.linked(name, output.digest, output.size, folder):
            return  # nothing was there: a link is all or nothing by itself
        try:
            if output.directory:
                self._tree(output, unfinished, writer)
            else:
                writer.file(unfinished, output.digest, output.size, executable=output.executable)
            if files.replace(unfinished, name, aside=aside, target_folder=folder):
                remove_tree(aside)
        except BaseException:
            remove_tree(unfinished)
            raise

    def _tree(self, output: Output, unfinished: str, writer: _Writer) -> None:
        files.make_folder(unfinished)
        below = _Below(unfinished, writer)
        pair = Pair[Entry, None](below.put, self._session.forked)
        try:
            for _ in pair.run(batched(listing.entries(output.digest, self._objects.read), BATCH)):
                pass
        finally:
            pair.close()
            below.close()


def _open_parent(parent: str, within: str) -> int:
    if not within:
        try:
            return os.open(parent, _FOLDER)
        except FileNotFoundError:
            os.makedirs(parent, exist_ok=True)
            return os.open(parent, _FOLDER)
    inside = os.path.relpath(parent, within)
    try:
        return files.open_below(within, "" if inside == "." else inside, make=True)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise TrustError(
            f"{parent} lies behind a symbolic link or a file, so nothing is written there",
            hint=f"Every folder between {within} and an output must be a real one.",
        ) from error


def _beside(folder: int) -> str:
    return f"/proc/self/fd/{folder}/.ciml-{os.urandom(8).hex()}"


class _Writer:
    """Makes single files."""

    def __init__(self, objects: Objects, *, link: bool, read_only: bool) -> None:
        self._objects = objects
        self._link = link
        self._read_only = read_only

    def file(
        self, path: str | bytes, digest: Digest, size: int, *, executable: bool, folder: int | None = None
    ) -> None:
        """Make one file, which must not exist."""
        if not executable and self.linked(path, digest, size, folder):
            return
        fd = os.open(path, files.CREATE & ~os.O_WRONLY | os.O_RDWR, 0o600, dir_fd=folder)
        try:
            self._objects.copy_to(digest, fd)
            mode = 0o755 if executable else 0o644
            os.fchmod(fd, mode & 0o555 if self._read_only else mode)
        finally:
            os.close(fd)

    def linked(self, path: str | bytes, digest: Digest, size: int, folder: int | None) -> bool:
        """Whether `path` is now a hard link to a large object; False where a copy must be made."""
        if not self._link or size < _LINKED or self._objects.can_clone():
            return False

        def make_link(held: str) -> None:
            os.link(held, path, dst_dir_fd=folder)

        try:
            self._objects.link_to(digest, make_link)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
        return True

    def link(self, entry: Entry, folder: int, name: bytes) -> None:
        """Make a symbolic link."""
        target = self._objects.read(entry.digest)
        if not stays_inside(entry.path, target):
            raise IntegrityError(f"the listing's link {entry.path!r} leaves its directory: {target!r}")
        os.symlink(target, name, dir_fd=folder)


class _Below:
    """Fills one directory, from folder to folder by descriptor."""

    def __init__(self, top: str, writer: _Writer) -> None:
        self._top = top
        self._writer = writer
        self._folder = b""
        self._fd = files.open_below(top, "")

    def close(self) -> None:
        """Close the folder that was filled last."""
        os.close(self._fd)

    def put(self, batch: Sequence[Entry]) -> list[None]:
        """Make all of these."""
        for entry in batch:
            folder, _, name = entry.path.rpartition(b"/")
            if folder != self._folder:
                fd = files.open_below(self._top, os.fsdecode(folder), make=True)
                os.close(self._fd)
                self._fd, self._folder = fd, folder
            self._one(entry, name)
        return []

    def _one(self, entry: Entry, name: bytes) -> None:
        if entry.mode == listing.FOLDER:
            files.make_folder(name, self._fd)
        elif entry.mode == listing.LINK:
            self._writer.link(entry, self._fd, name)
        else:
            executable = entry.mode == listing.EXECUTABLE
            self._writer.file(name, entry.digest, entry.size, executable=executable, folder=self._fd)
