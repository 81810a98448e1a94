"""The tracked files of one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ciml.adapters.git import lfs
from ciml.adapters.git.objects import Listing, Objects
from ciml.core.errors import RepositoryError, TrustError
from ciml.core.ids import CommitSha, GitOid, RepoPath
from ciml.core.tree import DIRECTORY, LINK, SUBMODULE, TreeEntry, link_target

_HOPS = 20


def encoded(path: str) -> bytes:
    """The bytes of a path in Git."""
    return path.encode("utf-8", "surrogateescape")


def decoded(path: bytes) -> RepoPath:
    """A path of Git; bytes that are not UTF-8 become surrogates."""
    return RepoPath(path.decode("utf-8", "surrogateescape"))


class CommitTree:
    """What a commit holds. Only the folders on the way to what is asked for are read.

    Args:
        objects: where the trees and blobs are.
        commit: None before the first commit.
        root: the object id of its tree.
        common_dir: Git's directory.
        submodule: opens the tree of a submodule's commit, by path and commit.
    """

    def __init__(
        self,
        objects: Objects,
        commit: CommitSha | None,
        root: GitOid,
        *,
        common_dir: str,
        submodule: Callable[[RepoPath, GitOid], CommitTree],
    ) -> None:
        self.commit = commit
        self.dirty: frozenset[RepoPath] = frozenset()
        self.converted: frozenset[RepoPath] = frozenset()
        self._objects = objects
        self._common_dir = common_dir
        self._submodule = submodule
        self._folders: dict[str, GitOid | None] = {"": root}
        """Folder -> its tree; None where there is no such folder."""

    def entries(self, paths: Iterable[RepoPath]) -> dict[RepoPath, TreeEntry]:
        """The entries of those paths that exist; a directory has its tree's object id."""
        wanted = list(dict.fromkeys(paths))
        self._find_folders({path.rpartition("/")[0] for path in wanted})
        found = {}
        for path in wanted:
            if entry := self._entry(path):
                found[path] = entry
        return found

    def _entry(self, path: RepoPath) -> TreeEntry | None:
        folder, _, name = path.rpartition("/")
        tree = self._folders[folder]
        if tree is None:
            return None
        if not path:
            return TreeEntry(path=path, mode=DIRECTORY, oid=tree)
        entry = self._objects.listing(tree).get(encoded(name))
        return TreeEntry(path=path, mode=entry[0], oid=entry[1]) if entry else None

    def _find_folders(self, folders: Iterable[str]) -> None:
        """Fill `_folders`, one level of the tree in one batch."""
        missing = {folder for folder in folders if folder not in self._folders}
        while missing:
            # The nearest known folder above each, and the step that comes next.
            steps = {self._next_step(folder) for folder in missing}
            parents = {step: self._folders[step.rpartition("/")[0]] for step in steps}
            listings = self._objects.listings(tree for tree in parents.values() if tree)
            for step, tree in parents.items():
                entry = listings[tree].get(encoded(step.rpartition("/")[2])) if tree else None
                self._folders[step] = entry[1] if entry and entry[0] == DIRECTORY else None
            missing = {folder for folder in missing if folder not in self._folders}

    def _next_step(self, folder: str) -> str:
        while (parent := folder.rpartition("/")[0]) not in self._folders:
            folder = parent
        return folder

    def listing(self, folder: RepoPath) -> Listing:
        """The entries of one folder; none where it does not exist."""
        self._find_folders([folder])
        tree = self._folders[folder]
        return self._objects.listing(tree) if tree else {}

    def files(self, directory: RepoPath, *, modules: bool = True) -> Sequence[TreeEntry]:
        """All files below a directory ("" is the root), sorted by path, those of submodules too; no directories.

        Args:
            directory: or a submodule.
            modules: where this is False, a submodule below it is told as one entry.

        Raises:
            RepositoryError: a submodule whose files are wanted is not checked out.
        """
        entry = self.entries([directory]).get(directory)
        if entry is None:
            return []
        if entry.mode == SUBMODULE:
            return self.files_of_submodule(entry)
        if entry.mode != DIRECTORY:
            return []
        return sorted(self._below(directory, entry.oid, modules), key=lambda file: file.path)

    def _below(self, directory: RepoPath, tree: GitOid, modules: bool) -> list[TreeEntry]:
        files: list[TreeEntry] = []
        level = [(encoded(directory) + b"/" if directory else b"", tree)]
        while level:
            listings = self._objects.listings(oid for _, oid in level)
            deeper = []
            for prefix, folder in level:
                for name, (mode, oid) in listings[folder].items():
                    if mode == DIRECTORY:
                        deeper.append((prefix + name + b"/", oid))
                        continue
                    entry = TreeEntry(path=decoded(prefix + name), mode=mode, oid=oid)
                    files += self.files_of_submodule(entry) if modules and mode == SUBMODULE else [entry]
            level = deeper
        return files

    def files_of_submodule(self, entry: TreeEntry) -> list[TreeEntry]:
        """All files of a submodule at the commit that the entry names, by their paths in this tree.

        Raises:
            RepositoryError: it is not checked out.
        """
        inner = self._submodule(entry.path, entry.oid).files(RepoPath(""))
        return [TreeEntry(path=RepoPath(f"{entry.path}/{file.path}"), mode=file.mode, oid=file.oid) for file in inner]

    def untracked(self, *under: RepoPath) -> list[RepoPath]:
        """None: a commit holds what is tracked."""
        return []

    def ignores(self, path: RepoPath) -> bool:
        """False: in a commit nothing lies beside what is tracked."""
        return False

    def admit(self, paths: Iterable[RepoPath]) -> None:
        """Nothing: a commit holds what it holds."""

    def read(self, path: RepoPath) -> bytes | None:
        """The bytes of a file, links inside the repository followed; None where there is none.

        Raises:
            TrustError: a link leaves the repository.
        """
        for _ in range(_HOPS):
            entry = self.entries([path]).get(path)
            if entry is None or entry.mode in (DIRECTORY, SUBMODULE):
                return None
            if entry.mode != LINK:
                return self._objects.blob(entry.oid)
            path = inside(path, self._objects.blob(entry.oid))
        raise RepositoryError(f"{path} is a link to a link to a link without end")

    def fetch(self, entry: TreeEntry) -> bytes:
        """The bytes of a file or the text of a link, as Git has hashed them; of an LFS pointer, what it points to.

        Raises:
            RepositoryError: a submodule as a whole, or content that is not in this clone.
            TrustError: a link that leaves the repository.
        """
        if entry.mode == SUBMODULE:
            raise RepositoryError(f"{entry.path} is a submodule, not a file", hint="Name the files in it.")
        data = self.object_of(entry)
        if entry.mode == LINK:
            inside(entry.path, data)
        elif wanted := lfs.pointer(data):
            with open(self.lfs_file(entry.path, wanted), "rb") as file:
                return file.read()
        return data

    def locate(self, entry: TreeEntry) -> str | None:
        """The absolute path of a file that holds the bytes `fetch` would give: of LFS content; None for all else."""
        if entry.mode in (LINK, SUBMODULE, DIRECTORY):
            return None
        if self._objects.sizes([entry.oid]).get(entry.oid, lfs.LONGEST) >= lfs.LONGEST:
            return None
        wanted = lfs.pointer(self._objects.blob(entry.oid))
        return self.lfs_file(entry.path, wanted) if wanted else None

    def object_of(self, entry: TreeEntry) -> bytes:
        """The blob of an entry, also of one inside a submodule."""
        owner, below = self._owner(entry.path)
        return owner._objects.blob(entry.oid) if below else self._objects.blob(entry.oid)

    def _owner(self, path: RepoPath) -> tuple[CommitTree, str]:
        """The tree that holds a path's blob, and the path below it, "" for this one."""
        for end in [index for index, character in enumerate(path) if character == "/"]:
            above = RepoPath(path[:end])
            entry = self._entry(above) if self._known(above) else None
            if entry and entry.mode == SUBMODULE:
                return self._submodule(above, entry.oid)._owner(RepoPath(path[end + 1 :]))[0], path[end + 1 :]
        return self, ""

    def _known(self, path: RepoPath) -> bool:
        folder = path.rpartition("/")[0]
        self._find_folders([folder])
        return self._folders[folder] is not None

    def lfs_file(self, path: RepoPath, wanted: lfs.Pointer) -> str:
        """Where the bytes are that a pointer at `path` stands for.

        Raises:
            RepositoryError: they are not here.
        """
        kept = lfs.cached(self._common_dir, wanted)
        if kept is None:
            raise lfs.missing(path)
        return kept


def inside(path: RepoPath, text: bytes) -> RepoPath:
    """The path that the link at `path` names.

    Raises:
        TrustError: it leaves the repository.
    """
    words = decoded(text)
    target = link_target(path, words)
    if target is None:
        raise TrustError(
            f"{path} is a link to {words!r}, which is outside the repository", hint="Make it a file, or link inside."
        )
    return target
