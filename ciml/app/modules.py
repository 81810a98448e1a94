"""Python modules that stages import, directly or not: they are inputs too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ciml.app.lookups import Lookups
from ciml.app.untracked import admit_modules
from ciml.core.ids import GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName, closures, imports_of
from ciml.core.inputs import Input, TrackedInput
from ciml.core.pipeline import Stage
from ciml.core.producers import Producers
from ciml.core.tree import DIRECTORY, TreeEntry


class Modules:
    """Finds the modules in one tree.

    Args:
        lookups: of the tree.
        producers: of outputs, which are no modules of the tree.
        imported: what each Python file imports, by Git object id; filled as files are read.
    """

    def __init__(
        self, lookups: Lookups, producers: Producers, imported: dict[GitOid, tuple[ImportedName, ...]]
    ) -> None:
        self._lookups = lookups
        self._producers = producers
        self._imported = imported

    def added_to(
        self, resolved: Mapping[StageName, tuple[Input, ...]], stages: Mapping[StageName, Stage]
    ) -> dict[StageName, tuple[Input, ...]]:
        """The inputs of all stages, with the modules that their Python files import."""
        starts = {name: (tuple(self._python_files(inputs)), stages[name].workdir) for name, inputs in resolved.items()}
        reached = closures(
            {group for group in starts.values() if group[0]}, look_up=self._directories, imports=self._imports
        )
        return {
            name: self._add(inputs, reached[starts[name]]) if starts[name] in reached else inputs
            for name, inputs in resolved.items()
        }

    def _python_files(self, inputs: Sequence[Input]) -> list[RepoPath]:
        files: list[RepoPath] = []
        for item in inputs:
            if isinstance(item, TrackedInput) and item.mode == DIRECTORY:
                below = [entry for entry in self._lookups.below(item.path) if entry.path.endswith(".py")]
                self._lookups.entries.update((entry.path, entry) for entry in below)
                files += [entry.path for entry in below]
            elif isinstance(item, TrackedInput) and item.path.endswith(".py"):
                self._lookups.entries[item.path] = TreeEntry(path=item.path, mode=item.mode, oid=item.oid)
                files.append(item.path)
        return files

    def _directories(self, paths: Collection[RepoPath]) -> Mapping[RepoPath, bool]:
        """Those of the paths that Git tracks -> whether it is a directory."""
        entries = self._lookups.entries
        self._lookups.look_up(paths)
        missing = [path for path in paths if path not in entries]
        if missing and admit_modules(missing, self._lookups.tree, self._producers):
            self._lookups.look_again(missing)
        return {path: entries[path].mode == DIRECTORY for path in paths if path in entries}

    def _imports(self, files: Collection[RepoPath]) -> Mapping[RepoPath, tuple[ImportedName, ...]]:
        """What each file imports; a file is parsed once in its life."""
        oids = {path: self._lookups.entries[path].oid for path in files}
        for path, oid in oids.items():
            if oid not in self._imported:
                self._imported[oid] = imports_of(self._lookups.tree.read(path) or b"")
        return {path: self._imported[oid] for path, oid in oids.items()}

    def _add(self, inputs: tuple[Input, ...], modules: Mapping[RepoPath, RepoPath]) -> tuple[Input, ...]:
        tracked = [item for item in inputs if isinstance(item, TrackedInput)]
        have = {item.path for item in tracked}
        folders = tuple(f"{item.path}/" for item in tracked if item.mode == DIRECTORY)
        entries = self._lookups.entries
        added = [
            TrackedInput(inside=path, path=path, mode=entries[path].mode, oid=entries[path].oid, because=importer)
            for path, importer in sorted(modules.items())
            if path not in have and not path.startswith(folders) and not self._producers.covers(path)
        ]
        return (*inputs, *added)
