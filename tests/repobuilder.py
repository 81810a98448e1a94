"""Real Git repositories for tests: fixed identity and dates, so the same steps give the same commit ids."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from ciml.core.ids import CommitSha

START = 1_767_225_600
"""2026-01-01T00:00:00Z: the date of the first commit; each later one is a minute younger."""

EXECUTABLE = 0o100755
LINK = 0o120000

Files = Mapping[str, str | bytes | None]
"""Path -> text, bytes, or None to delete it."""


class RepoBuilder:
    """A repository and its work tree, built step by step.

    Args:
        path: where the work tree (or, when bare, the repository) is made; it must not exist or be empty.
        object_format: `sha1` or `sha256`.
        bare: without a work tree.
        create: False to use a repository that is there already.
    """

    def __init__(self, path: Path, *, object_format: str = "sha1", bare: bool = False, create: bool = True) -> None:
        self.path = path
        self._commits = 0
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(path.parent),
            "XDG_CONFIG_HOME": str(path.parent / "no-config"),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
        }
        if create:
            path.mkdir(parents=True, exist_ok=True)
            form = [f"--object-format={object_format}"] if object_format != "sha1" else []
            self.git("init", "-q", "-b", "main", *form, *(["--bare"] if bare else []))

    def git(self, *args: str, input: str | bytes | None = None) -> str:  # noqa: A002 -- as in subprocess.run
        """What `git ARGS` prints, without the last newline. Raises AssertionError with its words when it fails."""
        date = f"{START + 60 * self._commits} +0000"
        done = subprocess.run(
            ["git", "-c", "gc.auto=0", "-c", "protocol.file.allow=always", *args],
            cwd=self.path,
            env={**self.env, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
            input=input.encode("utf-8", "surrogateescape") if isinstance(input, str) else input or b"",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(args)}: {os.fsdecode(done.stderr)}"
        return os.fsdecode(done.stdout).removesuffix("\n")

    def write(self, files: Files, *, modes: Mapping[str, int] | None = None) -> None:
        """Change the work tree and nothing else."""
        for name, content in files.items():
            target = os.path.join(self.path, name)
            mode = (modes or {}).get(name)
            if os.path.lexists(target) and (content is None or mode == LINK or os.path.islink(target)):
                os.unlink(target)
            if content is None:
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            data = os.fsencode(content) if isinstance(content, str) else content
            if mode == LINK:
                os.symlink(data, os.fsencode(target))
                continue
            with open(target, "wb") as file:
                file.write(data)
            if mode is not None:
                os.chmod(target, mode & 0o777)

    def stage(self, *paths: str) -> None:
        """Bring the index to what the work tree holds at these paths."""
        listing = b"".join(os.fsencode(path) + b"\0" for path in paths)
        self.git("update-index", "--add", "--remove", "--replace", "-z", "--stdin", input=listing)

    def commit(self, files: Files, message: str = "change", *, modes: Mapping[str, int] | None = None) -> CommitSha:
        """The new commit: these files written, staged and committed on top of HEAD."""
        self.write(files, modes=modes)
        if files:
            self.stage(*files)
        self.git("commit", "-q", "--allow-empty", "--no-verify", "--cleanup=verbatim", "-m", message)
        self._commits += 1
        return self.head()

    def bulk_commit(self, files: Files, message: str = "change") -> CommitSha:
        """The new commit, made in one process however many the files; index and work tree stay as they are.

        Equal contents are written once. Works in a bare repository.
        """
        branch = self.git("symbolic-ref", "HEAD")
        first = not self.git("for-each-ref", "--format=1", branch)
        self.git("fast-import", "--quiet", "--force", input=b"".join(self._stream(files, message, branch, first)))
        self._commits += 1
        return self.head()

    def _stream(self, files: Files, message: str, branch: str, first: bool) -> Iterable[bytes]:
        contents = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
        marks = {
            data: number for number, data in enumerate(dict.fromkeys(contents.values()), start=1) if data is not None
        }
        for data, mark in marks.items():
            yield b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(data), data)
        words = message.encode()
        date = START + 60 * self._commits
        yield b"commit %s\ncommitter Ada <ada@example.com> %d +0000\n" % (branch.encode(), date)
        yield b"data %d\n%s\n" % (len(words), words)
        if not first:
            yield b"from %s^0\n" % branch.encode()
        for name, content in contents.items():
            path = os.fsencode(name)
            yield b"D %s\n" % path if content is None else b"M 100644 :%d %s\n" % (marks[content], path)

    def head(self) -> CommitSha:
        """The commit that HEAD names."""
        return CommitSha(self.git("rev-parse", "HEAD"))

    def branch(self, name: str, start: str = "HEAD") -> None:
        """Make a branch and switch to it."""
        self.git("checkout", "-q", "-b", name, start)

    def switch(self, name: str) -> None:
        """Switch to a branch, or detach at a commit."""
        self.git("checkout", "-q", name)

    def merge(self, *others: str, message: str = "merge") -> CommitSha:
        """The merge commit of HEAD and these."""
        self.git("merge", "-q", "--no-ff", "-m", message, *others)
        self._commits += 1
        return self.head()

    def tag(self, name: str, target: str = "HEAD", *, message: str | None = None) -> str:
        """The id of the object that the tag names: of the tag itself when a message makes it annotated."""
        self.git("tag", "-f", *(["-a", "-m", message] if message is not None else []), name, target)
        return self.git("rev-parse", f"refs/tags/{name}")

    def bare_origin(self, *, default: str = "main") -> RepoBuilder:
        """A bare repository that is now this one's `origin`, with all its branches and tags."""
        origin = self._beside("origin.git")
        self.git("clone", "-q", "--bare", ".", str(origin))
        # So that a commit can be fetched by its id, as from GitHub.
        bare = RepoBuilder(origin, create=False)
        bare.git("config", "uploadpack.allowAnySHA1InWant", "true")
        bare.git("symbolic-ref", "HEAD", f"refs/heads/{default}")
        self.git("remote", "add", "origin", str(origin))
        self.git("fetch", "-q", "origin")
        self.git("remote", "set-head", "origin", default)
        return bare

    def clone(
        self,
        name: str = "clone",
        *,
        depth: int | None = None,
        sparse: Iterable[str] | None = None,
        bare: bool = False,
        branch: str | None = None,
    ) -> RepoBuilder:
        """A clone of this repository beside it.

        Args:
            name: of its folder; a number is added where that is taken.
            depth: of a shallow clone.
            sparse: the folders that the work tree holds; None for all.
            bare: without a work tree.
            branch: that is checked out; the default branch when None.
        """
        path = self._beside(name)
        flags = [f"--depth={depth}"] if depth else []
        flags += ["--bare"] if bare else []
        flags += ["--sparse"] if sparse is not None else []
        flags += [f"--branch={branch}"] if branch else []
        # Through file://, else Git would ignore the depth.
        self.git("clone", "-q", *flags, f"file://{self.path}", str(path))
        copy = RepoBuilder(path, create=False)
        copy._commits = self._commits + 1000
        if sparse is not None:
            copy.git("sparse-checkout", "set", *sparse)
        return copy

    def _beside(self, name: str) -> Path:
        path, number = self.path.parent / name, 1
        while path.exists():
            number += 1
            path = self.path.parent / f"{name}-{number}"
        return path
