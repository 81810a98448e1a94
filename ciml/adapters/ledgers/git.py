"""A ledger on a Git branch: one commit an entry, one push a decision.

`ciml/ledger/<model>` holds `entries/0000/00000001.json` and on. Nothing is checked out and no index
is used, so it works in bare, shallow, sparse and detached clones alike. The push is the atomic
step: without force, it succeeds only on top of the commit that was read. Its answer is not
believed, in either direction; what counts is what the next read finds.

`refs/ciml/pins/<remote>/<model>` pins what was read here last: a branch that lost it was rewritten.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec

from ciml.adapters import files
from ciml.adapters.git.command import Answer, Git
from ciml.core.entries import Adoption, Deployment, FailedDeployment, Promotion, Registration, Rollback, decode
from ciml.core.errors import IntegrityError, ServiceError, TrustError
from ciml.core.ids import ModelName
from ciml.core.ledger import LedgerState, fold
from ciml.core.url import without_secrets

_NETWORK_S = 120.0
"""A remote that is silent for so long cannot be reached."""

_FETCH = ("--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=", "--no-auto-maintenance")
_PUSH = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")
_LOCKED = re.compile(r"Unable to create '([^'\n]+\.lock)': File exists")
_LOST = re.compile(r"non-fast-forward|fetch first|incorrect old value|but expected|reference already exists")
_DENIED = re.compile(
    r"denied|declined|forbidden|\b40[13]\b|not authori[sz]ed|authentication failed|could not read (?:Username|Password)"
    r"|read-only|repository not found|protected branch|access rights to|deny updating",
    re.IGNORECASE,
)
_FILE = re.compile(r"entries/\d{4}/(\d{8})\.json")


class GitLedger:
    """The ledger of one model.

    Args:
        model: whose ledger.
        git: runs Git in the repository.
        remote: name of the remote that has the branch; None for a local branch, which is never pushed.
        memory: folder for what was read before; it may be deleted at any time.
    """

    def __init__(self, model: ModelName, git: Git, *, remote: str | None, memory: str) -> None:
        self._model = model
        self._git = git
        self._remote = remote
        self._memory = f"{memory}/{model}"
        self._branch = f"refs/heads/ciml/ledger/{model}"
        # A local ledger and the one on the remote are two: who moves to a shared registry begins anew there.
        self._pin = f"refs/ciml/pins/{remote or 'local'}/{model}"
        self._proposed = f"refs/ciml/proposed/{model}"
        self._known: dict[str, list[bytes]] = {}
        self._left_behind: tuple[str, ...] = ()
        """By writers that were killed, or that are just about to remove theirs."""

    def read(self) -> LedgerState:
        """What the ledger says now, asked of its source.

        Raises:
            ServiceError: the remote cannot be reached.
            TrustError: it does not let us read.
            IntegrityError: the chain is broken, or what was read here before is gone.
        """
        # The pin first: what is pinned now, the remote must still have when it is asked after that.
        refs = self._local_refs()
        pinned = refs.get(self._pin)
        tip = self._remote_tip() if self._remote else refs.get(self._branch)
        if tip is None and pinned is None:
            return LedgerState(model=self._model)
        before = fold(self._model, self._entries(pinned)).head if pinned and pinned != tip else None
        state = fold(self._model, self._entries(tip) if tip else [], tip=tip, pinned=before)
        if tip and tip != pinned:
            # Another process may have pinned a later one meanwhile: then ours is of no use.
            self._git.ask("update-ref", self._pin, tip, pinned or "")
        return state

    def append(self, after: LedgerState, entries: Sequence[bytes]) -> None:
        """Try to put entries on top of the state that was read; whether it worked, `read` tells.

        Raises:
            ServiceError: it did not come through; whether it arrived is not known.
            TrustError: the remote refused it.
        """
        if not entries:
            return
        new = self._commit(after, entries)
        if self._remote is None:
            self._move_locally(new, after.tip)
        else:
            self._push(new)

    # Reading.

    def _local_refs(self) -> dict[str, str]:
        form = "--format=%(objectname) %(refname)"
        listing = self._git.run("for-each-ref", form, self._pin, self._branch, f"{self._proposed}/")
        refs = {name: sha for sha, _, name in (line.partition(" ") for line in listing.decode().splitlines())}
        self._left_behind = tuple(name for name in refs if name.startswith(self._proposed))
        return refs

    def _remote_tip(self) -> str | None:
        answer = self._ask_remote("ls-remote")
        tips = [line.split()[0] for line in answer.out.decode().splitlines() if line.endswith(f"\t{self._branch}")]
        if not tips:
            return None
        if self._git.ask("cat-file", "-e", f"{tips[0]}^{{commit}}").code:
            self._ask_remote("fetch", *_FETCH)
        return tips[0]

    def _ask_remote(self, *command: str) -> Answer:
        assert self._remote is not None
        answer = self._git.ask(*command, "--end-of-options", self._remote, self._branch, timeout_s=_NETWORK_S)
        if answer.code:
            raise self._failure("cannot be read", answer.error)
        return answer

    def _entries(self, commit: str) -> list[bytes]:
        """The bytes of all entries at a commit; only what was not read before is read."""
        if commit not in self._known:
            before, known = self._remembered()
            self._known[before] = known
            if commit != before:
                self._known[commit] = self._read_entries(commit, known)
                self._remember(commit)
        return self._known[commit]

    def _read_entries(self, commit: str, known: list[bytes]) -> list[bytes]:
        listing = self._git.run("ls-tree", "-r", "--full-tree", "-z", commit, "entries/")
        oids: list[str] = []
        for line in listing.decode().split("\0")[:-1]:
            meta, _, path = line.partition("\t")
            found = _FILE.fullmatch(path)
            if found is None or int(found[1]) != len(oids) + 1 or path != _path(len(oids) + 1):
                raise IntegrityError(
                    f"ledger of {self._model}: chain broken at {commit}: {path} is not entry {len(oids) + 1}"
                )
            oids.append(meta.split()[2])
        # The chain of digests shows whether what is remembered is a part of what is there.
        start = len(known) if len(known) <= len(oids) and self._continues(known, oids) else 0
        return [*known[:start], *self._blobs(oids[start:])]

    def _continues(self, known: list[bytes], oids: list[str]) -> bool:
        return not known or self._blobs([oids[len(known) - 1]]) == [known[-1]]

    def _blobs(self, oids: Sequence[str]) -> list[bytes]:
        """The bytes of blobs, in one process."""
        stream = io.BytesIO(self._git.run("cat-file", "--batch", data="".join(f"{oid}\n" for oid in oids).encode()))
        return [self._blob(oid, stream) for oid in oids]

    def _blob(self, oid: str, stream: io.BytesIO) -> bytes:
        header = stream.readline().split()
        if header[1:2] != [b"blob"]:
            raise IntegrityError(f"ledger of {self._model}: its object {oid} is not in this clone, or is no file")
        return stream.read(int(header[2]) + 1)[:-1]

    def _remembered(self) -> tuple[str, list[bytes]]:
        try:
            with open(self._memory, "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=tuple[str, list[bytes]])
        except (OSError, msgspec.DecodeError):
            return "", []

    def _remember(self, commit: str) -> None:
        try:
            files.write_whole(self._memory, msgspec.msgpack.encode((commit, self._known[commit])))
        except OSError:
            return  # The next read takes longer, and that is all.

    # Writing.

    def _commit(self, after: LedgerState, entries: Sequence[bytes]) -> str:
        """The id of a commit that adds these entries to the state, one commit each. No ref stays."""
        ref = f"{self._proposed}/{secrets.token_hex(8)}"
        start = after.head.seq + 1 if after.head else 1
        stream = b"".join(
            self._fast_import(ref, number, data, after.tip if number == start else None)
            for number, data in enumerate(entries, start=start)
        )
        stream += b"get-mark :1\n"
        new = self._git.run("fast-import", "--quiet", "--force", "--date-format=raw", data=stream).decode().strip()
        for proposed in (ref, *self._left_behind):
            self._git.ask("update-ref", "-d", proposed)
        known = self._known.get(after.tip, []) if after.tip else []
        self._known[new] = [*known, *entries]
        return new

    def _fast_import(self, ref: str, number: int, data: bytes, parent: str | None) -> bytes:
        entry = decode(data, f"entry {number}")
        message = _message(entry, number).encode()
        lines = [
            b"commit %b\nmark :1\ncommitter ciml <ciml@users.noreply.github.com> %d +0000\n"
            % (ref.encode(), _epoch(entry.at)),
            b"data %d\n%b\n" % (len(message), message),
            b"from %b\n" % parent.encode() if parent else b"",
            b"M 100644 inline %b\ndata %d\n%b\n" % (_path(number).encode(), len(data), data),
        ]
        return b"".join(lines)

    def _move_locally(self, new: str, old: str | None) -> None:
        answer = self._git.ask("update-ref", self._branch, new, old or "0" * len(new))
        if answer.code and (lock := _LOCKED.search(answer.error)):
            raise self._locked(lock[1])

    def _push(self, new: str) -> None:
        assert self._remote is not None
        refspec = f"{new}:{self._branch}"
        answer = self._git.ask("push", *_PUSH, "--end-of-options", self._remote, refspec, timeout_s=_NETWORK_S)
        words = f"{answer.out.decode('utf-8', 'replace')}\n{answer.error}"
        if answer.code and (lock := _LOCKED.search(words)):
            raise self._locked(lock[1])
        if answer.code and not _LOST.search(words):
            raise self._failure("cannot be pushed", words)

    def _locked(self, lock: str) -> ServiceError:
        """A push holds a lock for milliseconds, and the lock was waited for."""
        path = os.path.normpath(lock)
        try:
            age = f"{time.time() - os.stat(path).st_mtime:.0f} s old"
        except OSError:
            age = "of unknown age"
        return ServiceError(
            f"the ledger of {self._model} is locked by {path}, {age}",
            hint="If no push is running there, one was killed: delete the file on the remote's machine, and run again.",
        )

    def _failure(self, what: str, words: str) -> ServiceError | TrustError:
        told = without_secrets(" ".join(words.split()))[:500]
        message = f"the ledger {self._branch.removeprefix('refs/heads/')} {what} at {self._remote}: {told}"
        if _DENIED.search(words):
            return TrustError(message, hint="Whoever registers needs the right to push this branch.")
        return ServiceError(message, hint="Check that the remote can be reached, and run the same command again.")


def _path(number: int) -> str:
    return f"entries/{number // 1000:04d}/{number:08d}.json"


def _message(entry: object, number: int) -> str:
    kind = type(entry).__name__.lower()
    match entry:
        case Registration() | Adoption() | Promotion() | Rollback() | Deployment() | FailedDeployment():
            about = f"version {entry.version}"
        case _:
            about = f"entry {number}"
    commit = getattr(entry, "commit", None)
    return f"{kind}: {about}\n" + (f"\nfor {commit}\n" if commit else "")


def _epoch(at: str) -> int:
    try:
        return max(int(datetime.fromisoformat(at).timestamp()), 0)
    except ValueError:
        return 0
