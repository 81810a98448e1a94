"""Git's objects by id, through one process that stays open."""

from __future__ import annotations

import hashlib
import re
import subprocess
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING

from ciml.adapters.git.command import Git
from ciml.core.errors import IntegrityError, RepositoryError
from ciml.core.ids import GitOid

if TYPE_CHECKING:
    from ciml.core.lineage import Commit

# Requests of one batch fit the pipe (64 KiB), so that neither side waits for the other.
_BATCH = 800

Listing = dict[bytes, tuple[int, GitOid]]
"""One tree object: name -> (mode, object id)."""

EMPTY_TREE = {
    "sha1": GitOid("4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    "sha256": GitOid("6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"),
}


class Objects:
    """Reads objects. The process starts with the first question and ends with `close`.

    Args:
        git: where.
        object_format: `sha1` or `sha256`.
    """

    def __init__(self, git: Git, object_format: str) -> None:
        self._git = git
        self._hash = object_format
        self._width = 32 if object_format == "sha256" else 20
        self._reader = _Pipe(git, "--batch")
        self._sizer = _Pipe(git, "--batch-check")
        self._listings: dict[GitOid, Listing] = {EMPTY_TREE[object_format]: {}}
        self._entry = re.compile(rb"(\d+) ([^\0]+)\0(.{%d})" % self._width, re.DOTALL)

    def find(self, rev: str) -> tuple[GitOid, str, bytes] | None:
        """(id, type, content) of what a revision names, in Git's grammar; None where there is nothing."""
        return self._reader.ask(rev)

    def sizes(self, oids: Iterable[GitOid]) -> dict[GitOid, int]:
        """The size in bytes of each object that is there."""
        return {oid: size for oid, _, size in self._sizer.headers(oids)}

    def blob(self, oid: GitOid) -> bytes:
        """The content of a blob, verified.

        Raises:
            RepositoryError: it is not in this clone.
            IntegrityError: its bytes are not what its id says.
        """
        found = self._reader.ask(oid)
        if found is None or found[1] != "blob":
            raise RepositoryError(f"the object {oid} is not in this clone", hint="Fetch it: git fetch --refetch origin")
        if self.id_of("blob", found[2]) != oid:
            raise IntegrityError(f"the object {oid} is damaged", hint="Run `git fsck`, then fetch it again.")
        return found[2]

    def listing(self, tree: GitOid) -> Listing:
        """The entries of one tree."""
        return self.listings([tree])[tree]

    def listings(self, trees: Iterable[GitOid]) -> Mapping[GitOid, Listing]:
        """The entries of trees, by id; all that are not known yet are asked for together."""
        missing = [tree for tree in dict.fromkeys(trees) if tree not in self._listings]
        # All answers are taken before one is judged: a question left half-answered would spoil the next.
        for asked, found in zip(missing, list(self._reader.contents(missing)), strict=True):
            if found is None or found[1] != "tree":
                raise RepositoryError(f"the tree {asked} is not in this clone", hint="Run `git fsck`.")
            self._listings[asked] = {
                name: (int(mode, 8), GitOid(oid.hex())) for mode, name, oid in self._entry.findall(found[2])
            }
        return self._listings

    def id_of_listing(self, entries: Listing) -> GitOid:
        """The id of the tree that holds these entries."""
        # Git sorts a folder as if its name ended with a slash.
        order = sorted(entries.items(), key=lambda item: item[0] + b"/" if item[1][0] == 0o040000 else item[0])
        tree = self.id_of(
            "tree", b"".join(b"%o %s\0%s" % (mode, name, bytes.fromhex(oid)) for name, (mode, oid) in order)
        )
        self._listings.setdefault(tree, entries)
        return tree

    def id_of(self, kind: str, data: bytes) -> GitOid:
        """The id that Git gives to an object."""
        hasher = hashlib.new(self._hash, b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
        hasher.update(data)
        return GitOid(hasher.hexdigest())

    def id_of_file(self, file: IO[bytes], size: int) -> GitOid | None:
        """The id of an open file's bytes as a blob; None where they are not `size` bytes."""
        hasher = hashlib.new(self._hash, b"blob %d\0" % size, usedforsecurity=False)
        left = size
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
            left -= len(chunk)
        return GitOid(hasher.hexdigest()) if left == 0 else None

    def close(self) -> None:
        """End the processes."""
        self._reader.close()
        self._sizer.close()


class _Pipe:
    """`git cat-file` that answers one request after the other."""

    def __init__(self, git: Git, mode: str) -> None:
        self._git = git
        self._mode = mode
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[[subprocess.Popen[bytes]], _Pipe] | None = None

    def ask(self, name: str) -> tuple[GitOid, str, bytes] | None:
        return next(self.contents([name]))

    def contents(self, names: Iterable[str]) -> Iterator[tuple[GitOid, str, bytes] | None]:
        """For each name: (id, type, content), or None."""
        for header in self._answers(names):
            if header is None:
                yield None
            else:
                oid, kind, size = header
                yield oid, kind, self._exactly(size + 1)[:-1]

    def headers(self, names: Iterable[str]) -> Iterator[tuple[GitOid, str, int]]:
        """(id, type, size) of those that are there."""
        return (header for header in self._answers(names) if header is not None)

    def _answers(self, names: Iterable[str]) -> Iterator[tuple[GitOid, str, int] | None]:
        wanted = list(names)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            process = self._running()
            assert process.stdin is not None
            try:
                process.stdin.write(b"".join(name.encode("utf-8", "surrogateescape") + b"\n" for name in batch))
                process.stdin.flush()
            except OSError as error:
                raise self._broken() from error
            for _ in batch:
                yield self._header()

    def _header(self) -> tuple[GitOid, str, int] | None:
        process = self._running()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._broken()
        words = line.split()
        # A name may hold spaces; an answer is `<id> <type> <size>`.
        if len(words) == 3 and words[2].isdigit() and len(words[0]) in (40, 64):
            return GitOid(words[0].decode()), words[1].decode(), int(words[2])
        return None

    def _exactly(self, size: int) -> bytes:
        process = self._running()
        assert process.stdout is not None
        data = process.stdout.read(size)
        if len(data) != size:
            raise self._broken()
        return data

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = self._git.start("cat-file", self._mode)
            self._end = weakref.finalize(self, _end, self._process)
        return self._process

    def _broken(self) -> RepositoryError:
        self.close()
        return RepositoryError(
            "git cat-file ended before it answered", hint="Run `git fsck`: an object may be damaged."
        )

    def close(self) -> None:
        """End it; the next question starts another."""
        if self._end is not None:
            self._end()
        self._process = self._end = None


def _end(process: subprocess.Popen[bytes]) -> None:
    # It may stand in the middle of an answer that nobody will read.
    process.kill()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:
            pass
    process.wait()


_PERSON = re.compile(rb"(.*?) ?(<[^>]*>)? (-?\d+) [+-]?\d+$", re.DOTALL)


def parse_commit(sha: str, raw: bytes) -> Commit:
    """What a lineage says of a commit. Nothing in it is taken on trust: any bytes give a value."""
    from ciml.core.ids import CommitSha
    from ciml.core.lineage import Commit

    head, _, message = raw.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, []).append(value)
    encoding = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    author = _PERSON.match(fields.get(b"author", [b""])[0])
    committer = _PERSON.match(fields.get(b"committer", [b""])[0])
    return Commit(
        sha=CommitSha(sha),
        tree=GitOid(fields.get(b"tree", [b""])[0].decode("ascii", "replace")),
        parents=tuple(CommitSha(parent.decode("ascii", "replace")) for parent in fields.get(b"parent", ())),
        author=_text(b" ".join(filter(None, author.groups()[:2])), encoding) if author else "",
        time=int(committer[3]) if committer else 0,
        subject=" ".join(_text(message.lstrip(b"\n").partition(b"\n\n")[0], encoding).split()),
    )


def _text(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding, "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")
