"""Resolve every stage's declared inputs against one tree, in a handful of batched look-ups."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ciml.app.ports import Tree, TreeEntry
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName, closures, imports_of
from ciml.core.inputs import DataInput, Input, TrackedInput
from ciml.core.manifest import Manifest, manifest_paths
from ciml.core.pipeline import Pipeline, Place, Stage
from ciml.core.producers import Producers, is_glob, matches
from ciml.core.tree import DIRECTORY


class Resolver:
    """Resolves one pipeline's inputs against one tree.

    Args:
        pipeline: what `ciml.yaml` asks for.
        tree: a commit's, or the work tree's.
        imported: what each Python file imports, by Git object id; filled as files are read.
        parse_manifest: reads a manifest's bytes.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tree: Tree,
        *,
        imported: dict[GitOid, tuple[ImportedName, ...]],
        parse_manifest: Callable[[bytes, RepoPath], Manifest],
    ) -> None:
        self._pipeline = pipeline
        self._tree = tree
        self._imported = imported
        self._parse_manifest = parse_manifest
        self._producers = Producers(pipeline.stages.values())
        self._entries: dict[RepoPath, TreeEntry] = {}
        self._looked_up: set[RepoPath] = set()
        self._files: dict[RepoPath, Sequence[TreeEntry]] = {}
        self._manifests: dict[RepoPath, Manifest] = {}
        self._problems: list[Problem] = []

    def resolve(self) -> dict[StageName, tuple[Input, ...]]:
        """All inputs of all stages, imported modules included.

        Raises:
            ConfigurationError: for all inputs at once that are none of: tracked, behind a
                manifest, made by a stage.
        """
        stages = self._pipeline.stages
        declared = [place for stage in stages.values() for place in stage.inputs]
        self._look_up(place.path for place in declared if not is_glob(place.path))
        self._look_up(
            manifest
            for place in declared
            if place.path not in self._entries and not is_glob(place.path)
            for manifest in manifest_paths(place.path)
        )
        resolved = {name: self._stage(stage) for name, stage in stages.items()}
        if self._problems:
            raise ConfigurationError(problems=self._problems)
        return self._with_imports(resolved)

    def _look_up(self, paths: Iterable[RepoPath]) -> None:
        new = [path for path in dict.fromkeys(paths) if path not in self._looked_up]
        if new:
            self._looked_up.update(new)
            self._entries.update(self._tree.entries(new))

    def _below(self, directory: RepoPath) -> Sequence[TreeEntry]:
        if directory not in self._files:
            self._files[directory] = self._tree.files(directory)
        return self._files[directory]

    # One declared input can be several: a glob, or a directory that other stages write into.

    def _stage(self, stage: Stage) -> tuple[Input, ...]:
        inputs: dict[tuple[str, str], Input] = {}
        for place in stage.inputs:
            found = self._place(stage, place)
            if not found:
                self._problems.append(self._nothing(stage, place))
            for item in found:
                inputs.setdefault((item.inside, type(item).__name__), item)
        return tuple(inputs.values())

    def _place(self, stage: Stage, place: Place) -> list[Input]:
        if is_glob(place.path):
            return self._glob(stage, place)
        if made := self._producers.at(place):
            return [made]
        if manifest := self._manifest(place.path):
            return [_data(place, manifest)]
        entry = self._entries.get(place.path)
        if entry is None:
            return list(self._producers.below(place, reader=stage))
        if entry.mode != DIRECTORY:
            return [_tracked(place.inside, entry)]
        return self._directory(stage, place, entry)

    def _directory(self, stage: Stage, place: Place, entry: TreeEntry) -> list[Input]:
        """A tracked directory, without the outputs that lie in it."""
        if not self._producers.any_below(place.path):
            return [_tracked(place.inside, entry)]
        files = [entry for entry in self._below(place.path) if not self._producers.covers(entry.path)]
        if files:
            return [_tracked(_moved(entry.path, place), entry) for entry in files]
        return list(self._producers.below(place, reader=stage))

    def _glob(self, stage: Stage, place: Place) -> list[Input]:
        start = RepoPath(posixpath.dirname(place.path.partition("*")[0].partition("?")[0].partition("[")[0]))
        found: list[Input] = [
            _tracked(entry.path, entry)
            for entry in self._below(start)
            if matches(entry.path, place.path) and not self._producers.covers(entry.path)
        ]
        return found + list(self._producers.matching(place.path, reader=stage))

    def _manifest(self, path: RepoPath) -> Manifest | None:
        for candidate in manifest_paths(path):
            if candidate in self._entries:
                if candidate not in self._manifests:
                    text = self._tree.read(candidate)
                    assert text is not None, f"{candidate} has an entry and no bytes"
                    self._manifests[candidate] = self._parse_manifest(text, candidate)
                return self._manifests[candidate]
        return None

    def _nothing(self, stage: Stage, place: Place) -> Problem:
        from difflib import get_close_matches

        tracked = [entry.path for entry in self._below(RepoPath(""))]
        known = [*tracked, *self._producers.paths, *{posixpath.dirname(path) for path in tracked}]
        near = get_close_matches(place.path, known, n=1, cutoff=0.5)
        return Problem(
            message=f"stage {stage.name}: the input {place.path!r} is not tracked by Git, has no manifest beside "
            "it, and no stage makes it",
            line=stage.line,
            key=f"stages.{stage.template}.inputs",
            hint=f"the nearest path that exists is {near[0]!r}" if near else f"`git add {place.path}` if it is code",
        )

    # Python modules that are imported, directly or not.

    def _with_imports(self, resolved: dict[StageName, tuple[Input, ...]]) -> dict[StageName, tuple[Input, ...]]:
        starts = {
            name: (tuple(self._python_files(inputs)), self._pipeline.stages[name].workdir)
            for name, inputs in resolved.items()
        }
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
                below = [entry for entry in self._below(item.path) if entry.path.endswith(".py")]
                self._entries.update((entry.path, entry) for entry in below)
                files += [entry.path for entry in below]
            elif isinstance(item, TrackedInput) and item.path.endswith(".py"):
                self._entries[item.path] = TreeEntry(path=item.path, mode=item.mode, oid=item.oid)
                files.append(item.path)
        return files

    def _directories(self, paths: Collection[RepoPath]) -> Mapping[RepoPath, bool]:
        """Those of the paths that Git tracks -> whether it is a directory."""
        self._look_up(paths)
        return {path: self._entries[path].mode == DIRECTORY for path in paths if path in self._entries}

    def _imports(self, files: Collection[RepoPath]) -> Mapping[RepoPath, tuple[ImportedName, ...]]:
        """What each file imports; a file is parsed once in its life."""
        for path in files:
            oid = self._entries[path].oid
            if oid not in self._imported:
                self._imported[oid] = imports_of(self._tree.read(path) or b"")
        return {path: self._imported[self._entries[path].oid] for path in files}

    def _add(self, inputs: tuple[Input, ...], modules: Mapping[RepoPath, RepoPath]) -> tuple[Input, ...]:
        have = {item.path for item in inputs if isinstance(item, TrackedInput)}
        folders = tuple(f"{item.path}/" for item in inputs if isinstance(item, TrackedInput) and item.mode == DIRECTORY)
        added = [
            TrackedInput(
                inside=path, path=path, mode=self._entries[path].mode, oid=self._entries[path].oid, because=importer
            )
            for path, importer in sorted(modules.items())
            if path not in have and not path.startswith(folders) and not self._producers.covers(path)
        ]
        return (*inputs, *added)


def _tracked(inside: RepoPath, entry: TreeEntry) -> TrackedInput:
    return TrackedInput(inside=inside, path=entry.path, mode=entry.mode, oid=entry.oid)


def _moved(path: RepoPath, place: Place) -> RepoPath:
    """A path below a place, as the stage sees it."""
    return RepoPath(place.inside + path[len(place.path) :])


def _data(place: Place, manifest: Manifest) -> DataInput:
    return DataInput(
        inside=place.inside,
        path=place.path,
        manifest=manifest.file,
        digest=manifest.digest,
        size=manifest.size,
        directory=manifest.directory,
        source=manifest.source,
    )
