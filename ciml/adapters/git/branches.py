"""Commits on a branch that nobody has checked out, and how they get to the remote.

A commit is made beside the one that it follows, without an index and without a work tree, so that it
works in bare, shallow, sparse and detached clones alike. The push is the atomic step: it succeeds
only where the branch is still where it was read.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from enum import StrEnum

from ciml.adapters.git.command import Git
from ciml.core.errors import RepositoryError, ServiceError
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.url import without_secrets
from ciml.core.value import Value

_NETWORK_S = 120.0
_LOST = re.compile(r"non-fast-forward|fetch first|incorrect old value|but expected|reference already exists|stale info")
_REFUSED = re.compile(
    r"denied|declined|forbidden|\b40[13]\b|not authori[sz]ed|authentication failed|could not read (?:Username|Password)"
    r"|read-only|repository not found|protected branch|GH0\d\d|access rights to|deny updating|rule violations",
    re.IGNORECASE,
)
_PROPOSED = "refs/ciml/data/"
_QUOTED = {ord("\n"): "\\n", ord('"'): '\\"', ord("\\"): "\\\\"}


class Pushed(StrEnum):
    """What became of a push."""

    DONE = "done"
    LOST = "lost"
    """The branch has moved meanwhile."""
    REFUSED = "refused"
    """Whoever pushes may not push this branch."""


class Outcome(Value, frozen=True, kw_only=True):
    """What became of a push, and what the remote said."""

    pushed: Pushed
    said: str = ""


class Branches:
    """The branches of one remote, or of the clone itself.

    Args:
        git: runs Git in the repository.
        remote: its name; None for the clone's own branches.
    """

    def __init__(self, git: Git, remote: str | None) -> None:
        self._git = git
        self._remote = remote

    def tip(self, branch: str) -> CommitSha | None:
        """The commit that a branch is at, which is in the clone from now on; None where there is no such branch.

        Raises:
            ServiceError: the remote cannot be reached.
        """
        ref = f"refs/heads/{branch}"
        if self._remote is None:
            found = self._git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").out.decode().strip()
            return CommitSha(found) if found else None
        told = self._asked("ls-remote", "--end-of-options", self._remote, ref)
        tips = [line.split()[0] for line in told.splitlines() if line.endswith(f"\t{ref}")]
        if not tips:
            return None
        if self._git.ask("cat-file", "-e", f"{tips[0]}^{{commit}}").code:
            options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-auto-maintenance")
            self._asked("fetch", *options, "--end-of-options", self._remote, ref)
        return CommitSha(tips[0])

    def _asked(self, *words: str) -> str:
        answer = self._git.ask(*words, timeout_s=_NETWORK_S)
        if answer.code:
            told = without_secrets(" ".join(answer.error.split()))[:500]
            raise ServiceError(
                f"{self._remote} cannot be read: {told}",
                hint="Check that the remote can be reached, and run the same command again.",
            )
        return answer.out.decode("utf-8", "replace")

    def commit(self, parent: CommitSha, files: Mapping[RepoPath, bytes], text: str) -> CommitSha:
        """The id of a new commit on top of another, in which these files are so. No ref stays."""
        ref = f"{_PROPOSED}{secrets.token_hex(8)}"
        who, when = self._committer()
        words = text.encode()
        stream = [
            b"commit %b\nmark :1\ncommitter %b %b\n" % (ref.encode(), who, when),
            b"data %d\n%b\nfrom %b\n" % (len(words), words, parent.encode()),
        ]
        for path, data in files.items():
            name = path.translate(_QUOTED).encode("utf-8", "surrogateescape")
            stream.append(b'M 100644 inline "%b"\ndata %d\n%b\n' % (name, len(data), data))
        stream.append(b"get-mark :1\n")
        made = self._git.run("fast-import", "--quiet", "--force", "--date-format=raw", data=b"".join(stream))
        for left in (ref, *self._left_behind()):
            self._git.ask("update-ref", "-d", left)
        return CommitSha(made.decode().strip())

    def _left_behind(self) -> list[str]:
        """Refs of calls that were killed, or are just about to remove theirs: a commit is pushed by its id."""
        return self._git.run("for-each-ref", "--format=%(refname)", _PROPOSED).decode().split()

    def _committer(self) -> tuple[bytes, bytes]:
        """Who commits here and when, by Git's configuration; ciml where that does not say who."""
        answer = self._git.ask("var", "GIT_COMMITTER_IDENT")
        who, _, when = answer.out.strip().rpartition(b"> ")
        if answer.code or not when:
            now = self._git.run("-c", "user.name=ciml", "-c", "user.email=ciml", "var", "GIT_COMMITTER_IDENT")
            return b"ciml <ciml@users.noreply.github.com>", now.strip().rpartition(b"> ")[2]
        return who + b">", when

    def push(self, new: CommitSha, branch: str, *, expected: CommitSha | None, replace: bool = False) -> Outcome:
        """Let a branch be at a commit, if it is still where it was read.

        Args:
            new: the commit.
            branch: its name.
            expected: where it was read; None: there was none.
            replace: the new commit need not follow the old one.

        Raises:
            ServiceError: it did not come through; whether it arrived is not known.
        """
        if self._remote is None:
            return self._move(new, branch, expected)
        ref = f"refs/heads/{branch}"
        lease = [f"--force-with-lease={ref}:{expected or ''}"] if replace else []
        options = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")
        answer = self._git.ask(
            "push", *options, *lease, "--end-of-options", self._remote, f"{new}:{ref}", timeout_s=_NETWORK_S
        )
        said = " ".join(f"{answer.out.decode('utf-8', 'replace')} {answer.error}".split())
        if not answer.code:
            return Outcome(pushed=Pushed.DONE)
        told = _told(answer.out.decode("utf-8", "replace"), answer.error)
        if _LOST.search(said):
            return Outcome(pushed=Pushed.LOST, said=told)
        if _REFUSED.search(said):
            return Outcome(pushed=Pushed.REFUSED, said=told)
        raise ServiceError(f"{branch} cannot be pushed to {self._remote}: {told}", hint="Run the same command again.")

    def _move(self, new: CommitSha, branch: str, expected: CommitSha | None) -> Outcome:
        """The clone's own branch; where it is checked out, with its files."""
        if self.follow(new, branch, expected):
            return Outcome(pushed=Pushed.DONE)
        if self._checked_out(branch):
            if self.tip(branch) != expected:
                return Outcome(pushed=Pushed.LOST)
            raise RepositoryError(
                f"{branch} is checked out, and its files cannot be brought to the new commit",
                hint="Commit or undo what you changed in its manifests.",
            )
        answer = self._git.ask("update-ref", f"refs/heads/{branch}", new, expected or "0" * len(new))
        return Outcome(pushed=Pushed.LOST if answer.code else Pushed.DONE)

    def follow(self, new: CommitSha, branch: str, expected: CommitSha | None) -> bool:
        """Whether the work tree, which had the branch at `expected` checked out, is at the new commit now."""
        head = self._git.ask("rev-parse", "--verify", "--quiet", "HEAD").out.decode().strip()
        if not self._checked_out(branch) or head != expected:
            return False
        return self._git.ask("merge", "--ff-only", "--quiet", "--no-verify", new).code == 0

    def _checked_out(self, branch: str) -> bool:
        head = self._git.ask("symbolic-ref", "--quiet", "HEAD").out.decode("utf-8", "surrogateescape").strip()
        return head == f"refs/heads/{branch}"


def _told(out: str, error: str) -> str:
    """What the remote said and how Git sums it up, without the advice around it."""
    said = [line.removeprefix("remote:").strip() for line in error.splitlines() if line.startswith("remote:")]
    summed = [line.rpartition("\t")[2] for line in out.splitlines() if line.startswith("!")]
    words = " ".join([*summed, *filter(None, said)]) or " ".join(error.split())
    return without_secrets(words)[:500]
