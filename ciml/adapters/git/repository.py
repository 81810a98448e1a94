"""One Git repository: what it is, what its names mean, and its trees."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ciml.adapters.git import history
from ciml.adapters.git.command import Git
from ciml.adapters.git.objects import EMPTY_TREE, Objects, parse_commit
from ciml.adapters.git.trees import CommitTree, decoded
from ciml.adapters.git.worktree import WorkTree
from ciml.core.changes import Base
from ciml.core.errors import ConfigurationError, RepositoryError, ServiceError, TrustError
from ciml.core.ids import CommitSha, GitOid, RepoPath
from ciml.core.tree import PathChange
from ciml.core.url import bare, without_secrets

if TYPE_CHECKING:
    from ciml.core.lineage import Commit

_FACTS = (
    "--is-bare-repository",
    "--is-inside-work-tree",
    "--is-shallow-repository",
    "--show-object-format",
    "--absolute-git-dir",
    "--git-common-dir",
    # Last, since Git leaves it out where there is no work tree.
    "--show-cdup",
)
NOBODY = "unknown"
"""Who Git says commits here, where it does not know."""
INTRODUCTION = 'git config user.name "YOUR NAME" && git config user.email YOU@EXAMPLE.ORG'
"""What tells it."""
_NETWORK_S = 60.0
_UNSAFE = re.compile(r"[\x00-\x20\x7f]|^-|^$")
_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Repository:
    """A repository that was found; `close` it, or use it as a context manager.

    Attributes:
        root: the work tree's root, absolute; None in a bare repository.
        git_dir: of this work tree, absolute.
        common_dir: what all work trees of the repository share, absolute.
        object_format: `sha1` or `sha256`.
        shallow: whether history is cut off.
    """

    def __init__(
        self, git: Git, *, root: str | None, git_dir: str, common_dir: str, object_format: str, shallow: bool
    ) -> None:
        self.root = root
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.object_format = object_format
        self.shallow = shallow
        self.git = git
        self.objects = Objects(git, object_format)
        self._trees: dict[str, CommitTree] = {}
        self._work_tree: WorkTree | None = None
        self._modules: dict[str, Repository] = {}

    @classmethod
    def open(cls, path: str, env: Mapping[str, str]) -> Repository:
        """The repository that `path` lies in, found with one process.

        Args:
            path: any folder in it.
            env: the caller's environment.

        Raises:
            RepositoryError: there is none, it belongs to somebody else, or Git is missing or too old.
            TrustError: what Git found is a folder of a work tree, which anybody could have committed.
        """
        here = os.path.realpath(path)
        git = Git(here, env)
        answer = git.ask("rev-parse", *_FACTS)
        lines = os.fsdecode(answer.out).split("\n")[:-1]
        # Another number of lines: an old Git, or a newline in a path.
        expected = len(_FACTS) if lines[1:2] == ["true"] else len(_FACTS) - 1
        if answer.code or len(lines) != expected or lines[3] not in EMPTY_TREE:
            raise git.error(("rev-parse",), answer)
        bare, in_work_tree, shallow, object_format, git_dir, common_dir, up = (*lines, "")[: len(_FACTS)]
        if in_work_tree != "true" and bare != "true":
            raise RepositoryError(f"{here} lies inside Git's own folder", hint="Go to the work tree.")
        if _poses(here, git_dir):
            raise TrustError(
                f"{git_dir} is a folder of a work tree that poses as a repository: its settings could start programs",
                hint="Start from the work tree's root, or remove that folder.",
            )
        root = os.path.normpath(os.path.join(here, up)) if in_work_tree == "true" else None
        return cls(
            Git(root or git_dir, env),
            root=root,
            git_dir=git_dir,
            common_dir=os.path.normpath(os.path.join(here, common_dir)),
            object_format=object_format,
            shallow=shallow == "true",
        )

    def close(self) -> None:
        """End the processes that were kept for more questions."""
        self.objects.close()
        for module in self._modules.values():
            module.close()

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Names.

    def resolve(self, rev: str) -> CommitSha:
        """The commit that a revision names; tags are followed to their commit.

        Raises:
            ConfigurationError: `rev` is no revision but an option, or holds a space or a control character.
            RepositoryError: it names nothing, or something that is no commit.
        """
        if _UNSAFE.search(rev):
            raise ConfigurationError(f"{rev!r} is not a revision")
        found = self.objects.find(f"{rev}^{{commit}}")
        if found is not None:
            return CommitSha(found[0])
        other = self.objects.find(rev)
        if other is not None and other[1] != "tag":
            raise RepositoryError(f"{rev!r} names a {other[1]}, not a commit")
        hint = "This clone is shallow: git fetch --unshallow." if self.shallow else None
        raise RepositoryError(f"{rev!r} names no commit here", hint=hint)

    def holds(self, commit: CommitSha) -> bool:
        """Whether a commit, by its full id, is in this clone."""
        return _FULL.fullmatch(commit) is not None and self.objects.find(f"{commit}^{{commit}}") is not None

    def head(self) -> CommitSha | None:
        """The commit of HEAD; None before the first."""
        found = self.objects.find("HEAD^{commit}")
        return CommitSha(found[0]) if found else None

    def branch(self) -> str | None:
        """The branch that HEAD is on; None when it is detached."""
        answer = self.git.ask("symbolic-ref", "-q", "--short", "HEAD")
        return os.fsdecode(answer.out).strip() or None

    def tag_object(self, tag: str) -> GitOid:
        """The id of what a tag's ref names: of the tag itself when it is annotated.

        Raises:
            RepositoryError: there is no such tag.
        """
        if _UNSAFE.search(tag) or (found := self.objects.find(f"refs/tags/{tag}")) is None:
            raise RepositoryError(f"there is no tag {tag!r} here", hint="git fetch --tags")
        return found[0]

    def commit(self, sha: CommitSha) -> Commit:
        """What a lineage says of a commit.

        Raises:
            RepositoryError: it is not in this clone.
        """
        found = self.objects.find(f"{sha}^{{commit}}") if _FULL.fullmatch(sha) else None
        if found is None:
            raise RepositoryError(f"the commit {sha} is not in this clone")
        return parse_commit(found[0], found[2])

    # Trees.

    def commit_tree(self, commit: CommitSha) -> CommitTree:
        """The tracked files of a commit."""
        if commit not in self._trees:
            found = self.objects.find(f"{commit}^{{commit}}") if _FULL.fullmatch(commit) else None
            if found is None:
                raise RepositoryError(f"the commit {commit} is not in this clone")
            self._trees[commit] = self._tree(commit, GitOid(found[2][5:].partition(b"\n")[0].decode()))
        return self._trees[commit]

    def _tree(self, commit: CommitSha | None, root: GitOid) -> CommitTree:
        return CommitTree(self.objects, commit, root, common_dir=self.common_dir, submodule=self._submodule)

    def work_tree(self) -> WorkTree:
        """HEAD with the work tree laid over it, as it was when this was first asked.

        Raises:
            RepositoryError: the repository is bare.
        """
        if self._work_tree is None:
            if self.root is None:
                raise RepositoryError(f"{self.git_dir} is bare: it has no work tree", hint="Name a commit.")
            head = self.head()
            below = self.commit_tree(head) if head else self._tree(None, EMPTY_TREE[self.object_format])
            self._work_tree = WorkTree(below, self.objects, self.git, self.root)
        return self._work_tree

    def _submodule(self, path: RepoPath, commit: GitOid) -> CommitTree:
        where = f"{self.root}/{path}"
        hint = f"git submodule update --init {path}"
        if self.root is None or not os.path.lexists(f"{where}/.git"):
            raise RepositoryError(f"submodule {path} is not checked out", hint=hint)
        if path not in self._modules:
            self._modules[path] = Repository.open(where, self.git.env)
        module = self._modules[path]
        if not module.holds(CommitSha(commit)):
            raise RepositoryError(f"submodule {path} does not have its commit {commit[:10]}", hint=hint)
        return module.commit_tree(CommitSha(commit))

    # Differences and history.

    def diff(self, base: CommitSha, head: CommitSha | None) -> list[PathChange]:
        """Where two commits differ, or a commit and the work tree (`head` None), with modes and ids; sorted by path."""
        if head is not None:
            return history.diff(self.git, base, head)
        return history.with_work_tree(self._to_head(base), self.commit_tree(base), self.work_tree())

    def _to_head(self, base: CommitSha) -> frozenset[RepoPath]:
        head = self.work_tree().commit
        return history.changed(self.git, base, head) if head and head != base else frozenset()

    def changed(self, base: CommitSha, head: CommitSha | None) -> frozenset[RepoPath]:
        """The paths that differ between two commits, or between a commit and the work tree."""
        if head is not None:
            return history.changed(self.git, base, head)
        return frozenset(change.path for change in self.diff(base, None))

    def changed_by(self, commit: CommitSha) -> frozenset[RepoPath]:
        """The paths at which a commit differs from any of its parents; all of them for a first commit."""
        return history.changed_by(self.git, commit)

    def base(self, before: str) -> Base:
        """The commit an event started from, fetched where this clone has it not; or why it cannot be had."""
        return history.base(self, before)

    def merge_base(self, one: CommitSha, other: CommitSha) -> Base:
        """The best common ancestor; a shallow clone is deepened for it, within bounds."""
        return history.merge_base(self, one, other)

    def is_ancestor(self, commit: CommitSha, of: CommitSha) -> bool:
        """Whether `of` is `commit` or comes after it."""
        return history.is_ancestor(self.git, commit, of)

    def reaches(self, tip: CommitSha, commit: CommitSha) -> bool:
        """Whether `tip` is `commit` or comes after it; both are fetched for that, within bounds."""
        return history.reaches(self, tip, commit)

    def log(self, head: CommitSha, limit: int, *, paths: tuple[RepoPath, ...] = ()) -> list[Commit]:
        """The last commits up to `head`, the youngest first; those that touch `paths` where some are given."""
        shas = history.log(self.git, head, limit, paths)
        return [self.commit(sha) for sha in shas]

    # The remote.

    def remote_url(self, remote: str = "origin") -> str | None:
        """The address of a remote, without user and password; None where there is none."""
        answer = self.git.ask("config", "--get", f"remote.{remote}.url")
        return bare(os.fsdecode(answer.out).strip()) or None

    def default_branch(self, remote: str = "origin") -> str | None:
        """The remote's default branch, as far as this clone knows it."""
        answer = self.git.ask("symbolic-ref", "-q", f"refs/remotes/{remote}/HEAD")
        return decoded(answer.out.strip()).removeprefix(f"refs/remotes/{remote}/") or None

    def remote_default(self, remote: str = "origin") -> tuple[str, CommitSha | None]:
        """The remote's default branch and where it is now, asked of the remote itself.

        Raises:
            ServiceError: it cannot be reached.
        """
        answer = self.git.ask("ls-remote", "--symref", remote, "HEAD", timeout_s=_NETWORK_S)
        if answer.code:
            raise ServiceError(
                f"{self.remote_url(remote) or remote} does not say where its default branch is: "
                f"{without_secrets(answer.error.strip())}"
            )
        branch, tip = "", None
        for line in decoded(answer.out).splitlines():
            left, _, name = line.partition("\t")
            if left.startswith("ref: ") and name == "HEAD":
                branch = left.removeprefix("ref: refs/heads/")
            elif name == "HEAD" and _FULL.fullmatch(left):
                tip = CommitSha(left)
        return branch, tip

    def remote_head(self, branch: str, remote: str = "origin") -> CommitSha | None:
        """Where a branch of the remote is now, asked of the remote itself; None where it has no such branch.

        Raises:
            ServiceError: it cannot be reached.
        """
        name = f"refs/heads/{branch}"
        answer = self.git.ask("ls-remote", remote, name, timeout_s=_NETWORK_S)
        if answer.code:
            raise ServiceError(
                f"{self.remote_url(remote) or remote} does not say where {branch} is: "
                f"{without_secrets(answer.error.strip())}"
            )
        told = (line.partition("\t") for line in decoded(answer.out).splitlines())
        return next((CommitSha(sha) for sha, _, ref in told if ref == name and _FULL.fullmatch(sha)), None)

    def identity(self) -> str:
        """Who commits here, by Git's configuration; NOBODY where it does not say."""
        answer = self.git.ask("config", "--get-regexp", r"^user\.(name|email)$")
        told = dict(line.split(" ", 1) for line in decoded(answer.out).splitlines() if " " in line)
        name, email = self.git.env.get("GIT_COMMITTER_NAME"), self.git.env.get("GIT_COMMITTER_EMAIL")
        name, email = name or told.get("user.name", ""), email or told.get("user.email", "")
        return f"{name} <{email}>".strip() if name or email else NOBODY


def _poses(here: str, git_dir: str) -> bool:
    """Whether Git took a folder for a repository because of what it holds, and that folder lies in a work tree."""
    if here != git_dir and not here.startswith(f"{git_dir}/"):
        return False
    parts = git_dir.split("/")
    return any(os.path.lexists("/".join([*parts[:length], ".git"])) for length in range(1, len(parts)))
